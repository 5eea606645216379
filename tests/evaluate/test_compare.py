"""Paired tests of models: over chromosomes, and over windows."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from sklearn.metrics import roc_auc_score

from capsight.evaluate import compare as paired
from capsight.evaluate.compare import DRAWS, HeldOut, _auroc, min_attainable_p, paired_tests, window_tests
from capsight.run.crossval import METRICS, summarise_folds
from capsight.stats.bootstrap import OverlapClusters


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = [f"chr{i}" for i in range(8)]
    rows = [
        {"chromosome": name, "model": model, **{metric: rng.normal(mean, 0.05) for metric in METRICS}}
        for name in names
        for model, mean in (("capsight", 0.9), ("lgbm", 0.6))
    ]
    return pd.DataFrame(rows)


def held_out(sharpness: dict[str, float], chromosomes: int = 3, n: int = 200) -> list[HeldOut]:
    """Return chromosomes scored by models that tell the labels apart more or less sharply, beside common noise."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(chromosomes):
        labels = rng.integers(0, 2, n)
        common = rng.normal(size=n)
        scores = {name: common + slope * labels + rng.normal(size=n) for name, slope in sharpness.items()}
        found.append(HeldOut(labels, scores))
    return found


def test_signed_rank_is_paired_and_two_sided(table: pd.DataFrame) -> None:
    tests = paired_tests(table, METRICS).set_index("metric")
    for metric in METRICS:
        a, b = (table.loc[table["model"] == model, metric].to_numpy() for model in ("capsight", "lgbm"))
        assert tests.loc[metric, "p"] == pytest.approx(wilcoxon(a, b, alternative="two-sided").pvalue)
        assert tests.loc[metric, "median_difference"] == pytest.approx(np.median(a - b))
    assert tests.loc["auroc", "p"] == min_attainable_p(8) == 2 / 2**8
    same = table.assign(**dict.fromkeys(METRICS, 0.5))
    assert (paired_tests(same, METRICS)["p"] == 1).all()
    assert (summarise_folds(same)["sd"] == 0).all()


def test_auroc_of_repeated_windows_is_that_of_the_windows_written_out() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 6, 30) / 5  # many ties
    labels = rng.integers(0, 2, 30)
    times = rng.integers(0, 4, (5, 30))
    positive = labels == 1
    found = _auroc(scores[positive], scores[~positive], times[:, positive], times[:, ~positive])
    for row, auroc in zip(times, found, strict=True):
        assert auroc == pytest.approx(roc_auc_score(np.repeat(labels, row), np.repeat(scores, row)))


def test_identical_models_do_not_differ() -> None:
    chromosomes = [HeldOut(one.labels, {"a": one.scores["a"], "b": one.scores["a"]}) for one in held_out({"a": 1.0})]
    row = window_tests(chromosomes, seed=1).iloc[0]
    assert row[["mean_difference", "low", "high", "p_windows"]].tolist() == [0, 0, 0, 1]


def test_a_clearly_better_model_is_found_on_few_chromosomes() -> None:
    tests = window_tests(held_out({"good": 2.0, "poor": 0.5}), seed=1).set_index(["model", "other"])
    better = tests.loc[("good", "poor")]
    assert 0 < better["low"] < better["mean_difference"] < better["high"]
    assert better["p_windows"] == pytest.approx(2 / (DRAWS + 1))


def test_the_difference_is_the_mean_over_chromosomes_whatever_their_size() -> None:
    small, large = held_out({"a": 2.0, "b": 0.5}, 1, 40)[0], held_out({"a": 0.5, "b": 2.0}, 1, 400)[0]
    row = window_tests([small, large], seed=1, draws=50).iloc[0]
    each = [
        roc_auc_score(one.labels, one.scores["a"]) - roc_auc_score(one.labels, one.scores["b"])
        for one in (small, large)
    ]
    assert row["mean_difference"] == pytest.approx(np.mean(each))


def test_two_windows_by_hand() -> None:
    # One positive, two negatives. Model a is always right; b ranks the first negative above the positive. Of the 27
    # resamples 18 hold both labels, and 6 of these lack the first negative: there b is right, too.
    one = HeldOut(np.array([1, 0, 0]), {"a": np.array([0.9, 0.1, 0.2]), "b": np.array([0.5, 0.9, 0.1])})
    row = window_tests([one], seed=1, draws=4_000).iloc[0]
    assert row[["mean_difference", "low", "high"]].tolist() == [0.5, 0, 1]
    assert row["p_windows"] == pytest.approx(2 * 6 / 18, abs=0.05)


def test_windows_that_overlap_are_drawn_together() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 50)
    scores = {name: labels + rng.normal(size=100) for name in ("a", "b")}
    four = {name: np.repeat(values, 4) for name, values in scores.items()}
    table = window_tests([HeldOut(labels, scores)], 1)
    copied = window_tests([HeldOut(np.repeat(labels, 4), four, OverlapClusters(np.repeat(np.arange(100), 4)))], 1)
    pd.testing.assert_frame_equal(table, copied)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for seed in range(60):
        labels = np.repeat([0, 1], 60)
        chromosomes = [HeldOut(labels, {name: labels + rng.normal(size=120) for name in ("a", "b")}) for _ in range(2)]
        row = window_tests(chromosomes, seed, draws=300).iloc[0]
        covered += row["low"] <= 0 <= row["high"]
        assert (row["p_windows"] > 0.05) or not row["low"] < 0 < row["high"]
    assert covered >= 51  # 57 are expected; fewer than 51 have a probability of 0.006


def test_the_same_seed_gives_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    chromosomes = held_out({"a": 1.0, "b": 0.8})
    one, again, other = (window_tests(chromosomes, seed, draws=100) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other)
    monkeypatch.setattr(paired, "CELLS", 1_000)  # the last of several parts is a short one
    parts = window_tests(chromosomes, 1, draws=103)
    assert parts["mean_difference"].equals(one["mean_difference"])
    assert parts["low"].iloc[0] == pytest.approx(one["low"].iloc[0], abs=0.03)


def test_one_model_has_no_pair() -> None:
    found = window_tests(held_out({"a": 1.0}), seed=1)
    assert not len(found)
    assert "p_windows" in found
