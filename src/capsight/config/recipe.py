"""A recipe: the settings of all stages."""

from typing import Self

from pydantic import Field, model_validator

from capsight.config.base import Config
from capsight.config.comparing import BaselineConfig
from capsight.config.data import SimulateConfig, WindowsConfig
from capsight.config.training import FinetuneConfig, PretrainConfig
from capsight.config.using import EvaluateConfig, ExplainConfig, MatchConfig, MotifsConfig, PredictConfig


class Recipe(Config):
    """All stages of one run. A stage that is absent (or null) is not run."""

    description: str = Field("", description="What this recipe is for.")
    simulate: SimulateConfig | None = None
    windows: WindowsConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    baseline: BaselineConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    predict: PredictConfig = PredictConfig(fold="test")
    explain: ExplainConfig | None = None
    motifs: MotifsConfig | None = None
    match: MatchConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.motifs and not self.explain:
            raise ValueError("motifs reads what explain writes: add a section explain")
        if self.match and not self.motifs:
            raise ValueError("match reads what motifs writes: add a section motifs")
        if self.evaluate.scan:
            raise ValueError("evaluate.scan: a run measures windows; scan with capsight evaluate --scan afterwards")
        if self.windows.loco:
            raise ValueError("windows.loco makes many folders of windows: a run has one; name validation and test")
        if self.evaluate.resolution == "base":
            raise ValueError("evaluate.resolution: a run measures windows, and with finetune.base single bases too")
        if self.predict.resolution != "window" and not self.finetune.base:
            asked = self.predict.resolution
            raise ValueError(f"predict.resolution {asked!r} asks single bases: set finetune.base to true")
        return self
