"""Settings of what is done with a model, and with the motifs that it found."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from capsight.config.base import BOOKKEEPING, Config, Paths, Seed, split

Method = Literal["attention", "ig", "ism"]
Methods = Annotated[tuple[Method, ...], BeforeValidator(split)]


Precision = Literal["fp32", "bf16"]
_PRECISION = "Arithmetic of track models: bf16 takes a third less time where the processor has it."
_THREADS = "Threads of track models; default all cores. They change no byte of the result."


def _is_share(shard: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,5}/[1-9][0-9]{0,5}", shard):
        raise ValueError("write the second of eight shares as 2/8")
    number, shards = map(int, shard.split("/"))
    if number > shards:
        raise ValueError(f"shard {shard}: there is no share {number} of {shards}")
    return shard


Shard = Annotated[str, AfterValidator(_is_share)]


class EvaluateConfig(Config):
    """Metrics on one fold, of its windows or of a scan, with bootstrap intervals."""

    fold: Literal["train", "validation", "test"] = Field("test", description="Which fold to score.")
    bootstrap: int = Field(
        1_000, ge=0, le=1_000_000, description="Bootstrap resamples for each 95 % interval; 0 gives no intervals."
    )
    batch_size: int = Field(256, ge=1, le=1_000_000, description="Windows per forward pass.")
    seed: Seed = Field(1, description="Seed of the bootstrap, and of regions placed at random.")
    scan: bool = Field(False, description="Scan the chromosomes of the fold whole, in place of scoring windows.")
    step: int = Field(10, ge=1, le=10_000, description="scan: bases from one position of a window model to the next.")
    pwm: bool = Field(False, description="scan: compare with a PWM scan (TATA box and initiator).")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pwm and not self.scan:
            raise ValueError("a PWM is compared with a scan: set scan to true as well")
        return self


class ExplainConfig(Config):
    """Scores per base: which bases drive a prediction."""

    fold: Literal["train", "validation", "test"] = Field("test", description="Which fold of windows to explain.")
    genome: Path | None = Field(None, description="The genome that the regions of a BED file lie in.")
    aliases: Path | None = Field(
        None, description="Other names of contigs in the BED file: all names of a contig in one row (chromAlias.txt)."
    )
    length: int | None = Field(
        None, ge=20, le=10_000,
        description="Bases that are explained around the TSS of each region or sequence; default 300.",
    )  # fmt: skip
    method: Methods = Field(("attention", "ig", "ism"), description="Methods of explanation, comma-separated.")
    max_windows: int | None = Field(
        1_000, ge=1, description="Maximum number of records, drawn at random, half of them predicted positives."
    )
    n_references: int = Field(4, ge=1, description="Dinucleotide shuffles used as baselines of integrated gradients.")
    n_steps: int = Field(24, ge=2, description="Steps of each integral.")
    n_faithfulness: int = Field(100, ge=1, description="Predicted positives on which faithfulness is measured.")
    batch_size: int = Field(256, ge=1, le=1_000_000, description="Windows per forward pass.")
    seed: Seed = Field(1, description="Seed of the random numbers.")


class PredictConfig(Config):
    """Probabilities for sequences or windows."""

    fold: Literal["train", "validation", "test"] | None = Field(
        None, description="Only this fold of windows.parquet; default all."
    )
    batch_size: int = Field(256, ge=1, le=1_000_000, description="Windows per forward pass of window models.")
    genome: Path | None = Field(None, description="Track models: the genome that the intervals of a BED file lie in.")
    stranded: bool = Field(False, description="Track models: answer a record on its own strand only.")
    precision: Precision = Field("fp32", description=_PRECISION)
    threads: int | None = Field(None, ge=1, le=1024, description=_THREADS, json_schema_extra=BOOKKEEPING)


class ScanConfig(Config):
    """Tracks and called TSSs of a whole genome."""

    region: str | None = Field(
        None,
        description="Only a contig or a part of it: chrIV, or chrIV:1001-2000, counted from 1 with both ends included, "
        "as in samtools and IGV.",
    )
    min_probability: float | None = Field(
        None, ge=0, le=1, description="Probability from which on a TSS is called; default that of the model's card."
    )
    distance: int | None = Field(
        None, ge=0, le=100_000,
        description="Minimum distance of TSSs on a strand, in bases: the stronger is called; default of the card.",
    )  # fmt: skip
    min_expected_tags: float = Field(
        0.01, ge=0, description="Bases with fewer expected tags are left out of the bigWig files."
    )
    minus_negative: bool = Field(False, description="Write the values of the minus strand as negative numbers.")
    shard: Shard | None = Field(
        None, description="Scan a share of the contigs: 2/8 is the second of eight that are about as long."
    )
    precision: Precision = Field("fp32", description=_PRECISION)
    threads: int | None = Field(None, ge=1, le=1024, description=_THREADS, json_schema_extra=BOOKKEEPING)


class MutateConfig(Config):
    """What every single change of a region does."""

    region: str = Field(
        description="Where changes are made: chrIV:1000-1400, counted from 1 with both ends included; with :+ or :- "
        "behind, effects on that strand alone.",
    )
    distance: int = Field(
        500, ge=1, le=100_000, description="Bases on either side of a change within which its effect is looked for."
    )
    precision: Precision = Field("fp32", description=_PRECISION)
    threads: int | None = Field(None, ge=1, le=1024, description=_THREADS, json_schema_extra=BOOKKEEPING)


class VariantsConfig(Config):
    """What each alternative allele of a file of variants changes."""

    distance: int = Field(
        500, ge=1, le=100_000, description="Bases on either side of a variant within which its effect is looked for."
    )
    aliases: Path | None = Field(
        None, description="Other names of the contigs: a table such as UCSC's chromAlias.txt. chr1 and 1 need none."
    )
    haplotypes: bool = Field(
        False,
        description="Score variants together that a sample has on one haplotype within the distance (phased "
        "genotypes); the result is a table of haplotypes.",
    )
    fail_on_error: bool = Field(False, description="Stop at the first record that cannot be scored, before any work.")
    shard: Shard | None = Field(
        None, description="Score a share of the records: 2/8 is the second of eight, in the order of the file."
    )
    precision: Precision = Field("fp32", description=_PRECISION)
    threads: int | None = Field(None, ge=1, le=1024, description=_THREADS, json_schema_extra=BOOKKEEPING)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.haplotypes and self.shard:
            raise ValueError("haplotypes are scored over the whole file: leave shard out")
        return self


class PlotConfig(Config):
    """A picture of one place: 5' ends, expected tags, calls, genes, variants, and the bases behind a TSS."""

    region: str = Field(
        description="What is drawn: chrIV:1001-2000, counted from 1 with both ends included, as in samtools and IGV."
    )
    genome: Path = Field(
        description="Genome: FASTA (plain or bgzip), 2bit, a folder of FASTA files, or an asset such as sacCer3."
    )
    ctss: Paths = Field((), description="Observed 5' ends: BED files (CTSS) or assets, which are summed.")
    ctss_plus: Paths = Field((), description="Observed 5' ends on plus: bigWig or bedGraph, summed.")
    ctss_minus: Paths = Field((), description="Observed 5' ends on minus: bigWig or bedGraph, summed.")
    genes: Path | None = Field(None, description="Genes: GFF3, GTF or BED.")
    vcf: Path | None = Field(None, description="Variants whose effect is shown: VCF, BCF, or a table.")
    scan: Path | None = Field(
        None, description="Folder of a scan: its tracks and TSSs are drawn, in place of new ones."
    )
    aliases: Path | None = Field(
        None, description="Other names of contigs: all names of a contig in one row (chromAlias.txt)."
    )
    explain: Literal["ism", "ig"] | None = Field(
        None, description="Draw how much each base near the strongest TSS matters: ism (mutagenesis) or ig."
    )
    min_probability: float | None = Field(
        None, ge=0, le=1, description="Probability from which on a TSS is called; default that of the model's card."
    )
    distance: int | None = Field(
        None, ge=0, le=100_000,
        description="Minimum distance of TSSs on a strand, in bases: the stronger is called; default of the card.",
    )  # fmt: skip
    precision: Precision = Field("fp32", description=_PRECISION)
    threads: int | None = Field(None, ge=1, le=1024, description=_THREADS, json_schema_extra=BOOKKEEPING)
    seed: Seed = Field(1, description="Seed of the shuffles.")


class ExamplesConfig(Config):
    """Of which fold a run draws example loci."""

    fold: str = Field("test", description="Fold whose chromosomes are shown.")


class _MotifDbConfig(Config):
    """Which known PWMs."""

    motif_db: str = Field("JASPAR2026", description="JASPAR2022, JASPAR2024, JASPAR2026, or a file in MEME format.")
    taxon: str | None = Field(
        None, description="One taxonomic group of JASPAR: vertebrates, fungi, plants, insects, …; default all."
    )


class MotifScanConfig(_MotifDbConfig):
    """Hits of known PWMs in sequences."""

    threshold: float = Field(1e-4, gt=0, le=0.01, description="Largest p-value of a hit (FIMO's default).")


class MotifCompareConfig(_MotifDbConfig):
    """Known PWMs like given ones."""

    max_q: float = Field(0.5, gt=0, le=1, description="Largest q-value of a match (Tomtom's default).")


class MotifEnrichConfig(_MotifDbConfig):
    """Known PWMs that hit positives more often than negatives."""

    threshold: float = Field(1e-4, gt=0, le=0.01, description="Largest p-value of a hit (FIMO's default).")
    seed: Seed = Field(1, description="Seed of the draws of independent sequences and of GC-matched negatives.")


class MotifsConfig(Config):
    """Seqlets, k-mers, known elements and de novo motifs, from attributions."""

    method: Literal["attention", "attention_all", "attention_rollout", "ig", "ism"] | None = Field(
        None, description="Method whose attributions are read; default the most faithful, as measured by explain."
    )
    k: int = Field(8, ge=4, le=10, description="Length of the k-mers.")
    max_seqlets_per_window: int = Field(
        3, ge=1, le=20, description="Maximum number of seqlets per window, highest peaks first."
    )
    flank: int | None = Field(
        None, ge=1, le=200, description="Bases either side of a peak; default ten tokens, 40 bases at most."
    )
    elements: Path | None = Field(None, description="More elements: a TSV file with element, pattern, offset, source.")
    de_novo: bool = Field(True, description="Look for motifs de novo, with TF-MoDISco.")
    seed: Seed = Field(1, description="Seed of the shuffled background.")
