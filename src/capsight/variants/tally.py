"""What became of the alleles of a file of variants: their effects, and how many were left out for which reason."""

import logging
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from capsight.data.genome.genome import Genome
from capsight.data.io.vcf import Variant
from capsight.variants.effects import Effect
from capsight.variants.sites import CONTIG, DIFFERS, LEGAL, Unscored

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """Records and what each of their alternative alleles does; `None` has no answer, and `unscored` tells why."""

    records: tuple[Variant, ...]
    effects: list[list[Effect | None]]
    unscored: list[tuple[Variant, Unscored]]


class Tally:
    """Counts alleles, those that can be scored, and what kept the others from it."""

    def __init__(self, path: Path | None, genome: Genome) -> None:
        """Begin with nothing; `path` is the file that the alleles are in, `None` if they are in a frame."""
        self.path, self.genome = path, genome
        self.records, self.alleles, self.scored = 0, 0, 0
        self.why: Counter[str] = Counter()
        self.first: dict[str, tuple[int, str]] = {}

    def add(self, answer: Answer) -> None:
        """Count what is in an answer."""
        self.records += sum(bool(variant.alts) for variant in answer.records)
        self.alleles += sum(map(len, answer.effects))
        self.scored += sum(effect is not None for effects in answer.effects for effect in effects)
        for variant, unscored in answer.unscored:
            self.leave_out(variant, unscored)

    def leave_out(self, variant: Variant, unscored: Unscored) -> None:
        """Count an allele that is not scored."""
        self.why[unscored.why] += 1
        self.first.setdefault(unscored.why, (variant.number, unscored.what))

    def report(self) -> None:
        """Log how many alleles were scored."""
        counts = (f"{n:,}" for n in (self.scored, self.alleles, self.records))
        logger.info("variants: %s of %s alleles of %s records scored", *counts)
        self.report_left_out()

    def report_left_out(self) -> None:
        """Log how many alleles were left out for each reason, and the first of them."""
        for why, n in self.why.items():
            number, what = self.first[why]
            log = logger.info if why in LEGAL else logger.warning
            where = f"{self.path}:{number}" if self.path else row_of(number)
            log("variants: not scored: %s (%s); the first is %s: %s", why, f"{n:,}", where, what)
        if self.alleles and self.why[CONTIG] == self.alleles:
            listed = ", ".join(self.genome.names[:5]) + (", …" if len(self.genome.names) > 5 else "")
            logger.warning(
                "variants: no record lies on a contig of %s, which has %s: if these are other names of the same, "
                "give a table of aliases (--aliases)", self.genome.path.name, listed,
            )  # fmt: skip
        if self.why[DIFFERS] > self.scored:  # of others, REF was not compared
            logger.warning(
                "variants: most REF differ from the genome: is it another assembly, or do positions not count from 1?"
            )


def row_of(line: int) -> str:
    """Return what a line of the table that a frame was written into is called."""
    return f"row {line - 2} of the table" if line > 1 else "the table"
