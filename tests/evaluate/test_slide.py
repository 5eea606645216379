"""Models of windows slid along, with a model whose answer is known."""

import numpy as np
import pytest

from capsight.data.genome.genome import Genome
from capsight.evaluate.slide import slid
from capsight.predict.windows import Scorer

LENGTH = 8


def middle_is_a(codes):
    """Score a window 1 if the base at index length / 2 is A, plus a bit for the base before it."""
    return (codes[:, LENGTH // 2] == 0) + 0.1 * (codes[:, LENGTH // 2 - 1] == 1)


@pytest.fixture
def genome(write_fasta) -> Genome:
    return Genome.open(write_fasta({"x": "".join(np.random.default_rng(3).choice(list("ACGTN"), 203))}))


def expected(genome: Genome) -> np.ndarray:
    codes = genome.contig(0)
    plus = (codes == 0) + 0.1 * (np.roll(codes, 1) == 1)
    minus = (codes == 3) + 0.1 * (np.roll(codes, -1) == 2)  # A before C on the other strand
    plus[0], minus[-1] = codes[0] == 0, codes[-1] == 3
    return np.stack([plus, minus])


def test_every_base_of_both_strands_is_in_the_middle_of_its_window(genome: Genome) -> None:
    score = slid(Scorer(LENGTH, middle_is_a), genome, step=1)
    np.testing.assert_allclose(score(0, 0, 203), expected(genome))
    np.testing.assert_allclose(score(0, 50, 77), expected(genome)[:, 50:77])


@pytest.mark.parametrize("step", [3, 10])
def test_bases_between_steps_lie_between_them(genome: Genome, step: int) -> None:
    score, grid = slid(Scorer(LENGTH, middle_is_a), genome, step), np.arange(0, 203, step)
    between = [np.interp(np.arange(203), grid, row[grid]) for row in expected(genome)]
    np.testing.assert_allclose(score(0, 0, 203), between)
    for start, end in ((0, 1), (57, 58), (41, 120), (195, 203), (202, 203)):
        np.testing.assert_allclose(score(0, start, end), np.stack(between)[:, start:end])
