"""`executor:` of a comparison: on which devices and machines its units run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

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


class SlurmSpec(SpecModel):
    """A cluster under SLURM: every unit is a job with `gpus` GPUs (0: none) of one node and `cpus` cores.

    `kind` is the kind of device that jobs get (`cuda:NVIDIA H200`), which digests hold; a message says how
    to ask for it. `hours` is a job's time limit; `signal_minutes` before it, or before a preemption, the job
    ends its stage and goes back into the queue, at most `requeues` times for the limit. At most `jobs` run at
    once. `setup` are lines of shell before the job's command, `sbatch` further options by sbatch's long
    names (`exclude=node7`). The queue is asked every `poll_seconds`. Without `wait` a command leaves once
    jobs are handed over, and `harness collect` goes on. `cluster: local` starts the jobs as processes of
    this machine, to try it.
    """

    name: Literal["slurm"] = "slurm"
    cluster: Literal["slurm", "local"] = "slurm"
    kind: Annotated[str, Field(pattern=r"^(cuda|cpu|xpu):.")] | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: Annotated[int, Field(ge=0)] = 1
    cpus: Count = 4
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    hours: Annotated[float, Field(gt=0)] = 8.0
    signal_minutes: Annotated[float, Field(gt=0)] = 2.0
    requeues: Annotated[int, Field(ge=0)] = 10
    jobs: Count = 16
    setup: tuple[str, ...] = ()
    sbatch: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z-]*=.+$")], ...] = ()
    wait: bool = True
    poll_seconds: Annotated[float, Field(gt=0)] = 30.0

    @model_validator(mode="after")
    def _ends_before_its_limit(self) -> SlurmSpec:
        if self.signal_minutes >= 60 * self.hours:
            raise ValueError(
                "signal_minutes is no shorter than the job's hours; give fewer minutes or more hours"
            )
        return self


KNOWN: dict[str, type[SpecModel]] = {"local": LocalSpec, "ray": RaySpec, "slurm": SlurmSpec}


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
    Annotated[LocalSpec, Tag("LocalSpec")]
    | Annotated[RaySpec, Tag("RaySpec")]
    | Annotated[SlurmSpec, Tag("SlurmSpec")],
    Discriminator(_tag),
    BeforeValidator(_named),
]
