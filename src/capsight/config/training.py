"""Settings of the network and its training: `pretrain` and `finetune`."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from capsight.config.base import BOOKKEEPING, MOST, Config, Moderate, Seed, split, switched_on

#: Windows in a batch, batches in an update, passes over a fold.
MOST_WINDOWS = 1_000_000
#: A convolution that is dilated further reads nothing of any window.
LONGEST_DILATION = 65_536

Share = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Share, Share]
Part = Literal["embeddings", "norms", "head", "stem"]
#: Parts of the network that are trained in full beside adapters.
Parts = Annotated[tuple[Part, ...], BeforeValidator(split)]


class TokenizerConfig(Config):
    """How bases become tokens."""

    kind: Literal["kmer", "neox"] = Field("kmer", description="k-mers, or the paper's GPT-NeoX encoding.")
    k: int = Field(1, ge=1, le=8, description="Bases per token (kmer).")
    stride: int = Field(1, ge=1, le=8, description="Bases from one token to the next (kmer).")
    file: Path | None = Field(None, description="GPT-NeoX tokenizer.json (neox).")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "kmer" and self.stride > self.k:
            raise ValueError(f"stride {self.stride} > k {self.k} would leave bases unread")
        if self.kind == "neox" and self.file is None:
            raise ValueError("the neox tokenizer needs file: a local GPT-NeoX tokenizer.json")
        return self


class ModelConfig(Config):
    """The network's shape. The defaults are ours; the paper's are in the recipe haldar2026."""

    width: int = Field(96, ge=8, le=16_384, description="Hidden size.")
    mlp_size: int = Field(256, ge=8, le=65_536, description="Size of the gated feed-forward layer.")
    layers: int = Field(3, ge=1, le=256, description="LLaMA blocks.")
    heads: int = Field(4, ge=1, le=256, description="Attention heads.")
    causal: bool = Field(False, description="Attend to the left only, as the paper does.")
    pooling: Literal["last", "mean", "attention", "position"] = Field(
        "position", description="How one vector per window is made from the token states."
    )
    stem_channels: int = Field(
        96, ge=0, le=16_384, description="Width of the convolutional stem; 0 is none, as in the paper."
    )
    stem_blocks: int = Field(5, ge=1, le=64, description="Residual convolutions in the stem.")
    stem_dilation: int = Field(2, ge=1, le=4, description="Dilation grows by this factor from one of them to the next.")
    downsample: int = Field(8, ge=1, le=65_536, description="Tokens that the stem joins into one position.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout after the stem and in the heads.")
    attention: Literal["sdpa", "flash_attention_2", "eager"] = Field(
        "sdpa",
        description="How attention is calculated: PyTorch's own, by flash-attn on a GPU, or explicitly.",
    )
    init_std: float = Field(0.02, gt=0, le=1, description="Standard deviation of initial weights.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}")
        if self.stem_channels and (furthest := self.stem_dilation ** (self.stem_blocks - 1)) > LONGEST_DILATION:
            raise ValueError(
                f"stem_blocks {self.stem_blocks} with stem_dilation {self.stem_dilation} reach {furthest:,} tokens "
                f"apart: at most {LONGEST_DILATION:,}"
            )
        if self.stem_channels and self.causal:
            raise ValueError("a convolutional stem sees both sides of a base: set causal to false")
        if self.stem_channels and self.pooling == "last":
            raise ValueError("pooling 'last' is for causal models without a stem")
        return self


class TrainingConfig(Config):
    """What every training has in common: its checkpoints, where it is shown, its arithmetic and its seed."""

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
    seed: Seed = Field(1, description="Seed of the random numbers.")


class OptimizerConfig(Config):
    """How fast a network learns; its parts have their own defaults."""

    learning_rate: Moderate = Field(1e-3, gt=0, description="Peak learning rate.")
    warmup_steps: int = Field(100, ge=0, le=MOST, description="Updates over which the rate rises from zero.")
    betas: Betas = Field((0.9, 0.98), description="AdamW's moment decay rates.")
    weight_decay: Moderate = Field(0.05, ge=0, description="Decoupled weight decay.")
    max_grad_norm: float = Field(1.0, ge=1e-6, le=1_000_000, description="Largest gradient norm.")

    def phase(self, steps: int, batch_size: int, gradient_accumulation_steps: int) -> "PhaseConfig":
        """Return a span of training at these rates, which falls to a rate of zero."""
        shared = {name: getattr(self, name) for name in OptimizerConfig.model_fields}
        return PhaseConfig(
            **shared | {"warmup_steps": min(self.warmup_steps, steps - 1)}, min_lr_ratio=0.0, steps=steps,
            batch_size=batch_size, gradient_accumulation_steps=gradient_accumulation_steps,
        )  # fmt: skip


class PhaseConfig(OptimizerConfig):
    """One span of training with its own optimiser."""

    steps: int = Field(1_000, ge=0, le=MOST, description="Optimiser updates.")
    batch_size: int = Field(64, ge=1, le=MOST_WINDOWS, description="Windows per forward pass.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=MOST_WINDOWS, description="Forward passes per update, shared out over the processes."
    )
    min_lr_ratio: float = Field(0.1, ge=0, le=1, description="Final rate as a fraction of the peak.")
    betas: Betas = Field((0.9, 0.999), description="AdamW's moment decay rates.")
    weight_decay: Moderate = Field(0.0, ge=0, description="AdamW's decoupled weight decay.")


class ReloraConfig(Config):
    """ReLoRA (Lialin et al. 2023): low-rank updates, merged and restarted every cycle."""

    rank: int = Field(32, ge=1, le=16_384, description="Rank of each update.")
    alpha: Moderate = Field(32, gt=0, description="Scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the adapters.")
    merge_every: int = Field(300, ge=1, le=MOST, description="Updates between merges.")
    restart_warmup_steps: int = Field(30, ge=0, le=MOST, description="Updates of warm-up after each merge.")
    optimizer_reset_fraction: float = Field(
        0.999, ge=0, le=1, description="Fraction of optimiser moments zeroed at a merge."
    )
    modules_to_save: Parts = Field(
        ("embeddings", "norms", "head", "stem"), description="Parts trained in full beside the adapters."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.restart_warmup_steps > self.merge_every:
            raise ValueError("restart_warmup_steps is longer than merge_every")
        return self


class BlocksConfig(Config):
    """Blocks of bases, some of which are replaced by random ones (Oubounyt et al. 2019)."""

    block: int = Field(15, ge=1, le=65_536, description="Bases that are substituted together.")
    offset: int = Field(0, ge=0, le=65_536, description="Base at which a block begins; the others lie around it.")
    fraction: float = Field(0.6, gt=0, le=1, description="Share of the blocks that are substituted.")


def _of_steps(steps: int) -> BeforeValidator:
    """Return what gives a phase its own default number of steps where some of its other settings are given."""

    def fill(given: Any) -> Any:
        return {"steps": steps} | (given or {}) if given is None or isinstance(given, dict) else given

    return BeforeValidator(fill)


class PretrainConfig(TrainingConfig):
    """Language modelling on DNA: a full-rank warm-up, then ReLoRA."""

    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    objective: Literal["causal", "masked", "substituted"] = Field(
        "masked",
        description="What the model learns to predict: the next token, hidden ones, or which windows are real.",
    )
    mask_fraction: float = Field(0.15, gt=0, lt=1, description="Share of bases hidden (masked).")
    mask_span: int = Field(4, ge=1, le=65_536, description="Bases hidden together (masked).")
    corpus: Literal["windows", "genome"] = Field(
        "genome", description="Training windows, or the whole of the training chromosomes."
    )
    genome: Path | None = Field(None, description="Another genome, read in place of that of the windows.")
    match_gc: bool = Field(False, description="Draw places of the genome as rich in GC as the training positives.")
    substitute: BlocksConfig = Field(BlocksConfig(), description="What is replaced by random bases (substituted).")
    full_rank_phase: Annotated[PhaseConfig, _of_steps(300)] = Field(
        PhaseConfig(steps=300), description="The full-rank phase."
    )
    relora_phase: Annotated[PhaseConfig, _of_steps(900)] = Field(
        PhaseConfig(steps=900), description="The ReLoRA phase (full rank where relora is false)."
    )
    relora: Annotated[ReloraConfig | Literal[False], BeforeValidator(switched_on)] = Field(
        ReloraConfig(), description="ReLoRA: true, or its settings; false is full rank."
    )
    evaluate_every: int = Field(500, ge=1, le=MOST, description="Updates between evaluations on the validation fold.")
    validation_windows: int = Field(512, ge=1, le=MOST, description="Validation windows used for each validation loss.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.objective == "causal") != self.model.causal:
            raise ValueError(f"objective {self.objective!r} needs model.causal: {str(not self.model.causal).lower()}")
        if self.objective == "masked" and (self.tokenizer.kind != "kmer" or self.tokenizer.k != self.tokenizer.stride):
            raise ValueError("masking overlapping tokens gives the answer away: use k = stride, or objective causal")
        if self.corpus == "windows" and (self.genome or self.match_gc):
            raise ValueError("genome and match_gc are for corpus genome: training windows are read as they are")
        return self


class LoraConfig(Config):
    """Low-rank adapters for fine-tuning (Hu et al. 2021), through peft."""

    rank: int = Field(16, ge=1, le=16_384, description="Rank of the adapters.")
    alpha: Moderate = Field(32, gt=0, description="Scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapters.")
    modules_to_save: Parts = Field(
        ("head",), description="Parts trained in full beside the adapters: embeddings, norms, head, stem."
    )


class SubstituteConfig(BlocksConfig):
    """Negatives made in training from positives, by random bases in whole blocks."""

    share: float = Field(0.5, gt=0, le=1, description="Share of the negatives of every batch that are made so.")


class FinetuneConfig(OptimizerConfig, TrainingConfig):
    """Classification of windows, starting from a pre-trained folder."""

    lora: Annotated[LoraConfig | Literal[False], BeforeValidator(switched_on)] = Field(
        False, description="LoRA: true, or its settings; false trains all weights."
    )
    epochs: float = Field(8.0, gt=0, le=MOST_WINDOWS, description="Passes over the training fold.")
    batch_size: int = Field(64, ge=1, le=MOST_WINDOWS, description="Windows per forward pass.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=MOST_WINDOWS, description="Forward passes per update, shared out over the processes."
    )
    schedule: Literal["linear", "cosine"] = Field("cosine", description="How the rate falls.")
    warmup_steps: int = Field(50, ge=0, le=MOST, description="Updates over which the rate rises from zero.")
    dropout: float | None = Field(None, ge=0, lt=1, description="Dropout; default as in pre-training.")
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"] = Field(
        "auto", description="How attention is calculated; auto is sdpa, or eager where that is faster."
    )
    max_jitter: int = Field(0, ge=0, le=65_536, description="Windows are shifted by up to this many bases in training.")
    mutation_rate: float = Field(0.0, ge=0, lt=1, description="Share of bases drawn anew at random in training.")
    substitute: Annotated[SubstituteConfig | Literal[False], BeforeValidator(switched_on)] = Field(
        False, description="Negatives made from positives in training: true, or their settings; false is none."
    )
    ema_decay: float = Field(0.998, ge=0, lt=1, description="Decay of a moving average of the weights; 0 is none.")
    max_train: int | None = Field(
        None, ge=1, le=MOST, description="Maximum number of training windows, drawn at random."
    )
    max_validation: int | None = Field(None, ge=1, le=MOST, description="Maximum number of validation windows.")
    evaluate_every: int | None = Field(
        None, ge=1, le=MOST, description="Updates between evaluations; default once an epoch."
    )
    select: Literal["auroc", "loss", "mcc", "last"] = Field(
        "auroc", description="Validation metric that picks the weights; last keeps the last."
    )
