"""PWMs and the MEME suite's minimal motif format.

Ours, because the readers at hand lose what is needed here: memelite's drops background and number of sites,
Biopython's drops the second name and rounds probabilities to counts; neither says what is wrong with a file.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from capsight.data.io.text import open_text
from capsight.errors import InputError
from capsight.output import writing

Floats = NDArray[np.float64]

BASES: Final = "ACGT"
UNIFORM: Final = (0.25, 0.25, 0.25, 0.25)
#: What the format says a file without ``nsites=`` means.
DEFAULT_SITES: Final = 20.0
#: How far from 1 a row of rounded probabilities may sum.
_TOLERANCE: Final = 0.02

_VERSION: Final = "MEME version"
_BACKGROUND: Final = "Background letter frequencies"
_MATRIX: Final = "letter-probability matrix:"

_SUITE: Final = " of the MEME suite"
_BARE: Final = "a matrix without a name"
#: Other formats of motifs, by what stands in their first lines, and what makes MEME format of each.
_OTHERS: Final = (
    (re.compile(r">.*\n\s*[ACGT]\s*\["), "JASPAR", f"jaspar2meme{_SUITE}"),
    (re.compile(r">[ACGTNRYSWKMBDHV]+\t.*\n\s*[\d.]"), "HOMER", "universalmotif of Bioconductor"),
    (re.compile(r">.*\n\s*(-?\d|[ACGT]\s*[:|]?\s+\d)"), "a matrix of counts (PFM)", f"jaspar2meme -pfm{_SUITE}"),
    (re.compile(r"(?m)^(AC|ID|NA|VV)\s(.*\n)+?P[O0]\s+A\s+C\s+G\s+T"), "TRANSFAC", f"transfac2meme{_SUITE}"),
    (re.compile(r"(?im)^(pos\w*\s+)?A\s+C\s+G\s+T\s*$"), _BARE, f"matrix2meme{_SUITE}"),
    (re.compile(r"(?m)^(?:[ACGT]\s*[:|]\s*)?(?:-?[\d.]+\s+){2,}-?[\d.]+\s*$"), _BARE, f"matrix2meme{_SUITE}"),
)
#: Lines that tell them.
_FIRST_LINES: Final = 40


@dataclass(frozen=True, eq=False)
class Pwm:
    """A position weight matrix.

    Attributes
    ----------
    id, name
        As on the MOTIF line: identifier, and alternative name (may be empty).
    probabilities
        Of A, C, G, T at every position, ``(width, 4)``; rows sum to 1.
    sites
        How many sites it was made from; it weighs the pseudocount.
    """

    id: str
    name: str
    probabilities: Floats
    sites: float = DEFAULT_SITES

    @property
    def width(self) -> int:
        """Number of positions."""
        return len(self.probabilities)

    @property
    def consensus(self) -> str:
        """The most probable base of every position (of equals the first)."""
        return "".join(BASES[i] for i in self.probabilities.argmax(axis=1))

    def reverse_complement(self) -> "Pwm":
        """Return the PWM of the other strand."""
        return Pwm(self.id, self.name, self.probabilities[::-1, ::-1], self.sites)


@dataclass(frozen=True, eq=False)
class MotifSet:
    """PWMs and the background they are weighed against, ``(4,)`` for A, C, G, T."""

    pwms: tuple[Pwm, ...]
    background: Floats = field(default_factory=lambda: np.array(UNIFORM))


def read_meme(path: Path) -> MotifSet:
    """Read the PWMs of a file in MEME format (minimal, or MEME's own text output); plain or gzip.

    Raises
    ------
    InputError
        Naming file and line, if the file is not MEME format, has no background, is not about DNA, or a
        matrix is broken.
    """
    with open_text(path) as handle:
        return _MemeParser(path, enumerate(handle, start=1)).read()


def sniff_motif_format(path: Path) -> str | None:
    """Return the format of a file of motifs, such as ``MEME`` or ``JASPAR``; nothing of a file that is none."""
    with open_text(path) as handle:
        lines = list(islice(handle, _FIRST_LINES))
    if any(line.startswith(_VERSION) for line in lines):
        return "MEME"
    found = _other_format(lines)
    return found[0] if found else None


def _other_format(lines: Iterable[str]) -> tuple[str, str] | None:
    """Return the format of some first lines, and the program of the MEME suite that makes MEME format of it."""
    text = "".join(f"{line.rstrip()}\n" for line in lines if line.strip() and not line.startswith("#"))
    if _VERSION in text:
        return None
    return next(((name, program) for pattern, name, program in _OTHERS if pattern.match(text)), None)


def write_meme(path: Path, motifs: MotifSet) -> None:
    """Write PWMs in minimal MEME format, version 4, which every tool of the MEME suite reads."""
    letters = " ".join(f"{base} {share:.6f}" for base, share in zip(BASES, motifs.background, strict=True))
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", "", _BACKGROUND, letters, ""]
    for pwm in motifs.pwms:
        lines.append(f"MOTIF {pwm.id} {pwm.name}".rstrip())
        lines.append(f"{_MATRIX} alength= 4 w= {pwm.width} nsites= {pwm.sites:g} E= 0")
        lines += [" " + "  ".join(f"{p:.6f}" for p in row) for row in pwm.probabilities]
        lines.append("")
    with writing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


class _MemeParser:
    """One pass over the numbered lines of a file in MEME format."""

    def __init__(self, path: Path, lines: Iterable[tuple[int, str]]) -> None:
        self.path = path
        self.number = 0
        self.lines: Iterator[tuple[int, str]] = iter(lines)
        self.again: str | None = None  # a line that ended a matrix and is to be read as what it is
        self.background: Floats | None = None
        self.pwms: dict[str, Pwm] = {}

    def read(self) -> MotifSet:
        self._check_version()
        title: tuple[str, str] | None = None
        for line in self._rest():
            if line.startswith("ALPHABET"):
                letters = line.removeprefix("ALPHABET").removeprefix("=").strip()
                if letters != BASES and not letters.startswith('"DNA"'):
                    self._fail(f"the alphabet is {letters[:30]!r}, not ACGT")
            elif line.startswith(_BACKGROUND):
                self.background = self._read_background()
            elif line.startswith("MOTIF"):
                self._check_matrix(title)
                title = self._read_title(line)
            elif line.startswith(_MATRIX):
                if title is None:
                    self._fail("a matrix without a MOTIF line before it")
                self.pwms[title[0]] = self._read_matrix(title, line)
                title = None
        self._check_matrix(title)
        if not self.pwms:
            raise InputError("holds no motifs", where=self.path)
        if self.background is None:
            raise InputError(
                "has no background: scores and p-values would depend on a guess", where=self.path,
                remedy=f"add a line '{_BACKGROUND}' and below it one such as 'A 0.25 C 0.25 G 0.25 T 0.25'",
            )  # fmt: skip
        return MotifSet(tuple(self.pwms.values()), self.background)

    def _rest(self) -> Iterator[str]:
        """Yield the lines that are left, without white space around them."""
        while (line := self._next()) is not None:
            yield line

    def _next(self) -> str | None:
        """Return the next line without white space around it; nothing at the end."""
        line, self.again = self.again, None
        if line is None and (numbered := next(self.lines, None)) is not None:
            self.number, line = numbered[0], numbered[1].strip()
        return line

    def _fail(self, what: str) -> NoReturn:
        raise InputError(what, where=f"{self.path}:{self.number}")

    def _check_version(self) -> None:
        """Find ``MEME version``, which MEME's own output has below a rule of asterisks."""
        first = ""
        seen: list[str] = []
        for line in self._rest():
            first = first or line
            if len(seen) < _FIRST_LINES:
                seen.append(line)
            if line.startswith(_VERSION):
                return
            if line.startswith(("MOTIF", _MATRIX)):
                break
        if not first:
            raise InputError("is empty", where=self.path)
        other = _other_format(seen)
        if other is not None:
            name, program = other
            raise InputError(
                f"is {name}, not MEME format", where=self.path,
                remedy=f"MEME format is needed, which JASPAR offers too; {program} makes it",
            )  # fmt: skip
        raise InputError(
            f"is not MEME format: it begins with {first[:30]!r}", where=self.path,
            remedy="its first line should be 'MEME version 4'",
        )  # fmt: skip

    def _check_matrix(self, title: tuple[str, str] | None) -> None:
        """Refuse a motif whose matrix did not come."""
        if title is not None:
            self._fail(f"motif {title[0]!r} has no letter-probability matrix")

    def _read_background(self) -> Floats:
        """Read four letter frequencies, on one line or several."""
        words: list[str] = []
        for line in self._rest():
            words += line.split()
            if len(words) >= 2 * len(BASES) or not line:
                break
        shares = self._numbers(words[1::2])
        if "".join(words[0::2]) != BASES or len(shares) != len(BASES):
            self._fail("the background is not of the form 'A 0.25 C 0.25 G 0.25 T 0.25'")
        if min(shares) <= 0 or abs(sum(shares) - 1) > _TOLERANCE:
            self._fail(f"the background {' '.join(words)!r} is not four shares above 0 that sum to 1")
        return np.array(shares) / sum(shares)

    def _read_title(self, line: str) -> tuple[str, str]:
        words = line.split()
        if len(words) < 2:
            self._fail("a MOTIF line without a name")
        if words[1] in self.pwms:
            self._fail(f"motif {words[1]!r} occurs more than once")
        # MEME's own output goes on with "width = ...".
        return words[1], words[2] if len(words) > 2 and words[2] != "width" else ""

    def _read_matrix(self, title: tuple[str, str], line: str) -> Pwm:
        """Read the rows below a matrix line; its ``key= value`` pairs are optional."""
        words = line.removeprefix(_MATRIX).replace("=", " ").split()
        values = dict(zip(words[0::2], words[1::2], strict=False))
        sites = (self._numbers([values["nsites"]]) or [0.0])[0] if "nsites" in values else DEFAULT_SITES
        if values.get("alength", "4") != "4" or sites <= 0:
            self._fail(f"motif {title[0]!r}: alength must be 4 and nsites a number above 0")
        wanted = values.get("w")
        rows: list[list[float]] = []
        while row := self._read_row(title[0]):
            rows.append(row)
        if not rows or wanted not in (None, str(len(rows))):
            said = "" if wanted is None else f", not w= {wanted}"
            self._fail(f"motif {title[0]!r} has {len(rows)} rows of four probabilities{said}")
        return Pwm(*title, np.array(rows) / np.sum(rows, axis=1, keepdims=True), sites)

    def _read_row(self, name: str) -> list[float]:
        """Read four probabilities; nothing where the matrix ended, and with it the line is left to the caller."""
        line = self._next() or ""
        words = line.split()
        first = words[0].lower().lstrip("+-") if words else ""
        if not (self._numbers([first]) or first in ("nan", "inf") or (len(words) == 4 and self._numbers(words[1:]))):
            self.again = line or None
            return []
        row = self._numbers(words)
        if len(row) != len(BASES) or min(row) < 0 or abs(sum(row) - 1) > _TOLERANCE:
            self._fail(f"motif {name!r}: {line!r} is not four probabilities that sum to 1")
        return row

    @staticmethod
    def _numbers(words: list[str]) -> list[float]:
        """Return the words as numbers, or nothing if one is none (or is not finite)."""
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            return []
        return numbers if all(map(math.isfinite, numbers)) else []
