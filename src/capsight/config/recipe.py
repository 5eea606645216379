"""A recipe: the settings of all stages."""

from typing import Self

from pydantic import Field, model_validator

from capsight.config.base import Config
from capsight.config.comparing import BaselineConfig
from capsight.config.data import AuditConfig, SimulateConfig, WindowsConfig
from capsight.config.track import TrainConfig
from capsight.config.training import FinetuneConfig, PretrainConfig
from capsight.config.using import (
    EvaluateConfig,
    ExplainConfig,
    MotifCompareConfig,
    MotifEnrichConfig,
    MotifScanConfig,
    MotifsConfig,
    PredictConfig,
    ScanConfig,
)


class Recipe(Config):
    """All stages of one run. A stage that is absent (or null) is not run."""

    description: str = Field("", description="What this recipe is for, in one sentence.")
    time: str = Field("", description="How long a run takes, and on what.")
    simulate: SimulateConfig | None = None
    windows: WindowsConfig
    audit: AuditConfig | None = None
    train: TrainConfig | None = None
    pretrain: PretrainConfig | None = None
    finetune: FinetuneConfig | None = None
    baseline: BaselineConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    scan: ScanConfig | None = None
    predict: PredictConfig = PredictConfig(fold="test")
    explain: ExplainConfig | None = None
    motifs: MotifsConfig | None = None
    motif_scan: MotifScanConfig | None = None
    motif_compare: MotifCompareConfig | None = None
    motif_enrich: MotifEnrichConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.pretrain) != bool(self.finetune):
            raise ValueError("pretrain and finetune go together: a window network is pre-trained, then fine-tuned")
        if bool(self.train) == bool(self.finetune):
            raise ValueError("add a section train (a track network), or pretrain and finetune (a window network)")
        if self.scan and not self.train:
            raise ValueError("scan asks a track network: add a section train")
        if self.train and self.explain and set(self.explain.method) == {"attention"}:
            raise ValueError("explain.method: a track network has no attention to show: name ig, ism or both")
        if self.motifs and not self.explain:
            raise ValueError("motifs reads what explain writes: add a section explain")
        for name in ("motif_scan", "motif_compare", "motif_enrich"):
            if getattr(self, name) and not self.motifs:
                raise ValueError(f"{name} reads what motifs writes: add a section motifs")
        if self.evaluate.scan:
            raise ValueError("evaluate.scan: a run scans by itself where it trains a track network: leave scan out")
        if self.windows.leave_one_chromosome_out:
            raise ValueError(
                "windows.leave_one_chromosome_out makes many folders of windows: "
                "a run has one; name validation and test"
            )
        return self
