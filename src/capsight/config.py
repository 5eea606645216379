"""The settings of every stage: one frozen model each. `capsight.recipes` reads and writes them as YAML.

A recipe is a YAML file with one section per stage. Unknown keys are errors. Every field's description is
also the help text of the command line option that sets it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _split(value: object) -> object:
    """Accept ``chrI,chrII`` where a list of names is expected."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_split)]
Part = Literal["embeddings", "norms", "head", "stem"]
#: Parts of the network that are trained in full beside adapters.
Parts = Annotated[tuple[Part, ...], BeforeValidator(_split)]


def _shares(value: object) -> object:
    """Accept ``flank``, ``matched:3,flank:1`` or a list of names where shares by name are expected."""
    parts = _split(value)
    if not isinstance(parts, list | tuple):
        return value
    pairs = [str(part).partition(":") for part in parts]
    return {name.strip(): share if colon else 1.0 for name, colon, share in pairs}


Strategy = Literal["matched", "uniform", "flank", "shuffled", "haldar2026", "bed"]
#: Strategies for negatives, and the share of each (any positive numbers).
Shares = Annotated[dict[Strategy, Annotated[float, Field(gt=0)]], BeforeValidator(_shares), Field(min_length=1)]
Composed = Annotated[tuple[Literal["gc", "repeat"], ...], BeforeValidator(_split), Field(min_length=1)]
Range = Annotated[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], BeforeValidator(_split)]

#: Models of `baseline`, and what `crossval` compares.
BaselineModel = Literal["rf", "xgb", "lgbm", "kmer-lr", "kmer-gbm", "cnn"]
Compared = Literal["capsight", "rf", "xgb", "lgbm", "kmer-lr", "kmer-gbm", "cnn"]
_TUNED_FEATURES: dict[str, dict[str, int]] = {"kmer-lr": {"k": 6}, "kmer-gbm": {"k": 6, "bins": 8}}

Method = Literal["attention", "ig", "ism"]
Methods = Annotated[tuple[Method, ...], BeforeValidator(_split)]


class Config(BaseModel):
    """Base of all settings: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SimulateConfig(Config):
    """A genome with planted promoter grammar: ground truth for demo and tests."""

    bases: int = Field(3_000_000, ge=1, description="Length of the whole genome in bases.")
    chromosomes: int = Field(6, ge=3, le=40, description="Number of chromosomes; their lengths differ.")
    spacing: int = Field(1_200, ge=600, description="Mean distance between cap sites in bases.")
    seed: int = Field(1, ge=0, description="Seed of every random draw.")


class FetchConfig(Config):
    """Public genomes and peaks, by the name of the assembly."""

    assembly: str = Field(description="Name in the table: hg19, hg38, mm9, mm10, sacCer3, or one of your own table.")
    cache: Path | None = Field(None, description="Folder that keeps what was fetched; default $CAPSIGHT_CACHE.")
    table: Path | None = Field(None, description="TSV file with more assemblies, or other addresses.")
    only: Literal["genome", "peaks"] | None = Field(None, description="Fetch only the genome, or only the peaks.")
    timeout: float = Field(30.0, gt=0, description="Seconds without a byte after which a connection has stalled.")
    retries: int = Field(5, ge=0, description="Attempts after one that brought nothing new.")


class ClusterConfig(Config):
    """Peaks from counts of 5' ends. Tags per million (TPM) are of all tags of all files."""

    method: Literal["distance", "paraclu"] = Field(
        "distance", description="Join neighbours by distance (as CAGEr's distclu), or find dense stretches (paraclu)."
    )
    distance: int = Field(20, ge=0, description="distance: neighbours at most this many bases apart are joined.")
    position_tpm: float = Field(1.0, ge=0, description="Positions with fewer tags per million are left out.")
    position_tags: float = Field(0.0, ge=0, description="Positions with fewer tags are left out.")
    cluster_tpm: float = Field(5.0, ge=0, description="Clusters with fewer tags per million are left out.")
    cluster_tags: float = Field(0.0, ge=0, description="Clusters with fewer tags are left out.")
    max_length: int = Field(200, ge=1, description="paraclu: first and last position are at most so many bases apart.")
    density_rise: float = Field(2.0, ge=1, description="paraclu: how many times denser than around it a cluster is.")


class WindowsConfig(Config):
    """Labelled windows and their folds, from a genome and peaks or from labelled sequences."""

    genome: Path | None = Field(None, description="Genome: FASTA (plain or bgzip), 2bit, or a folder of FASTA files.")
    peaks: Path | None = Field(
        None, description="Peaks: BED, narrowPeak, GTF or GFF3 (5' ends of transcripts), or the paper's CSV."
    )
    aliases: Path | None = Field(
        None, description="Other names of contigs: a table with all names of a contig in one row (chromAlias.txt)."
    )
    ctss: Paths = Field(
        (),
        description="Counts of 5' ends (CTSS, BED6), to train single bases on; several are summed. Default: summits.",
    )
    unstranded: bool = Field(False, description="Peaks have no strand, or none that counts: all are taken as +.")
    train: Path | None = Field(
        None, description="CSV with columns sequence,label for training, in place of genome and peaks."
    )
    validation: Names = Field((), description="Validation chromosomes, comma-separated; with --train: a CSV file.")
    test: Names = Field((), description="Test chromosomes, comma-separated; with --train: a CSV file.")
    protocol: Literal["capsight", "haldar2026"] = Field(
        "capsight", description="How windows are laid: ours, or the paper's."
    )
    length: int = Field(512, ge=16, le=65_536, description="Window length in bases (even).")
    ratio: float = Field(1.0, gt=0, le=1_000, description="Negatives per positive (capsight protocol).")
    exclusion: int = Field(
        150, ge=0, description="No negative touches a peak, on either strand, widened by this many bases."
    )
    negatives: Shares = Field(
        {"matched": 1.0},
        description="Strategies, with commas: matched, uniform, flank, shuffled, haldar2026, bed. matched:3,flank:1 "
        "draws three of one to one of the other.",
    )
    match: Composed = Field(
        ("gc", "repeat"), description="What strategy matched matches: gc, repeat (soft-masked share), or both."
    )
    flank: Range = Field(
        (0, 2_000), description="Gap in bases from a negative of strategy flank to the nearest peak: least,most."
    )
    negatives_bed: Path | None = Field(None, description="BED file with the negatives of strategy bed.")
    loco: bool = Field(
        False, description="Leave one chromosome out: a folder for each as test, the one before as validation."
    )
    seed: int = Field(1, ge=0, description="Seed of every random draw.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.length % 2:
            raise ValueError(f"length must be even, so that the summit has a middle to sit on, not {self.length}")
        if self.train is not None and (self.genome is not None or self.peaks is not None):
            raise ValueError("give either genome and peaks, or labelled sequences (train), not both")
        if self.train is None and (self.genome is None or self.peaks is None):
            raise ValueError("genome and peaks are both needed (or train, for labelled sequences)")
        if self.train is not None and self.ctss:
            raise ValueError("ctss are places in a genome: they do not go with labelled sequences (train)")
        if self.train is not None and (len(self.validation) != 1 or len(self.test) > 1):
            raise ValueError("labelled sequences need one validation file and at most one test file")
        if self.train is None and (shared := set(self.validation) & set(self.test)):
            raise ValueError(f"{', '.join(sorted(shared))}: in both validation and test")
        self._check_negatives()
        if self.loco and (self.train is not None or self.validation or self.test):
            raise ValueError(
                "loco chooses the chromosomes of validation and test itself: leave both out, and train too"
            )
        return self

    def _check_negatives(self) -> None:
        """Check the settings of single strategies."""
        if ("bed" in self.negatives) != (self.negatives_bed is not None):
            raise ValueError("negatives 'bed' and the file negatives_bed go together: give both or neither")
        if self.flank[0] >= self.flank[1]:
            raise ValueError(f"flank: the least distance, {self.flank[0]}, is not below the most, {self.flank[1]}")
        if "flank" in self.negatives and self.flank[1] <= self.exclusion:
            raise ValueError(f"flank ends at {self.flank[1]} bases, inside the exclusion zone of {self.exclusion}")


class AuditConfig(Config):
    """What is looked for in windows, and from where on it is a warning or a failure."""

    identity: float = Field(0.8, ge=0.7, le=1, description="From this identity on, a stretch of DNA is similar.")
    coverage: float = Field(
        0.5, ge=0.25, le=1, description="Share of a window that a similar stretch must cover, at least."
    )
    tolerated: float = Field(
        0.05, ge=0, le=1,
        description="Largest share of a fold that may be similar, repeated or doubtful: up to it a warning.",
    )  # fmt: skip
    warn_auroc: float = Field(
        0.55, ge=0.5, le=1, description="Warn where GC, repeats or coordinates alone tell labels with a higher AUROC."
    )
    fail_auroc: float = Field(0.6, ge=0.5, le=1, description="Fail where they do with an AUROC above this.")
    seed: int = Field(1, ge=0, description="Seed of the classifiers.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warn_auroc > self.fail_auroc:
            raise ValueError(f"warn_auroc {self.warn_auroc} is above fail_auroc {self.fail_auroc}")
        return self


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
    """The network's shape. The defaults are ours; the paper's are in recipes/haldar2026.yaml."""

    width: int = Field(96, ge=8, description="Hidden size.")
    mlp: int = Field(256, ge=8, description="Size of the gated feed-forward layer.")
    layers: int = Field(3, ge=1, description="LLaMA blocks.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    causal: bool = Field(False, description="Attend to the left only, as the paper does.")
    pooling: Literal["last", "mean", "attention", "position"] = Field(
        "position", description="How one vector per window is made from the token states."
    )
    stem: int = Field(96, ge=0, description="Width of the convolutional stem; 0 is none, as in the paper.")
    stem_layers: int = Field(5, ge=1, description="Residual convolutions in the stem.")
    stem_dilation: int = Field(2, ge=1, le=4, description="Dilation grows by this factor from one of them to the next.")
    pool: int = Field(8, ge=1, description="Tokens that the stem joins into one position.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in stem and head.")
    init: float = Field(0.02, gt=0, description="Standard deviation of initial weights.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}")
        if self.stem and self.causal:
            raise ValueError("a convolutional stem sees both sides of a base: set causal to false")
        if self.stem and self.pooling == "last":
            raise ValueError("pooling 'last' is for causal models without a stem")
        return self


class PhaseConfig(Config):
    """One span of training with its own optimiser."""

    steps: int = Field(1_000, ge=0, description="Optimiser updates.")
    batch_size: int = Field(64, ge=1, description="Windows per forward pass and process.")
    accumulation: int = Field(1, ge=1, description="Forward passes per update.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    warmup_steps: int = Field(100, ge=0, description="Updates over which the rate rises from zero.")
    min_ratio: float = Field(0.1, ge=0, le=1, description="Final rate as a fraction of the peak.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's moment decay rates.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay.")
    clip: float = Field(1.0, gt=0, description="Largest gradient norm.")


class ReloraConfig(Config):
    """ReLoRA (Lialin et al. 2023): low-rank updates, merged and restarted every cycle."""

    rank: int = Field(32, ge=1, description="Rank of each update.")
    alpha: float = Field(32, gt=0, description="Scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the adapters.")
    cycle: int = Field(300, ge=1, description="Updates between merges.")
    restart_warmup_steps: int = Field(30, ge=0, description="Updates of re-warm-up after a merge.")
    reset: float = Field(0.999, ge=0, le=1, description="Fraction of optimiser moments zeroed at a merge.")
    trainable: Parts = Field(
        ("embeddings", "norms", "head", "stem"), description="Parts trained in full beside the adapters."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.restart_warmup_steps > self.cycle:
            raise ValueError("restart_warmup_steps is longer than the cycle")
        return self


class PretrainConfig(Config):
    """Language modelling on DNA: a full-rank warm-up, then ReLoRA."""

    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    objective: Literal["causal", "masked"] = Field("masked", description="What the model learns to predict.")
    mask_fraction: float = Field(0.15, gt=0, lt=1, description="Share of bases hidden (masked).")
    mask_span: int = Field(4, ge=1, description="Bases hidden together (masked).")
    corpus: Literal["windows", "genome"] = Field(
        "genome", description="Training windows, or the whole of the training chromosomes."
    )
    warmup: PhaseConfig = Field(PhaseConfig(steps=300), description="The full-rank phase.")
    main: PhaseConfig = Field(PhaseConfig(steps=900), description="The ReLoRA phase (full rank where relora is false).")
    relora: ReloraConfig | Literal[False] = Field(ReloraConfig(), description="ReLoRA, or false for full rank.")
    checkpoint_every: int = Field(500, ge=1, description="Updates between checkpoints.")
    evaluate_every: int = Field(500, ge=1, description="Updates between looks at the validation fold.")
    validation_windows: int = Field(512, ge=1, description="Validation windows behind every validation loss.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Arithmetic; auto is bfloat16 where the GPU has it."
    )
    seed: int = Field(1, ge=0, description="Seed of every random draw.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.objective == "causal") != self.model.causal:
            raise ValueError(f"objective {self.objective!r} needs model.causal: {str(not self.model.causal).lower()}")
        if self.objective == "masked" and (self.tokenizer.kind != "kmer" or self.tokenizer.k != self.tokenizer.stride):
            raise ValueError("masking overlapping tokens gives the answer away: use k = stride, or objective causal")
        return self


class LoraConfig(Config):
    """Low-rank adapters for fine-tuning (Hu et al. 2021), through peft."""

    rank: int = Field(16, ge=1, description="Rank of the adapters.")
    alpha: float = Field(32, gt=0, description="Scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapters.")
    trainable: Parts = Field(
        ("head",), description="Parts trained in full beside the adapters: embeddings, norms, head, stem."
    )


class BaseConfig(Config):
    """A second head, for single bases, trained beside the classifier on windows moved at random."""

    batch_size: int = Field(32, ge=2, description="Moved windows per forward pass and process.")
    positives: float = Field(0.75, gt=0, lt=1, description="Share of positives among them: these have the 5' ends.")
    profile: float = Field(1.0, ge=0, description="Weight of the profile loss: where in a window the 5' ends are.")
    total: float = Field(0.02, ge=0, description="Weight of the total loss: how many 5' ends a window has.")
    presence: float = Field(
        0.1, ge=0, description="Weight of the presence loss: whether a cap site is in the middle half."
    )


class KmersConfig(Config):
    """A head that reads words, whose answer is averaged with the network's: for data of a few thousand windows."""

    k: int = Field(6, ge=1, le=8, description="Bases of the longest words.")
    width: int = Field(96, ge=1, le=1_024, description="Features of each word.")


class TeacherConfig(Config):
    """Boosted trees mark DNA without labels, and the network learns from it: for a few thousand windows."""

    windows: int = Field(100_000, ge=100, description="Random windows of the training chromosomes that the trees mark.")
    batch_size: int = Field(64, ge=1, description="Marked windows per forward pass and process.")
    weight: float = Field(4.0, gt=0, description="Weight of what is learned from them; that of the labels is 1.")


def _switched_on(value: object) -> object:
    """Accept ``true`` where settings with defaults are expected."""
    return {} if value is True else value


class FinetuneConfig(Config):
    """Classification of windows, starting from a pre-trained folder."""

    lora: LoraConfig | Literal[False] = Field(False, description="LoRA, or false for all weights.")
    base: Annotated[BaseConfig | Literal[False], BeforeValidator(_switched_on)] = Field(
        False, description="A head for single bases beside the classifier: true, or its settings; false is none."
    )
    kmers: Annotated[KmersConfig | Literal[False], BeforeValidator(_switched_on)] = Field(
        False, description="A head that reads words, averaged with the network: true, or its settings; false is none."
    )
    teacher: Annotated[TeacherConfig | Literal[False], BeforeValidator(_switched_on)] = Field(
        False, description="A teacher that marks DNA without labels: true, or its settings; false is none."
    )
    epochs: float = Field(8.0, gt=0, description="Passes over the training fold.")
    batch_size: int = Field(64, ge=1, description="Windows per forward pass and process.")
    accumulation: int = Field(1, ge=1, description="Forward passes per update.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    schedule: Literal["linear", "cosine"] = Field("cosine", description="How the rate falls.")
    warmup_steps: int = Field(50, ge=0, description="Updates over which the rate rises from zero.")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's decoupled weight decay.")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW's moment decay rates.")
    clip: float = Field(1.0, gt=0, description="Largest gradient norm.")
    dropout: float | None = Field(None, ge=0, lt=1, description="Dropout; default as in pre-training.")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Label smoothing.")
    shift: int = Field(0, ge=0, description="Windows are shifted by up to this many bases in training.")
    reverse_complement: bool = Field(False, description="Read a random half of training windows from the other strand.")
    mutate: float = Field(0.0, ge=0, lt=1, description="Share of bases drawn anew at random in training.")
    average: float = Field(0.998, ge=0, lt=1, description="Decay of a moving average of the weights; 0 is none.")
    max_train: int | None = Field(None, ge=1, description="At most this many training windows, drawn at random.")
    max_validation: int | None = Field(None, ge=1, description="At most this many validation windows.")
    evaluate_every: int | None = Field(None, ge=1, description="Updates between evaluations; default once an epoch.")
    patience: int = Field(4, ge=1, description="Stop after this many evaluations without a better one.")
    select: Literal["auroc", "loss", "mcc", "last"] = Field(
        "auroc", description="Validation metric that picks the weights; last keeps the last and never stops early."
    )
    checkpoint_every: int = Field(500, ge=1, description="Updates between checkpoints.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Arithmetic; auto is bfloat16 where the GPU has it."
    )
    seed: int = Field(1, ge=0, description="Seed of every random draw.")


#: Settings of `finetune` that mean nothing to a CNN, which starts from random weights; and why.
NOT_FOR_CNN = {
    "lora": "there are no pre-trained weights to adapt: all are trained",
    "dropout": "the CNN's own is cnn.dropout",
    "base": "the CNN answers for windows, not for single bases",
    "kmers": "the CNN has one head",
}


class CnnConfig(Config):
    """The shape of the dilated convolutional network."""

    width: int = Field(64, ge=4, le=1_024, description="Features of every position.")
    blocks: int = Field(9, ge=1, le=64, description="Residual blocks; their dilations are 1, 2, 4, ….")
    kernel: int = Field(7, ge=3, le=31, description="Positions that a dilated convolution reads (odd).")
    pool: int = Field(1, ge=1, le=64, description="Bases that become one position, by their maximum.")
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
        "(LightGBM): words of up to k bases, tuned on validation; cnn: a dilated convolutional network.",
    )
    k: int = Field(3, ge=1, le=8, description="k-mers are counted per window; default 3, of kmer-lr and kmer-gbm 6.")
    bins: int = Field(
        1, ge=1, le=64, description="Parts of a window in which short words are counted too; default 1, of kmer-gbm 8."
    )
    symmetric: bool = Field(
        False, description="A word of the whole window and its reverse complement are counted together."
    )
    cnn: CnnConfig | None = Field(None, description="cnn: the shape of the network.")
    training: FinetuneConfig | None = Field(None, description="cnn: how it is trained; settings of finetune.")
    seed: int = Field(1, ge=0, description="Seed of every random draw.")

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

    models: Annotated[tuple[Compared, ...], BeforeValidator(_split), Field(min_length=1)] = Field(
        ("capsight", "lgbm"), description="capsight, and any model of baseline, comma-separated."
    )
    chromosomes: Names = Field((), description="Only these are left out, comma-separated; default all that can be.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for names in (self.models, self.chromosomes):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{', '.join(twice)}: named twice")
        return self


class EvaluateConfig(Config):
    """Metrics on one fold, with bootstrap intervals."""

    fold: Literal["train", "validation", "test"] = Field("test", description="Which fold to score.")
    resolution: Literal["window", "base"] = Field(
        "window", description="Measure the answers for windows, or those for single bases (finetune.base)."
    )
    bootstrap: int = Field(1_000, ge=0, description="Resamples behind each 95 % interval; 0 gives none.")
    batch_size: int = Field(256, ge=1, description="Windows per forward pass.")
    seed: int = Field(1, ge=0, description="Seed of the bootstrap.")


class ExplainConfig(Config):
    """Scores per base: which DNA the network's answer rests on."""

    fold: Literal["train", "validation", "test"] = Field("test", description="Which fold to explain.")
    method: Methods = Field(("attention", "ig", "ism"), description="Explanations, comma-separated.")
    most: int | None = Field(
        1_000, ge=1, description="At most this many windows, half of them predicted positives, drawn at random."
    )
    baselines: int = Field(4, ge=1, description="Dinucleotide shuffles behind integrated gradients.")
    steps: int = Field(24, ge=2, description="Steps of each integral.")
    tested: int = Field(100, ge=1, description="Predicted positives on which faithfulness is measured.")
    batch_size: int = Field(256, ge=1, description="Windows per forward pass.")
    seed: int = Field(1, ge=0, description="Seed of every random draw.")


class PredictConfig(Config):
    """Probabilities for sequences or windows."""

    fold: Literal["train", "validation", "test"] | None = Field(
        None, description="Only this fold of windows.parquet; default all."
    )
    resolution: Literal["window", "base"] = Field(
        "window", description="A probability for every window, or for every base (models with finetune.base)."
    )
    least: float = Field(
        0.01, ge=0, le=1, description="base: bases below this probability are left out, but for the best of a record."
    )
    batch_size: int = Field(256, ge=1, description="Windows per forward pass.")


class MatchConfig(Config):
    """Known factors for sequences (scanned) or PWMs (compared)."""

    database: str = Field("JASPAR2026", description="JASPAR2022, JASPAR2024, JASPAR2026, or a file in MEME format.")
    taxon: str | None = Field(
        None, description="One taxonomic group of JASPAR: vertebrates, fungi, plants, insects, …; default all."
    )
    threshold: float = Field(1e-4, gt=0, le=0.01, description="Largest p-value of a hit (scan; FIMO's default).")
    max_q: float = Field(0.5, gt=0, le=1, description="Largest q-value of a match (comparison; Tomtom's default).")
    engine: Literal["memelite", "fimo", "pymemesuite"] = Field(
        "memelite", description="What scans: memelite, or MEME's own code where it is installed."
    )
    seed: int = Field(1, ge=0, description="Seed of the draw of GC-matched negatives.")


class MotifsConfig(Config):
    """Seqlets, k-mers, known elements and de novo motifs, from attributions."""

    method: Literal["attention", "attention_all", "attention_rollout", "ig", "ism"] | None = Field(
        None, description="Whose attributions; default the most faithful, as explain measured it."
    )
    k: int = Field(8, ge=4, le=10, description="Length of the k-mers.")
    per_window: int = Field(3, ge=1, le=20, description="Seqlets taken from each window at most, highest peaks first.")
    flank: int | None = Field(
        None, ge=1, le=200, description="Bases either side of a peak; default ten tokens, 40 bases at most."
    )
    distance: int = Field(10, ge=0, description="Peaks of one window are more than this many bases apart.")
    smooth: int = Field(7, ge=1, description="Attributions are averaged over this many bases (odd) to find peaks.")
    merge: bool = Field(False, description="Count a k-mer and its reverse complement as one.")
    alpha: float = Field(0.05, gt=0, lt=1, description="k-mers with a q-value below this are called.")
    fasta: int = Field(50, ge=0, description="Called k-mers, best first, whose seqlets are written as FASTA.")
    elements: Path | None = Field(None, description="More elements: a TSV file with element, pattern, offset, source.")
    de_novo: bool = Field(True, description="Look for motifs de novo, with TF-MoDISco.")
    most: int = Field(20_000, ge=100, description="Spans that TF-MoDISco looks at, at most.")
    seed: int = Field(1, ge=0, description="Seed of the shuffled background.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.smooth % 2 == 0:
            raise ValueError(f"smooth must be odd, so that the average has a middle, not {self.smooth}")
        return self


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
        if self.windows.loco:
            raise ValueError("windows.loco makes many folders of windows: a run has one; name validation and test")
        if self.evaluate.resolution == "base":
            raise ValueError("evaluate.resolution: a run measures windows, and with finetune.base single bases too")
        if self.predict.resolution == "base" and not self.finetune.base:
            raise ValueError("predict.resolution 'base' needs a model that answers by base: set finetune.base to true")
        return self
