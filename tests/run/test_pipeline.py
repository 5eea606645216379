"""The whole pipeline on a tiny simulated genome: every artefact, skipping, and a kill in the middle of training."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from capsight import artefact
from capsight.config import MotifsConfig
from capsight.data import schema
from capsight.data.attributions import Attributions
from capsight.data.io.bigwig import BigWig
from capsight.errors import ConfigError, InputError, NoPredictedPositives
from capsight.motifs.motifs import motifs
from capsight.report.summary import summary
from capsight.run.pipeline import plan, run
from capsight.run.recipe import read_recipe

pytestmark = pytest.mark.pipeline

SAME = ("windows/windows.parquet", "windows/ctss.parquet", "pretrained/model.safetensors",
        "model/model.safetensors", "model/adapter/adapter_model.safetensors", "model/metrics.jsonl",
        "evaluation/metrics.json", "predictions.tsv", "attributions.npz",
        "motifs/motifs.tsv", "motifs/elements.tsv", "hits.tsv", "factors.tsv", "audit/audit.json",
        "report/roc.svg")  # fmt: skip


def test_every_artefact_is_there_and_says_how_it_was_made(finished: Path) -> None:
    for name in (
        "simulation",
        "windows",
        "audit",
        "pretrained",
        "model",
        "baseline",
        "evaluation",
        "evaluation-baseline",
        "motifs",
    ):
        record = yaml.safe_load((finished / name / "provenance.yaml").read_text())
        assert record["capsight"]
        assert record["outputs"]
        assert all(len(item["sha256"]) == 64 for item in record["inputs"].values())
    record = yaml.safe_load((finished / "predictions.tsv.provenance.yaml").read_text())
    assert set(record["inputs"]) == {"model", "source"}
    for name, stage, read in (
        ("hits.tsv", "motif-scan", {"sequences", "motif_db"}),
        ("factors.tsv", "motif-enrich", {"positives", "negatives", "motif_db"}),
    ):
        record = yaml.safe_load((finished / f"{name}.provenance.yaml").read_text())
        assert record["stage"] == stage
        assert set(record["inputs"]) == read
        assert record["inputs"]["motif_db"]["path"].endswith("simulation/motifs.meme")
    assert not list(finished.rglob("*.partial"))
    assert not list(finished.rglob("checkpoint"))


def test_metrics_are_complete_and_have_intervals(finished: Path) -> None:
    metrics = json.loads((finished / "evaluation" / "metrics.json").read_text())
    names = {"accuracy", "precision", "recall", "f1", "mcc", "auroc", "auprc", "brier", "ece"}
    assert names | {"n", "n_positive", "intervals", "per_chromosome"} <= set(metrics)
    assert set(metrics["per_chromosome"]) == {"chr3"}
    for name in names:
        low, high = metrics["intervals"][name]
        assert low < high
        if name != "ece":  # a resampled calibration error is higher than that of the sample
            assert low <= metrics[name] <= high
        assert metrics["per_chromosome"]["chr3"][name] == metrics[name]


def test_predictions_are_the_test_windows_in_order(finished: Path) -> None:
    table = pd.read_csv(finished / "predictions.tsv", sep="\t")
    windows = pd.read_parquet(finished / "windows" / "windows.parquet")
    expected = windows[windows["fold"] == "test"]
    assert list(table.columns) == list(schema.PREDICTION_COLUMNS)
    for column in ("chrom", "start", "end", "strand"):
        assert table[column].tolist() == expected[column].tolist()
    scores = pd.read_parquet(finished / "evaluation" / "scores.parquet")["score"]
    assert (table["score"] - scores.reset_index(drop=True)).abs().max() < 1e-6


def test_a_second_run_does_nothing(finished: Path, recipe: Path) -> None:
    def made() -> dict[Path, int]:
        parts = [path for path in finished.iterdir() if path.name not in ("report", "provenance.yaml")]
        return {p: p.stat().st_mtime_ns for part in parts for p in (part, *part.rglob("*"))}

    before = made()
    run(recipe, finished)
    assert made() == before
    assert {"model", "windows", "evaluation", "motifs", "predictions.tsv"} <= {path.name for path in before}


def test_a_changed_setting_repeats_only_what_depends_on_it(finished: Path, recipe: Path) -> None:
    kept = artefact.sha256(finished / "pretrained" / "model.safetensors")
    made = (finished / "pretrained" / "model.safetensors").stat().st_mtime_ns
    old = artefact.sha256(finished / "model" / "model.safetensors")
    run(recipe, finished, ["finetune.seed=7"])
    assert (finished / "pretrained" / "model.safetensors").stat().st_mtime_ns == made
    assert artefact.sha256(finished / "model" / "model.safetensors") != old
    run(recipe, finished)
    assert artefact.sha256(finished / "model" / "model.safetensors") == old
    assert artefact.sha256(finished / "pretrained" / "model.safetensors") == kept


@pytest.mark.parametrize("stage", ["pretrained", "model"])
def test_killed_and_continued_equals_uninterrupted(stage: str, finished: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    phase = "relora_phase" if stage == "pretrained" else "finetune"
    code = (  # a checkpoint is followed by a rest, in which the run is killed however fast the machine is
        "import time; from pathlib import Path; from capsight import run; from capsight.train import loop\n"
        "save = loop._Loop._save\n"
        f"def slowly(self): save(self); time.sleep(2 if self.plan.name == {phase!r} else 0)\n"
        "loop._Loop._save = slowly\n"
        f"run(Path({str(recipe)!r}), Path({str(out)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    checkpoint = out / f"{stage}.partial" / "checkpoint" / phase
    for _ in range(3000):
        if (checkpoint / "state.json").exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert not (out / stage).exists()
    run(recipe, out)
    for name in SAME:
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


def test_attributions_of_another_model_or_other_windows_are_refused(finished: Path, tmp_path: Path) -> None:
    folders = {"model": finished / "model", "windows": finished / "windows"}
    attributions = finished / "attributions.npz"
    for name, message in (("model", "attributions of another model than"), ("windows", "of other windows than")):
        other = folders | {name: finished / "pretrained"}
        with pytest.raises(InputError, match=message):
            motifs(MotifsConfig(k=4), attributions, tmp_path / "motifs", other["model"], other["windows"])
    assert not (tmp_path / "motifs").exists()


def test_a_model_that_calls_nothing_leaves_explanations_out(
    finished: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nothing(*_: object) -> None:
        raise NoPredictedPositives("no window of the test fold is predicted positive")

    monkeypatch.setattr(sys.modules["capsight.explain.explain"], "explain", nothing)
    run(recipe, finished)
    assert "are left out: no window of the test fold is predicted positive" in caplog.text


def test_no_window_of_one_fold_overlaps_another(finished: Path) -> None:
    table = pd.read_parquet(finished / "windows" / "windows.parquet")
    assert table.groupby("chrom")["fold"].nunique().max() == 1
    assert set(table["fold"]) == set(schema.FOLDS)


def test_pretrained_model_is_refused_for_prediction(finished: Path, tmp_path: Path) -> None:
    from capsight.config import PredictConfig
    from capsight.predict.predict import predict

    with pytest.raises(InputError, match="run capsight finetune first"):
        predict(PredictConfig(), finished / "pretrained", finished / "windows", tmp_path / "p.tsv")


def test_model_folder_of_plain_llama_opens_with_auto_classes(recipe: Path, finished: Path, tmp_path: Path) -> None:
    import torch

    from capsight.data.sequence.tokenizer import make_tokenizer
    from capsight.data.windows.windows import Windows
    from capsight.model.classifier import load_classifier

    plain = ["pretrain.model={width: 16, mlp_size: 24, layers: 1, heads: 2, stem_channels: 0,"
             " causal: true, pooling: last}",
             "pretrain.objective=causal", "pretrain.relora_phase.steps=8", "finetune.epochs=1"]  # fmt: skip
    out = run(recipe, tmp_path / "plain", plain)
    model, card = load_classifier(out / "model")
    codes = Windows.open(out / "windows").fold("test").codes(pd.RangeIndex(5).to_numpy())
    tokens = torch.from_numpy(make_tokenizer(card.tokenizer, out / "model").encode(codes))
    twin = AutoModelForSequenceClassification.from_pretrained(out / "model").eval()
    with torch.no_grad():
        torch.testing.assert_close(twin(tokens).logits, model(tokens).logits, atol=1e-5, rtol=1e-5)
        states = AutoModel.from_pretrained(out / "model").eval()(tokens).last_hidden_state
        torch.testing.assert_close(states, model(tokens).states, atol=1e-5, rtol=1e-5)
    text = "".join("ACGT"[c] for c in codes[0])
    assert AutoTokenizer.from_pretrained(out / "model")(text)["input_ids"] == tokens[0].tolist()


def test_adapter_beside_the_model_is_a_peft_adapter(finished: Path) -> None:
    import torch
    from peft import PeftModel

    from capsight.model.classifier import load_classifier, start_classifier

    merged, _ = load_classifier(finished / "model")
    base = start_classifier(finished / "pretrained", seed=1)
    adapted = PeftModel.from_pretrained(base, finished / "model" / "adapter").eval()
    tokens = torch.randint(3, 7, (4, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(adapted(input_ids=tokens).logits, merged(tokens).logits, atol=1e-5, rtol=1e-5)


def test_recipe_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    values = {"windows": {"genome": "g.fa", "peaks": "../p.bed", "ctss": "a.bed,b.bed"}, "finetune": {}}
    values["pretrain"] = {"genome": "h.fa"}
    (folder / "r.yaml").write_text(yaml.safe_dump(values))
    read = read_recipe(folder / "r.yaml", tmp_path / "run", ["windows.test=chr1"])
    assert read.windows.genome == folder / "g.fa"
    assert read.windows.peaks == folder / ".." / "p.bed"
    assert read.pretrain is not None
    assert read.pretrain.genome == folder / "h.fa"
    assert read.windows.ctss == (folder / "a.bed", folder / "b.bed")
    values["windows"]["ctss"] = ["a.bed"]
    (folder / "r.yaml").write_text(yaml.safe_dump(values))
    assert read_recipe(folder / "r.yaml", tmp_path / "run").windows.ctss == (folder / "a.bed",)
    assert read_recipe(folder / "r.yaml", tmp_path / "run", ["windows.genome=x.fa"]).windows.genome == Path("x.fa")


def test_foreign_folder_is_left_alone(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a run of capsight"):
        run(recipe, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_recipe_errors_come_before_any_work(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        run(recipe, tmp_path / "run", ["predict.batchsize=3"])
    assert not (tmp_path / "run").exists()


def test_a_recipe_with_a_section_train_trains_scans_and_explains_a_track_model(finished_track: Path) -> None:
    from capsight.model.track_folder import load_track

    _, card = load_track(finished_track / "model")
    assert (card.train, card.validation, card.test, card.counts) == (("chr1",), ("chr2",), ("chr3",), "ctss")
    assert card.calibration is not None
    assert card.calling is not None
    assert not (finished_track / "pretrained").exists()

    measured = json.loads((finished_track / "evaluation-scan" / "metrics.json").read_text())
    assert measured["chromosomes"] == ["chr3"]
    assert measured["min_probability"] == card.calling.min_probability
    assert set(measured["compared"]) == {"baseline"}
    assert measured["scan"]["auprc"] > 2 * measured["compared"]["baseline"]["auprc"]
    assert measured["scan"]["auprc"] > 4 * measured["scan"]["prevalence"]
    windows = json.loads((finished_track / "evaluation" / "metrics.json").read_text())
    assert windows["auroc"] > 0.65
    predictions = pd.read_csv(finished_track / "predictions.tsv", sep="\t")
    assert len(predictions) == windows["n"]

    with BigWig(finished_track / "scan" / "plus.bw") as bigwig:
        assert list(bigwig.chroms) == ["chr1", "chr2", "chr3"]
        tags = np.nan_to_num(bigwig.values("chr3", 0, bigwig.chroms["chr3"]))
    tss = pd.read_csv(finished_track / "scan" / "tss.bed", sep="\t", header=None)
    assert (tss[4] >= int(1000 * card.calling.min_probability)).all()
    called = tss[(tss[0] == "chr3") & (tss[5] == "+")]
    assert len(called) > 5
    assert np.median(tags[called[6]]) > 20 * tags.mean()  # tracks and calls are of the same scan

    explained = Attributions.read(finished_track / "attributions.npz")
    assert set(explained.methods) == {"ig"}
    assert len(explained.codes) == 4
    assert np.abs(explained.methods["ig"]).max(axis=1).min() > 0


def test_the_report_of_a_track_model_shows_its_scan(finished_track: Path) -> None:
    page = (finished_track / "report" / "report.html").read_text()
    auprc = json.loads((finished_track / "evaluation-scan" / "metrics.json").read_text())["scan"]["auprc"]
    before = page[: page.index("AUPRC, bins of 50 bases")]
    assert f"{auprc:.3f}" in before[-100:]  # a figure stands before its name


def test_a_second_run_of_a_track_model_does_nothing(finished_track: Path, track_recipe: Path) -> None:
    def made() -> dict[Path, int]:
        anew = {finished_track / "provenance.yaml", *(finished_track / "report").iterdir()}  # written by every run
        files = [path for path in finished_track.rglob("*") if path.is_file() and path not in anew]
        return {path: path.stat().st_mtime_ns for path in files}

    before, page = made(), (finished_track / "report" / "report.html").read_bytes()
    run(track_recipe, finished_track)
    assert made() == before
    assert (finished_track / "report" / "report.html").read_bytes() == page


@pytest.mark.parametrize("name", ["model", "evaluation-scan", "scan"])
def test_a_run_of_a_track_model_replaces_only_its_own(
    name: str, finished_track: Path, track_recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    (out / name).mkdir(parents=True)
    (out / name / "weights").write_text("days")
    (out / "provenance.yaml").write_bytes((finished_track / "provenance.yaml").read_bytes())
    with pytest.raises(InputError, match=name):
        run(track_recipe, out)
    assert (out / name / "weights").read_text() == "days"
    assert sorted(path.name for path in out.iterdir()) == sorted(["provenance.yaml", name])


def test_a_track_model_that_learned_too_little_leaves_explanations_out(
    track_recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = ["simulate.bases=200000", "train.epochs=0.1"]
    out = run(track_recipe, tmp_path / "run", small)
    assert "explain, motifs and what reads them are left out" in caplog.text
    assert "no window of the test fold is predicted positive" in caplog.text
    assert (out / "report" / "report.html").is_file()
    assert not (out / "attributions.npz").exists()


def test_a_recipe_without_an_audit_audits_nothing(track_recipe: Path, tmp_path: Path) -> None:
    with_audit, without = (
        plan(read_recipe(track_recipe, tmp_path, overrides), tmp_path) for overrides in ([], ["audit=null"])
    )
    assert [step.result for step in with_audit if step.stage == "audit"] == ["audit"]
    assert not [step for step in without if step.stage == "audit"]
    named = {step.result: step.named.get("audit") for step in with_audit if step.stage == "evaluate"}
    assert named == {
        "evaluation": tmp_path / "audit",
        "evaluation-baseline": tmp_path / "audit",
        "evaluation-scan": None,
    }
    assert all("audit" not in step.reads(tmp_path) for step in without)


def test_every_stage_has_a_summary_with_its_main_figure(finished_track: Path, track_recipe: Path) -> None:
    told = {}
    for step in plan(read_recipe(track_recipe, finished_track), finished_track):
        lines = summary(step.stage, finished_track / step.result)
        assert len(lines) <= 2, step.stage
        told[step.result] = " ".join(lines)
    auroc = json.loads((finished_track / "evaluation" / "metrics.json").read_text())["auroc"]
    scanned = json.loads((finished_track / "evaluation-scan" / "metrics.json").read_text())
    counts = json.loads((finished_track / "windows" / "summary.json").read_text())["folds"]["train"]
    assert f"train {counts['positive']:,} + {counts['negative']:,}" in told["windows"]
    assert f"AUROC {auroc:.3f} (95 % interval" in told["evaluation"]
    assert f"AUPRC {scanned['scan']['auprc']:.3f} (95 % interval" in told["evaluation-scan"]
    assert f"{len((finished_track / 'scan' / 'tss.bed').read_text().splitlines()):,} TSSs" in told["scan"]
    assert "13 checks" in told["audit"]
    assert told["loci"].startswith("5 pictures: ")


def test_example_loci_are_chosen_by_their_rules(finished_track: Path) -> None:
    def read(path: Path, **given: object) -> pd.DataFrame:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep="\t", **given)

    def near(tags: pd.DataFrame, position: int, strand: str) -> float:
        return float(tags.loc[(tags["strand"] == strand) & ((tags["position"] - position).abs() <= 50), "count"].sum())

    windows = finished_track / "windows"
    peaks, tags = read(windows / "peaks.parquet"), read(windows / "ctss.parquet")
    columns = ["chrom", "start", "end", "name", "score", "strand", "position"]
    calls = read(finished_track / "scan" / "tss.bed", names=columns, usecols=range(7))
    peaks, tags, calls = (table[table["chrom"] == "chr3"] for table in (peaks, tags, calls))
    strength = [near(tags, *place) for place in zip(peaks["summit"], peaks["strand"], strict=True)]
    found = [
        bool(((calls["strand"] == strand) & ((calls["position"] - summit).abs() <= 50)).any())
        for summit, strand in zip(peaks["summit"], peaks["strand"], strict=True)
    ]
    peaks = peaks.assign(strength=strength, found=found)
    told = {each["file"]: each for each in json.loads((finished_track / "loci" / "examples.json").read_text())}
    missed = peaks[~peaks["found"]]
    assert f"{len(missed):,} of {len(peaks):,} peaks of the fold are not" in told["missed.svg"]["what"]
    assert f"({missed['strength'].max():,.0f} observed 5' ends)" in told["missed.svg"]["what"]
    weak = sorted(strength)[int(0.1 * (len(strength) - 1))]
    assert f"A weak peak of the test fold: {weak:,.0f} observed 5' ends" in told["weak.svg"]["what"]
    false = [near(tags, *place) == 0 for place in zip(calls["position"], calls["strand"], strict=True)]
    assert f"{sum(false):,} of {len(calls):,} calls of the fold have none" in told["unsupported.svg"]["what"]
    first, last = (int(each.replace(",", "")) for each in told["missed.svg"]["place"].partition(":")[2].split("-"))
    middle = missed.loc[missed["strength"].idxmax(), "summit"]
    assert first <= middle + 1 <= last
    for name in told:
        assert b"<svg" in (finished_track / "loci" / name).read_bytes()


def test_the_report_has_its_parts_in_order_and_fits_a_mail(finished_track: Path) -> None:
    path = finished_track / "report" / "report.html"
    page = path.read_text()
    assert path.stat().st_size < 3_000_000
    parts = ["scan", "curves", "reliability", "windows", "loci", "audit", "training", "methods", "made"]
    places = [page.index(f'<section id="{part}">') for part in parts]
    assert places == sorted(places)
    assert page.count('class="wide locus"') == 5
    assert "http" not in page
    assert "integrated gradients [" in page
