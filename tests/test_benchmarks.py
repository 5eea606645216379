"""Benchmarks: the table of models says what its folders say; changes are counted right."""

import importlib.util
import io
import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch.nn import functional

from capsight.artefact import sha256
from capsight.config import BaselineConfig, EvaluateConfig
from capsight.config.track import TrackConfig
from capsight.data.genome.genome import Genome
from capsight.data.peaks.reader import read_peaks
from capsight.evaluate.evaluate import evaluate
from capsight.model.track import Convolution, TrackNetwork
from capsight.model.track_folder import TrackCard
from capsight.predict.alleles import AlleleScorer, Change
from capsight.predict.track import TrackScorer
from capsight.train.baselines.baseline import baseline

from .conftest import random_dna

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    return load("compare")


def test_models_side_by_side(
    compare: ModuleType, motif_windows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, config in (
        ("one", {"model": "lgbm"}),
        ("two", {"model": "cnn", "cnn": {"width": 4, "blocks": 1}, "training": {"epochs": 1}}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "windows").symlink_to(motif_windows)
        folder = baseline(BaselineConfig.model_validate(config), motif_windows, tmp_path / name / "baseline")
        evaluate(EvaluateConfig(bootstrap=0), folder, motif_windows, tmp_path / name / "evaluation-baseline")
    compare.main([str(tmp_path / "one"), str(tmp_path / "two"), "--windows", "300"])
    plain, _, marked = capsys.readouterr().out.partition("\n\n")
    table = pd.read_csv(io.StringIO(plain), sep="\t")
    assert table["folder"].tolist() == ["one", "two"]
    assert table["model"].tolist() == ["lgbm", "cnn"]
    for name, row in zip(("one", "two"), table.to_dict("records"), strict=True):
        metrics = json.loads((tmp_path / name / "evaluation-baseline" / "metrics.json").read_text())
        assert row["auprc"] == pytest.approx(metrics["auprc"], rel=1e-5)
        assert row["tested"] == metrics["n"]
        assert row["windows_per_s"] > 0
    took = json.loads((tmp_path / "two" / "baseline" / "logs" / "cnn" / "seconds.json").read_text())
    assert table["train_cpu_s"][1] == pytest.approx(took["cpu_seconds"], rel=1e-4)
    assert table["tokens"][1] == 64
    assert table[["parameters", "tokens"]].isna().all(axis=1).tolist() == [True, False]
    assert len(marked.strip().splitlines()) == 4
    with pytest.raises(SystemExit):
        compare.main([str(tmp_path)])


def test_a_training_of_no_updates_took_no_time_and_one_without_a_record_is_unknown(
    compare: ModuleType, tmp_path: Path
) -> None:
    model, pretrained = tmp_path / "model", tmp_path / "pretrained"
    for folder in (model, pretrained):
        folder.mkdir()
        (folder / "metrics.jsonl").touch()
    (model / "metrics.jsonl").write_text("{}\n")
    record = model / "logs" / "finetune" / "seconds.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"seconds": 3.0, "cpu_seconds": 2.0}')
    assert compare.training([model, pretrained]) == {"train_s": 3.0, "train_cpu_s": 2.0}
    (pretrained / "metrics.jsonl").write_text("{}\n")
    assert compare.training([model, pretrained]) == {"train_s": None, "train_cpu_s": None}


@pytest.fixture
def variants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return load("variants")


def test_changes_a_second_of_every_kind(
    variants: ModuleType,
    tiny_track: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(variants, "convolution_rate", lambda *_: 4e9)
    (tmp_path / "genome.fa").write_text(f">chr1\n{random_dna(3000, 1)}\n")
    options = ["--region", "chr1:501-540", "--apart", "500", "--sparse", "5", "--distance", "50"]
    threads = torch.get_num_threads()
    try:
        variants.main([str(tiny_track), str(tmp_path / "genome.fa"), *options])
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [
        "SNVs, all of 40 bases, fp32", "SNVs, 500 bases apart, fp32", "insertions of 3 bases, neighbours, fp32",
        "deletions of 3 bases, neighbours, fp32",
    ]  # fmt: skip
    assert len(lines) == 8
    for line in lines:
        alone, read = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:changes|with)", line))
        assert alone > read > 10
        assert "of 4 GFLOP/s" in line


@pytest.mark.parametrize("distance", [1, 10, 500])
@pytest.mark.parametrize(
    ("start", "alternative"),
    [(300, [0]), (300, [0, 1, 2, 3]), (301, []), (301, [1, 2])],
    ids=["snv", "mnv", "del", "ins"],
)
def test_multiply_adds_are_those_of_the_convolutions(
    variants: ModuleType, distance: int, start: int, alternative: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = TrackNetwork(TrackConfig(width=16, first_kernel=5, dilations=(1, 3), head_kernel=3, average_radius=8))
    scorer = AlleleScorer(TrackScorer(network), distance)
    counted = []
    convolve = Convolution.convolve

    def counting(
        self: Convolution, x: torch.Tensor, bias: torch.Tensor | None = None, padding: int = 0
    ) -> torch.Tensor:
        ones = torch.ones(1, 1, x.shape[1])
        kernel = torch.ones(1, 1, self.kernel_size[1])
        terms = functional.conv1d(ones, kernel, padding=padding, dilation=self.dilation[1]).sum()
        counted.append(len(x) * int(terms) * self.in_channels * self.out_channels)
        return convolve(self, x, bias, padding)

    monkeypatch.setattr(Convolution, "convolve", counting)
    end = 300 + len(alternative) if start == 300 else 303
    changes = [Change(start, end, np.array(alternative, np.uint8))]
    list(scorer.alleles(np.full(600, 3, np.uint8), changes))
    averaged = variants.multiply_adds(scorer, changes) - sum(counted)  # those are no convolution
    assert averaged >= 0
    assert averaged % (2 * 4 * network.config.width) == 0
    assert averaged < 0.2 * sum(counted)


@pytest.fixture
def transfer(motif_windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the benchmark with two genomes: that of the motif, and its first chromosome alone."""
    loaded = load("transfer")
    counts = [f"chr{c}\t{s}\t{s + 1}\t.\t{c}\t+\n" for c in (1, 2, 3) for s in range(400, 29_500, 100)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ctss.bed").write_text("".join(counts))
    for name in ("genome.fa", "peaks.bed"):
        (tmp_path / "data" / name).symlink_to(motif_windows.parent / name)
    genomes = {
        "whole": loaded.Source("genome.fa", "peaks.bed", "chr2", "chr3", ctss="ctss.bed"),
        "part": loaded.Source(
            "genome.fa", "peaks.bed", "chr1:15001-24000", "chr1:24001-30000", exclude=("chr2", "chr3")
        ),
    }
    monkeypatch.setattr(loaded, "GENOMES", genomes)
    return loaded


def test_drawn_peaks_are_those_of_training_and_5_prime_ends_go_with_them(transfer: ModuleType, tmp_path: Path) -> None:
    files = transfer.prepare("whole", tmp_path / "data", tmp_path / "out")
    genome, drawn = Genome.open(files.genome), {}
    for n in (5, 20):
        found = transfer.draw("whole", files, n, 1, tmp_path / str(n))
        peaks = read_peaks(found.peaks, genome)
        assert peaks.chrom.value_counts().to_dict() == {"chr1": n, "chr2": 58, "chr3": 58}
        drawn[n] = set(peaks[peaks.chrom == "chr1"].summit)
        ends = pd.read_csv(found.ctss, sep="\t", header=None)
        assert (ends[0] != "chr1").sum() == 2 * 291
        known = ends[ends[0] == "chr1"][1]
        assert {position for position in known if position % 500 == 0} == drawn[n]
        assert all(min(abs(position - summit) for summit in drawn[n]) <= 100 for position in known)
    assert drawn[5] < drawn[20]


def tables(folder: Path, name: str) -> tuple[str, dict[str, object], list[dict[str, object]]]:
    content = json.loads((folder / f"{name}.json").read_text())
    return (folder / f"{name}.md").read_text(), content, content["rows"]


def test_every_model_on_every_genome(
    transfer: ModuleType, tiny_track: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = TrackCard.model_validate({"halo": 1, "train": ["chr3"]})
    monkeypatch.setattr(transfer, "read_track_card", lambda _: known)
    transfer.main([str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--genomes", "whole,part", "--models",
                   str(tiny_track)])  # fmt: skip
    text, content, rows = tables(tmp_path / "out", "zero-shot")
    assert [(row["genome"], row["chromosomes"], row["tss"], row["own_or_seen"]) for row in rows] == [
        ("whole", ["chr3"], 58, True), ("part", ["chr1:24001-30000"], 11, False),
    ]  # fmt: skip
    assert str(content["command"]).startswith("python benchmarks/transfer.py ")
    assert str(content["command"]) in text
    first = rows[0]
    assert f"| whole | chr3 | 58 | 4.83% | {first['auprc']:.3f} / {first['auroc']:.3f} * |" in text
    metrics = json.loads(
        (tmp_path / "out" / "zero-shot" / "whole" / transfer.called(str(tiny_track)) / "metrics.json").read_text()
    )
    assert metrics["scan"]["auprc"] == first["auprc"]


def test_few_peaks_from_scratch_and_from_a_model(transfer: ModuleType, tiny_track: Path, tmp_path: Path) -> None:
    options = ["--data", str(tmp_path / "data"), "--few", "whole", "--init", str(tiny_track), "--numbers", "5,20"]
    for setting in ("epochs=0.05", "pretrain_epochs=0", "loss.orf_weight=0", "crops.length=512"):
        options += ["--set", setting]
    transfer.main([str(tmp_path / "out"), *options])
    text, _, rows = tables(tmp_path / "out", "few-whole")
    assert [(row["peaks"], row["start"], row["chromosomes"]) for row in rows] == [
        (n, start, ["chr2"]) for n in (5, 20) for start in ("from scratch", transfer.called(str(tiny_track)))
    ]
    assert f"| 20 | {rows[2]['auprc']:.3f} | {rows[3]['auprc']:.3f} |" in text
    model = tmp_path / "out" / "learned" / "whole" / "20-1" / transfer.called(str(tiny_track)) / "model"
    record = yaml.safe_load((model / "provenance.yaml").read_text())
    assert record["inputs"]["init"]["sha256"] == sha256(tiny_track / "model.safetensors")
