"""Other names of contigs: chrI, I and NC_001133.9 are one."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from capsight.data.genome.genome import Genome
from capsight.data.io.text import open_text
from capsight.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Aliases:
    """The genome's own name for every other name of a contig; with none, names stay as they are."""

    known: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, genome: Genome) -> Self:
        """Read a table that has all names of a contig in one row: UCSC's chromAlias.txt.

        Tab-separated, ``#`` begins comments. A name that would stand for several contigs (such as the source in the
        last column of UCSC's older files) stands for none. A name that the genome has stands for that contig only.

        Raises
        ------
        InputError
            If the file cannot be read, or no row names a contig of the genome.
        """
        own = set(genome.names)
        known: dict[str, str] = {}
        ambiguous: set[str] = set()
        with open_text(path) as handle:
            for line in handle:
                names = set() if line.startswith("#") else {name.strip() for name in line.split("\t")} - {""}
                for contig in sorted(names & own):
                    for name in names - own:
                        if known.setdefault(name, contig) != contig:
                            ambiguous.add(name)
        known = {name: contig for name, contig in known.items() if name not in ambiguous}
        if not known:
            raise InputError(
                f"names no contig of {genome.path.name} together with another name", where=path,
                remedy="one row for each contig, all its names separated by tabs",
            )  # fmt: skip
        logger.info("aliases %s: %d other names of contigs", path.name, len(known))
        return cls(known)

    def names(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the genome's names for some names; unknown ones stay."""
        return tuple(self.known.get(name, name) for name in given)

    def regions(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the genome's names for some names of contigs, or of regions (``contig:first-last``)."""
        found = []
        for region in given:
            name, colon, rest = region.rpartition(":")
            own = f"{self.known[name]}:{rest}" if colon and name in self.known else region
            found.append(self.known.get(region, own))
        return tuple(found)
