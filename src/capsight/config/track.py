"""Settings of `train`: the shape of the track network, the crops that it is trained on, losses and optimiser."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from capsight.config.base import MOST, Config, Moderate, split
from capsight.config.data import Range
from capsight.config.training import OptimizerConfig, TrainingConfig


def _split_numbers(value: object) -> object:
    """Accept ``1,2,4``, and one number, where a list of numbers is expected."""
    return [value] if isinstance(value, int) else split(value)


#: More would be a network of another kind.
_MOST_STRETCHES = 64

Dilations = Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], BeforeValidator(_split_numbers)]


class TrackConfig(Config):
    """Shape of the track network."""

    width: int = Field(64, ge=1, le=1024, description="Channels of every convolution.")
    first_kernel: int = Field(21, ge=1, le=101, description="Bases that the first convolution spans; odd.")
    kernel: int = Field(3, ge=1, le=31, description="Positions that each dilated convolution spans; odd.")
    dilations: Dilations = Field(
        (1, 2, 1, 2, 3, 6, 12, 24, 48, 96, 192, 384, 192),
        description="Dilation of each residual convolution, from the first to the last.",
    )
    head_kernel: int = Field(13, ge=1, le=101, description="Positions that the last convolution spans; odd.")
    average_radius: int = Field(
        512,
        ge=0,
        le=1 << 16,
        description="Bases to either side over which states are averaged: a power of two, or 0 to do without.",
    )
    dropout: float = Field(0.25, ge=0.0, le=0.99, description="Dropout before every convolution but the first.")
    kmer: int = Field(
        0, ge=0, le=6, description="Bases of the k-mers whose contents around a base are read; 0 does without."
    )
    stretch: int = Field(
        128, ge=1, le=1 << 12, description="Bases of a stretch, in which a k-mer counts wherever it is: a power of two."
    )
    stretches: Range = Field((2, 1), description="Stretches before and behind a base whose k-mers are read.")
    hidden: int = Field(32, ge=1, le=1024, description="Channels of the layer that k-mers are read into.")
    kmer_dropout: float = Field(
        0.5, ge=0.0, le=0.99, description="Share of the k-mers that are ignored in an update, at random."
    )

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        for name in ("first_kernel", "kernel", "head_kernel"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, not {getattr(self, name)}: a base has as many on either side")
        if self.average_radius & (self.average_radius - 1):
            raise ValueError(f"average_radius must be a power of two or 0, not {self.average_radius}")
        if self.stretch & (self.stretch - 1):
            raise ValueError(f"stretch must be a power of two, not {self.stretch}")
        if min(self.stretches) < 0 or not 1 <= sum(self.stretches) <= _MOST_STRETCHES:
            raise ValueError(f"stretches: 1 to {_MOST_STRETCHES} in all, not {sum(self.stretches)}")
        return self


class CropsConfig(Config):
    """What crops the track network is trained on."""

    length: int = Field(8192, ge=16, le=1 << 20, description="Bases of a crop, without its halo.")
    batch_size: int = Field(4, ge=1, le=4096, description="Crops per forward pass.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=4096, description="Forward passes per update, shared out over the processes that train together."
    )
    peak_fraction: float = Field(
        0.0, ge=0.0, le=1.0, description="Share of crops placed at random around the summit of a peak."
    )
    promoters: float = Field(
        0.0,
        ge=0.0,
        le=0.99,
        description="Share of TSSs, of peaks and of promoter sequences, in batches of single bases; the others are "
        "background. 0 trains on crops.",
    )

    @property
    def per_update(self) -> int:
        """Crops that one update reads."""
        return self.batch_size * self.gradient_accumulation_steps


class TrackLossConfig(Config):
    """Weights of what the track network learns beside 5' ends and summits."""

    strength_weight: float = Field(0.5, ge=0.0, le=1e6, description="Weight of the strength of promoters.")
    orf_weight: float = Field(
        0.5, ge=0.0, le=1e6, description="Weight of open reading frames, which are learned beside; 0 does without."
    )


class TrainConfig(OptimizerConfig, TrainingConfig):
    """Training of a track network on both strands of the training chromosomes."""

    model: TrackConfig = TrackConfig()
    crops: CropsConfig = CropsConfig()
    loss: TrackLossConfig = TrackLossConfig()
    init: Path | None = Field(
        None, description="Model to start from: its convolutions are taken, and its shape. A name or a folder."
    )
    auto: bool = Field(
        False,
        description="Choose epochs, pretrain_epochs and crops.peak_fraction by genome and peaks; "
        "what is given is kept.",
    )
    members: int = Field(
        1,
        ge=1,
        le=100,
        description="Networks of the ensemble, trained from different seeds; their predictions are averaged.",
    )
    epochs: float = Field(
        26.0, gt=0, le=1_000_000, description="Passes over both strands of the training chromosomes, sequences or TSSs."
    )
    pretrain_epochs: float = Field(
        0.0, ge=0, le=1_000_000, description="Passes before that, in which hidden bases are predicted; 0 is none."
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="Muon for the dilated convolutions and AdamW for the rest, or AdamW for all."
    )
    learning_rate: Moderate = Field(3e-3, gt=0, description="Peak learning rate; it falls to zero along a cosine.")
    warmup_steps: int = Field(200, ge=0, le=MOST, description="Updates over which the rate rises from zero.")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="Decay of a moving average of the weights; 0 is none.")
    min_precision: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Precision on the validation chromosomes that a scan's default threshold is chosen for.",
    )
    evaluate_every: int | None = Field(
        None, ge=1, le=MOST, description="Updates between scans of the validation chromosomes; default ten in all."
    )

    @model_validator(mode="after")
    def _singles(self) -> Self:
        for name in ("auto", "pretrain_epochs"):
            if self.crops.promoters and getattr(self, name):
                share = self.crops.promoters
                raise ValueError(f"{name} is for training on crops, and crops.promoters ({share:g}) has none")
        return self
