"""`crossval`: every fold, the tables, the tests, and going on where it was stopped; classical models only."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import wilcoxon

from capsight.config import CrossvalConfig
from capsight.data.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.recipes import parse
from capsight.report.figures import report
from capsight.report.tables import crossval_tables
from capsight.train.crossval import METRICS, crossval, least_p, paired_tests, summarise_folds

RECIPE = {
    "simulate": {"bases": 200_000, "chromosomes": 4, "spacing": 700, "seed": 4},
    "windows": {"length": 64, "validation": "chr2", "test": "chr3"},
    "pretrain": {},
    "finetune": {},
    "baseline": {"model": "lgbm", "k": 2},
    "evaluate": {"bootstrap": 0, "fold": "validation"},
}
MODELS = ("lgbm", "rf", "xgb")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture(scope="module")
def done(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crossval(CrossvalConfig(models=MODELS), recipe, tmp_path_factory.mktemp("crossval") / "out")


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


def test_every_chromosome_is_tested_once_by_every_model(done: Path) -> None:
    table = pd.read_csv(done / "crossval.tsv", sep="\t")
    assert list(table.columns) == ["chromosome", "model", "n", "n_positive", *METRICS]
    assert list(zip(table["chromosome"], table["model"], strict=True)) == [
        (f"chr{i}", model) for i in range(1, 5) for model in MODELS
    ]
    for chrom, rows in table.groupby("chromosome"):
        windows = Windows.open(done / "folds" / str(chrom) / "windows").table
        assert set(windows.loc[windows["fold"] == "test", "chrom"]) == {chrom}
        assert chrom not in set(windows.loc[windows["fold"] != "test", "chrom"])
        assert set(rows["n"]) == {(windows["fold"] == "test").sum()}
    lgbm = yaml.safe_load((done / "folds/chr1/lgbm/config.yaml").read_text())["config"]
    assert (lgbm["k"], yaml.safe_load((done / "folds/chr1/rf/config.yaml").read_text())["config"]["k"]) == (2, 3)


def test_tables_agree_with_each_other(done: Path) -> None:
    table, summary, tests = (pd.read_csv(done / f"crossval{name}.tsv", sep="\t") for name in ("", "-summary", "-tests"))
    row = summary.set_index(["model", "metric"]).loc[("rf", "mcc")]
    of = table.loc[table["model"] == "rf", "mcc"]
    assert row["n"] == 4
    assert row["mean"] == pytest.approx(of.mean(), rel=1e-5)
    assert row["sd"] == pytest.approx(of.std(), rel=1e-4)
    assert len(tests) == len(METRICS) * 3
    assert (tests["least_p"] == 0.125).all()
    assert (tests["p"] >= 0.125).all()


def test_a_second_call_trains_nothing(done: Path, recipe: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (done / "folds").rglob("*")}
    content = (done / "crossval.tsv").read_bytes()
    crossval(CrossvalConfig(models=MODELS), recipe, done)
    assert {path: path.stat().st_mtime_ns for path in (done / "folds").rglob("*")} == before
    assert (done / "crossval.tsv").read_bytes() == content


def test_chosen_chromosomes_only(done: Path, recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = CrossvalConfig(models=("lgbm", "rf"), chromosomes=("chr3", "chr1"))
    with caplog.at_level(logging.INFO):
        out = crossval(config, recipe, tmp_path / "out")
    assert sorted(path.name for path in (out / "folds").iterdir()) == ["chr1", "chr3"]
    assert "2 chromosomes are too few to call a difference: the least possible p is 0.5" in caplog.text
    some, every = (pd.read_csv(folder / "crossval.tsv", sep="\t") for folder in (out, done))
    same = every["chromosome"].isin(["chr1", "chr3"]) & (every["model"] != "xgb")
    pd.testing.assert_frame_equal(some, every[same].reset_index(drop=True))


def test_one_model_on_one_chromosome_has_no_spread_and_no_tests(recipe: Path, tmp_path: Path) -> None:
    config = CrossvalConfig(models=("lgbm",), chromosomes=("chr2",))
    out = crossval(config, recipe, tmp_path / "out")
    assert pd.read_csv(out / "crossval-summary.tsv", sep="\t")["sd"].isna().all()
    assert not len(pd.read_csv(out / "crossval-tests.tsv", sep="\t"))
    assert len(crossval_tables(out)) == 1
    assert (report(out, out / "report") / "crossval.png").is_file()


def test_pictures_and_tables(done: Path, tmp_path: Path) -> None:
    one, two = (report(done, tmp_path / name) / "crossval.png" for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    means, paired = crossval_tables(done)
    assert means.row_count == 3
    assert paired.row_count == 3
    assert "0.12" in str(paired.caption)


def test_signed_rank_is_paired_and_two_sided(table: pd.DataFrame) -> None:
    tests = paired_tests(table).set_index("metric")
    for metric in METRICS:
        a, b = (table.loc[table["model"] == model, metric].to_numpy() for model in ("capsight", "lgbm"))
        assert tests.loc[metric, "p"] == pytest.approx(wilcoxon(a, b, alternative="two-sided").pvalue)
        assert tests.loc[metric, "median_difference"] == pytest.approx(np.median(a - b))
    assert tests.loc["auroc", "p"] == least_p(8) == 2 / 2**8
    same = table.assign(**dict.fromkeys(METRICS, 0.5))
    assert (paired_tests(same)["p"] == 1).all()
    assert (summarise_folds(same)["sd"] == 0).all()


def test_what_cannot_be_left_out_is_refused(recipe: Path, done: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'chrX' cannot be left out \(these can: chr1, chr2, chr3, chr4\)"):
        crossval(CrossvalConfig(models=("lgbm",), chromosomes=("chrX",)), recipe, tmp_path / "out")
    labelled = tmp_path / "labelled.yaml"
    values = {"windows": {"train": "x.csv", "validation": "y.csv"}, "pretrain": {}, "finetune": {}}
    labelled.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match="no chromosomes to leave out"):
        crossval(CrossvalConfig(), labelled, tmp_path / "labelled")
    assert not (tmp_path / "labelled").exists()
    with pytest.raises(InputError, match="was made by simulate, not by crossval"):
        crossval(CrossvalConfig(), recipe, done / "simulation")


def test_settings_are_checked() -> None:
    assert parse(CrossvalConfig, {"models": "capsight,kmer-gbm"}).models == ("capsight", "kmer-gbm")
    with pytest.raises(ConfigError, match="rf: named twice"):
        parse(CrossvalConfig, {"models": "rf,lgbm,rf"})
    with pytest.raises(ConfigError, match="models"):
        parse(CrossvalConfig, {"models": "svm"})
    with pytest.raises(ConfigError, match="models"):
        parse(CrossvalConfig, {"models": ""})
