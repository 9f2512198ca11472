"""`executor:` of a comparison: on which devices and machines its units run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from harness.pipeline.spec_model import Source, SpecModel

Count = Annotated[int, Field(ge=1)]


class LocalSpec(SpecModel):
    """This machine. `devices` is how many of its GPUs run blocks side by side; on a machine without, into
    how many groups its cores are split."""

    name: Literal["local"] = "local"
    devices: Literal["all"] | Count = 1


class RaySpec(SpecModel):
    """A Ray cluster. `address` is `auto` for one that runs, `local` for one made on this machine, or
    `ray://host:port`. A block gets one GPU, of `accelerator_type` as Ray calls it where several are there;
    on nodes without, `cpus` cores of one node, by default all that the smallest has."""

    name: Literal["ray"] = "ray"
    address: Source = "auto"
    accelerator_type: str | None = None
    cpus: Count | None = None


KNOWN: dict[str, type[SpecModel]] = {"local": LocalSpec, "ray": RaySpec}


def _named(value: Any) -> Any:
    """A name alone is an executor at its defaults, and settings without a name are this machine's."""
    if isinstance(value, dict):
        value = {"name": "local", **value}
    elif isinstance(value, str):
        value = {"name": value}
    if isinstance(value, dict) and value["name"] not in KNOWN:
        raise ValueError(f"no executor {value['name']}; give one of {', '.join(KNOWN)}")
    return value


def _tag(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return KNOWN[name].__name__ if name in KNOWN else None


Executor = Annotated[
    Annotated[LocalSpec, Tag("LocalSpec")] | Annotated[RaySpec, Tag("RaySpec")],
    Discriminator(_tag),
    BeforeValidator(_named),
]
