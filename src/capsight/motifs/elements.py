"""Known promoter elements, as IUPAC patterns: how often they match, and whether where they should."""

import csv
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight.data.attributions import Attributions, Codes, Mask
from capsight.data.io.text import open_text
from capsight.data.sequence.shuffle import dinucleotide_shuffle
from capsight.errors import InputError
from capsight.motifs.counts import starts_inside
from capsight.motifs.seqlets import Seqlets
from capsight.stats.fisher import fisher_exact, odds_ratio
from capsight.stats.multiple_testing import q_values

#: Bases that each letter stands for (NC-IUB 1984).
IUPAC: Final = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip

#: An element may begin this many bases from where it is expected.
TOLERANCE: Final = 2
#: Stands for "nowhere in particular" in the offset column.
ANYWHERE: Final = "."

#: Columns of the table of elements.
ELEMENT: Final = "element"
PATTERN: Final = "pattern"
OFFSET: Final = "offset"
SOURCE: Final = "source"
INPUT_COLUMNS: Final = (ELEMENT, PATTERN, OFFSET, SOURCE)

#: Further columns of `elements.tsv`; rates and counts are of sequences with at least one match.
SCOPE: Final = "scope"
GROUPS: Final = ("positive", "negative", "background")
ELEMENT_COLUMNS: Final = (
    ELEMENT, PATTERN, OFFSET, SCOPE,
    *(f"{group}_rate" for group in GROUPS), *(f"{group}_matches" for group in GROUPS),
    *(f"{group}s" for group in GROUPS),
    "log2_odds", "p", "q", "background_log2_odds", "background_p", "background_q", SOURCE,
)  # fmt: skip

#: Values of the scope column: in the whole window, in its seqlets, and at the expected place.
WINDOW: Final = "window"
SEQLETS: Final = "seqlets"
EXPECTED: Final = f"expected ± {TOLERANCE}"


class Element(NamedTuple):
    """An element: its pattern, and the offset of its first base from the cap site (0), if it has a place."""

    name: str
    pattern: str
    offset: int | None
    source: str


def read_elements(path: Path | None = None) -> list[Element]:
    """Read the elements that come with capsight, and after them those of a file of the same four columns.

    Raises
    ------
    InputError
        Naming file and line, if a column is missing, a pattern is not IUPAC, an offset is no number, or a name
        occurs twice.
    """
    packaged = Path(str(resources.files("capsight.motifs") / "elements.tsv"))
    found: dict[str, Element] = {}
    for table in (packaged, *([path] if path else [])):
        with open_text(table) as handle:
            reader = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = tuple(next(reader, ()))
            if header != INPUT_COLUMNS:
                wanted = ", ".join(INPUT_COLUMNS)
                raise InputError(f"the columns are not {wanted} (separated by tabs)", where=f"{table}:1")
            for row in filter(None, reader):
                where = f"{table}:{reader.line_num}"
                element = _parse(row, where)
                if element.name in found:
                    raise InputError(f"element {element.name!r} occurs twice", where=where)
                found[element.name] = element
    return list(found.values())


def _parse(row: list[str], where: str) -> Element:
    if len(row) != len(INPUT_COLUMNS):
        raise InputError(f"{len(row)} fields, not {len(INPUT_COLUMNS)}", where=where)
    name, pattern, offset, source = (text.strip() for text in row)
    pattern = pattern.upper()
    if not name or not pattern or set(pattern) - set(IUPAC):
        raise InputError(f"pattern {pattern!r} of {name!r} is not of IUPAC letters", where=where)
    try:
        return Element(name, pattern, None if offset == ANYWHERE else int(offset), source)
    except ValueError:
        raise InputError(f"offset {offset!r} of {name!r} is neither a whole number nor '.'", where=where) from None


def matches(codes: Codes, pattern: str) -> Mask:
    """Tell at which bases a pattern matches: ``(n, length)``, false where it would not fit. N matches nothing."""
    n, length = codes.shape
    places = max(length - len(pattern) + 1, 0)
    found = np.zeros((n, length), dtype=bool)
    found[:, :places] = True
    for i, letter in enumerate(pattern):
        allowed = np.array([base in IUPAC[letter] for base in "ACGT"] + [False])
        found[:, :places] &= allowed[codes[:, i : i + places]]
    return found


def compare_elements(data: Attributions, seqlets: Seqlets, elements: list[Element], seed: int) -> pd.DataFrame:
    """Compare how often each element matches in predicted positives, predicted negatives and background.

    The background is one dinucleotide shuffle per predicted positive, with its seqlets. Fisher's exact
    test on sequences with a match; q-values (Benjamini and Hochberg 1995) over all rows of the table.

    Returns
    -------
    table
        With `ELEMENT_COLUMNS`: each element in the whole window, in the seqlets, and at its expected place.
    """
    positive, inside = data.positive, seqlets.mask()
    own = data.codes[positive]
    background = dinucleotide_shuffle(own, seed, np.arange(len(own))[:, None])
    groups = {
        "positive": (own, inside[positive]),
        "negative": (data.codes[~positive], inside[~positive]),
        "background": (background, inside[positive]),
    }
    rows = []
    for element in elements:
        counts = {name: _carriers(codes, mask, element, data.cap) for name, (codes, mask) in groups.items()}
        for scope in counts["positive"]:
            row = {ELEMENT: element.name, PATTERN: element.pattern, SCOPE: scope, SOURCE: element.source}
            row[OFFSET] = ANYWHERE if element.offset is None else str(element.offset)
            rows.append(row | {f"{group}_matches": counts[group][scope] for group in GROUPS})
    table = pd.DataFrame(rows)
    for group, (codes, _) in groups.items():
        table[f"{group}s"] = len(codes)
        table[f"{group}_rate"] = table[f"{group}_matches"] / len(codes)
    for group, prefix in (("negative", ""), ("background", "background_")):
        a, b = table["positive_matches"].to_numpy(), table[f"{group}_matches"].to_numpy()
        n1, n2 = int(table["positives"].iloc[0]), int(table[f"{group}s"].iloc[0])
        p = fisher_exact(a, a + b, n1, n1 + n2).p
        table = table.assign(
            **{f"{prefix}log2_odds": np.log2(odds_ratio(a, n1, b, n2)), f"{prefix}p": p, f"{prefix}q": q_values(p)}
        )
    return table[list(ELEMENT_COLUMNS)]


def _carriers(codes: Codes, inside: Mask, element: Element, cap: int) -> dict[str, int]:
    """Count the sequences with a match, in each scope."""
    found = matches(codes, element.pattern)
    wholly = starts_inside(inside, len(element.pattern))
    counts = {
        WINDOW: int(found.any(axis=1).sum()),
        SEQLETS: int((found[:, : wholly.shape[1]] & wholly).any(axis=1).sum()),
    }
    if element.offset is not None and 0 <= cap + element.offset < codes.shape[1]:
        first = max(cap + element.offset - TOLERANCE, 0)
        counts[EXPECTED] = int(found[:, first : cap + element.offset + TOLERANCE + 1].any(axis=1).sum())
    return counts
