"""Training for single bases: what a batch holds, what it costs, and that summits are then found off the middle."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from capsight import artefact
from capsight.config import (
    BaseConfig,
    EvaluateConfig,
    ExplainConfig,
    FinetuneConfig,
    LoraConfig,
    ModelConfig,
    PhaseConfig,
    PredictConfig,
    PretrainConfig,
    SimulateConfig,
    SpecialistConfig,
    WindowsConfig,
)
from capsight.data.attributions import Attributions
from capsight.data.profiles import Profiles, middle_half
from capsight.data.tokenizer import make_tokenizer
from capsight.data.windows import Windows, windows
from capsight.errors import ConfigError, InputError
from capsight.explain.stage import explain
from capsight.model.base_head import BaseOutput
from capsight.model.checkpoint import load_classifier, read_card, start_classifier
from capsight.predict.base_scorer import BaseScorer
from capsight.predict.score import predict
from capsight.recipes import parse
from capsight.simulate import simulate
from capsight.train.base import MovedWindows, profile_loss, taught_counts, taught_profile_loss
from capsight.train.classifier import train_classifier
from capsight.train.evaluate import evaluate
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain
from capsight.train.specialists import base_folds, specialist_config, start_specialist
from capsight.train.tasks import BaseTask, ClassificationTask, JointTask, make_task

LENGTH = 128
SHAPE = ModelConfig(width=32, mlp=48, layers=1, heads=2, stem=32, stem_layers=2, stem_dilation=1, pool=4)
TRAINED = FinetuneConfig(
    base=BaseConfig(), epochs=8, batch_size=16, learning_rate=5e-3, warmup_steps=20, average=0.98, patience=9
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a simulated genome, its windows, and an untrained network."""
    folder = tmp_path_factory.mktemp("base")
    genome = simulate(SimulateConfig(bases=400_000, chromosomes=3, spacing=700, seed=4), folder / "simulation")
    config = WindowsConfig(
        genome=genome / "genome.fa", peaks=genome / "peaks.bed", ctss=(genome / "ctss.bed",), length=LENGTH,
        validation=("chr2",), test=("chr3",),
    )  # fmt: skip
    none = PhaseConfig(steps=0)
    laid = windows(config, folder / "windows")
    pretrain(PretrainConfig(model=SHAPE, warmup=none, main=none), laid, folder / "pretrained")
    return folder


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    return finetune(TRAINED, place / "windows", place / "pretrained", place / "model")


def moved(place: Path, **settings: object) -> MovedWindows:
    data = Windows.open(place / "windows").fold("train")
    tokenizer = make_tokenizer(read_card(place / "pretrained").tokenizer)
    config = BaseConfig(**settings)  # type: ignore[arg-type]
    return MovedWindows(config, Profiles.open(data), tokenizer, np.arange(len(data.table)), seed=1)


def test_a_batch_is_moved_and_its_counts_with_it(place: Path) -> None:
    task = moved(place, batch_size=200)
    batch = task.batch(3)
    assert batch["moved"].shape == batch["counts"].shape == (200, LENGTH)
    present = batch["present"].numpy() == 1
    assert present.sum() == 150
    summit = batch["counts"].numpy()[present].argmax(axis=1)
    middle = range(LENGTH)[middle_half(LENGTH)]
    assert set(summit.tolist()) <= set(middle)
    assert len(set(summit.tolist())) > len(middle) / 2
    cytosine = (batch["moved"].numpy()[present][np.arange(len(summit)), summit - 1] == 4).mean()
    assert cytosine > 0.5  # of the initiator, so bases and counts were moved alike
    again = moved(place, batch_size=200).batch(3)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(task.batch(4)["moved"], batch["moved"])


def test_windows_around_any_five_ends_come_last_and_have_no_label(place: Path) -> None:
    task, alone = moved(place, batch_size=8, elsewhere=20, least=3), moved(place, batch_size=8)
    batch, other = task.batch(2), alone.batch(2)
    assert batch["moved"].shape == batch["counts"].shape == (28, LENGTH)
    assert all(torch.equal(batch[name][:8], other[name]) for name in other)
    assert len(batch["present"]) == 8
    places = middle_half(LENGTH)
    assert (batch["counts"][8:, places].amax(dim=1) >= 2).all()
    assert all(torch.equal(batch[name], task.batch(2)[name]) for name in batch)
    assert not torch.equal(task.batch(3)["moved"][8:], batch["moved"][8:])


def test_windows_around_any_five_ends_teach_profile_and_total_alone(place: Path) -> None:
    batch = {"counts": torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 4, 0]]), "present": torch.tensor([1.0, 0.0])}
    logits = torch.log(torch.tensor([[0.25] * 4, [0.25] * 4, [0.1, 0.1, 0.5, 0.3]]))
    output = BaseOutput(logits, torch.tensor([0.0, 2.0, 0.0]), torch.tensor([0.0, 3.0, 7.0]))
    parts = {
        "profile": (np.log(4) / 2 + np.log(2) * 4 / 5) / (1 / 2 + 4 / 5),  # doubt of 1: weights 1 / 2 and 4 / 5
        "total": (np.log(2) ** 2 + 2**2 + np.log(5) ** 2) / 3,
        "presence": (np.log(2) * (0.5 / 0.75) + np.log(1 + np.exp(3)) * (0.5 / 0.25)) / 2,
    }
    for name, expected in parts.items():
        alone = {"profile": 0, "total": 0, "presence": 0, "doubt": 1} | {name: 2}
        loss = moved(place, **alone).loss(output, batch)
        assert loss.item() == pytest.approx(2 * expected, rel=1e-5), name


def test_where_there_are_no_other_five_ends_the_batch_is_as_without(place: Path) -> None:
    task, alone = moved(place, batch_size=8, elsewhere=20, least=1e9), moved(place, batch_size=8)
    assert all(torch.equal(task.batch(0)[name], alone.batch(0)[name]) for name in alone.batch(0))


@pytest.mark.parametrize(("share", "n_positives"), [(0.01, 1), (0.5, 4), (0.75, 6), (0.99, 7)])
def test_a_batch_always_holds_both_labels_and_its_weights_undo_their_shares(
    place: Path, share: float, n_positives: int
) -> None:
    task = moved(place, batch_size=8, positives=share)
    present = torch.cat([task.batch(i)["present"] for i in range(3)])
    assert present.sum() == 3 * n_positives
    of_the_fold = task.profiles.windows.labels.mean()
    weights = task.weights[present.long()]
    assert (weights * present).sum() / weights.sum() == pytest.approx(of_the_fold, abs=1e-6)
    assert weights.mean() == pytest.approx(1, abs=1e-6)


def test_one_label_alone_is_refused(place: Path) -> None:
    data = Windows.open(place / "windows").fold("train")
    tokenizer = make_tokenizer(read_card(place / "pretrained").tokenizer)
    for label in (0, 1):
        rows = np.flatnonzero(data.labels == label)
        with pytest.raises(InputError, match="needs both positives and negatives"):
            MovedWindows(BaseConfig(), Profiles.open(data), tokenizer, rows, seed=1)


def test_the_profile_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6], [0.2, 0.2, 0.6]]))
    counts = torch.tensor([[2.0, 2, 0], [0, 0, 9], [5, 0, 0], [0, 0, 0]])
    present = torch.tensor([1.0, 1, 0, 1])  # the third is a negative, the fourth has no tags
    expected = (-(np.log(0.5) + np.log(0.25)) / 2 - np.log(0.8)) / 2
    assert profile_loss(logits, counts, present).item() == pytest.approx(expected, rel=1e-6)
    assert profile_loss(logits, 7 * counts, present).item() == pytest.approx(expected, rel=1e-6)
    assert profile_loss(logits, counts, torch.zeros(4)).item() == 0


def test_what_a_profile_is_to_be_like_by_hand() -> None:
    counts = torch.tensor([[0.0, 0, 16, 0, 9, 0], [0, 0, 0, 0, 0, 0]])
    assert torch.equal(taught_counts(counts, BaseConfig()), counts)
    root = taught_counts(counts, BaseConfig(power=0.5))[0]
    assert root.tolist() == pytest.approx([0, 0, 25 * 4 / 7, 0, 25 * 3 / 7, 0])
    smooth = taught_counts(counts, BaseConfig(smooth=1))[0]
    assert smooth.tolist() == pytest.approx([0, 4, 8, 6.25, 4.5, 2.25], rel=1e-5)  # weights of 1, 2, 1, over 4
    edge = taught_counts(torch.tensor([[8.0, 0, 0, 0]]), BaseConfig(smooth=2))[0]
    assert edge.tolist() == pytest.approx([8 * 3 / 6, 8 * 2 / 6, 8 / 6, 0])  # what would leave the window is lost
    assert not taught_counts(counts, BaseConfig(power=0.5, smooth=3))[1].any()


def test_power_and_smoothing_are_of_the_profile_loss_alone(place: Path) -> None:
    counts = torch.tensor([[0.0, 16, 0, 9]])
    output = BaseOutput(torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]])), torch.zeros(1), torch.zeros(1))
    batch = {"counts": counts, "present": torch.ones(1)}
    alone = {"total": 0, "presence": 0, "doubt": 25}
    expected = -(4 * np.log(0.4) + 3 * np.log(0.3)) / 7
    assert moved(place, power=0.5, **alone).loss(output, batch).item() == pytest.approx(expected, rel=1e-5)
    total = {"profile": 0, "presence": 0, "total": 1}
    plain, powered = (moved(place, **total, **more).loss(output, batch).item() for more in ({}, {"power": 0.5}))
    assert plain == powered == pytest.approx(np.log(26) ** 2, rel=1e-5)


def test_the_weights_add_the_three_losses(place: Path) -> None:
    logits, total, presence = torch.zeros(2, 4), torch.tensor([0.0, 2.0]), torch.tensor([0.0, 3.0])
    batch = {"counts": torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0]]), "present": torch.tensor([1.0, 0.0])}
    parts = {
        "profile": np.log(4),
        "total": (np.log(2) ** 2 + 2**2) / 2,
        "presence": (np.log(2) * (0.5 / 0.75) + np.log(1 + np.exp(3)) * (0.5 / 0.25)) / 2,  # half the fold, 3/4 drawn
    }
    for name, expected in parts.items():
        alone = {"profile": 0, "total": 0, "presence": 0} | {name: 2}
        loss = moved(place, **alone).loss(BaseOutput(logits, total, presence), batch)
        assert loss.item() == pytest.approx(2 * expected, rel=1e-5), name
    together = moved(place).loss(BaseOutput(logits, total, presence), batch)
    assert together.item() == pytest.approx(
        parts["profile"] + 0.02 * parts["total"] + 0.1 * parts["presence"], rel=1e-5
    )


def test_the_centred_windows_cost_what_they_cost_alone(place: Path) -> None:
    data, tokenizer = Windows.open(place / "windows"), make_tokenizer(read_card(place / "pretrained").tokenizer)
    silent = FinetuneConfig(base=BaseConfig(profile=0, total=0, presence=0), batch_size=8)
    joint, alone = make_task(silent, data, tokenizer), make_task(FinetuneConfig(batch_size=8), data, tokenizer)
    assert isinstance(joint, JointTask)
    assert type(alone) is ClassificationTask
    model = start_classifier(place / "pretrained", seed=1, base=True).eval()
    with torch.no_grad():
        assert joint.loss(model, joint.batch(0)).item() == pytest.approx(alone.loss(model, alone.batch(0)).item(), 1e-5)
    assert torch.equal(joint.batch(5)["tokens"], alone.batch(5)["tokens"])
    assert joint.tokens_per_batch == (8 + 32) * LENGTH


@pytest.mark.pipeline
def test_summits_are_found_where_the_middle_says_nothing(trained: Path, place: Path) -> None:
    sim = place / "simulation"
    half = place / "half.bed"
    half.write_text("".join((sim / "ctss.bed").read_text().splitlines(keepends=True)[::2]))
    config = EvaluateConfig(resolution="base", fold="validation", bootstrap=50)
    out = evaluate(config, trained, place / "windows", place / "e", replicates=[sim / "ctss.bed", half])
    found = json.loads((out / "metrics-base.json").read_text())
    model, centre = found["summits"]["predicted"], found["summits"]["centre"]
    assert found["n"] == found["n_negative"] == 187
    assert model["median_distance"] <= 0.75 * centre["median_distance"]
    assert model["within_10"] > centre["within_10"] + 0.2
    assert model["exact"] > 0.2
    assert 12 < centre["median_distance"] < 20  # uniform in the middle half: a quarter of it
    low, high = model["intervals"]["within_10"]
    assert low < model["within_10"] < high
    assert found["profile"]["median"] > 0.3  # a profile that knows nothing correlates with none
    assert found["five_ends"] == "ctss"
    (pair,) = found["replicates"]
    assert pair["pair"] == [1, 2]
    assert pair["between"]["median"] > found["profile"]["median"]
    assert pair["summits"]["median_distance"] <= 1
    log = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {"base_median_distance", "base_within_10", "auroc"} <= set(log[0])
    assert read_card(trained).metrics["validation"]["base_within_10"] == pytest.approx(model["within_10"], abs=0.15)


@pytest.mark.pipeline
def test_the_same_seed_gives_the_same_bytes(place: Path) -> None:
    config = TRAINED.model_copy(update={"epochs": 0.5})
    files = []
    for name in ("one", "two"):
        out = finetune(config, place / "windows", place / "pretrained", place / name)
        base = EvaluateConfig(resolution="base", bootstrap=5)
        done = evaluate(base, out, place / "windows", place / f"e-{name}")
        files.append([(out / "model.safetensors").read_bytes(), (done / "metrics-base.json").read_bytes()])
    assert files[0] == files[1]
    moved_elsewhere = evaluate(base.model_copy(update={"seed": 2}), out, place / "windows", place / "e-other")
    assert (moved_elsewhere / "metrics-base.json").read_bytes() != files[0][1]


@pytest.mark.pipeline
def test_lora_trains_the_head_in_full(place: Path) -> None:
    config = TRAINED.model_copy(update={"epochs": 0.5, "lora": LoraConfig(rank=2)})
    out = finetune(config, place / "windows", place / "pretrained", place / "lora")
    weights, start = (load_file(folder / "model.safetensors") for folder in (out, place / "pretrained"))
    assert {name for name in weights if name.startswith("base_head.")} == {
        "base_head.spread.weight", "base_head.profile.weight", "base_head.profile.bias",
        "base_head.total.weight", "base_head.total.bias", "base_head.presence.weight", "base_head.presence.bias",
    }  # fmt: skip
    assert torch.equal(weights["stem.motifs.weight"], start["stem.motifs.weight"])  # was not named in trainable
    model, card = load_classifier(out)
    assert card.base is True
    assert model.base_head is not None


@pytest.mark.pipeline
def test_windows_are_still_explained(trained: Path, place: Path) -> None:
    config = ExplainConfig(method=("attention", "ig"), most=12, tested=4, steps=4, baselines=1)
    out = explain(config, trained, place / "windows", place / "a.npz")
    assert Attributions.read(out).methods["ig"].shape == (12, LENGTH)


@pytest.mark.pipeline
def test_predict_writes_bases_and_windows_with_one_model(trained: Path, place: Path) -> None:
    for resolution, column in (("base", "probability"), ("window", "score"), ("summit", "near")):
        config = PredictConfig(fold="test", resolution=resolution)
        out = predict(config, trained, place / "windows", place / f"{resolution}.tsv")
        assert out.read_text().partition("\n")[0].split("\t")[5 if column == "score" else 4] == column
        assert artefact.is_done(out, "predict", config, {"model": trained, "source": place / "windows"})


def shares(folder: Path, place: Path) -> list[np.ndarray]:
    """Return what a model says of bases, and then what each of its networks says."""
    codes = Windows.open(place / "windows").fold("validation").codes(np.arange(40))
    scorer = BaseScorer.open(folder)
    return [scorer.score(codes).share, *(replace(scorer, models=[one]).score(codes).share for one in scorer.models)]


@pytest.fixture(scope="module")
def with_specialists(place: Path) -> Path:
    config = TRAINED.model_copy(update={"base": BaseConfig(specialists=2, elsewhere=8, least=3), "epochs": 0.5})
    return finetune(config, place / "windows", place / "pretrained", place / "specialists")


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.pipeline
def test_specialists_say_single_bases_with_the_network(with_specialists: Path, place: Path) -> None:
    together, *each = shares(with_specialists, place)
    assert len(each) == read_card(with_specialists).specialists + 1 == 3
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-12)
    assert all(np.abs(one - other).max() > 1e-3 for one, other in combinations(each, 2))
    alone = TRAINED.model_copy(update={"base": BaseConfig(elsewhere=8, least=3), "epochs": 0.5})
    network = finetune(alone, place / "windows", place / "pretrained", place / "alone")
    assert (network / "model.safetensors").read_bytes() == (with_specialists / "model.safetensors").read_bytes()


@pytest.mark.pipeline
def test_specialists_are_half_the_size_and_say_what_they_learned(with_specialists: Path, place: Path) -> None:
    half = load_file(with_specialists / "specialist-1" / "model.safetensors")
    assert {tensor.dtype for tensor in half.values()} == {torch.float16}
    assert not [name for name in half if name.startswith(("score", "pooling", "stem.positions"))]
    data, tokenizer = Windows.open(place / "windows"), make_tokenizer(read_card(place / "pretrained").tokenizer)
    config = TRAINED.model_copy(update={"base": BaseConfig(elsewhere=8, least=3), "epochs": 0.5, "seed": 11})
    model = start_classifier(place / "pretrained", 11, base=True)
    train_classifier(model, BaseTask(config.model_copy(update={"select": "last"}), data, tokenizer), place / "s", "one")
    tokens = torch.from_numpy(tokenizer.encode(data.fold("validation").codes(np.arange(40))))
    with torch.no_grad():
        said = torch.softmax(model.eval()(input_ids=tokens, base=True).profile, dim=1).numpy()
    np.testing.assert_allclose(shares(with_specialists, place)[2], said, rtol=0.02, atol=1e-4)


@pytest.mark.pipeline
def test_specialists_differ_in_what_they_are_told_to(place: Path) -> None:
    shape = ModelConfig(width=16, mlp=24, layers=1, heads=2, stem=24, stem_layers=1, pool=4, dropout=0.3)
    how = (SpecialistConfig(model=shape, epochs=0.1), SpecialistConfig(learning_rate=1e-6, dropout=0.0))
    config = TRAINED.model_copy(update={"base": BaseConfig(specialists=how), "epochs": 0.2})
    folder = finetune(config, place / "windows", place / "pretrained", place / "differing")
    scorer = BaseScorer.open(folder)
    network, small, slow = scorer.models
    assert small.config.stem == 24
    assert small.config.hidden_dropout == 0.3
    assert slow.config.stem == network.config.stem == 32
    assert slow.config.hidden_dropout == 0.0
    start = start_classifier(place / "pretrained", 1 + 20, 0.0, base=True)
    moved_by = (slow.stem.motifs.weight - start.stem.motifs.weight).abs().max()  # type: ignore[union-attr]
    assert 0 < moved_by < 1e-3  # of half precision, and a rate of 1e-6
    together, *each = shares(folder, place)
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-12)
    settings = [specialist_config(config, number, own) for number, own in enumerate(how, start=1)]
    assert [(one.epochs, one.learning_rate, one.seed, one.select) for one in settings] == [
        (0.1, TRAINED.learning_rate, 11, "last"), (0.2, 1e-6, 21, "last"),
    ]  # fmt: skip


def test_dropout_in_the_stem_is_for_training_alone(place: Path) -> None:
    base = BaseConfig(specialists=(SpecialistConfig(stem_dropout=0.4), SpecialistConfig(model=SHAPE)))
    config = TRAINED.model_copy(update={"base": base})
    given, drawn = (specialist_config(config, number, own) for number, own in enumerate(base.specialists, start=1))
    assert (given.stem_dropout, drawn.stem_dropout) == (0.4, None)
    tokens = torch.randint(0, 4, (3, LENGTH), generator=torch.Generator().manual_seed(1))

    def noisy(stem_dropout: float | None) -> tuple[bool, torch.Tensor]:
        model = start_classifier(place / "pretrained", 1, 0.0, stem_dropout, base=True)
        first, second = (model.train()(input_ids=tokens, base=True).profile.detach() for _ in range(2))
        return not torch.equal(first, second), model.eval()(input_ids=tokens, base=True).profile.detach()

    varies, said = noisy(0.4)
    same, plain = noisy(None)
    assert varies
    assert not same
    assert torch.equal(said, plain)
    shape = SHAPE.model_copy(update={"stem_dropout": 0.2})
    assert start_specialist(drawn, shape, place / "pretrained").config.stem_dropout == 0.2


@pytest.mark.pipeline
def test_specialists_may_learn_from_the_validation_fold_and_the_model_says_so(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, tokenizer = Windows.open(place / "windows"), make_tokenizer(read_card(place / "pretrained").tokenizer)
    base = BaseConfig(specialists=1, elsewhere=8, least=3, validation_too=True)
    config = TRAINED.model_copy(update={"base": base, "epochs": 0.1})
    task, usual = BaseTask(config, data, tokenizer, base_folds(config)), BaseTask(config, data, tokenizer)
    n = {name: len(data.fold(name).table) for name in ("train", "validation")}
    assert (task.n, usual.n) == (n["train"] + n["validation"], n["train"])
    read = {
        chrom for one in (task.moved.profiles, task.moved.elsewhere.profiles)  # type: ignore[union-attr]
        for chrom in one.windows.table["chrom"]
    }  # fmt: skip
    assert read == set(data.fold("train", "validation").table["chrom"])
    assert not read & set(data.fold("test").table["chrom"])
    assert task.validate(start_classifier(place / "pretrained", 1, base=True).eval(), torch.device("cpu")) == {}
    with caplog.at_level("INFO"):
        folder = finetune(config, place / "windows", place / "pretrained", place / "both")
    assert "specialist-1: step" in caplog.text
    assert "validation: none" in caplog.text
    assert read_card(folder).base_folds == ("train", "validation")
    for fold, warned in (("validation", True), ("test", False)):
        caplog.clear()
        scored = EvaluateConfig(resolution="base", fold=fold, bootstrap=0)
        evaluate(scored, folder, place / "windows", place / f"both-{fold}")
        assert ("learned single bases from its validation fold" in caplog.text) is warned
    alone = config.model_copy(update={"base": base.model_copy(update={"specialists": ()})})
    assert base_folds(alone) == ("train",)
    assert base_folds(config.model_copy(update={"base": False})) == ()


def test_a_process_ends_when_the_one_that_started_it_was_killed() -> None:
    waits = "import os; from capsight.train.specialists import end_with; parent = os.getppid()\n"
    waits += "print(os.getpid(), flush=True); end_with(parent, 0.1)"
    parent = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", parent, sys.executable, "-c", waits], stdout=subprocess.PIPE) as one:
        assert one.stdout
        assert int(one.stdout.readline()) != one.pid
        one.kill()
        assert one.communicate(timeout=60)[0] == b""  # at its end when the child, too, has closed it


def test_specialists_are_a_number_or_a_list() -> None:
    one = parse(FinetuneConfig, {"base": {"specialists": 2}}).base
    assert one == BaseConfig(specialists=(SpecialistConfig(), SpecialistConfig()))
    two = parse(FinetuneConfig, {"base": {"specialists": [{"power": 0.7}, {}]}}).base
    assert two == BaseConfig(specialists=(SpecialistConfig(power=0.7), SpecialistConfig()))
    for wrong, message in (
        (99, "base.specialists"), ([{"powr": 1}], "unknown key 'base.specialists.0.powr'"),
        ([{"model": {"stem": 0}}], "its model needs a stem"), (-1, "base.specialists"), (True, "base.specialists"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            parse(FinetuneConfig, {"base": {"specialists": wrong}})


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("damage", ["lost", "cut", "foreign"])
@pytest.mark.pipeline
def test_damaged_specialists_are_refused(with_specialists: Path, damage: str, record: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(with_specialists, folder)
    path = folder / "specialist-2" / "model.safetensors"
    content = {"lost": None, "cut": path.read_bytes()[:-9], "foreign": b"not weights"}[damage]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    if not record:
        (folder / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"specialist-2"):
        BaseScorer.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_tokens": 64}, "specialist-1: does not say single bases of what the model reads"),
        ({"base": False}, "specialist-1: does not say single bases of what the model reads"),
        ({"stem": 48}, "specialist-1/model.safetensors: weights cannot be read"),
        ({"stem": "x"}, r"specialist-1/config.json: does not describe a network"),
        (None, r"specialist-1/config.json: does not describe a network"),
    ],
)
@pytest.mark.pipeline
def test_specialists_of_another_kind_are_refused(
    with_specialists: Path, change: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(with_specialists, folder)
    (folder / "config.yaml").unlink()
    path = folder / "specialist-1" / "config.json"
    values = json.loads(path.read_text())
    path.unlink()
    if change is not None:
        path.write_text(json.dumps(values | change))
    with pytest.raises(InputError, match=message):
        BaseScorer.open(folder)


@pytest.mark.pipeline
def test_specialists_teach_the_network_and_need_not_stay(with_specialists: Path, place: Path) -> None:
    base = BaseConfig(specialists=2, elsewhere=8, least=3, taught=20.0, stay=False)
    config = TRAINED.model_copy(update={"base": base, "epochs": 0.5})
    folder = finetune(config, place / "windows", place / "pretrained", place / "taught")
    assert read_card(folder).specialists == 0
    assert not list(folder.glob("specialist-*"))
    _, network, *specialists = shares(with_specialists, place)
    taught, _ = shares(folder, place)
    told = np.mean(specialists, axis=0)
    assert np.abs(taught - told).mean() < 0.9 * np.abs(network - told).mean()


@pytest.mark.pipeline
def test_specialists_are_not_trained_again_after_an_interruption(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BaseConfig(specialists=1, elsewhere=8, least=3, taught=1.0)
    config = TRAINED.model_copy(update={"base": base, "epochs": 0.3})

    def train(name: str) -> list[bytes]:
        folder = finetune(config, place / "windows", place / "pretrained", place / name)
        return [(folder / file).read_bytes() for file in ("model.safetensors", "specialist-1/model.safetensors")]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(JointTask, "loss", stop)
        with pytest.raises(KeyboardInterrupt):
            train("stopped")
    loss, losses = BaseTask.loss, []
    monkeypatch.setattr(BaseTask, "loss", lambda self, *given: losses.append(type(self)) or loss(self, *given))
    went_on, n = train("stopped"), len(losses)
    assert went_on == train("whole")
    assert 0 < n == (len(losses) - n) / 2  # the specialist took as many updates as the network, once


@pytest.mark.pipeline
def test_specialists_are_the_same_trained_one_after_the_other_or_at_once(place: Path, one_thread: None) -> None:
    def train(processes: int) -> list[bytes]:
        base = BaseConfig(specialists=2, elsewhere=8, least=3, processes=processes)
        config = TRAINED.model_copy(update={"base": base, "epochs": 0.3})
        folder = finetune(config, place / "windows", place / "pretrained", place / f"by-{processes}")
        files = ("model.safetensors", "specialist-1/model.safetensors", "specialist-2/model.safetensors")
        return [(folder / file).read_bytes() for file in files]

    assert train(1) == train(2)


def test_what_is_taught_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.2, 0.8]]))
    teachers = [torch.log(torch.tensor([[0.9, 0.1], [0.5, 0.5]])), torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))]
    first = -(0.7 * np.log(0.5) + 0.3 * np.log(0.5))
    second = -(np.log(0.2) + np.log(0.8)) / 2
    assert taught_profile_loss(logits, teachers).item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_a_model_without_the_head_says_what_to_do(place: Path, tmp_path: Path) -> None:
    config = FinetuneConfig(epochs=0.1, batch_size=8)
    plain = finetune(config, place / "windows", place / "pretrained", tmp_path / "plain")
    for resolution in (
        lambda: predict(PredictConfig(resolution="base"), plain, place / "windows", tmp_path / "p.tsv"),
        lambda: evaluate(EvaluateConfig(resolution="base"), plain, place / "windows", tmp_path / "e"),
    ):
        with pytest.raises(InputError, match=r"plain: the model has no head for single bases.*--set base=true"):
            resolution()
    assert not list(tmp_path.glob("p.tsv*")) + list(tmp_path.glob("e*"))
    assert "base_median_distance" not in (plain / "metrics.jsonl").read_text()


def test_windows_without_five_ends_are_refused(place: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train", "dev"):
        rows = ("".join(rng.choice(list("ACGT"), 32)) + f",{i % 2}\n" for i in range(20))
        (tmp_path / f"{name}.csv").write_text("sequence,label\n" + "".join(rows))
    laid = windows(WindowsConfig(train=tmp_path / "train.csv", validation=(str(tmp_path / "dev.csv"),)), tmp_path / "w")
    none = PhaseConfig(steps=0)
    start = pretrain(PretrainConfig(model=SHAPE, warmup=none, main=none, corpus="windows"), laid, tmp_path / "p")
    with pytest.raises(InputError, match=r"five_ends.parquet: there is no such file: these windows know no 5' ends"):
        finetune(TRAINED, laid, start, tmp_path / "m")
    assert not list(tmp_path.glob("m*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"taught": 1}, "taught needs specialists"),
        ({"specialists": 2, "stay": False}, "neither teach nor stay"),
        ({"specialists": 2, "taught": 1, "validation_too": True}, "teachers must not know it"),
    ],
)
def test_specialists_that_are_of_no_use_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(FinetuneConfig, {"base": settings})


def test_base_is_switched_on_by_true_or_by_a_setting() -> None:
    assert parse(FinetuneConfig, {"base": True}).base == BaseConfig()
    assert parse(FinetuneConfig, {"base": {"batch_size": 8}}).base == BaseConfig(batch_size=8)
    assert parse(FinetuneConfig, {"base": False}).base is parse(FinetuneConfig, {}).base is False
    with pytest.raises(ConfigError, match=r"unknown key 'base.batchsize'; did you mean"):
        parse(FinetuneConfig, {"base": {"batchsize": 8}})
    with pytest.raises(ConfigError, match=r"base.profile: .*greater than or equal to 0"):
        parse(FinetuneConfig, {"base": {"profile": -1}})
