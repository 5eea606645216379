"""Windows that overlap are drawn together."""

import numpy as np
import pandas as pd
import pytest

from capsight.stats.bootstrap import OverlapClusters, interval, intervals


def placed(*windows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(windows, columns=["chrom", "start", "end"])


def test_windows_that_overlap_directly_or_through_others_are_one_locus() -> None:
    table = placed(
        ("b", 0, 10), ("a", 25, 35), ("a", 0, 10), ("a", 9, 19), ("a", 19, 29), ("a", 35, 45), ("b", 2, 4), ("b", 5, 9)
    )
    loci = OverlapClusters.from_table(table)
    assert loci.number.tolist() == [0, 1, 2, 2, 1, 3, 0, 0]  # touching is not overlapping; a short one ends no locus
    assert loci.size.tolist() == [3, 2, 2, 1]


def test_a_draw_has_whole_loci() -> None:
    loci = OverlapClusters(np.array([0, 1, 0, 2, 0]))
    rng = np.random.default_rng(1)
    for _ in range(50):
        rows = loci.draw(rng)
        times = np.bincount(rows, minlength=5)
        assert times[0] == times[2] == times[4]
        assert times[[0, 1, 3]].sum() == 3
    times = loci.draw_times(50, rng)
    assert (times[:, [0]] == times[:, [2, 4]]).all()
    assert (times[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_single_windows_are_drawn_as_ever() -> None:
    drawn = OverlapClusters.single(100).draw(np.random.default_rng(3))
    assert (drawn == np.random.default_rng(3).integers(0, 100, 100)).all()


def test_overlap_widens_an_interval_by_what_it_should() -> None:
    """Four copies of each observation are no more than one: the spread of a mean is that of a quarter of the rows."""
    rng = np.random.default_rng(5)
    values = np.repeat(rng.normal(size=200), 4)
    loci = OverlapClusters(np.repeat(np.arange(200), 4))
    spread = {name: np.std([values[each.draw(rng)].mean() for _ in range(2_000)]) for name, each in
              (("loci", loci), ("windows", OverlapClusters.single(800)))}  # fmt: skip
    assert abs(spread["loci"] / spread["windows"] - 2) < 0.2


def test_intervals_are_the_middle_of_what_is_defined() -> None:
    drawn = np.append(np.arange(101.0), np.nan)
    assert interval(drawn) == pytest.approx([2.5, 97.5])
    assert interval(np.full(3, np.nan)) is None
    draws = [{"a": float(i), "b": None if i % 2 else 1.0, "c": 1.0, "d": None} for i in range(101)]
    found = intervals({"a": 50.0, "b": 1.0, "c": float("nan"), "d": 3.0}, draws)
    assert found["a"] == pytest.approx([2.5, 97.5])
    assert found["b"] == [1, 1]
    assert (found["c"], found["d"]) == (None, None)  # undefined as it is, and in every draw
