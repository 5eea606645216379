"""Metrics by base: exact on hand-made numbers, and of a model that is off by a known number of bases."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from capsight import artefact
from capsight.cli.show import show_base_metrics
from capsight.config import BaselineConfig, EvaluateConfig, FinetuneConfig, TokenizerConfig
from capsight.data.bases import encode
from capsight.data.profiles import Profiles, middle_half
from capsight.data.tokenizer import KmerTokenizer
from capsight.data.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.model.base_head import BaseOutput
from capsight.model.checkpoint import ModelCard, save_model
from capsight.model.llama import CapsightForClassification, architecture
from capsight.predict.base_scorer import BaseScorer
from capsight.train.base_evaluation import moved_windows, near_tags
from capsight.train.base_metrics import agreement, correlations, measure, nearest_pyrimidine_purine, summit_metrics
from capsight.train.baselines import baseline
from capsight.train.evaluate import evaluate

NONE = EvaluateConfig(bootstrap=0)
LENGTH = 64
#: Of `conftest.MOTIF`: the summit stands at its eighth base.
MOTIF, SUMMIT = "TATAAAGGCACGTC", 7


def test_distances_by_hand() -> None:
    found = summit_metrics(np.array([0, 1, 5, 6, 10, 11]), NONE)
    assert found == {"median_distance": 5.5, "exact": 1 / 6, "within_5": 3 / 6, "within_10": 5 / 6}
    with_interval = summit_metrics(np.array([0, 20] * 50), EvaluateConfig(bootstrap=200))
    low, high = with_interval["intervals"]["exact"]
    assert 0.37 < low < 0.44 < 0.56 < high < 0.63  # 0.5 ± 1.96 · 0.05


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("TTTTTCATTT", 6),  # CA: the purine is meant
        ("TTCATTTCATTT", 8),  # middle 6, at 3 and 8
        ("CATTTTTTTTTT", 1),
        ("TTTCATTCAT", 4),  # middle 5, at 4 and 8
        ("TTTCATTTCATTTT", 9),  # middle 7, at 4 and 9
        ("TTTCGTTTTGTTT", 4),  # middle 6, at 4 and 9: the nearer
        ("TTTTCATTTCATTTTT", 10),  # middle 8, at 5 and 10
        ("TTTTTTGTTTGTTTTT", 6),  # middle 8, at 6 and 10: the 5' one
        ("AAGGAAGG", 4),  # no pyrimidine: the middle
        ("NNNNNNNN", 4),
        ("CNATTTTT", 4),  # N is no purine
    ],
)
def test_the_nearest_pyrimidine_purine(text: str, index: int) -> None:
    assert nearest_pyrimidine_purine(encode(text)[None]).tolist() == [index]


def test_correlations_are_pearson_or_undefined() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((4, 30)).astype(np.float32), rng.random((4, 30)).astype(np.float32)
    other[3] = 2.0
    found = correlations(one, other)
    assert found[:3] == pytest.approx([np.corrcoef(a, b)[0, 1] for a, b in zip(one[:3], other[:3], strict=True)])
    assert np.isnan(found[3])
    assert correlations(one, 3 * one + 1) == pytest.approx(1)


TABLE = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr2", "chr2"],
        "start": [50, 150, 250, 400],
        "end": [114, 214, 314, 464],
        "label": [1, 1, 1, 0],
        "presence": [0.9, 0.2, 0.8, 0.5],
        "observed": [100, 200, 300, 0],
        "strongest": [102, 190, 250, 0],
        "predicted": [100, 190, 304, 0],
        "predicted_whole": [100, 150, 304, 0],
        "most_probable": [101, 157, 300, 0],
        "centre": [90, 202, 300, 0],
        "pyrimidine_purine": [97, 200, 320, 0],
        "tags": [50, 30, 0, 7],
        "peak_tags": [40, 30, 0, 1],
        "correlation": [0.9, 0.3, np.nan, -1],
        "tags_1": [20, 10, 0, 3],
        "tags_2": [30, 9, 0, 4],
        "observed_1": [100, 200, 300, 0],
        "observed_2": [103, 200, 300, 0],
        "correlation_1": [0.7, 0.2, np.nan, 1],
        "correlation_2": [0.5, 0.1, np.nan, 1],
        "correlation_1_2": [0.6, 0.4, np.nan, 1],
    }
)


def test_a_table_is_measured_as_by_hand() -> None:
    found = measure(TABLE, 2, NONE)
    assert (found["n"], found["n_negative"]) == (3, 1)
    assert found["summits"]["predicted"]["median_distance"] == 4
    assert found["summits"]["predicted"]["within_10"] == 1
    assert found["summits"]["predicted_whole"]["within_10"] == pytest.approx(2 / 3)
    assert found["summits"]["most_probable"]["median_distance"] == 1
    assert found["summits"]["centre"]["exact"] == pytest.approx(1 / 3)
    assert found["summits"]["pyrimidine_purine"]["within_5"] == pytest.approx(2 / 3)
    assert found["strongest"] == {"n": 2, "median_distance": 1, "exact": 0.5, "within_5": 1, "within_10": 1}
    assert found["profile"] == {"n": 2, "median": pytest.approx(0.6)}
    assert found["presence"] == {"auroc": pytest.approx(2 / 3)}
    (pair,) = found["replicates"]
    assert pair == {"pair": [1, 2], **agreement(TABLE[TABLE["label"] == 1], 1, 2, NONE)}
    assert pair["n"] == 1  # the second has 9 tags in replicate 2
    assert pair["between"] == {"n": 1, "median": 0.6}
    assert pair["predicted"] == {"n": 1, "median": 0.9}
    assert pair["predicted_single"] == {"n": 1, "median": pytest.approx(0.6)}
    assert pair["summits"]["median_distance"] == 3
    json.dumps(measure(TABLE, 2, EvaluateConfig(bootstrap=20)), allow_nan=False)


def test_tags_of_a_peak_are_those_within_25_bases() -> None:
    counts = np.zeros((2, 200), dtype=np.float32)
    counts[:, [0, 24, 25, 75, 76, 199]] = [1, 2, 4, 8, 16, 32]
    assert near_tags(counts, np.array([50, 199])).tolist() == [12, 32]


def test_summits_are_measured_by_strength_too() -> None:
    tags, off = np.arange(1, 41), np.repeat([50, 7, 3, 0], 10)
    order = np.random.default_rng(0).permutation(40)
    columns = dict.fromkeys(TABLE.columns, 0) | {"label": 1, "peak_tags": tags[order], "predicted": -off[order]}
    parts = measure(pd.DataFrame(columns), 0, NONE)["by_peak_tags"]
    assert [part["tags"] for part in parts] == [[1, 10], [11, 20], [21, 30], [31, 40]]
    assert [part["n"] for part in parts] == [10] * 4
    assert [part["median_distance"] for part in parts] == [50, 7, 3, 0]
    assert [part["within_5"] for part in parts] == [0, 0, 1, 1]


def test_summits_of_one_tag_each_have_no_strengths() -> None:
    assert measure(TABLE.assign(peak_tags=1), 2, NONE)["by_peak_tags"] == []


def test_what_is_undefined_is_null() -> None:
    few = TABLE.iloc[2:3]
    found = measure(few, 2, EvaluateConfig(bootstrap=5))
    assert found["presence"]["auroc"] is None
    assert found["profile"]["median"] is None
    assert found["strongest"] == {"n": 0}
    assert found["replicates"][0]["n"] == 0
    assert found["replicates"][0]["summits"]["within_10"] is None
    json.dumps(found, allow_nan=False)


class Off(torch.nn.Module):
    """Finds the motif of `motif_windows` and says that the summit is some bases 3' of it."""

    def __init__(self, bases: int) -> None:
        super().__init__()
        self.bases = bases

    def forward(self, input_ids: torch.Tensor, base: bool = False) -> BaseOutput:
        motif = torch.tensor(["ACGT".index(letter) + 3 for letter in MOTIF])
        hit = (input_ids.unfold(1, len(MOTIF), 1) == motif).all(dim=2).float()
        before = SUMMIT + self.bases
        site = torch.nn.functional.pad(hit, (before, LENGTH - before))[:, :LENGTH]
        present = hit.any(dim=1).float()
        return BaseOutput(9 * site, present, 8 * present - 4)


def scorer(bases: int) -> BaseScorer:
    model: Any = Off(bases)
    return BaseScorer([model], KmerTokenizer(TokenizerConfig()), LENGTH, 50, torch.device("cpu"))


@pytest.mark.parametrize("bases", [0, 3, -6])
def test_a_model_that_is_off_by_so_many_bases(motif_windows: Path, bases: int) -> None:
    profiles = Profiles.open(Windows.open(motif_windows).fold("test"))
    table = moved_windows(scorer(bases), profiles, [profiles, profiles], seed=1)
    positives = table[table["label"] == 1]
    assert len(positives) == 58
    summits = {int(line.split("\t")[1]) for line in (motif_windows.parent / "peaks.bed").read_text().splitlines()}
    assert set(positives["observed"]) <= summits
    assert (positives["end"] - positives["start"] == LENGTH).all()
    off = positives["predicted_whole"] - positives["observed"]
    assert (off == bases).all()
    assert positives["strongest"].equals(positives["observed"])  # one tag in each window
    index = positives["observed"] - positives["start"]
    assert set(index) <= set(range(LENGTH)[middle_half(LENGTH)])
    assert index.nunique() > 15
    assert (positives["centre"] - positives["start"] == LENGTH // 2).all()
    found = measure(table, 2, NONE)
    assert found["presence"]["auroc"] == 1
    assert found["summits"]["predicted_whole"]["median_distance"] == abs(bases)
    assert found["summits"]["predicted"]["exact"] == float(bases == 0)
    assert found["summits"]["centre"]["median_distance"] > 4
    assert positives["tags"].tolist() == positives["peak_tags"].tolist() == [1] * 58
    if bases == 0:
        assert found["profile"]["median"] == pytest.approx(1, abs=0.01)
    assert found["replicates"][0]["n"] == 0  # one tag each is fewer than ten


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an untrained network with a head for single bases."""
    from capsight.config import ModelConfig

    torch.manual_seed(0)
    shape = architecture(ModelConfig(width=16, mlp=24, layers=1, heads=2, stem=8, pool=4), 7, LENGTH)
    shape.base = True
    folder = tmp_path_factory.mktemp("model") / "m"
    card = ModelCard(task="classification", length=LENGTH, tokenizer=TokenizerConfig(), base=True)
    with artefact.building(folder, "finetune", FinetuneConfig(), {}) as partial:
        KmerTokenizer(TokenizerConfig()).save(partial)
        save_model(CapsightForClassification(shape), card, partial)
    return folder


BY_BASE = EvaluateConfig(resolution="base", bootstrap=5)


def test_the_folder_and_the_table(
    model: Path, motif_windows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = evaluate(BY_BASE, model, motif_windows, tmp_path / "e")
    assert {path.name for path in out.iterdir()} == {"config.yaml", "metrics-base.json", "moved.parquet"}
    result = json.loads((out / "metrics-base.json").read_text())
    assert (result["fold"], result["five_ends"], result["n"], result["replicates"]) == ("test", "summits", 58, [])
    table = pd.read_parquet(out / "moved.parquet")
    assert measure(table, 0, BY_BASE).items() <= result.items()
    made = (out / "metrics-base.json").stat().st_mtime_ns
    evaluate(BY_BASE, model, motif_windows / "windows.parquet", tmp_path / "other")
    evaluate(BY_BASE, model, motif_windows, tmp_path / "e")
    assert (out / "metrics-base.json").stat().st_mtime_ns == made
    show_base_metrics(out)
    shown = capsys.readouterr().out
    assert f"{result['summits']['centre']['within_10']:.2f} [" in shown
    assert f"AUROC {result['presence']['auroc']:.3f}" in shown


def test_bad_input_is_said(model: Path, motif_windows: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.bed", tmp_path / "two.bed"
    one.write_text("chr3\t9\t10\t.\t4\t+\n")
    two.write_text("III\t9\t10\t.\t4\t+\n")
    classical = baseline(BaselineConfig(), motif_windows, tmp_path / "b")
    for folder, config, more, message in (
        (model, BY_BASE, {"replicates": [one]}, "one.bed: is the only replicate"),
        (model, BY_BASE, {"replicates": [one, one]}, "one.bed: is named twice"),
        (model, BY_BASE, {"replicates": [one, two]}, "two.bed: contig 'III' is not in genome.fa"),
        (model, BY_BASE, {"replicates": [one, tmp_path / "none.bed"]}, "none.bed: there is no such file"),
        (model, BY_BASE, {"audit": tmp_path}, "leave the audit out"),
        (classical, NONE, {"replicates": [one, two]}, "replicates are compared base by base"),
        (classical, BY_BASE, {}, "b: is a baseline, which does not answer base by base"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(config, folder, motif_windows, tmp_path / "e", **more)
        assert not list(tmp_path.glob("e*"))
    assert issubclass(ConfigError, InputError)
    with pytest.raises(InputError, match=r"holds no evaluation by base: metrics-base.json is missing"):
        show_base_metrics(tmp_path)
