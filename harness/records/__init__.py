"""Everything that reaches disk: frozen, versioned, and closed to unknown fields."""

from harness.records.base import (
    HAS_VRAM,
    DeviceKind,
    Environment,
    Measurement,
    Record,
    Score,
    StageKind,
    Unit,
)
from harness.records.citation import Citation
from harness.records.comparison import ComparisonRecord, ParityCheck, StageUse
from harness.records.covers import Covers
from harness.records.device import DevicePeak, MatmulRate
from harness.records.method import Method
from harness.records.plan import Plan, PlannedCell, PlannedStage
from harness.records.prepared import (
    DataStatistics,
    PrepareFacts,
    Quantiles,
    ReplayFacts,
    SftStatistics,
    SplitStatistics,
)
from harness.records.scoring import CheckFacts, EvaluateFacts, JudgeFacts
from harness.records.stage import Facts, StageError, StageRequest, StageResult
from harness.records.training import (
    BatchFacts,
    HeadFacts,
    HeadKind,
    Implementation,
    LearningRateSource,
    LoraFacts,
    Prediction,
    ProbeFacts,
    ReferenceFacts,
    ReferenceHolder,
    ReferenceMode,
    RehearseFacts,
    SequenceFacts,
    TimedSteps,
    TrainFacts,
    UpdateFacts,
)

__all__ = [
    "HAS_VRAM",
    "BatchFacts",
    "CheckFacts",
    "Citation",
    "ComparisonRecord",
    "Covers",
    "DataStatistics",
    "DeviceKind",
    "DevicePeak",
    "Environment",
    "EvaluateFacts",
    "Facts",
    "HeadFacts",
    "HeadKind",
    "Implementation",
    "JudgeFacts",
    "LearningRateSource",
    "LoraFacts",
    "MatmulRate",
    "Measurement",
    "Method",
    "ParityCheck",
    "Plan",
    "PlannedCell",
    "PlannedStage",
    "Prediction",
    "PrepareFacts",
    "ProbeFacts",
    "Quantiles",
    "Record",
    "ReferenceFacts",
    "ReferenceHolder",
    "ReferenceMode",
    "RehearseFacts",
    "ReplayFacts",
    "Score",
    "SequenceFacts",
    "SftStatistics",
    "SplitStatistics",
    "StageError",
    "StageKind",
    "StageRequest",
    "StageResult",
    "StageUse",
    "TimedSteps",
    "TrainFacts",
    "Unit",
    "UpdateFacts",
]
