"""Settings of what comes before a network: simulated genomes, downloads, peaks, windows and their audit."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from capsight.config.base import Config, Paths, names, split


def _shares(value: object) -> object:
    """Accept ``flank``, ``matched:3,flank:1`` or a list of names where shares by name are expected."""
    parts = split(value)
    if not isinstance(parts, list | tuple):
        return value
    pairs = [str(part).partition(":") for part in parts]
    return {name.strip(): share if colon else 1.0 for name, colon, share in pairs}


#: A region whose numbers have commas, or whatever has none.
_REGION = re.compile(r"[^,]+:\d{1,3}(?:,\d{3})*-\d{1,3}(?:,\d{3})*(?=,|$)|[^,]+")


def _regions(value: object) -> object:
    """Accept names of chromosomes and regions with commas between them, ``chrI,chrII:1-2,000,000``, as a list."""
    return names(_REGION.findall(value) if isinstance(value, str) else value)


#: Chromosomes, or regions of them as `capsight.data.genome.stretches.read_span` reads them.
Regions = Annotated[tuple[str, ...], BeforeValidator(_regions)]
Strategy = Literal["matched", "uniform", "flank", "shuffled", "haldar2026", "bed"]
#: Strategies for negatives, and the share of each (any positive numbers).
Shares = Annotated[dict[Strategy, Annotated[float, Field(gt=0)]], BeforeValidator(_shares), Field(min_length=1)]
AssetKind = Literal["genome", "peaks", "ctss", "promoters", "labelled"]
#: Settings that name files, by the kind of asset that may stand there; of every stage that has a setting of this name.
ASSET_SETTINGS: Final[dict[str, AssetKind]] = {
    "genome": "genome", "peaks": "peaks", "ctss": "ctss", "promoters": "promoters",
    "train": "labelled", "validation": "labelled", "test": "labelled",
}  # fmt: skip
#: Weights of the promoters of a source.
Weights = Annotated[dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(_shares)]
PeakFormat = Literal["auto", "bed", "narrowPeak", "broadPeak", "gtf", "csv"]
Composed = Annotated[tuple[Literal["gc", "repeat"], ...], BeforeValidator(split), Field(min_length=1)]
Range = Annotated[tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], BeforeValidator(split)]


class SimulateConfig(Config):
    """A genome with planted promoter grammar: ground truth for demo and tests."""

    bases: int = Field(3_000_000, ge=1, description="Length of the whole genome in bases.")
    chromosomes: int = Field(6, ge=3, le=40, description="Number of chromosomes; their lengths differ.")
    spacing: int = Field(1_200, ge=600, description="Mean distance between cap sites in bases.")
    seed: int = Field(1, ge=0, description="Seed of the random numbers.")


class FetchConfig(Config):
    """An asset (genome, peaks, counts of 5' ends, sequences) by its name."""

    name: str = Field(
        description="Name in the table: an assembly (hg19, hg38, mm9, mm10, sacCer3), or another asset (--list).",
    )
    cache: Path | None = Field(None, description="Folder of the cache; default $CAPSIGHT_CACHE.")
    table: Path | None = Field(
        None, description="TSV file with more assets, or other addresses; default $CAPSIGHT_ASSETS."
    )
    only: AssetKind | None = Field(None, description="Fetch only the genome, or only the peaks, of the name.")


class ClusterConfig(Config):
    """Peaks from counts of 5' ends. Tags per million (TPM) are of all tags of all files."""

    method: Literal["distance", "paraclu"] = Field(
        "distance", description="Join neighbours by distance (as CAGEr's distclu), or find dense stretches (paraclu)."
    )
    distance: int = Field(20, ge=0, description="distance: neighbours at most this many bases apart are joined.")
    min_tpm: float = Field(1.0, ge=0, description="Positions with fewer tags per million are left out.")
    min_tags: float = Field(0.0, ge=0, description="Positions with fewer tags are left out.")
    min_cluster_tpm: float = Field(5.0, ge=0, description="Clusters with fewer tags per million are left out.")
    min_cluster_tags: float = Field(0.0, ge=0, description="Clusters with fewer tags are left out.")
    max_length: int = Field(
        200, ge=1, description="paraclu: maximum distance between the first and the last position of a cluster."
    )
    min_fold_density: float = Field(
        2.0, ge=1, description="paraclu: minimum density of a cluster, as a multiple of that around it."
    )


class WindowsConfig(Config):
    """Labelled windows and their folds, from a genome and peaks or from labelled sequences."""

    genome: Path | None = Field(
        None, description="Genome: FASTA (plain or bgzip), 2bit, a folder of FASTA files, or an asset (sacCer3)."
    )
    peaks: Path | None = Field(
        None, description="Peaks: BED, narrowPeak, GTF or GFF3 (5' ends of transcripts), the paper's CSV, or an asset."
    )
    peak_format: PeakFormat = Field(
        "auto",
        description="Format of the peaks: auto (by its columns), bed, narrowPeak, broadPeak, gtf (or GFF3), csv.",
    )
    summit_offset: int = Field(
        0,
        ge=0,
        le=1_000,
        description="Bases from the 5' end of a peak without a summit to its summit; 0: unknown, any of its bases.",
    )
    aliases: Path | None = Field(
        None, description="Other names of contigs: a table with all names of a contig in one row (chromAlias.txt)."
    )
    ctss: Paths = Field(
        (),
        description="Counts of 5' ends (CTSS, BED6, or an asset); several are summed. Default: summits.",
    )
    ctss_plus: Paths = Field(
        (), description="Counts of 5' ends on the plus strand: bigWig or bedGraph; several are summed."
    )
    ctss_minus: Paths = Field((), description="The same for the minus strand, in the same number of files.")
    promoters: Path | None = Field(
        None,
        description="TSV of more promoters to train on: columns sequence and tss (0-based index of the +1 base).",
    )
    promoter_weights: Weights = Field(
        {}, description="How often promoters are drawn, by their column source: tata:0.1,other:1; default 1."
    )
    assume_plus_strand: bool = Field(
        False, description="Peaks have no strand, or their strand is to be ignored: all are taken as +."
    )
    train: Path | None = Field(
        None, description="CSV with columns sequence,label for training (or an asset), in place of genome and peaks."
    )
    validation: Regions = Field(
        (),
        description="Validation chromosomes, comma-separated, or regions (chr1:1-2000000); with --train: a CSV file.",
    )
    test: Regions = Field(
        (), description="Test chromosomes, comma-separated, or regions (chr1:1-2000000); with --train: a CSV file."
    )
    exclude: Regions = Field(
        (),
        description="Chromosomes or regions that are left out of every fold, comma-separated.",
    )
    protocol: Literal["capsight", "haldar2026"] = Field(
        "capsight", description="How windows are placed: by capsight's protocol, or the paper's."
    )
    length: int = Field(512, ge=16, le=65_536, description="Window length in bases (even).")
    ratio: float = Field(1.0, gt=0, le=1_000, description="Negatives per positive (capsight protocol).")
    exclusion_bp: int = Field(
        150, ge=0, description="No negative touches a peak, on either strand, widened by this many bases."
    )
    negatives: Shares = Field(
        {"matched": 1.0},
        description="Strategies, with commas: matched, uniform, flank, shuffled, haldar2026, bed. matched:3,flank:1 "
        "draws three of one to one of the other.",
    )
    match_on: Composed = Field(
        ("gc", "repeat"), description="What strategy matched matches: gc, repeat (soft-masked share), or both."
    )
    flank_range: Range = Field(
        (0, 2_000), description="Gap in bases from a negative of strategy flank to the nearest peak: minimum,maximum."
    )
    negatives_file: Path | None = Field(None, description="BED file with the negatives of strategy bed.")
    leave_one_chromosome_out: bool = Field(
        False, description="Leave one chromosome out: a folder for each as test, the one before as validation."
    )
    seed: int = Field(1, ge=0, description="Seed of the random numbers.")

    @field_validator("validation", "test", mode="before")
    @classmethod
    def _keep_file(cls, value: object) -> object:
        """Keep the name of a CSV file whole, whatever commas it has."""
        return [value] if isinstance(value, str) and "," in value and Path(value).is_file() else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.length % 2:
            raise ValueError(f"length must be even, so that the summit has a middle to sit on, not {self.length}")
        if self.train is not None and (self.genome is not None or self.peaks is not None):
            raise ValueError("give either genome and peaks, or labelled sequences (train), not both")
        if self.train is None and (self.genome is None or self.peaks is None):
            raise ValueError("genome and peaks are both needed (or train, for labelled sequences)")
        if self.train is not None and (self.ctss or self.ctss_plus or self.ctss_minus):
            raise ValueError("ctss are places in a genome: they do not go with labelled sequences (train)")
        if self.train is not None and self.promoters is not None:
            raise ValueError("promoters are placed on the genome: they do not go with labelled sequences (train)")
        if len(self.ctss_plus) != len(self.ctss_minus):
            raise ValueError(
                f"ctss_plus names {len(self.ctss_plus)} files and ctss_minus {len(self.ctss_minus)}: each sample has "
                "one for either strand"
            )
        if self.train is not None and self.exclude:
            raise ValueError("exclude names regions of a genome: it does not go with labelled sequences (train)")
        if self.train is not None and (len(self.validation) != 1 or len(self.test) > 1):
            raise ValueError("labelled sequences need one validation file and at most one test file")
        if self.train is None and (shared := set(self.validation) & set(self.test)):
            raise ValueError(f"{', '.join(sorted(shared))}: in both validation and test")
        if self.promoter_weights and self.promoters is None:
            raise ValueError("promoter_weights are weights of promoters: name the file promoters as well")
        if self.summit_offset and self.assume_plus_strand:
            raise ValueError(
                "summit_offset is counted from the 5' end of a peak, which peaks without strand do not have"
            )
        self._check_negatives()
        if self.leave_one_chromosome_out and (self.train is not None or self.validation or self.test):
            raise ValueError(
                "leave_one_chromosome_out chooses the chromosomes of validation and test itself: leave both out, "
                "and train too"
            )
        return self

    def _check_negatives(self) -> None:
        """Check the settings of single strategies."""
        if ("bed" in self.negatives) != (self.negatives_file is not None):
            raise ValueError("negatives 'bed' and the file negatives_file go together: give both or neither")
        if self.flank_range[0] >= self.flank_range[1]:
            raise ValueError(
                f"flank_range: the minimum, {self.flank_range[0]}, is not below the maximum, {self.flank_range[1]}"
            )
        if "flank" in self.negatives and self.flank_range[1] <= self.exclusion_bp:
            raise ValueError(
                f"flank_range ends at {self.flank_range[1]} bases, inside the exclusion zone of {self.exclusion_bp}"
            )


class AuditConfig(Config):
    """What is looked for in windows, and from where on it is a warning or a failure."""

    min_identity: float = Field(0.8, ge=0.7, le=1, description="Minimum identity of similar DNA.")
    min_coverage: float = Field(0.5, ge=0.25, le=1, description="Minimum share of a window that similar DNA covers.")
    max_fraction: float = Field(
        0.05, ge=0, le=1,
        description="Largest share of a fold that may be similar, repeated or doubtful: up to it a warning.",
    )  # fmt: skip
    warn_auroc: float = Field(
        0.55,
        ge=0.5,
        le=1,
        description="Warn if GC, repeats or coordinates alone predict the label with a higher AUROC.",
    )
    fail_auroc: float = Field(0.6, ge=0.5, le=1, description="Fail if they predict it with a higher AUROC than this.")
    seed: int = Field(1, ge=0, description="Seed of the classifiers.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warn_auroc > self.fail_auroc:
            raise ValueError(f"warn_auroc {self.warn_auroc} is above fail_auroc {self.fail_auroc}")
        return self
