"""Open reading frames, beside a search codon by codon."""

import numpy as np
import pytest

from capsight.data.genome.alphabet import Codes, encode, reverse_complement
from capsight.data.genome.orfs import CONTIG, END, MINUS, START, genes, open_reading_frames


def by_hand(text: str, minimum: int) -> set[tuple[int, int]]:
    found = set()
    for shift in range(3):
        start = None
        for i in range(shift, len(text) - 2, 3):
            codon = text[i : i + 3]
            if "N" in codon:
                start = None
            elif codon in ("TAA", "TAG", "TGA"):
                if start is not None and (i - start) // 3 >= minimum:
                    found.add((start, i + 3))
                start = None
            elif codon == "ATG" and start is None:
                start = i
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("minimum", [1, 3, 20])
def test_frames_are_those_of_a_search_codon_by_codon(seed: int, minimum: int) -> None:
    rng = np.random.default_rng(seed)
    text = "".join(rng.choice(list("ACGTN"), 3001, p=[0.3, 0.19, 0.2, 0.3, 0.01]))
    found = open_reading_frames(encode(text), minimum)
    assert len(found) == len({tuple(frame) for frame in found.tolist()})
    assert {(a, b) for a, b in found.tolist()} == by_hand(text, minimum)
    assert found.size or minimum == 20


@pytest.mark.parametrize("text", ["", "A", "ATG", "ATGTA", "TAA", "NNNNNN", "CCCCCCCCC"])
def test_short_sequences_have_none(text: str) -> None:
    assert open_reading_frames(encode(text), 1).shape == (0, 2)


def gene(codons: int, seed: int) -> str:
    codon = [c for c in (a + b + d for a in "ACGT" for b in "ACGT" for d in "ACGT") if c not in ("TAA", "TAG", "TGA")]
    return "ATG" + "".join(np.random.default_rng(seed).choice(codon, codons - 1)) + "TAA"


def test_genes_of_both_strands_are_found_and_frames_inside_them_are_not() -> None:
    stop = "TTAATTAATTAA"  # in all frames, on both strands
    there, back = gene(150, 1), gene(90, 2)
    first = len(stop)
    codes = np.concatenate([encode(stop + there + stop), reverse_complement(encode(back)), encode(stop)])
    table = genes({4: codes, 5: reverse_complement(codes)}, 40)
    second = first + len(there) + len(stop)
    expected = [(4, first, first + len(there), False), (4, second, second + len(back), True)]
    size = len(codes)
    expected += [(5, size - end, size - start, not minus) for _, start, end, minus in reversed(expected)]
    assert list(table[[CONTIG, START, END, MINUS]].itertuples(index=False, name=None)) == expected


def test_a_contig_without_genes_has_no_rows() -> None:
    nothing: Codes = np.full(50, 4, np.uint8)
    assert genes({0: nothing}, 1).empty
