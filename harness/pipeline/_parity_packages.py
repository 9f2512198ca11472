"""Parity of what surrounds a stage: versions of packages, and the held-out pairs that probes read."""

from __future__ import annotations

from collections.abc import Mapping

from harness.pipeline._parity_weights import check_of
from harness.pipeline.covers import TEST_PAIRS
from harness.records import Environment, ParityCheck, Plan, StageResult

DRIVER, PYTHON = "NVIDIA driver", "python"


def installed_packages(plan: Plan, results: Mapping[str, StageResult], *, trained: bool) -> ParityCheck:
    """Every package in one version over the stages whose digests cover it.

    What no digest covers may differ: stages are reused across it, so it must not stop them either.
    """
    name, kind = "installed_packages", "train" if trained else "rehearse"
    stages = [stage for digest, stage in plan.stages.items() if stage.kind == kind and digest in results]
    ran_with: dict[str, dict[str, list[str]]] = {}
    unknown = []
    for stage in stages:
        recorded = _versions(results[stage.digest].environment)
        covered = stage.covers.packages if stage.covers is not None else {}
        for package in covered.keys() & recorded.keys():
            ran_with.setdefault(package, {}).setdefault(recorded[package], []).append(stage.name)
        if not covered or any(package not in recorded for package in covered):
            unknown.append(stage.name)
    values = {package: ", ".join(sorted(by_version)) for package, by_version in sorted(ran_with.items())}
    unequal = [package for package, by_version in ran_with.items() if len(by_version) > 1]
    if unequal:
        detail = "; ".join(
            f"{package} {version}: {', '.join(dict.fromkeys(n.partition('@')[0] for n in names))}"
            for package in sorted(unequal)
            for version, names in ran_with[package].items()
        )
        return check_of(name, False, detail, values)
    if unknown or not stages:
        return check_of(name, None, "not every stage recorded them", values)
    return check_of(name, True, ", ".join(f"{p} {v}" for p, v in values.items()), values)


def probed_pairs(plan: Plan, results: Mapping[str, StageResult], probed: Mapping[str, str]) -> ParityCheck:
    """Whether all probes read the same held-out pairs; `probed` maps a training stage to what it read.

    A stage stays valid when only the test split changes, and its probes then show the earlier pairs.
    """
    values = {results[digest].name: pairs for digest, pairs in probed.items() if digest in results}
    if len(set(values.values())) > 1:
        detail = "; ".join(f"{stage}: pairs {pairs}" for stage, pairs in values.items())
        return check_of("probed_pairs", False, detail, values)
    if not values:
        return check_of("probed_pairs", None, "not recorded")
    wanted = {covers.beside.get(TEST_PAIRS) for d in probed if (covers := plan.stages[d].covers) is not None}
    earlier = "" if wanted == set(values.values()) else ", those of an earlier test split"
    return check_of("probed_pairs", True, f"every stage's probes read the same pairs{earlier}", values)


def _versions(environment: Environment) -> dict[str, str]:
    around = {PYTHON: environment.python, DRIVER: environment.driver}
    return {**environment.versions, **{name: v for name, v in around.items() if v is not None}}
