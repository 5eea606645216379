"""Settings of `train`: the shape of the track network, the crops that it is trained on, losses and optimiser."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from capsight.config.base import BOOKKEEPING, MOST, Config, Moderate, Seed, split
from capsight.config.data import Range
from capsight.config.training import Betas


def _split_numbers(value: object) -> object:
    """Accept ``1,2,4``, and one number, where a list of numbers is expected."""
    return [value] if isinstance(value, int) else split(value)


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
    average: int = Field(
        512,
        ge=0,
        le=1 << 16,
        description="Bases to either side over which states are averaged: a power of two, or 0 to do without.",
    )
    dropout: float = Field(0.25, ge=0.0, le=0.99, description="Dropout before every convolution but the first.")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        for name in ("first_kernel", "kernel", "head_kernel"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, not {getattr(self, name)}: a base has as many on either side")
        if self.average & (self.average - 1):
            raise ValueError(f"average must be a power of two or 0, not {self.average}")
        return self


class CropsConfig(Config):
    """What crops the track network is trained on."""

    length: int = Field(8192, ge=16, le=1 << 20, description="Bases of a crop, without its halo.")
    batch_size: int = Field(4, ge=1, le=4096, description="Crops per forward pass.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=4096, description="Forward passes per update, shared out over the processes that train together."
    )
    peaks: float = Field(0.0, ge=0.0, le=1.0, description="Share of crops laid at random around the summit of a peak.")
    weak: float = Field(
        0.0, ge=0.0, le=1.0, description="Share of crops laid at random around 5' ends that are in no peak."
    )
    minimum_tags: float = Field(4.0, gt=0.0, description="5' ends of a position that counts as a weaker site.")
    mosaics: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Share of crops that are pieced together from all over the training chromosomes, end to end.",
    )
    piece_length: Range = Field((150, 600), description="Bases of a piece of a mosaic: least,most.")
    promoters: float = Field(
        0.25, ge=0.0, le=1.0, description="Share of the pieces that are promoter sequences, if windows was given some."
    )
    exclusion: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Bases around a summit, on either strand, that are no part of the losses, but for those near it: "
        "for peaks that are only a part of the promoters, or of a promoter's summits.",
    )

    @property
    def per_update(self) -> int:
        """Crops that one update reads."""
        return self.batch_size * self.gradient_accumulation_steps

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.peaks + self.weak > 1:
            raise ValueError(f"peaks ({self.peaks:g}) and weak ({self.weak:g}) are shares: more than 1 together")
        least, most = self.piece_length
        if not 1 <= least <= most:
            raise ValueError(f"piece_length: the least, {least}, must be 1 or more, and not above the most, {most}")
        return self


class TrackLossConfig(Config):
    """Weights of the losses of the track network."""

    profile: float = Field(2.0, ge=0.0, le=1e6, description="Weight of the shape of the profile.")
    total: float = Field(1.0, ge=0.0, le=1e6, description="Weight of the number of 5' ends per block.")
    strength: float = Field(0.5, ge=0.0, le=1e6, description="Weight of the strength of promoters.")
    summit: float = Field(1.0, ge=0.0, le=1e6, description="Weight of the presence of summits.")
    spread: int = Field(
        0, ge=0, le=10_000, description="Bases to either side over which the loss of summits spreads each summit."
    )
    genes: float = Field(
        0.5, ge=0.0, le=1e6, description="Weight of open reading frames, which are learned beside; 0 does without."
    )
    minimum_codons: int = Field(100, ge=1, le=100_000, description="Codons of an open reading frame, at least.")
    block: int = Field(256, ge=2, le=1 << 20, description="Bases over which 5' ends are counted and profiles compared.")
    doubt: float = Field(
        50.0, ge=0.0, le=1e9, description="A profile of n 5' ends weighs n / (n + doubt): weak profiles are noisy."
    )


class TrainConfig(Config):
    """Training of a track network on both strands of the training chromosomes."""

    model: TrackConfig = TrackConfig()
    crops: CropsConfig = CropsConfig()
    loss: TrackLossConfig = TrackLossConfig()
    init: Path | None = Field(
        None, description="Model to start from: its convolutions are taken, and its shape. A name or a folder."
    )
    auto: bool = Field(
        False,
        description="Choose epochs, pretrain_epochs and crops.peaks by genome and peaks; what is given is kept.",
    )
    members: int = Field(1, ge=1, le=100, description="Networks whose answers are averaged; they differ in their seed.")
    epochs: float = Field(
        26.0, gt=0, le=1_000_000, description="Passes over both strands of the training chromosomes, or sequences."
    )
    pretrain_epochs: float = Field(
        0.0, ge=0, le=1_000_000, description="Passes before that, in which hidden bases are predicted; 0 is none."
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="Muon for the dilated convolutions and AdamW for the rest, or AdamW for all."
    )
    learning_rate: Moderate = Field(3e-3, gt=0, description="Peak learning rate; it falls to zero along a cosine.")
    warmup_steps: int = Field(200, ge=0, le=MOST, description="Updates over which the rate rises from zero.")
    weight_decay: Moderate = Field(0.05, ge=0, description="Decoupled weight decay, of all but biases.")
    betas: Betas = Field((0.9, 0.98), description="AdamW's moment decay rates.")
    clip: float = Field(1.0, ge=1e-6, le=1_000_000, description="Largest gradient norm.")
    average: float = Field(0.999, ge=0, lt=1, description="Decay of a moving average of the weights; 0 is none.")
    min_precision: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Precision on the validation chromosomes that a scan's default threshold is chosen for.",
    )
    evaluate_every: int | None = Field(
        None, ge=1, le=MOST, description="Updates between scans of the validation chromosomes; default ten in all."
    )
    checkpoint_every: int = Field(
        500, ge=1, le=MOST, description="Updates between checkpoints.", json_schema_extra=BOOKKEEPING
    )
    tracking: Literal["tensorboard", "wandb", "none"] = Field(
        "tensorboard", description="What shows the progress of a training.", json_schema_extra=BOOKKEEPING
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Arithmetic of training; auto is bfloat16 where the GPU has it."
    )
    threads: int = Field(
        1, ge=1, le=1_024, description="Threads of a CPU that train; other numbers give other last digits."
    )
    seed: Seed = Field(1, description="Seed of every random draw.")
