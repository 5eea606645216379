"""The PWM scan, against scores that were worked out by hand."""

import numpy as np
import pytest

from capsight.data.genome.alphabet import encode
from capsight.data.genome.genome import Genome
from capsight.evaluate.pwm import log_odds, one_strand, promoter_scores

#: An initiator with its A at index 2, a TATA box.
INITIATOR, BOX = "CCAATCC", "TATAAAAG"


def test_log_odds_of_letters() -> None:
    odds = log_odds("TWN")
    assert odds[0, :4] == pytest.approx(np.log2(4 * np.array([0.1 / 3, 0.1 / 3, 0.1 / 3, 0.9])))
    assert odds[1, :4] == pytest.approx(np.log2(4 * np.array([0.45, 0.05, 0.05, 0.45])))
    assert odds[2].tolist() == [0] * 5
    assert odds[:2, 4] == pytest.approx(odds[:2, :4].min(axis=1)), "N is as bad as the worst base"


@pytest.mark.parametrize(("upstream", "counts"), [(121, False), (120, True), (60, True), (25, True), (24, False)])
def test_a_box_counts_where_it_may_begin(upstream: int, counts: bool) -> None:
    tata, initiator = log_odds("TATAWAAR"), log_odds("YYANWYY")
    text = list("G" * 400)
    text[198:205] = INITIATOR  # its A at 200
    start = 200 - upstream
    text[start : start + 8] = BOX
    score = one_strand(encode("".join(text)), tata, initiator, -2)
    # T, A, T, A, A, A and the initiator's A alone; W and R of the box and five letters of two bases
    best = 2 ** (6 * np.log2(3.6) + 2 * np.log2(1.8)) * 2 ** (np.log2(3.6) + 5 * np.log2(1.8))
    assert not counts or score.argmax() == 200
    assert (score[200] == pytest.approx(best)) == counts


def test_both_strands_are_read_alike_in_any_piece(write_fasta) -> None:
    text = "".join(np.random.default_rng(2).choice(list("ACGT"), 900))
    flipped = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    genome = Genome.open(write_fasta({"one": text, "two": flipped}))
    score = promoter_scores(genome)
    whole = score(0, 0, 900)
    np.testing.assert_allclose(score(1, 0, 900), whole[::-1, ::-1])
    np.testing.assert_allclose(score(0, 333, 500), whole[:, 333:500])
