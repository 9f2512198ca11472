"""What one rank decides by its own clock or disk, all ranks do."""

from __future__ import annotations

from typing import Any

import transformers

from harness.measure.ranks import Ranks


class Agree(transformers.TrainerCallback):
    """After every step rank 0's wishes to stop and to save hold for all. Stands last among the callbacks."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        wishes = self._ranks.of_first((control.should_training_stop, control.should_save))
        control.should_training_stop, control.should_save = wishes
