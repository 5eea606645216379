"""How places are spelt: windows, regions and seqlets in one way, peaks as FANTOM5 does."""

import pandas as pd

from capsight.data import schema


def region_name(chrom: str, start: int, end: int, strand: str = ".") -> str:
    """Name 0-based half-open bases as regions are read: ``chrI:101-612``, and with a strand ``chrI:101-612:+``.

    So every window, region and seqlet is called by what a genome browser takes, counted from 1, both ends included.
    """
    return f"{chrom}:{start + 1}-{end}" + (f":{strand}" if strand in ("+", "-") else "")


def region_names(table: pd.DataFrame) -> list[str]:
    """Return `region_name` of every row of a table of intervals."""
    columns = (table[name].tolist() for name in (schema.CHROM, schema.START, schema.END, schema.STRAND))
    return [region_name(*row) for row in zip(*columns, strict=True)]


def peak_name(chrom: str, start: int, end: int, strand: str) -> str:
    """Name a peak as FANTOM5 does, by 0-based half-open positions: ``chrI:100..612,+``."""
    return f"{chrom}:{start}..{end},{strand}"
