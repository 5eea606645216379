"""Variants from and to pandas: a frame as a file of variants, and answers as rows of a frame."""

import csv
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.io.text import given
from capsight.data.io.vcf import POSITION, TABLE
from capsight.errors import InputError
from capsight.variants.tally import Answer, row_of


def rows_of(answer: Answer) -> list[tuple[object, ...]]:
    """Return the alternative alleles of an answer as rows of `schema.EFFECT_COLUMNS`."""
    rows: list[tuple[object, ...]] = []
    for variant, effects in zip(answer.records, answer.effects, strict=True):
        for alt, effect in zip(variant.alts, effects, strict=True):
            row: list[object] = [variant.chrom, variant.position + 1, variant.ref.decode(), alt.decode()]
            row += effect.log2 if effect else (None, None)
            for move, sign, none in (
                ((effect.gain, 1, 0), (effect.loss, -1, 0), (effect.tss, 1, None)) if effect else ()
            ):
                row += (sign * move.change, move.position + 1, "+-"[move.strand]) if move else (none, None, None)
            rows.append(tuple(row + [None] * (len(schema.EFFECT_COLUMNS) - len(row))))
    return rows


@contextmanager
def as_file(source: Path | pd.DataFrame) -> Iterator[Path]:
    """Yield the path of a source; a frame is written into a temporary table.

    Of a frame that has them, only the columns of a variant are written: others may hold anything. Whole numbers that
    pandas holds as floats, as those of a merge, are written as whole numbers. What is wrong with the table is reported
    of the frame and its rows, from 0.
    """
    if isinstance(source, pd.DataFrame):
        with tempfile.TemporaryDirectory(prefix="capsight-") as folder:
            path = Path(folder) / "frame"
            names = {spelling for spellings in TABLE.values() for spelling in spellings}
            read = [str(name).strip().lower().lstrip("#") in names for name in source.columns]
            frame = source.loc[:, read] if sum(read) >= len(TABLE) else source[:0]  # which is refused by its columns
            try:
                _with_whole_positions(frame).to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE)
            except csv.Error:
                raise InputError("the table: a contig, REF or ALT has a tab or a line break") from None
            try:
                yield path
            except InputError as error:
                text = re.sub(f"{re.escape(str(path))}:([0-9]+)", lambda found: row_of(int(found[1])), str(error))
                raise InputError(text.replace(str(path), "the table")) from None
    else:
        yield given(Path(source))


def _with_whole_positions(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose positions are written without a decimal point where they are whole."""

    def text(value: object) -> object:
        is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
        return str(int(value)) if is_whole else value  # type: ignore[call-overload]

    names = [name for name in frame if str(name).strip().lower() in POSITION]
    return frame.assign(**{str(name): frame[name].map(text) for name in names}) if frame.columns.is_unique else frame
