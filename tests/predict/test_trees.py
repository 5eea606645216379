"""Trees beside a network: the model says the mean of both, wherever it is asked, and damaged ones are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from capsight.config import BaselineConfig, FinetuneConfig, TeacherConfig
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.explain.reader import Reader
from capsight.model.checkpoint import read_card
from capsight.predict.scorer import load_scorer
from capsight.predict.trees import Trees, with_trees
from capsight.train.baselines import baseline
from capsight.train.finetune import finetune

TEACHER = TeacherConfig(windows=1_000, batch_size=8)
SHORT = FinetuneConfig(teacher=TEACHER, max_train=60, epochs=1, batch_size=8, select="last")


@pytest.fixture(scope="module")
def model(motif_windows: Path, pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(SHORT, motif_windows, pretrained, tmp_path_factory.mktemp("trees") / "model")


@pytest.fixture(scope="module")
def codes(motif_windows: Path) -> np.ndarray:
    fold = Windows.open(motif_windows).fold("validation")
    return fold.codes(np.arange(len(fold.table)))


def alone(model: Path, place: Path) -> Path:
    """Copy a model folder without its trees."""
    shutil.copytree(model, place)
    card = json.loads((place / "capsight.json").read_text())
    (place / "capsight.json").write_text(json.dumps(card | {"trees": 0}))
    (place / "config.yaml").unlink()  # else the change of the card is noticed
    return place


def test_without_trees_the_network_is_heard() -> None:
    odds = np.array([0.5, -1.0])
    assert with_trees(odds, None, np.zeros((2, 64), np.uint8)) is odds


def test_the_model_says_the_mean_of_both(model: Path, codes: np.ndarray, tmp_path: Path) -> None:
    trees = Trees.load(model, read_card(model).trees)
    assert trees is not None
    assert len(trees.boosters) == len(list(model.glob("trees-*.txt"))) == 6
    network = Reader.open(alone(model, tmp_path / "alone"), 64).log_odds(codes)
    expected = (network + trees.log_odds(codes)) / 2
    assert np.abs(network - expected).max() > 0.1
    np.testing.assert_allclose(Reader.open(model, 64).log_odds(codes), expected, atol=1e-5)
    np.testing.assert_allclose(logit(load_scorer(model).score(codes)), expected, atol=1e-5)
    assert load_scorer(model).score(codes[:0]).shape == Reader.open(model, 64).log_odds(codes[:0]).shape == (0,)


def test_the_card_tells_of_both(model: Path, motif_windows: Path, codes: np.ndarray) -> None:
    labels = Windows.open(motif_windows).fold("validation").labels
    score = load_scorer(model).score(codes)
    loss = -np.log(np.where(labels, score, 1 - score)).mean()
    assert read_card(model).metrics["validation"]["loss"] == pytest.approx(loss, abs=1e-6)


def test_trees_need_not_stay(motif_windows: Path, pretrained: Path, model: Path, tmp_path: Path) -> None:
    config = SHORT.model_copy(update={"teacher": TEACHER.model_copy(update={"stays": False})})
    network = finetune(config, motif_windows, pretrained, tmp_path / "network")
    assert read_card(network).trees == 0
    assert not list(network.glob("trees-*"))
    assert (network / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_the_cnn_keeps_its_trees_too(motif_windows: Path, codes: np.ndarray, tmp_path: Path) -> None:
    folder = baseline(BaselineConfig(model="cnn", training=SHORT), motif_windows, tmp_path / "cnn")
    trees = Trees.load(folder, 6)
    assert trees is not None
    both = logit(load_scorer(folder).score(codes))
    card = json.loads((folder / "baseline.json").read_text())
    (folder / "baseline.json").write_text(json.dumps(card | {"trees": 0}))
    (folder / "config.yaml").unlink()
    np.testing.assert_allclose(both, (logit(load_scorer(folder).score(codes)) + trees.log_odds(codes)) / 2, atol=1e-6)


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("damage", ["lost", "foreign"])
def test_damaged_trees_are_refused(model: Path, damage: str, record: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    path = folder / "trees-2.txt"
    path.unlink()
    if damage == "foreign":
        path.write_text("not a booster\n")
    if not record:
        (folder / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"trees-2\.txt"):
        load_scorer(folder)
