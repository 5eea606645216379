"""`crossval`: every fold, the tables, and going on where it was stopped, also by several processes."""

import io
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pandas as pd
import pytest
import yaml
from rich.console import Console

from capsight.config import CrossvalConfig
from capsight.config.yaml_files import parse
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.report.report import report
from capsight.report.results import SCAN_AUPRC
from capsight.report.tables import crossval_tables
from capsight.run.crossval import LOCKS, METRICS, crossval

from ..conftest import TINY_TRACK

RECIPE = {
    "simulate": {"bases": 200_000, "chromosomes": 4, "spacing": 700, "seed": 4},
    "windows": {"length": 64, "validation": "chr2", "test": "chr3"},
    "pretrain": {},
    "finetune": {},
    "baseline": {"model": "lgbm", "k": 2},
    "evaluate": {"bootstrap": 0, "fold": "validation"},
}
MODELS = ("lgbm", "rf", "xgb")
NETWORKS = RECIPE | {
    "pretrain": {
        "model": {"width": 16, "mlp_size": 24, "layers": 1, "heads": 2, "stem_channels": 8, "downsample": 4},
        "full_rank_phase": {"steps": 4, "batch_size": 8, "warmup_steps": 2},
        "relora_phase": {"steps": 8, "batch_size": 8, "warmup_steps": 2},
        "relora": {"rank": 2, "alpha": 4, "merge_every": 4, "restart_warmup_steps": 1},
    },
    "finetune": {
        "lora": {"rank": 2, "modules_to_save": ["head", "stem"]},
        "epochs": 4, "batch_size": 8, "learning_rate": 1e-2, "ema_decay": 0.9, "checkpoint_every": 3, "seed": 3,
    },
    "baseline": {"model": "cnn", "cnn": {"width": 8, "blocks": 2, "kernel": 3}},
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture(scope="module")
def done(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crossval(CrossvalConfig(models=MODELS), recipe, tmp_path_factory.mktemp("crossval") / "out")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "networks.yaml"
    path.write_text(yaml.safe_dump(NETWORKS))
    return path


@pytest.fixture(scope="module")
def trained(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = CrossvalConfig(models=("capsight", "cnn"), chromosomes=("chr1", "chr2"))
    return crossval(config, networks, tmp_path_factory.mktemp("crossval") / "networks")


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
    lgbm = yaml.safe_load((done / "folds/chr1/lgbm/provenance.yaml").read_text())["config"]
    assert (lgbm["k"], yaml.safe_load((done / "folds/chr1/rf/provenance.yaml").read_text())["config"]["k"]) == (2, 3)


def test_tables_agree_with_each_other(done: Path) -> None:
    table, summary, tests = (pd.read_csv(done / f"crossval{name}.tsv", sep="\t") for name in ("", "-summary", "-tests"))
    row = summary.set_index(["model", "metric"]).loc[("rf", "mcc")]
    of = table.loc[table["model"] == "rf", "mcc"]
    assert row["n"] == 4
    assert row["mean"] == pytest.approx(of.mean(), rel=1e-5)
    assert row["sd"] == pytest.approx(of.std(), rel=1e-4)
    assert len(tests) == len(METRICS) * 3
    assert (tests["min_attainable_p"] == 0.125).all()
    assert (tests["p"] >= 0.125).all()
    by_windows = tests.set_index(["metric", "model", "other"]).loc[("auroc", "lgbm", "rf")]
    wide = table.pivot(index="chromosome", columns="model", values="auroc")
    assert by_windows["mean_difference"] == pytest.approx((wide["lgbm"] - wide["rf"]).mean(), abs=1e-5)
    assert by_windows["low"] < by_windows["mean_difference"] < by_windows["high"]
    assert 0 < by_windows["p_windows"] <= 1
    assert tests.loc[tests["metric"] != "auroc", "p_windows"].isna().all()


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
    assert not yaml.safe_load((out / "provenance.yaml").read_text()).keys() & {"crossval"}
    assert "2 chromosomes are too few to call a difference: the smallest possible p is 0.5" in caplog.text
    some, every = (pd.read_csv(folder / "crossval.tsv", sep="\t") for folder in (out, done))
    same = every["chromosome"].isin(["chr1", "chr3"]) & (every["model"] != "xgb")
    pd.testing.assert_frame_equal(some, every[same].reset_index(drop=True))


def test_one_model_on_one_chromosome_has_no_spread_and_no_tests(recipe: Path, tmp_path: Path) -> None:
    config = CrossvalConfig(models=("lgbm",), chromosomes=("chr2",))
    out = crossval(config, recipe, tmp_path / "out")
    assert pd.read_csv(out / "crossval-summary.tsv", sep="\t")["sd"].isna().all()
    assert not len(pd.read_csv(out / "crossval-tests.tsv", sep="\t"))
    assert len(crossval_tables(out)) == 1
    assert (report(out, out / "report") / "crossval-auroc.svg").is_file()


def test_pictures_and_tables(done: Path, tmp_path: Path) -> None:
    one, two = (report(done, tmp_path / name) / "crossval-auroc.svg" for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    means, paired = crossval_tables(done)
    assert means.row_count == 3
    assert paired.row_count == 3
    assert "0.12" in str(paired.caption)


def test_the_table_of_track_models_fits_and_leaves_out_thresholds(tmp_path: Path) -> None:
    metrics = ("auroc", "accuracy", "f1", "mcc", "auprc", "scan_auprc")
    rows = [(model, name, 2, 0.5, 0.01) for model in ("capsight", "kmer-gbm") for name in metrics]
    table = pd.DataFrame(rows, columns=["model", "metric", "n", "mean", "sd"])
    table.to_csv(tmp_path / "crossval-summary.tsv", sep="\t", index=False)
    (tmp_path / "crossval-tests.tsv").write_text("metric\n")
    (means,) = crossval_tables(tmp_path)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(means)
    shown = console.export_text()
    assert [column.header for column in means.columns] == ["model", "scan_auprc", "auroc", "auprc"]
    assert "kmer-gbm" in shown
    assert shown.count("0.500±0.010") == 6


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


@pytest.mark.pipeline
def test_networks_are_compared_too(trained: Path) -> None:
    table = pd.read_csv(trained / "crossval.tsv", sep="\t")
    assert list(zip(table["chromosome"], table["model"], strict=True)) == [
        (chrom, model) for chrom in ("chr1", "chr2") for model in ("capsight", "cnn")
    ]
    assert table["auroc"].between(0.3, 1).all()
    network, cnn = (
        yaml.safe_load((trained / "folds" / "chr2" / name / "provenance.yaml").read_text())["config"]
        for name in ("model", "cnn")
    )
    assert network["lora"]["rank"] == 2
    assert cnn["cnn"]["width"] == 8
    assert cnn["training"] == network | {"lora": False}
    tests = pd.read_csv(trained / "crossval-tests.tsv", sep="\t")
    assert len(tests) == len(METRICS)
    assert tests.loc[tests["metric"] == "auroc", ["mean_difference", "low", "high", "p_windows"]].notna().all(axis=None)


@pytest.mark.pipeline
def test_track_models_are_compared_by_their_scans_too(tmp_path: Path) -> None:
    recipe = tmp_path / "track.yaml"
    train = TINY_TRACK["train"] | {"epochs": 0.5}
    recipe.write_text(yaml.safe_dump(TINY_TRACK | {"simulate": RECIPE["simulate"], "train": train}))
    config = CrossvalConfig(models=("capsight", "lgbm"), chromosomes=("chr1", "chr2"))
    out = crossval(config, recipe, tmp_path / "out")
    table = pd.read_csv(out / "crossval.tsv", sep="\t")
    assert list(table.columns) == ["chromosome", "model", "n", "n_positive", *METRICS, SCAN_AUPRC]
    for chrom, model, auprc in table[["chromosome", "model", SCAN_AUPRC]].itertuples(index=False):
        folder = out / "folds" / chrom / f"scan-{model}"
        measured = json.loads((folder / "metrics.json").read_text())
        assert measured["chromosomes"] == [chrom]
        assert auprc == pytest.approx(measured["scan"]["auprc"], rel=1e-5)
    card = json.loads((out / "folds" / "chr2" / "model" / "capsight.json").read_text())
    assert (card["validation"], card["test"]) == (["chr1"], ["chr2"])
    summary, tests = (pd.read_csv(out / f"crossval-{name}.tsv", sep="\t") for name in ("summary", "tests"))
    mean = table.loc[table["model"] == "lgbm", SCAN_AUPRC].mean()
    assert summary.set_index(["model", "metric"]).loc[("lgbm", SCAN_AUPRC), "mean"] == pytest.approx(mean, rel=1e-5)
    assert set(tests["metric"]) == {*METRICS, SCAN_AUPRC}


@pytest.mark.pipeline
def test_two_processes_and_a_kill_give_what_one_would(trained: Path, networks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "from pathlib import Path; from capsight import crossval; from capsight.config import CrossvalConfig\n"
        "config = CrossvalConfig(models=('capsight', 'cnn'), chromosomes=('chr1',))\n"
        f"crossval(config, Path({str(networks)!r}), Path({str(out)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    crossval(CrossvalConfig(models=("cnn",), chromosomes=("chr2",)), networks, out)  # meanwhile, or before it
    state = out / "folds" / "chr1" / "cnn.partial" / "checkpoint" / "cnn" / "state.json"
    for _ in range(6000):
        if state.exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    assert pd.read_csv(out / "crossval.tsv", sep="\t")["chromosome"].tolist() == ["chr2"]
    crossval(CrossvalConfig(models=("capsight", "cnn"), chromosomes=("chr1", "chr2")), networks, out)
    for name in ("crossval.tsv", "crossval-summary.tsv", "crossval-tests.tsv", "folds/chr1/cnn/cnn.safetensors"):
        assert (out / name).read_bytes() == (trained / name).read_bytes(), name


def test_a_chromosome_that_another_process_holds_is_waited_for(
    recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "out" / LOCKS).mkdir(parents=True)
    (tmp_path / "out" / "provenance.yaml").write_text("stage: crossval\n")
    held = threading.Event()

    def hold() -> None:
        with filelock.FileLock(tmp_path / "out" / LOCKS / "chr1.lock"):
            held.set()
            for _ in range(3000):
                if "another process is at work on chr1" in caplog.text:
                    break
                time.sleep(0.01)
            assert not (tmp_path / "out" / "folds").exists()

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(30)
    with caplog.at_level(logging.INFO):
        crossval(CrossvalConfig(models=("lgbm",), chromosomes=("chr1",)), recipe, tmp_path / "out")
    other.join()
    assert "another process is at work on chr1: waiting for it" in caplog.text
    assert (tmp_path / "out" / "crossval.tsv").is_file()
