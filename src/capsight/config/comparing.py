"""Settings of models to compare with, and of comparing: `baseline` and `crossval`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from capsight.config.base import Config, Names, Seed, split
from capsight.config.training import FinetuneConfig

#: Models of `baseline`, and what `crossval` compares.
BaselineModel = Literal["rf", "xgb", "lgbm", "kmer-lr", "kmer-gbm", "cnn"]
Compared = Literal["capsight", "rf", "xgb", "lgbm", "kmer-lr", "kmer-gbm", "cnn"]
_TUNED_FEATURES: dict[str, dict[str, int]] = {"kmer-lr": {"k": 6}, "kmer-gbm": {"k": 6, "bins": 8}}

#: Settings of `finetune` that mean nothing to a CNN, which starts from random weights; and why.
NOT_FOR_CNN = {
    "lora": "there are no pre-trained weights to adapt: all are trained",
    "dropout": "the CNN's own is cnn.dropout",
}


class CnnConfig(Config):
    """The shape of the dilated convolutional network."""

    width: int = Field(64, ge=4, le=1_024, description="Features of every position.")
    blocks: int = Field(9, ge=1, le=64, description="Residual blocks; their dilations are 1, 2, 4, ….")
    kernel: int = Field(7, ge=3, le=31, description="Positions that a dilated convolution reads (odd).")
    downsample: int = Field(1, ge=1, le=64, description="Bases that become one position, by their maximum.")
    pooling: Literal["mean", "max", "position"] = Field(
        "position", description="How one vector per window is made: position has learned weights for each position."
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in the blocks and before the head.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it has a middle, not {self.kernel}")
        return self


class BaselineConfig(Config):
    """A model to compare with, on the same windows and folds."""

    model: BaselineModel = Field(
        "lgbm",
        description="rf, xgb, lgbm: library defaults, as in the paper; kmer-lr (logistic regression) and kmer-gbm "
        "(LightGBM): k-mers of up to k bases, tuned on validation; cnn: a dilated convolutional network.",
    )
    k: int = Field(3, ge=1, le=8, description="Length of the k-mers; default 3, of kmer-lr and kmer-gbm 6.")
    bins: int = Field(
        1, ge=1, le=64, description="Bins of a window in which short k-mers are counted too; default 1, of kmer-gbm 8."
    )
    symmetric: bool = Field(False, description="Count a k-mer of the whole window and its reverse complement as one.")
    cnn: CnnConfig | None = Field(None, description="cnn: the shape of the network.")
    training: FinetuneConfig | None = Field(None, description="cnn: how it is trained; settings of finetune.")
    seed: Seed = Field(1, description="Seed of the random numbers.")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        """Give a tuned model the features that it is for, and a CNN its settings, where they are not given."""
        name = values.get("model") if isinstance(values, dict) else None
        if name == "cnn":
            return values | _cnn_settings(values)
        return _TUNED_FEATURES.get(name, {}) | values if isinstance(name, str) else values

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model != "cnn" and (self.cnn or self.training):
            raise ValueError(f"cnn and training are settings of model cnn, not of {self.model}")
        for key, reason in NOT_FOR_CNN.items() if self.training else ():
            if getattr(self.training, key) != FinetuneConfig.model_fields[key].default:
                raise ValueError(f"training.{key} is not for model cnn: {reason}")
        if self.training and self.training.seed != self.seed:
            raise ValueError(f"seed {self.seed} and training.seed {self.training.seed} differ: give one of them")
        return self


def _cnn_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return what section `baseline` says of a CNN and its training, with one seed for both."""
    training = values.get("training") or {}
    training = training.model_dump(exclude_unset=True) if isinstance(training, BaseModel) else training
    filled = {"cnn": values.get("cnn") or {}, "training": training}
    if isinstance(training, dict) and "seed" in values:
        filled["training"] = {"seed": values["seed"]} | training
    elif isinstance(training, dict) and "seed" in training:
        filled["seed"] = training["seed"]
    return filled


class CrossvalConfig(Config):
    """Leave one chromosome out, for several models on the same windows."""

    models: Annotated[tuple[Compared, ...], BeforeValidator(split), Field(min_length=1)] = Field(
        ("capsight", "lgbm"), description="capsight, and any model of baseline, comma-separated."
    )
    chromosomes: Names = Field((), description="Chromosomes to leave out, comma-separated; default all that can be.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for names in (self.models, self.chromosomes):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{', '.join(twice)}: named twice")
        return self
