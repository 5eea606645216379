"""`evaluate --scan`: what it writes, what it compares with, and what it refuses."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from tests.evaluate.conftest import bed, swapped

from capsight.config import BaselineConfig, EvaluateConfig
from capsight.data.genome.stretches import Stretches
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.evaluate.evaluate import evaluate
from capsight.train.baselines.baseline import baseline

SCAN = EvaluateConfig(scan=True, bootstrap=20)


def read(out):
    return json.loads((out / "metrics.json").read_text())


def counted(world):
    rows = [line.split("\t") for line in world.ctss.read_text().splitlines()]
    return {(c, s, int(p)): float(n) for c, p, _, _, n, s in rows}


@pytest.fixture(scope="module")
def scanned(world, track, tmp_path_factory):
    """Return the metrics of the model, beside the fold's own counts, those of the other strand, and random ones."""
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    draws = {("chr3", "+-"[rng.integers(2)], int(p)): 1.0 + rng.integers(50) for p in rng.permutation(43_210)[:4_000]}
    files = {"own.bed": counted(world), "swapped.bed": swapped(counted(world)), "random.bed": draws}
    for name, counts in files.items():
        (folder / name).write_text(bed(counts))
    small = baseline(BaselineConfig(model="lgbm", k=2), world.windows, folder / "boosting")
    config = SCAN.model_copy(update={"pwm": True, "step": 50})
    references = [folder / name for name in files]
    return evaluate(config, track, world.windows, folder / "out", references=references, against=[small])


def test_the_answers_that_are_known(scanned):
    result = read(scanned)
    own, other, random = (result["compared"][name] for name in ("own.bed", "swapped.bed", "random.bed"))
    assert own["auprc"] == own["auprc_expected_tags"] > 0.99, "all that counts may lose by: 5' ends beyond a bin's edge"
    assert own["auroc"] > 0.999
    assert own["precision_at_recall_0.8"] == 1
    assert own["named_exact"] == own["best_calls_with_tag"] == 1
    assert own["profile_correlation"] == pytest.approx(1)
    assert own["log_total_correlation_expected_tags"] == pytest.approx(1, abs=1e-3)
    assert own["jensen_shannon_distance"] == pytest.approx(0, abs=1e-6)
    assert own["intervals"]["auprc"][0] > 0.98
    assert other["auprc"] < 2 * other["prevalence"], "strands swapped"
    assert other["auroc"] < 0.5
    assert other["best_calls_with_tag"] == 0
    assert other["precision_at_recall_0.5"] is None
    assert random["auprc"] == pytest.approx(random["prevalence"], abs=0.03)
    assert random["auroc"] == pytest.approx(0.5, abs=0.08)


def test_what_is_measured_and_beside_what(scanned):
    result = read(scanned)
    assert (result["fold"], result["chromosomes"], result["bases"]) == ("test", ["chr3"], 43_210)
    assert (result["n_peaks"], result["ctss_source"], result["min_probability"]) == (70, "ctss", 0.02)
    assert list(result["compared"]) == ["own.bed", "swapped.bed", "random.bed", "boosting", "TATA + initiator"]
    assert result["scan"]["prevalence"] == pytest.approx(70 / (2 * 865))
    undefined = {"calibration_error", "precision_within_50", "log_total_correlation_strength"}
    assert undefined <= set(result["scan"])
    for beside in result["compared"].values():
        assert not undefined & set(beside)
        assert (beside["n_calls"], beside["reliability"]) == (None, {})
    assert "profile_correlation" not in result["compared"]["boosting"]
    assert 0 <= result["compared"]["boosting"]["auprc"] <= 1


def test_figures_follow_from_the_calls_that_are_written(scanned):
    scan, calls = read(scanned)["scan"], pd.read_parquet(scanned / "calls.parquet")
    assert (calls["probability"].diff().dropna() <= 0).all()
    assert set(calls["chrom"]) == {"chr3"}
    assert set(calls["strand"]) == {"+", "-"}
    called = calls[calls["probability"] >= 0.02]
    assert len(called) == scan["n_calls"]
    for reach in (0, 10, 50, 150):
        hit = called[f"within_{reach}"]
        assert (called.loc[hit, "summit_distance"].abs() <= reach).all()
        assert scan[f"precision_within_{reach}"] == pytest.approx(hit.mean())
        assert scan[f"recall_within_{reach}"] == pytest.approx(hit.sum() / 70)
    assert scan["best_calls_with_tag"] == pytest.approx(calls["has_tag"][:70].mean())
    for name, column, threshold in (("calibrated", "probability", 0.01), ("uncalibrated", "uncalibrated", 0.01)):
        kept = calls[calls[column] >= threshold]
        curve = scan["reliability"][name]
        assert sum(curve["n"]) == len(kept)
        right = (kept["summit_distance"].abs() <= 10).mean()
        assert np.average(curve["right"], weights=curve["n"]) == pytest.approx(right)
        assert np.average(curve["probability"], weights=curve["n"]) == pytest.approx(kept[column].mean())


def test_intervals_hold_the_figures(scanned):
    scan = read(scanned)["scan"]
    for name in ("auprc", "auroc", "best_calls_with_tag", "profile_correlation"):
        low, high = scan["intervals"][name]
        assert low < high
        assert low - 0.05 <= scan[name] <= high + 0.05


def test_without_counts_peaks_are_not_compared(world, track, tmp_path):
    from capsight.config import WindowsConfig
    from capsight.data.windows.stage import windows

    config = WindowsConfig(
        genome=world.genome, peaks=world.peaks, length=64, validation="chr2", test="chr3", exclusion_bp=10
    )
    plain = windows(config, tmp_path / "windows")
    result = read(evaluate(SCAN, track, plain, tmp_path / "out", references=[world.ctss]))
    assert result["ctss_source"] == "summits"
    assert "profile_correlation" not in result["scan"]
    assert result["scan"]["n_peaks_compared"] == 0
    assert result["compared"]["ctss.bed"]["auprc"] > 0.99


def test_references_may_use_the_names_that_the_windows_were_made_with(world, track, tmp_path):
    from capsight.config import WindowsConfig
    from capsight.data.windows.stage import windows

    (tmp_path / "aliases.txt").write_text("".join(f"chr{i}\t{i}\n" for i in (1, 2, 3)))
    (tmp_path / "renamed.bed").write_text(world.ctss.read_text().replace("chr", ""))
    config = WindowsConfig(
        genome=world.genome, peaks=world.peaks, ctss=(world.ctss,), aliases=tmp_path / "aliases.txt", length=64,
        validation="chr2", test="chr3", exclusion_bp=10,
    )  # fmt: skip
    made = windows(config, tmp_path / "windows")
    references = [tmp_path / "renamed.bed", world.ctss]
    result = read(evaluate(SCAN, track, made, tmp_path / "out", references=references))
    assert result["compared"]["renamed.bed"] == result["compared"]["ctss.bed"]


def test_a_baseline_may_be_the_model_and_two_of_one_name_are_told_by_their_paths(world, track, tmp_path):
    small = baseline(BaselineConfig(model="lgbm", k=1), world.windows, tmp_path / "boosting")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = [tmp_path / "a" / "rep.bed", tmp_path / "b" / "rep.bed"]
    for file in files:
        file.write_text(world.ctss.read_text())
    config = SCAN.model_copy(update={"step": 100, "bootstrap": 0})
    result = read(evaluate(config, small, world.windows, tmp_path / "out", references=files, against=[track]))
    assert result["min_probability"] is None
    assert "intervals" not in result["scan"]
    assert list(result["compared"]) == [str(files[0]), str(files[1]), "model"]
    assert result["compared"]["model"]["calibration_error"] > 0


def test_the_same_again_is_done_already_and_other_references_are_not(world, track, tmp_path, caplog):
    out = tmp_path / "out"
    config = SCAN.model_copy(update={"bootstrap": 0})
    evaluate(config, track, world.windows, out)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    with caplog.at_level(logging.INFO):
        evaluate(config, track, world.windows, out)
    assert "is done already" in caplog.text
    evaluate(config, track, world.windows, out, references=[world.ctss])
    assert "ctss.bed" in read(out)["compared"]
    evaluate(config, track, world.windows, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first, "the same bytes"


def test_a_fold_of_few_blocks_is_warned_of(world, track, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        evaluate(SCAN.model_copy(update={"bootstrap": 2}), track, world.windows, tmp_path / "out")
    assert "the fold has 5 blocks of 10,000 bases: intervals say little" in caplog.text


def test_a_fold_that_the_model_learned_from_is_warned_of(world, track, tmp_path, caplog):
    config = SCAN.model_copy(update={"bootstrap": 0, "fold": "train"})
    with caplog.at_level(logging.WARNING):
        evaluate(config, track, world.windows, tmp_path / "out")
    assert "model was trained on chr1 of the train fold: its metrics here are optimistic" in caplog.text


def test_what_cannot_be_used_is_refused_and_nothing_is_left(world, track, tmp_path):
    def run(config=SCAN, **beside):
        return evaluate(config, track, world.windows, tmp_path / "out", **beside)

    other = tmp_path / "other.bed"
    other.write_text("chr9\t3\t4\t.\t1\t+\n")
    with pytest.raises(InputError, match=r"other.bed: contig 'chr9' is not in genome.fa"):
        run(references=[other])
    with pytest.raises(InputError, match=r"ctss.bed: is named twice"):
        run(references=[world.ctss, world.ctss])
    with pytest.raises(InputError, match=r"model: is named twice"):
        run(against=[track, track])
    with pytest.raises(InputError, match=r"nowhere: there is no such model folder"):
        run(against=[tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="leave the audit out"):
        run(audit=tmp_path)
    with pytest.raises(ConfigError, match="set scan to true"):
        run(EvaluateConfig(), references=[world.ctss])
    with pytest.raises(ValueError, match="a PWM is compared with a scan"):
        EvaluateConfig(pwm=True)
    (tmp_path / "old").mkdir()
    for path in world.windows.iterdir():
        if path.name != "peaks.parquet":
            (tmp_path / "old" / path.name).write_bytes(path.read_bytes())
    record = (tmp_path / "old" / "provenance.yaml").read_text().splitlines()
    (tmp_path / "old" / "provenance.yaml").write_text("\n".join(line for line in record if "peaks.parquet" not in line))
    with pytest.raises(InputError, match=r"peaks.parquet: there is no such file.*make them again"):
        evaluate(SCAN, track, tmp_path / "old", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))


def test_windows_are_scored_by_a_track_model_too(world, track, tmp_path):
    result = read(evaluate(EvaluateConfig(bootstrap=0), track, world.windows, tmp_path / "out"))
    assert result["n"] == len(Windows.open(world.windows).fold("test").table)
    scored = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert scored["score"].between(0, 1).all()
    assert scored["score"].nunique() > 100


def test_a_fold_of_regions_is_scanned_there_with_whatever_is_slid_along(world, track, tmp_path, caplog):
    from capsight.config import WindowsConfig
    from capsight.data.windows.stage import windows

    made = windows(
        WindowsConfig(
            genome=world.genome, peaks=world.peaks, ctss=(world.ctss,), length=64, exclusion_bp=10,
            validation="chr2", test="chr1:11001-21000,chr3:1-20000", exclude="chr3:20001-43210",
        ),
        tmp_path / "windows",
    )  # fmt: skip
    boosting = baseline(BaselineConfig(model="kmer-lr"), made, tmp_path / "boosting")
    config = EvaluateConfig(scan=True, bootstrap=0, pwm=True, step=50)
    with caplog.at_level(logging.WARNING):
        result = read(evaluate(config, track, made, tmp_path / "out", against=[boosting], references=[world.ctss]))
    assert "model was trained on chr1 of the test fold" in caplog.text, "on all of chr1"
    assert (result["chromosomes"], result["bases"]) == (["chr1:11001-21000", "chr3:1-20000"], 30_000)
    inside = [(c, p) for c, _, p in world.summits if (c, p // 1_000) in
              {("chr1", i) for i in range(11, 21)} | {("chr3", i) for i in range(20)}]  # fmt: skip
    assert result["n_peaks"] == len(inside)
    for scan in (result["scan"], *result["compared"].values()):
        assert scan["prevalence"] == pytest.approx(len(inside) / 1_200)
    own = result["compared"]["ctss.bed"]
    assert own["auroc"] > 0.999
    calls = pd.read_parquet(tmp_path / "out" / "calls.parquet")
    assert calls.groupby("chrom").position.agg(["min", "max"]).loc["chr1"].between(11_000, 20_999).all()
    assert calls.groupby("chrom").position.agg(["min", "max"]).loc["chr3"].between(0, 19_999).all()


def test_only_regions_that_share_bases_were_learned_from(world):
    tested = Stretches.named(Windows.open(world.windows).genome, ["chr3:20-25"])
    learned = ["chr3:21-30", "chr1", "chr3:1-20", "chr3:26-40", "chrZ:1-9", "chr3:1-99999"]  # some of another genome
    assert tested.touched(learned) == ["chr3:1-20", "chr3:21-30"]
    assert tested.touched(["chr3"]) == ["chr3"]
