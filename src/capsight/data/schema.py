"""Names of the columns of every table that `capsight` writes, and of the folds."""

from typing import Final

CHROM: Final = "chrom"
START: Final = "start"
END: Final = "end"
STRAND: Final = "strand"
NAME: Final = "name"
SCORE: Final = "score"
SUMMIT: Final = "summit"
LABEL: Final = "label"
FOLD: Final = "fold"
SOURCE: Final = "source"
GC: Final = "gc"
REPEAT: Final = "repeat"
DISTANCE: Final = "distance"
POSITION: Final = "position"
COUNT: Final = "count"
PROBABILITY: Final = "probability"
STRENGTH: Final = "strength"
EXPECTED_TAGS: Final = "expected_tags"

#: Columns of `windows.parquet`, in order. Coordinates are 0-based half-open; `distance` is the gap in
#: bases from the window to the nearest peak on either strand (0: they overlap; -1: no peak on the contig).
WINDOW_COLUMNS: Final = (CHROM, START, END, STRAND, LABEL, FOLD, SOURCE, GC, REPEAT, DISTANCE)

#: Columns of a peaks table: 0-based half-open; `summit` is the position of the +1 base.
PEAK_COLUMNS: Final = (CHROM, START, END, NAME, SCORE, STRAND, SUMMIT)

#: A window is called a cap site from this probability on, unless its model says otherwise.
THRESHOLD: Final = 0.5

#: Columns of `ctss.parquet`: 0-based positions of RNA 5' ends on a strand of a contig, and how many there are.
FIVE_END_COLUMNS: Final = (CHROM, POSITION, STRAND, COUNT)

#: Columns of `predictions.tsv`; `.` where a coordinate is unknown.
PREDICTION_COLUMNS: Final = (NAME, CHROM, START, END, STRAND, SCORE)

#: Columns of what `predict` writes with a track model: `position` and `strand` are those of the best TSS of each
#: record, `expected_tags` are those within 10 bases of it.
BEST_COLUMNS: Final = (NAME, CHROM, START, END, POSITION, STRAND, PROBABILITY, EXPECTED_TAGS)

#: Columns of the calls of a scan.
CALL_COLUMNS: Final = (CHROM, POSITION, STRAND, PROBABILITY, EXPECTED_TAGS)

#: Columns of the effects of variants from Python: one row for each alternative allele.
EFFECT_COLUMNS: Final = (
    CHROM, POSITION, "ref", "alt", "log2_plus", "log2_minus", "gain", "gain_position", "gain_strand",
    "loss", "loss_position", "loss_strand", "tss_log2", "tss_position", "tss_strand",
)  # fmt: skip

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
FOLDS: Final = (TRAIN, VALIDATION, TEST)
