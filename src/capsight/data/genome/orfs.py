"""Open reading frames, from DNA alone: where genes without introns lie, for the track network to learn beside.

A promoter stands before a gene. In compact genomes a long open reading frame nearly always is one, so a network that
is also trained to recognise them knows where a cap site may be; no annotation is needed, and nothing of a chromosome
that is held out. Where genes have introns, long frames are rare and this teaches little.
"""

from typing import Final

import numpy as np
import pandas as pd

from capsight.data.genome.alphabet import N_CODE, Codes, Ints, reverse_complement

#: Columns of the table of open reading frames; coordinates are 0-based half-open, plus strand.
CONTIG: Final = "contig"
START: Final = "start"
END: Final = "end"
MINUS: Final = "minus"

#: TAA, TAG, TGA as numbers of base 4 (A, C, G, T are 0 to 3), and what a codon with an N is.
_STOPS: Final = (48, 50, 56)
_UNKNOWN: Final = 64
_ATG: Final = 14


def open_reading_frames(codes: Codes, minimum_codons: int) -> Ints:
    """Find the open reading frames of one strand, 5'→3'.

    Each is the longest that ends at its stop codon: from the first ATG behind the stop codon before (or behind an
    unknown base) up to and with the next stop codon of the same frame.

    Parameters
    ----------
    codes
        Bases 0 to 4, ``(length,)``.
    minimum_codons
        Codons before the stop codon, at least.

    Returns
    -------
    frames
        Start and end, 0-based half-open, ``(n_frames, 2)``, by frame and position.
    """
    found = [np.zeros((0, 2), np.int64)]
    for shift in range(3):
        codons = codes[shift : shift + (len(codes) - shift) // 3 * 3].reshape(-1, 3).astype(np.int64)
        number = np.where((codons == N_CODE).any(axis=1), _UNKNOWN, codons @ np.array([16, 4, 1]))
        ends, starts = np.flatnonzero(np.isin(number, (*_STOPS, _UNKNOWN))), np.flatnonzero(number == _ATG)
        first = np.searchsorted(starts, np.concatenate([[0], ends[:-1] + 1])[: len(ends)])
        start = np.append(starts, len(number))[first]
        good = (ends - start >= minimum_codons) & (number[ends] != _UNKNOWN)
        found.append(shift + 3 * np.stack([start[good], ends[good] + 1], axis=1))
    return np.concatenate(found)


def genes(contigs: dict[int, Codes], minimum_codons: int, overlap: float = 0.3) -> pd.DataFrame:
    """Find the open reading frames of both strands of contigs that are likely to be genes, the longest first.

    Parameters
    ----------
    contigs
        Bases 0 to 4 of each contig, by number.
    minimum_codons
        Codons before the stop codon, at least.
    overlap
        A frame is left out if longer ones, of either strand, cover more than this share of it.

    Returns
    -------
    table
        One row per frame, sorted by contig and start, with `CONTIG`, `START`, `END` and `MINUS`.
    """
    rows = []
    for contig, codes in contigs.items():
        plus = open_reading_frames(codes, minimum_codons)
        minus = len(codes) - open_reading_frames(reverse_complement(codes), minimum_codons)[:, ::-1]
        strand = np.repeat([False, True], [len(plus), len(minus)])
        frames = np.concatenate([plus, minus])
        taken = np.zeros(len(codes), bool)
        for row in np.argsort(frames[:, 0] - frames[:, 1], kind="stable"):
            start, end = frames[row]
            if taken[start:end].mean() <= overlap:
                taken[start:end] = True
                rows.append((contig, int(start), int(end), bool(strand[row])))
    table = pd.DataFrame(rows, columns=[CONTIG, START, END, MINUS])
    return table.sort_values([CONTIG, START, END], ignore_index=True)
