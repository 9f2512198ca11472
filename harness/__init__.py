"""orpo-harness: SFT then DPO against single-stage ORPO, at what quality and at what cost."""

__version__ = "0.1.0"
