"""What an audit says: checks, their verdicts, and the rules that turn numbers into verdicts."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from capsight.data.windows.windows import SEQUENCES_FILE, Windows

Verdict = Literal["pass", "warn", "fail", "skipped"]

PASS: Final = "pass"
WARN: Final = "warn"
FAIL: Final = "fail"
#: The check does not apply, or there is nothing to measure.
SKIPPED: Final = "skipped"

_RANK: Final[Mapping[str, int]] = {SKIPPED: 0, PASS: 1, WARN: 2, FAIL: 3}


class Check(NamedTuple):
    """One item of an audit.

    Attributes
    ----------
    name
        As in the table of the documentation.
    verdict
        pass, warn, fail or skipped.
    says
        One line for a reader.
    numbers
        What it was measured from.
    """

    name: str
    verdict: Verdict
    message: str
    numbers: dict[str, Any]


def overall_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest verdict; nothing at all is `SKIPPED`."""
    return max(verdicts, key=_RANK.__getitem__, default=SKIPPED)


def verdict_if_any(found: int) -> Verdict:
    """Judge what must not be there at all."""
    return FAIL if found else PASS


def verdict_by_fraction(share: float, most: float) -> Verdict:
    """Judge what is tolerable in a small share of windows: up to `most` it is a warning."""
    return FAIL if share > most else WARN if share else PASS


def verdict_by_limits(value: float, warn: float, fail: float) -> Verdict:
    """Judge a number by what it must not exceed."""
    return FAIL if value > fail else WARN if value > warn else PASS


def without_coordinates(data: Windows) -> str | None:
    """Say why coordinates mean nothing; nothing where they do."""
    of_sequences = data.genome.path == data.folder / SEQUENCES_FILE
    return "labelled sequences have no place in a genome" if of_sequences else None
