"""`predict`: the same bases get the same score, whatever file they come from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capsight.config import BaselineConfig, ModelConfig, PhaseConfig, PredictConfig, PretrainConfig
from capsight.config import FinetuneConfig as Finetune
from capsight.data.genome.alphabet import decode
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.predict.predict import predict
from capsight.train.baselines.baseline import baseline
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain


@pytest.fixture(scope="module", params=["network", "baseline", "cnn"])
def model(request: pytest.FixtureRequest, motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    if request.param == "baseline":
        return baseline(BaselineConfig(), motif_windows, folder / "b")
    if request.param == "cnn":
        training = {"epochs": 4, "batch_size": 16, "learning_rate": 1e-2}
        values = {"model": "cnn", "cnn": {"width": 8, "blocks": 2}, "training": training}
        return baseline(BaselineConfig.model_validate(values), motif_windows, folder / "c")
    none = PhaseConfig(steps=0)
    shape = ModelConfig(width=16, mlp_size=24, layers=1, heads=2, stem_channels=8, downsample=4, pooling="position")
    config = PretrainConfig(model=shape, full_rank_phase=none, relora_phase=none)
    start = pretrain(config, motif_windows, folder / "p")
    return finetune(
        Finetune(epochs=8, batch_size=16, learning_rate=1e-2, lora=False), motif_windows, start, folder / "m"
    )


def scores(path: Path) -> list[float]:
    return pd.read_csv(path, sep="\t")["score"].tolist()


@pytest.mark.pipeline
def test_windows_fasta_and_csv_agree(model: Path, motif_windows: Path, tmp_path: Path) -> None:
    test = Windows.open(motif_windows).fold("test")
    sequences = decode(test.codes(np.arange(len(test.table))))
    (tmp_path / "x.fa").write_text("".join(f">s{i}\n{s.lower()}\n" for i, s in enumerate(sequences)))
    (tmp_path / "x.csv").write_text("sequence\n" + "".join(f"{s}\n" for s in sequences))
    config = PredictConfig()
    predict(PredictConfig(fold="test"), model, motif_windows / "windows.parquet", tmp_path / "w.tsv")
    predict(config, model, tmp_path / "x.fa", tmp_path / "f.tsv")
    predict(config, model, tmp_path / "x.csv", tmp_path / "c.tsv")
    expected = scores(tmp_path / "w.tsv")
    assert len(expected) == len(sequences)
    assert np.std(expected) > 0.01
    assert scores(tmp_path / "f.tsv") == pytest.approx(expected, abs=1e-5)
    assert scores(tmp_path / "c.tsv") == pytest.approx(expected, abs=1e-5)


def test_batch_size_does_not_matter(model: Path, motif_windows: Path, tmp_path: Path) -> None:
    for size in (1, 7, 256):
        predict(PredictConfig(fold="test", batch_size=size), model, motif_windows, tmp_path / f"{size}.tsv")
    assert scores(tmp_path / "1.tsv") == pytest.approx(scores(tmp_path / "256.tsv"), abs=1e-5)
    assert scores(tmp_path / "7.tsv") == pytest.approx(scores(tmp_path / "256.tsv"), abs=1e-5)


def test_long_sequences_are_read_in_the_middle_and_short_ones_padded(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    core = "".join(rng.choice(list("ACGT"), 64))
    flank = "".join(rng.choice(list("ACGT"), 40))
    records = {"core": core, "long": flank + core + flank, "short": core[2:-2], "padded": f"NN{core[2:-2]}NN"}
    (tmp_path / "x.fa").write_text("".join(f">{name}\n{s}\n" for name, s in records.items()))
    predict(PredictConfig(), model, tmp_path / "x.fa", tmp_path / "p.tsv")
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t").set_index("name")["score"]
    assert table["long"] == pytest.approx(table["core"], abs=1e-5)
    assert table["short"] == pytest.approx(table["padded"], abs=1e-5)


def test_coordinates_of_windows_are_told(model: Path, motif_windows: Path, tmp_path: Path) -> None:
    predict(PredictConfig(fold="validation"), model, motif_windows, tmp_path / "p.tsv")
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t")
    windows = Windows.open(motif_windows).fold("validation").table
    assert table["start"].tolist() == windows["start"].tolist()
    assert table["name"][0] == f"chr2:{table['start'][0] + 1}-{table['end'][0]}:{table['strand'][0]}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.fa", "", r"x\.fa: is empty"),
        ("x.csv", "name,text\na,b\n", r"x\.csv.*sequence"),
        ("x.fa", "chr1\t1\t2\n", r"x\.fa"),
    ],
)
def test_bad_sequences_are_said(model: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        predict(PredictConfig(), model, tmp_path / name, tmp_path / "p.tsv")
    assert not (tmp_path / "p.tsv").exists()


def test_missing_input_is_said(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        predict(PredictConfig(), model, tmp_path / "none.fa", tmp_path / "p.tsv")
