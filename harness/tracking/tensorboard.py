"""TensorBoard: an event file for each run, in `<runs>/tensorboard/<comparison>/<run>`.

Written by the package `tensorboard` alone, since torch's writer would bring torch into the parent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.tracking import Ended, Place, Point, TrackedRun

PACKAGE = "tensorboard"
WRITE_AGAIN = ""


def open_tracker(place: Place) -> TensorBoard:
    """Event files beside the runs."""
    return TensorBoard(place.root / "tensorboard")


class TensorBoard:
    """A tracker that writes event files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def starts(self, run: TrackedRun) -> None:
        """A file with the run's settings as its first text."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if run.key in self._writers:
            return
        folder = self._folder / run.comparison / (run.key or "comparison")
        self._writers[run.key] = EventFileWriter(str(folder))
        self._text(run.key, "settings", json.dumps({**run.settings, **run.tags}, indent=1))

    def logs(self, key: str, points: Sequence[Point]) -> None:
        """An event a point."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for point in points:
            values = [Summary.Value(tag=name, simple_value=v) for name, v in point.values.items()]
            event = Event(wall_time=point.at_ms / 1000, step=point.step, summary=Summary(value=values))
            self._writers[key].add_event(event)
        self._writers[key].flush()

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Event files have no words that change."""

    def ends(self, key: str, ended: Ended) -> None:
        """Close the file; how the run ended stands in it."""
        self._text(key, "end", json.dumps({"status": ended.status, "why": ended.reason, **ended.tags}))
        self._writers.pop(key).close()

    def closes(self) -> None:
        """Close what is still open."""
        for writer in self._writers.values():
            writer.close()

    def _text(self, key: str, tag: str, text: str) -> None:
        """A text, as TensorBoard's own plug-in reads it, in a block of code."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        plugin = SummaryMetadata.PluginData(plugin_name="text")
        shown = "    " + text.replace("\n", "\n    ")
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype="DT_STRING", tensor_shape=shape, string_val=[shown.encode()])
        metadata = SummaryMetadata(plugin_data=plugin)
        value = Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        self._writers[key].add_event(Event(summary=Summary(value=[value])))
