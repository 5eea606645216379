"""Scanning: the right sites, exact p-values, and the same answer as an enumeration of all sites."""

import itertools
import logging

import numpy as np
import pandas as pd
import pytest

from capsight.data.genome.alphabet import Codes, encode, reverse_complement
from capsight.data.io.meme import MotifSet, Pwm
from capsight.errors import InputError
from capsight.motifs.known import pwm_scan as module
from capsight.motifs.known.pwm_scan import MINUS, PWM, SCORE, SEQUENCE, START, P, Scan, scan, sites, tail

SITE = [SEQUENCE, START, MINUS]
RICH_IN_AT = np.array([0.31, 0.19, 0.19, 0.31])


def sharp(word: str, name: str = "m") -> Pwm:
    """Return a PWM that has seen one word only."""
    return Pwm(name, "", np.eye(4)[encode(word)], 100.0)


def noise(n: int, length: int, shares: np.ndarray, seed: int = 0) -> list[Codes]:
    return list(np.random.default_rng(seed).choice(4, size=(n, length), p=shares).astype(np.uint8))


def places(found: Scan) -> list[tuple[int, int, bool]]:
    return sorted(found.hits[SITE].itertuples(index=False, name=None))


def test_a_word_is_found_where_it_stands_on_both_strands() -> None:
    plus = encode("C" * 20 + "TATAAAGGCA" + "C" * 15)
    minus = reverse_complement(plus)
    motifs = MotifSet((sharp("TATAAAGGCA"),))
    found = scan(motifs, [plus, minus], 1e-4)
    assert places(found) == [(0, 20, False), (1, 15, True)]
    assert sites(motifs, found) == ["TATAAAGGCA"] * 2
    np.testing.assert_allclose(found.hits[P], 0.25**10)
    np.testing.assert_allclose(found.hits[SCORE], 10 * np.log2((100 + 0.025) / 100.1 / 0.25), atol=0.1)
    assert found.tests == 2 * 2 * (45 - 10 + 1)


def test_first_and_last_site_count() -> None:
    found = scan(MotifSet((sharp("TATAAAGGCA"),)), [encode("TATAAAGGCA"), encode("TATAAAGGCATATAAAGGCA")], 1e-4)
    assert places(found) == [(0, 0, False), (1, 0, False), (1, 10, False)]


def test_no_site_has_an_n_or_leaves_its_sequence() -> None:
    sequences = [encode("TATAANGGCA" + "C" * 5), encode("CCCCTATAA"), encode("AGGCACCCC")]
    found = scan(MotifSet((sharp("TATAAAGGCA"),)), sequences, 1e-2)
    assert found.hits.empty
    assert found.tests == 0
    assert list(found.hits.columns) == [PWM, SEQUENCE, START, MINUS, SCORE, P]


def test_p_values_are_exact() -> None:
    rng = np.random.default_rng(3)
    steps = rng.integers(0, 40, (5, 4))
    totals, shares = [], []
    for word in itertools.product(range(4), repeat=5):
        totals.append(sum(steps[i, base] for i, base in enumerate(word)))
        shares.append(np.prod(RICH_IN_AT[list(word)]))
    smallest = min(totals)
    expected = [sum(s for t, s in zip(totals, shares, strict=True) if t >= x) for x in range(smallest, max(totals) + 1)]
    np.testing.assert_allclose(tail(steps, RICH_IN_AT), expected, rtol=1e-12)


def enumerated(pwm: Pwm, background: np.ndarray, sequences: list[Codes], threshold: float) -> pd.DataFrame:
    """Scan by writing down all 4**width sites: no grid, no dynamic programming, nothing shared with the tool."""
    width = pwm.width
    share = (pwm.probabilities * pwm.sites + 0.1 * background) / (pwm.sites + 0.1)
    bits = np.log2(share) - np.log2(background)
    score, mass = np.zeros(1), np.ones(1)
    for column in bits:
        score, mass = (score[:, None] + column).ravel(), (mass[:, None] * background).ravel()
    order = np.argsort(-score)
    p_of = np.empty_like(score)
    # Equal scores share the p-value of the last of them.
    sums = np.cumsum(mass[order])
    last = np.searchsorted(-score[order], -score[order] + 1e-9, side="right") - 1
    p_of[order] = sums[last]
    weights = 4 ** np.arange(width - 1, -1, -1)
    rows = []
    for number, codes in enumerate(sequences):
        windows = np.lib.stride_tricks.sliding_window_view(codes, width)
        for minus, strand in ((False, windows), (True, 3 - windows[:, ::-1])):
            p = p_of[strand @ weights]
            rows += [(number, start, minus, p[start]) for start in np.flatnonzero(p <= threshold)]
    return pd.DataFrame(rows, columns=[*SITE, P])


@pytest.mark.pipeline
@pytest.mark.parametrize("background", [np.full(4, 0.25), RICH_IN_AT], ids=["uniform", "yeast"])
def test_hits_agree_with_an_enumeration_of_all_sites(background: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    pwms = tuple(Pwm(str(w), "", rng.dirichlet([0.2] * 4, size=w), 50.0) for w in (9, 10, 10, 11))
    sequences = noise(60, 1000, background)
    for codes in sequences:  # random sequence alone has few hits below 1e-5
        for pwm in pwms:
            place = rng.integers(0, 980)
            codes[place : place + pwm.width] = [rng.choice(4, p=row) for row in pwm.probabilities]
    mine = scan(MotifSet(pwms, background), sequences, 1e-4).hits
    theirs = pd.concat(enumerated(pwm, background, sequences, 1e-4).assign(pwm=i) for i, pwm in enumerate(pwms))
    assert_agreement(mine, theirs, at_least=80)
    assert abs(len(mine) - len(theirs)) <= 0.01 * len(theirs)


def assert_agreement(mine: pd.DataFrame, theirs: pd.DataFrame, at_least: int) -> None:
    """Hits with p < 1e-5: position and strand for 99 %, p-values within a factor of 1.25."""
    both = mine.merge(theirs, on=[PWM, *SITE], how="outer", suffixes=("", "_"))
    best = both[(both[P] < 1e-5) | (both[P + "_"] < 1e-5)]
    assert len(best) >= at_least
    assert best[[P, P + "_"]].notna().all(axis=1).mean() >= 0.99
    assert (best[P] / best[P + "_"]).dropna().between(1 / 1.25, 1.25).all()


def test_hits_do_not_depend_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    pwms = tuple(Pwm(str(i), "", rng.dirichlet([0.3] * 4, size=8 + i), 50.0) for i in range(5))
    sequences = [s[: rng.integers(30, 400)] for s in noise(50, 400, RICH_IN_AT)]
    whole = scan(MotifSet(pwms, RICH_IN_AT), sequences, 1e-3)
    monkeypatch.setattr(module, "_BASES_AT_ONCE", 500)
    cut = scan(MotifSet(pwms, RICH_IN_AT), sequences, 1e-3)
    pd.testing.assert_frame_equal(whole.hits, cut.hits)
    assert len(whole.hits) > 30
    # A PWM finds the same alone: no hit depends on the company it was looked for in.
    for number in range(5):
        alone = scan(MotifSet((pwms[number],), RICH_IN_AT), sequences, 1e-3)
        assert places(alone) == sorted(
            whole.hits.loc[whole.hits[PWM] == number, SITE].itertuples(index=False, name=None)
        )


def test_the_other_strand_has_the_mirrored_hits() -> None:
    rng = np.random.default_rng(6)
    motifs = MotifSet((Pwm("m", "", rng.dirichlet([0.3] * 4, size=9), 50.0),), np.array([0.4, 0.2, 0.1, 0.3]))
    sequences = noise(30, 300, RICH_IN_AT)
    forward = scan(motifs, sequences, 1e-3)
    mirrored = scan(motifs, [reverse_complement(s) for s in sequences], 1e-3)
    assert len(forward.hits) > 5
    assert places(mirrored) == sorted((s, 300 - 9 - start, not minus) for s, start, minus in places(forward))


def test_pwms_that_do_not_fit_are_counted_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    wide, fine, short = sharp("ACGT" * 10, "wide"), sharp("TATAAAGGCA", "fine"), sharp("TATA", "short")
    sequences = noise(3, 30, RICH_IN_AT)
    with caplog.at_level(logging.WARNING, logger="capsight"):
        found = scan(MotifSet((wide, fine, short)), sequences, 1e-4)
    assert found.used == [1]
    assert "1 of 3 PWMs are wider than every sequence (30 bases): left out" in caplog.text
    assert "1 of 3 PWMs are too short, or too flat, to reach p = 0.0001: left out" in caplog.text
    caplog.clear()
    assert scan(MotifSet((wide, fine, short)), sequences, 1e-4, before=found).used == [1]
    assert not caplog.messages  # all of it is known
    long = scan(MotifSet((wide, fine, short)), noise(3, 60, RICH_IN_AT), 1e-4)
    caplog.clear()
    scan(MotifSet((wide, fine, short)), sequences, 1e-4, before=long)
    assert caplog.messages == ["1 of 3 PWMs are wider than every sequence (30 bases): left out"]
    with pytest.raises(InputError, match=r"all 1 PWMs are wider than the longest sequence \(30 bases; .* has 40\)"):
        scan(MotifSet((wide,)), sequences, 1e-4)
    with pytest.raises(InputError, match="no PWM is long and sharp enough"):
        scan(MotifSet((short, Pwm("flat", "", np.full((12, 4), 0.25)))), sequences, 1e-4)
