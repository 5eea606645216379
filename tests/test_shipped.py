"""Models are found by folder first, then by the name under which they are shipped."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from capsight import artefact, shipped
from capsight.cli import app
from capsight.config import PredictConfig
from capsight.errors import InputError
from capsight.model.checkpoint import load_classifier, read_card
from capsight.predict.score import predict
from capsight.predict.scorer import load_scorer

#: sacCer3 chrIV:1538-2050 (0-based), plus strand: a promoter with a TATA box. chrIV was not trained on.
PROMOTER = (
    "TTAAAGTTTTGTAAATTCGTTATTACGATTATTGAATTGGCTAGATAGAAAACAGGAAATGAAATGGATACCCTTTTCGAATAGCTGAGTTTCTTTGCCT"
    "AAAATAGCCCAACATTGTTGCCCTTTTTCTATCACGAGGTTACTGAGCCATTGCATGAACGCGCGCGCCTCGGCGGCTTTTTTTTCCTGCTGTATAAAAG"
    "CGAAAAGCCAGAAGTTACTATCTCGAATAAAAAACCCCTCGAACTGCCATCTCACTACCGAAAATGAAAGAGAATGAAGTCAAAGATGAGAAAAGCGTAG"
    "ATGTGTTATCCTTCAAACAGCTCGAATCCCAAAAGATTGTTCTACCTCAAGATCTTTTCAGAAGCAGCTTTACCTGGTTTTGTTATGAAATTTACAAGTC"
    "CTTAGCGTTTCGCATCTGGATGCTATTATGGCTACCACTTAGCGTCTGGTGGAAACTTTCCAACAATTGTATTTACCCACTTATAGTTTCACTTCTGGTC"
    "CTGTTTCTGGGA"
)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship two models called toy and other."""
    for name in ("toy", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "notes.md").touch()
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "models")
    return tmp_path / "models"


def test_a_name_finds_the_shipped_model(models: Path) -> None:
    assert shipped.shipped_models() == ["other", "toy"]
    assert shipped.find_model(Path("toy")) == models / "toy"


def make_model(folder: Path, **card: object) -> Path:
    """Make a folder that is a model by its files."""
    folder.mkdir(parents=True)
    (folder / "capsight.json").write_text(json.dumps({"capsight": "0.1.0", **card}))
    return folder


def test_a_model_of_that_name_comes_first_and_the_log_reports_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_model(tmp_path / "work" / "toy")
    monkeypatch.chdir(tmp_path / "work")
    assert shipped.find_model(Path("toy")) == Path("toy")
    assert "the folder toy hides the shipped model of that name" in caplog.text


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_model_hides_no_shipped_one(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").touch() if kind == "file" else (tmp_path / "toy" / "notes").mkdir(parents=True)
    assert shipped.find_model(Path("toy")) == models / "toy"
    assert f"{tmp_path / 'toy'} is no model folder: the shipped model of that name is used" in caplog.text


@pytest.mark.parametrize("given", ["nothing", "sub/toy", "notes.md", "xyz"])
def test_what_is_neither_is_refused_with_the_names(models: Path, given: str) -> None:
    with pytest.raises(InputError, match="there is no such model folder") as caught:
        shipped.find_model(Path(given))
    assert "shipped are: other, toy" in str(caught.value)


def test_what_was_meant_is_named(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "run" / "model")
    for given, meant in (("otter", "other"), ("run", "run/model"), ("run/modle", "run/model")):
        with pytest.raises(InputError, match=rf"did you mean {meant}\?"):
            shipped.find_model(Path(given))
    with pytest.raises(InputError, match=r"is a file, not a model folder \(did you mean run/model\?"):
        shipped.find_model(Path("run/model/capsight.json"))


#: What is reported of models with parts that are no more.
FORMER = r"model: was made by an earlier version, with {}: this one has no such part (train it anew)"


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"capsight": "99.0", "task": ["new"]}, "was made by capsight 99.0, which is newer"),
        ({"capsight": "99.0", "heads": 3}, "was made by capsight 99.0, which is newer"),
        ({"task": ["new"]}, "is not a model card that this version"),
        ({"base": True, "specialists": 0}, FORMER.format("a head for single bases")),
        ({"specialists": 4}, FORMER.format("networks for single bases alone")),
        ({"trees": 6}, FORMER.format("boosted trees beside the network")),
        (("config.json", {"kmers": 6}), FORMER.format("a head that reads k-mers")),
        ("model.safetensors", "is not a model folder: model.safetensors is missing"),
        ("config.json", "is not a model folder: config.json is missing"),
    ],
    ids=["newer", "newer-with-more", "damaged", "base", "specialists", "trees", "kmers", "no-weights", "no-shape"],
)
def test_half_models_and_newer_ones_are_refused(tmp_path: Path, command: str, change: object, said: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(shipped.find_model(Path("yeast")), model)
    if isinstance(change, str):
        (model / change).unlink()
    else:
        name, values = change if isinstance(change, tuple) else ("capsight.json", change)
        content = json.loads((model / name).read_text())
        (model / name).write_text(json.dumps(content | values))
    (tmp_path / "s.fa").write_text(">s\nACGT\n")
    given = [str(tmp_path / "s.fa")] if command == "predict" else ["--windows", str(tmp_path)]
    done = CliRunner().invoke(app, [command, "--model", str(model), *given, "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_cnn_with_trees_beside_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    card = {"model": "cnn", "length": 64, "cnn": {}, "trees": 6}
    (tmp_path / "model" / "baseline.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=re.escape(FORMER.format("boosted trees beside the network"))):
        load_scorer(tmp_path / "model")


def test_a_newer_model_that_can_be_read_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(shipped.find_model(Path("yeast")), tmp_path / "m")
    card = json.loads((tmp_path / "m" / "capsight.json").read_text())
    (tmp_path / "m" / "capsight.json").write_text(json.dumps(card | {"capsight": "0.1.1"}))
    assert read_card(tmp_path / "m").length == 512
    assert "was made by capsight 0.1.1, which is newer than this one" in caplog.text


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    shutil.copytree(shipped.find_model(Path("yeast")), tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights["score.weight"][0, 0] = float("nan")
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="holds weights that are not finite"):
        load_classifier(tmp_path / "m")


def test_the_yeast_model_is_whole_and_answers(tmp_path: Path) -> None:
    folder = shipped.find_model(Path("yeast"))
    artefact.check_unchanged(folder)
    assert "/" not in "".join(line for line in (folder / "config.yaml").read_text().splitlines() if "path:" in line)
    fasta = tmp_path / "my.fa"
    fasta.write_text(f">cap\n{PROMOTER}\n>reversed\n{PROMOTER[::-1]}\n")
    predict(PredictConfig(), Path("yeast"), fasta, tmp_path / "windows.tsv")
    scores = pd.read_csv(tmp_path / "windows.tsv", sep="\t").set_index("name")["score"]
    assert scores["cap"] > 0.9
    assert scores["reversed"] < 0.1
