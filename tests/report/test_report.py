"""Tables and pictures say what the files hold."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from capsight.errors import InputError
from capsight.report.figures import report
from capsight.report.results import guessing_loss, planted
from capsight.report.tables import metrics_table, truth_table

TRUTH = """chrom\tstart\tend\tstrand\telement\tkind\toffset\tcap_site
chr1\t69\t77\t+\tTATA\tpromoter\t-31\t100
chr1\t98\t104\t+\tInr\tpromoter\t-2\t100
chr1\t397\t403\t-\tInr\tpromoter\t-2\t400
chr1\t600\t606\t+\tInr\tdecoy\t.\t.
"""
SCORES = pd.DataFrame(
    {
        "chrom": "chr1",
        "start": [68, 369, 580, 800],
        "end": [132, 433, 644, 864],
        "strand": ["+", "-", "+", "-"],
        "label": [1, 1, 0, 0],
        "score": [0.9, 0.2, 0.7, 0.1],
    }
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "simulation").mkdir()
    (tmp_path / "simulation" / "truth.tsv").write_text(TRUTH)
    folder = tmp_path / "evaluation"
    folder.mkdir()
    SCORES.to_parquet(folder / "scores.parquet")
    names = ("auroc", "auprc", "accuracy", "precision", "recall", "f1", "mcc", "brier", "ece")
    metrics = dict.fromkeys(names, 0.5) | {"fold": "test", "n": 4, "n_positive": 2, "mcc": None}
    metrics["intervals"] = {"auroc": [0.25, 0.75]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path


def text_of(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    return out.getvalue()


def test_contents_are_joined_by_cap_site_and_strand(run: Path) -> None:
    table = planted(run, SCORES)
    assert table is not None
    assert table["content"].tolist() == ["TATA + Inr", "Inr", "lone or misplaced elements", "background only"]


def test_without_a_simulation_there_is_no_truth(run: Path) -> None:
    (run / "simulation" / "truth.tsv").unlink()
    assert planted(run, SCORES) is None
    assert truth_table(run) is None


def test_truth_table_counts_calls(run: Path) -> None:
    text = text_of(truth_table(run))
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    assert "1 (100%)" in lines["cap site: TATA + Inr"]
    assert "0 (0%)" in lines["cap site: Inr"]
    assert "1 (100%)" in lines["no cap site: lone or misplaced elements"]
    assert "0 (0%)" in lines["no cap site: background only"]


def test_metrics_table_shows_intervals_and_the_undefined(run: Path) -> None:
    text = text_of(metrics_table({"capsight": run / "evaluation"}))
    assert "4 windows, 2 of them cap sites" in text
    assert "0.500 [0.250, 0.750]" in text
    assert "undefined" in text


def test_pictures_are_the_same_bytes_every_time(run: Path, tmp_path: Path) -> None:
    first = {p.name: p.read_bytes() for p in report(run, tmp_path / "a").iterdir()}
    second = {p.name: p.read_bytes() for p in report(run, tmp_path / "b").iterdir()}
    assert first == second
    assert set(first) == {"accuracy.png", "scores.png", "truth.png"}
    assert all(data.startswith(b"\x89PNG") for data in first.values())


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished run"):
        report(tmp_path, tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("tokenizer", "loss"), [({"kind": "kmer", "k": 2}, 2.7726), ({"kind": "neox", "k": 1}, None)])
def test_guessing_loss(tmp_path: Path, tokenizer: dict[str, object], loss: float | None) -> None:
    (tmp_path / "capsight.json").write_text(json.dumps({"tokenizer": tokenizer}))
    assert guessing_loss(tmp_path) == (pytest.approx(loss, abs=1e-4) if loss else None)
