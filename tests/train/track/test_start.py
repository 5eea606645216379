"""Starting from another model: its convolutions, its shape, what it has seen; the same bytes, also when resumed."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from capsight import artefact
from capsight.config import CropsConfig, TrackConfig, TrainConfig, WindowsConfig
from capsight.data.windows.stage import windows
from capsight.errors import ConfigError, InputError
from capsight.evaluate.predictions import model_prediction
from capsight.model.track import TrackNetwork
from capsight.model.track_folder import Ancestor, TrackCard, read_track_card
from capsight.run.pipeline import run
from capsight.run.recipe import read_recipe
from capsight.train.track.start import Start
from capsight.train.track.train import train

SHAPE: dict[str, Any] = {
    "width": 16, "first_kernel": 15, "dilations": (1, 2), "head_kernel": 9, "average_radius": 8, "dropout": 0.0,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "crops": CropsConfig(length=1024, batch_size=4),
    "learning_rate": 1e-2,
    "warmup_steps": 5,
    "ema_decay": 0.9,
}


@pytest.fixture(scope="module")
def first(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of two members, trained on chr1."""
    config = TrainConfig(**SETTINGS, model=TrackConfig(**SHAPE), epochs=0.6, members=2)
    return train(config, motif_windows, tmp_path_factory.mktemp("first") / "one" / "model")


@pytest.fixture(scope="module")
def other_windows(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return windows of the same genome in which chr1 is held out."""
    folder, place = motif_windows.parent, tmp_path_factory.mktemp("other")
    config = WindowsConfig(
        genome=folder / "genome.fa", peaks=folder / "peaks.bed", length=64, validation=("chr2",), test=("chr1",),
        exclusion_bp=10,
    )  # fmt: skip
    return windows(config, place / "windows")


def test_convolutions_are_taken_and_heads_are_not(first: Path) -> None:
    start = Start.from_model(first)
    weights = load_file(first / "model.safetensors")
    for number, member in ((0, 0), (1, 1), (2, 0)):
        torch.manual_seed(5)
        network = TrackNetwork(start.model.config)
        fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        start.give(network, number)
        for name, tensor in network.state_dict().items():
            taken = name.startswith(("first.", "layers."))
            expected = weights[f"networks.{member}.{name}"] if taken else fresh[name].numpy()
            np.testing.assert_array_equal(tensor.numpy(), expected, err_msg=name)


def test_training_starts_there(first: Path, motif_windows: Path, tmp_path: Path) -> None:
    still = SETTINGS | {"learning_rate": 1e-9, "weight_decay": 0.0}
    model = train(TrainConfig(**still, init=first, epochs=0.1), motif_windows, tmp_path / "model")
    before, after = (load_file(folder / "model.safetensors") for folder in (first, model))
    for name in ("first.weight", "layers.1.bias"):
        np.testing.assert_allclose(after[f"networks.0.{name}"], before[f"networks.0.{name}"], atol=1e-6)
    assert not np.allclose(after["networks.0.head.weight"], before["networks.0.head.weight"], atol=1e-3)


def test_record_and_card_name_it_with_the_checksum_of_its_weights(
    first: Path, motif_windows: Path, tmp_path: Path
) -> None:
    model = train(TrainConfig(**SETTINGS, init=first, epochs=0.1), motif_windows, tmp_path / "model")
    checksum = artefact.sha256(first / "model.safetensors")
    record = artefact.read_record(model / "provenance.yaml")
    assert record["inputs"]["init"]["sha256"] == checksum
    assert record["config"]["init"] == str(first)
    assert record["config"]["model"]["width"] == 16
    card = read_track_card(model)
    assert card.init == Ancestor(model="one/model", sha256=checksum, train=("chr1",), lengths=card.lengths, init=None)
    assert card.lengths == {"chr1": 30_000, "chr2": 30_000, "chr3": 30_000}
    again = train(TrainConfig(**SETTINGS, init=model, epochs=0.1), motif_windows, tmp_path / "again")
    found = read_track_card(again).init
    assert found is not None
    assert found.init == card.init


def test_the_shape_is_that_of_the_model_and_dropout_is_free(first: Path) -> None:
    start = Start.from_model(first)
    assert start.shaped(TrainConfig(init=first)).model == TrackConfig(**SHAPE)
    asked = TrackConfig(width=16, dropout=0.5)
    assert start.shaped(TrainConfig(init=first, model=asked)).model == TrackConfig(**SHAPE | {"dropout": 0.5})


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("width", 32, "32, .* has 16"),
        ("dilations", (1, 2, 4), r"\[1, 2, 4\], .* has \[1, 2\]"),
        ("average_radius", 0, "0, "),
    ],
)
def test_another_shape_is_refused(
    first: Path, motif_windows: Path, tmp_path: Path, name: str, value: object, shown: str
) -> None:
    config = TrainConfig(**SETTINGS, init=first, model=TrackConfig.model_validate({name: value}))
    with pytest.raises(ConfigError, match=rf"train\.model\.{name} is {shown}.*leave model\.{name} out"):
        train(config, motif_windows, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_what_was_cut_off_ends_in_the_same_bytes(
    first: Path, motif_windows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from capsight.train.track.task import TrackTask

    config = TrainConfig(**SETTINGS, init=first, epochs=2, checkpoint_every=4)
    whole = train(config, motif_windows, tmp_path / "whole")
    loss, seen = TrackTask.loss, []

    def cut_off(self: TrackTask, model: Any, batch: Any) -> Any:
        seen.append(1)
        if len(seen) == 10:
            raise KeyboardInterrupt
        return loss(self, model, batch)

    monkeypatch.setattr(TrackTask, "loss", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(config, motif_windows, tmp_path / "model")
    train(config, motif_windows, tmp_path / "model")
    for name in ("model.safetensors", "capsight.json", "metrics.jsonl"):
        assert artefact.sha256(tmp_path / "model" / name) == artefact.sha256(whole / name), name


def test_with_another_model_it_is_made_anew_and_with_a_copy_it_is_done(
    first: Path, motif_windows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from shutil import copytree

    model = train(TrainConfig(**SETTINGS, init=first, epochs=0.1), motif_windows, tmp_path / "model")
    before = artefact.sha256(model / "model.safetensors")
    copy = Path(copytree(first, tmp_path / "copy"))
    with caplog.at_level(logging.INFO):
        train(TrainConfig(**SETTINGS, init=copy, epochs=0.1), motif_windows, model)
    assert f"{model} is done already" in caplog.text
    second = train(TrainConfig(**SETTINGS, init=first, epochs=0.3), motif_windows, tmp_path / "second")
    train(TrainConfig(**SETTINGS, init=second, epochs=0.1), motif_windows, model)
    assert artefact.sha256(model / "model.safetensors") != before


def test_a_model_that_has_seen_what_is_held_out_is_warned_of(
    first: Path, motif_windows: Path, other_windows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(TrainConfig(**SETTINGS, init=first, epochs=0.1), motif_windows, tmp_path / "clean")
    assert "was trained on" not in caplog.text
    train(TrainConfig(**SETTINGS, init=first, epochs=0.1), other_windows, tmp_path / "model")
    assert "one/model, which this training starts from, was trained on chr1, held out here" in caplog.text


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"train": ("chr1", "chr2")}, ("chr1", "chr2")),
        ({"train": ("chr1", "chr2"), "lengths": {"chr1": 100, "chr2": 7}}, ("chr1",)),
        ({"train": ("chr9",), "init": {"model": "m", "sha256": "0", "train": ("chr3",)}}, ("chr3",)),
        ({"init": {"model": "m", "sha256": "0", "init": {"model": "n", "sha256": "0", "train": ("chr2",)}}}, ("chr2",)),
        ({"validation": ("chr1",), "test": ("chr2",)}, ()),
    ],
    ids=["names", "lengths", "started from", "twice", "held out"],
)
def test_what_a_model_learned_from(card: dict[str, Any], expected: tuple[str, ...]) -> None:
    found = TrackCard.model_validate({"halo": 1, **card})
    assert found.learned({"chr1": 100, "chr2": 200, "chr3": 300}) == expected


def test_a_scan_knows_what_it_started_from_has_seen(
    first: Path, other_windows: Path, tmp_path: Path, write_fasta: Callable[..., Path]
) -> None:
    from capsight.data.genome.genome import Genome

    model = train(TrainConfig(**SETTINGS, init=first, epochs=0.1), other_windows, tmp_path / "model")
    same = Genome.open(Path(artefact.read_record(other_windows / "provenance.yaml")["inputs"]["genome"]["path"]))
    assert model_prediction(model, same, 50, 64, "model").learned == ("chr1", "chr3")
    another = Genome.open(write_fasta({"chr1": "ACGT" * 50, "chr3": "ACGT" * 50}))
    assert model_prediction(model, another, 50, 64, "model").learned == ()


@pytest.fixture
def bad(tmp_path: Path, pretrained: Path) -> dict[str, Path]:
    """Return what is no model to start from."""
    (tmp_path / "empty").mkdir()
    return {"window network": pretrained, "nothing": tmp_path / "nothing", "empty": tmp_path / "empty"}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("window network", r"is no track model: a training cannot start from its weights .*shipped model: .*yeast"),
        ("nothing", "there is no such model folder, nor a shipped model of this name"),
        ("empty", "is not a model folder"),
    ],
)
def test_what_is_no_model_is_refused(
    bad: dict[str, Path], motif_windows: Path, tmp_path: Path, kind: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(TrainConfig(**SETTINGS, init=bad[kind]), motif_windows, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def recipe(folder: Path, **settings: object) -> Path:
    values = {"simulate": {"bases": 200_000, "chromosomes": 3}, "windows": {"validation": "chr2", "test": "chr3"}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**values, "train": settings}))
    return path


def test_a_recipe_names_it_from_where_it_lies_or_by_name(first: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(first)
    (tmp_path / "yeast").mkdir()  # a folder of this name that is no model
    for init, expected in (("mine", tmp_path / "mine"), ("yeast", Path("yeast"))):
        found = read_recipe(recipe(tmp_path, init=init), tmp_path / "run")
        assert found.train is not None
        assert found.train.init == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init": "nothing"}, r"nothing: there is no such model folder"),
        ({"init": "mine", "model": {"width": 8}}, r"train\.model\.width is 8, but .* has 16"),
    ],
)
def test_a_run_finds_a_wrong_one_before_any_work(
    first: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    (tmp_path / "mine").symlink_to(first)
    with pytest.raises(InputError, match=message):
        run(recipe(tmp_path, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()
