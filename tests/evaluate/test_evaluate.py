"""Metrics: exact on hand-made scores, undefined where they are, with honest intervals."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from capsight.config import AuditConfig, BaselineConfig, EvaluateConfig, WindowsConfig
from capsight.data.audit.stage import audit
from capsight.data.genome.alphabet import decode
from capsight.data.windows.stage import windows
from capsight.errors import InputError
from capsight.evaluate.evaluate import compute, evaluate, expected_calibration_error, summarise
from capsight.train.baselines.baseline import baseline

TRUTH = np.array([0, 0, 0, 1, 1, 1, 1, 0])
SCORE = np.array([0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 0.3, 0.4])


def test_values_by_hand() -> None:
    values = compute(TRUTH, SCORE)
    assert values["accuracy"] == 6 / 8
    assert values["precision"] == 3 / 4
    assert values["recall"] == 3 / 4
    assert values["f1"] == 3 / 4
    assert values["mcc"] == pytest.approx(0.5)
    assert values["auroc"] == 14 / 16
    assert values["brier"] == pytest.approx(np.mean((SCORE - TRUTH) ** 2))


def test_calibration_error_by_hand() -> None:
    truth, score = np.array([1, 0, 1, 1]), np.array([0.71, 0.71, 0.98, 0.98])
    assert expected_calibration_error(truth, score) == pytest.approx(0.5 * abs(0.71 - 0.5) + 0.5 * 0.02)
    assert expected_calibration_error(np.array([1, 0]), np.array([1.0, 0.0])) == 0


def test_one_label_only_leaves_ranking_undefined() -> None:
    values = compute(np.ones(5, dtype=int), np.linspace(0, 1, 5))
    assert values["auroc"] is None
    assert values["auprc"] is None
    assert values["mcc"] == 0


@pytest.mark.pipeline
def test_interval_covers_the_value_and_shrinks_with_n() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (2500, 100):
        truth = rng.integers(0, 2, n)
        score = np.clip(truth * 0.2 + rng.random(n) * 0.8, 0, 1)
        result = summarise(truth, score, EvaluateConfig(bootstrap=100))
        low, high = result["intervals"]["auroc"]
        assert low < result["auroc"] < high
        widths.append(high - low)
    assert 3 < widths[1] / widths[0] < 8  # sqrt(25) = 5
    once, again, other = (summarise(truth, score, EvaluateConfig(bootstrap=20, seed=seed)) for seed in (1, 1, 2))
    assert once == again != other


def test_evaluate_a_baseline(motif_windows: Path, tmp_path: Path) -> None:
    model = baseline(BaselineConfig(), motif_windows, tmp_path / "b")
    again = baseline(BaselineConfig(), motif_windows, tmp_path / "again")
    assert (model / "booster.txt").read_bytes() == (again / "booster.txt").read_bytes()
    out = evaluate(EvaluateConfig(bootstrap=10, fold="validation"), model, motif_windows, tmp_path / "e")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["fold"] == "validation"
    assert set(metrics["per_chromosome"]) == {"chr2"}
    assert metrics["n"] == 2 * metrics["n_positive"] == metrics["per_chromosome"]["chr2"]["n"]
    assert metrics["auroc"] > 0.7


def test_not_a_model(motif_windows: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not a model folder"):
        evaluate(EvaluateConfig(), tmp_path / "empty", motif_windows, tmp_path / "e")
    assert not (tmp_path / "e").exists()


class Related(NamedTuple):
    windows: Path
    audit: Path
    model: Path


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Related:
    """Return windows, their audit and a model: test positives copy training positives, 10 each at 95, 85 and 75 %."""
    folder = tmp_path_factory.mktemp("related")
    rng = np.random.default_rng(3)
    contigs = {name: rng.integers(0, 4, 20_000) for name in ("chr1", "chr2", "chr3")}
    summits = np.arange(200, 19_800, 400)
    for i, summit in enumerate(summits[:30]):
        span = slice(summit - 64, summit + 64)
        copy = contigs["chr1"][span].copy()
        at = rng.choice(128, (6, 19, 32)[i // 10], replace=False)
        copy[at] = (copy[at] + 1) % 4
        contigs["chr3"][span] = copy
    genome, bed = folder / "genome.fa", folder / "peaks.bed"
    genome.write_text(
        "".join(f">{name}\n{decode(codes[None].astype(np.uint8))[0]}\n" for name, codes in contigs.items())
    )
    bed.write_text("".join(f"{name}\t{s}\t{s + 1}\tp\t0\t+\n" for name in contigs for s in summits))
    config = WindowsConfig(genome=genome, peaks=bed, length=128, validation="chr2", test="chr3", exclusion_bp=30)
    found = windows(config, folder / "windows")
    model = baseline(BaselineConfig(), found, folder / "baseline")
    return Related(found, audit(AuditConfig(), found, folder / "audit"), model)


def test_metrics_by_similarity_to_training(related: Related, tmp_path: Path) -> None:
    found, audited, model = related
    plain = evaluate(EvaluateConfig(bootstrap=5), model, found, tmp_path / "plain")
    out = evaluate(EvaluateConfig(bootstrap=5), model, found, tmp_path / "e", audited)
    metrics = json.loads((out / "metrics.json").read_text())
    strata = metrics.pop("per_similarity")
    assert metrics == json.loads((plain / "metrics.json").read_text())
    assert list(strata) == ["none", "below 0.8", "0.8 to 0.9", "0.9 and more"]
    assert sum(values["n"] for values in strata.values()) == metrics["n"]
    assert strata["0.9 and more"]["n"] == strata["0.9 and more"]["n_positive"] == 10
    assert 8 <= strata["0.8 to 0.9"]["n"] <= 12
    assert strata["0.9 and more"]["auroc"] is None
    accuracy = sum(values["n"] * values["accuracy"] for values in strata.values()) / metrics["n"]
    assert accuracy == pytest.approx(metrics["accuracy"])


def test_an_audit_of_others_or_of_nothing_is_refused(related: Related, motif_windows: Path, tmp_path: Path) -> None:
    for found, folder, fold, message in (
        (motif_windows, related.audit, "test", "is an audit of other windows"),
        (motif_windows, tmp_path / "none", "test", "there is no such folder"),
        (motif_windows, motif_windows, "test", "is not a folder of the audit stage"),
        (related.windows, related.audit, "train", "has no results for the train fold"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(EvaluateConfig(fold=fold), related.model, found, tmp_path / "e", folder)
        assert not (tmp_path / "e").exists()
    damaged = tmp_path / "own"
    shutil.copytree(related.audit, damaged)
    (damaged / "similarity.parquet").unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        evaluate(EvaluateConfig(), related.model, related.windows, tmp_path / "e", damaged)
