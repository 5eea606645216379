"""The settings of every stage: one frozen model each. `capsight.config.yaml_files` reads and writes them as YAML.

A recipe is a YAML file with one section per stage. Unknown keys are errors. Every field's description is
also the help text of the command line option that sets it.
"""

from capsight.config.base import Config
from capsight.config.comparing import NOT_FOR_CNN, BaselineConfig, CnnConfig, CrossvalConfig
from capsight.config.data import (
    ASSET_SETTINGS,
    AssetKind,
    AuditConfig,
    ClusterConfig,
    FetchConfig,
    PeakFormat,
    SimulateConfig,
    Strategy,
    WindowsConfig,
)
from capsight.config.recipe import Recipe
from capsight.config.track import CropsConfig, TrackConfig, TrackLossConfig, TrainConfig
from capsight.config.training import (
    BlocksConfig,
    FinetuneConfig,
    LoraConfig,
    ModelConfig,
    PhaseConfig,
    PretrainConfig,
    ReloraConfig,
    SubstituteConfig,
    TokenizerConfig,
)
from capsight.config.using import (
    EvaluateConfig,
    ExamplesConfig,
    ExplainConfig,
    MotifCompareConfig,
    MotifEnrichConfig,
    MotifScanConfig,
    MotifsConfig,
    MutateConfig,
    PlotConfig,
    PredictConfig,
    ScanConfig,
    VariantsConfig,
)

__all__ = [
    "ASSET_SETTINGS",
    "NOT_FOR_CNN",
    "AssetKind",
    "AuditConfig",
    "BaselineConfig",
    "BlocksConfig",
    "ClusterConfig",
    "CnnConfig",
    "Config",
    "CropsConfig",
    "CrossvalConfig",
    "EvaluateConfig",
    "ExamplesConfig",
    "ExplainConfig",
    "FetchConfig",
    "FinetuneConfig",
    "LoraConfig",
    "ModelConfig",
    "MotifCompareConfig",
    "MotifEnrichConfig",
    "MotifScanConfig",
    "MotifsConfig",
    "MutateConfig",
    "PeakFormat",
    "PhaseConfig",
    "PlotConfig",
    "PredictConfig",
    "PretrainConfig",
    "Recipe",
    "ReloraConfig",
    "ScanConfig",
    "SimulateConfig",
    "Strategy",
    "SubstituteConfig",
    "TokenizerConfig",
    "TrackConfig",
    "TrackLossConfig",
    "TrainConfig",
    "VariantsConfig",
    "WindowsConfig",
]
