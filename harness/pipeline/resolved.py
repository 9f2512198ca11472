"""What the outside world adds to a spec before it can be planned, and what of it a stage's digest covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.pipeline.covers import optional_packages
from harness.records import Covers, StageKind

ON_DEVICE: tuple[StageKind, ...] = (
    "check",
    "train",
    "rehearse",
    "rehearse_evaluate",
    "evaluate",
    "speed",
    "sample",
)
COMPUTING: tuple[StageKind, ...] = (*ON_DEVICE, "judge", "export")

ITS_JUDGE = "the judge beside"
"""Who names files for a stage whose judge is none of the comparison's."""
VARIABLES = (
    # Threads and instruction sets change the order of sums and the time they take.
    *("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("KMP_AFFINITY", "GOMP_CPU_AFFINITY", "MKL_CBWR", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"),
    # Allocators decide over memory and time.
    *("LD_PRELOAD", "MALLOC_CONF", "THP_MEM_ALLOC_ENABLE"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING"),
    # Precision, kernels and order on a GPU.
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE"),
    *("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT", "FLASH_ATTENTION_DETERMINISTIC"),
    *("USE_HUB_KERNELS", "ACCELERATE_MIXED_PRECISION", "ACCELERATE_DYNAMO_BACKEND", "PYTHONHASHSEED"),
)
"""Environment variables that can change what a stage of a kind in `COMPUTING` computes or costs."""

VARIABLES_OF_PACKAGES: Mapping[str, tuple[str, ...]] = {"openai": ("OPENAI_BASE_URL",)}
"""Those that only stages whose code imports a package depend on: whom a judge asks by default."""


@dataclass(frozen=True)
class Reach:
    """What results of a module depend on: its code by file, the packages that it imports by version."""

    code: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """The world as it is at planning.

    `reach` is by root: `stages.train`, `methods.orpo`, `judges.openai`. `files` is by who names them:
    `prepare`, `<arm>/<stage>`, `benchmarks.<name>`, `judges of <benchmark>`. `device` is the GPU's UUID or
    the CPU's name; where units run on several devices, the kind that all of these are of. `optional` are
    installed packages that only some settings use. `judged` are the benchmarks that compare cells, `scored`
    those that score a cell by itself.
    """

    reach: Mapping[str, Reach] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    driver: str | None = None
    judged: frozenset[str] = frozenset()
    scored: frozenset[str] = frozenset()

    def covers(
        self,
        kind: StageKind,
        seed: int,
        config: dict[str, Any],
        inputs: Mapping[str, str],
        *,
        plug_ins: Iterable[str] = (),
        names: Iterable[str] = (),
        on_device: bool | None = None,
        beside: Mapping[str, str] | None = None,
    ) -> Covers:
        """All that can change the result of a stage of `kind` with these settings.

        `plug_ins` are the roots that its settings choose, `names` who names files for it.
        """
        device = kind in ON_DEVICE if on_device is None else on_device
        reach = [self.reach.get(root, Reach()) for root in (f"stages.{kind}", "stages.child", *plug_ins)]
        packages = {name: version for one in reach for name, version in one.packages.items()}
        wanted = optional_packages(config)
        packages |= {name: version for name, version in self.optional.items() if name in wanted}
        if device and self.driver is not None:
            packages["NVIDIA driver"] = self.driver
        files = {path: digest for one in reach for path, digest in one.code.items()}
        return Covers(
            kind=kind,
            seed=seed,
            config=config,
            inputs=dict(inputs),
            code=dict(sorted(files.items())),
            packages=dict(sorted(packages.items())),
            files={path: digest for name in names for path, digest in self.files.get(name, {}).items()},
            environment=self._variables(kind, packages),
            device=self.device if device else None,
            beside=dict(beside or {}),
        )

    def _variables(self, kind: StageKind, packages: Mapping[str, str]) -> dict[str, str]:
        names = {name for package in packages for name in VARIABLES_OF_PACKAGES.get(package, ())}
        names |= set(VARIABLES if kind in COMPUTING else ())
        return {name: self.environment[name] for name in sorted(names) if name in self.environment}
