"""Fine-tuning: it learns a planted motif by LoRA and in full, and a batch by heart."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from capsight.config import (
    BaselineConfig,
    EvaluateConfig,
    FinetuneConfig,
    LoraConfig,
    ModelConfig,
    PhaseConfig,
    PretrainConfig,
    SubstituteConfig,
    WindowsConfig,
)
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.evaluate.evaluate import evaluate
from capsight.model.classifier import start_classifier
from capsight.model.llama_folder import read_card
from capsight.train.baselines.baseline import baseline
from capsight.train.classifier import schedule, selection_score
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain
from capsight.train.tasks import ClassificationTask

LORA = LoraConfig(rank=4, alpha=8, modules_to_save=("head", "stem"))


@pytest.mark.pipeline
@pytest.mark.parametrize("lora", [LORA, False], ids=["lora", "full"])
def test_a_planted_motif_is_learned(lora: object, motif_windows: Path, pretrained: Path, tmp_path: Path) -> None:
    config = FinetuneConfig(lora=lora, epochs=12, batch_size=16, learning_rate=5e-3)  # type: ignore[arg-type]
    model = finetune(config, motif_windows, pretrained, tmp_path / "model")
    result = evaluate(EvaluateConfig(bootstrap=0), model, motif_windows, tmp_path / "e")
    assert json.loads((result / "metrics.json").read_text())["auroc"] > 0.95
    assert (model / "adapter" / "adapter_model.safetensors").is_file() is bool(lora)
    assert read_card(model).metrics["validation"]["auroc"] > 0.95


def test_last_keeps_the_last_weights(motif_windows: Path, pretrained: Path, tmp_path: Path) -> None:
    stuck = FinetuneConfig(epochs=5, batch_size=16, learning_rate=1e-12)  # the loss is the same at every look
    last = stuck.model_copy(update={"select": "last"})
    logs = [
        (finetune(config, motif_windows, pretrained, tmp_path / config.select) / "metrics.jsonl")
        .read_text()
        .splitlines()
        for config in (stuck, last)
    ]
    assert [len(log) for log in logs] == [5, 5]
    kept = read_card(tmp_path / "last").metrics["validation"]
    assert kept["step"] == json.loads(logs[1][-1])["step"]


def test_lora_leaves_unnamed_parts_as_they_were(motif_windows: Path, pretrained: Path, tmp_path: Path) -> None:
    lora = LoraConfig(rank=2, modules_to_save=("head",))
    config = FinetuneConfig(lora=lora, epochs=1, batch_size=16, learning_rate=5e-3)
    before = load_file(pretrained / "model.safetensors")
    after = load_file(finetune(config, motif_windows, pretrained, tmp_path / "model") / "model.safetensors")
    moved = {name for name in before.keys() & after.keys() if not torch.equal(before[name], after[name])}
    assert moved
    assert all("proj" in name and name.startswith("model.layers") for name in moved)


def test_a_batch_can_be_learned_by_heart(motif_windows: Path, pretrained: Path) -> None:
    data = Windows.open(motif_windows)
    task = ClassificationTask(FinetuneConfig(batch_size=8), data, make_tokenizer(read_card(pretrained).tokenizer))
    model = start_classifier(pretrained, seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    batch = dict(task.batch(0))
    batch["labels"] = torch.tensor([0, 1] * 4)  # labels that mean nothing: only memory can help
    for _ in range(100):
        loss = task.loss(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.01


def test_jitter_moves_what_is_read(motif_windows: Path, pretrained: Path) -> None:
    data = Windows.open(motif_windows)
    tokenizer = make_tokenizer(read_card(pretrained).tokenizer)
    plain, shifted = (
        ClassificationTask(FinetuneConfig(batch_size=32, **more), data, tokenizer).batch(0)["tokens"]
        for more in ({}, {"max_jitter": 3})
    )
    unmoved = (plain == shifted).all(dim=1)
    assert 0 < int(unmoved.sum()) < 16
    for a, b in zip(plain[~unmoved], shifted[~unmoved], strict=True):
        assert any(torch.equal(a[s:], b[:-s]) or torch.equal(b[s:], a[:-s]) for s in (1, 2, 3))


def test_substitute_makes_negatives_from_training_positives(motif_windows: Path, pretrained: Path) -> None:
    data, tokenizer = Windows.open(motif_windows), make_tokenizer(read_card(pretrained).tokenizer)
    length, block, offset = data.length, 16, 5
    substitute = SubstituteConfig(share=1, block=block, offset=offset, fraction=0.4)
    plain, made = (
        ClassificationTask(FinetuneConfig(batch_size=64, substitute=s), data, tokenizer).batch(0)
        for s in (False, substitute)
    )
    assert torch.equal(plain["labels"], made["labels"])
    negative = made["labels"] == 0
    assert torch.equal(plain["tokens"][~negative], made["tokens"][~negative])
    training = data.fold("train")
    positives = torch.from_numpy(tokenizer.encode(training.codes(np.flatnonzero(training.labels == 1))))
    borders = [0, *range(offset, length, block), length]
    n_kept, n_blocks = 0, 0
    for tokens in made["tokens"][negative]:
        same = positives == tokens
        parent = same[same.sum(dim=1).argmax()]
        whole = [bool(parent[a:b].all()) for a, b in pairwise(borders) if b - a == block]
        assert not parent.all()  # one block at least is substituted
        n_kept, n_blocks = n_kept + sum(whole), n_blocks + len(whole)
    assert 0.4 < n_kept / n_blocks < 0.75


def test_a_share_of_the_negatives_is_substituted(motif_windows: Path, pretrained: Path) -> None:
    data, tokenizer = Windows.open(motif_windows), make_tokenizer(read_card(pretrained).tokenizer)
    plain, made = (
        ClassificationTask(FinetuneConfig(batch_size=64, substitute=s), data, tokenizer).batch(0)
        for s in (False, SubstituteConfig(share=0.5))
    )
    kept = (plain["tokens"] == made["tokens"]).all(dim=1)[plain["labels"] == 0]
    assert 0.25 < kept.float().mean() < 0.75


def test_max_train_draws_that_many(motif_windows: Path, pretrained: Path) -> None:
    data, tokenizer = Windows.open(motif_windows), make_tokenizer(read_card(pretrained).tokenizer)
    task = ClassificationTask(FinetuneConfig(max_train=10, max_validation=20), data, tokenizer)
    assert task.n == len(set(task.rows)) == 10
    assert len(task.validation_tokens) == 20


def test_length_mismatch_is_said(motif_windows: Path, pretrained: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(pretrained, other)
    card = json.loads((other / "capsight.json").read_text()) | {"length": 100}
    (other / "capsight.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="reads 100 bases and the windows have 64"):
        finetune(FinetuneConfig(), motif_windows, other, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_equal_metrics_are_rated_by_the_loss() -> None:
    early, late, best = ({"auroc": a, "loss": b} for a, b in ((0.9, 0.6), (0.9, 0.2), (0.91, 0.7)))
    assert sorted([best, late, early], key=lambda m: selection_score(m, "auroc")) == [early, late, best]
    assert max([best, late, early], key=lambda m: selection_score(m, "loss")) is late


def test_linear_schedule() -> None:
    phase = PhaseConfig(steps=100, warmup_steps=20, min_lr_ratio=0.0)
    assert schedule(0, phase, "linear") == 0
    assert schedule(10, phase, "linear") == 0.5
    assert schedule(20, phase, "linear") == 1
    assert schedule(60, phase, "linear") == 0.5
    assert schedule(60, phase, "cosine") == pytest.approx(0.5)
    assert np.isclose(schedule(99, phase, "linear"), 1 / 80)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_train": 1}, "the train fold holds only one label among the 1 windows drawn: nothing can be learnt"),
        ({"max_validation": 1}, "the validation fold holds only one label among the 1 windows drawn"),
    ],
)
def test_a_draw_of_one_label_is_refused(
    changes: dict[str, int], message: str, motif_windows: Path, pretrained: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        finetune(FinetuneConfig(**changes), motif_windows, pretrained, tmp_path / "model")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fold", ["train", "validation"])
@pytest.mark.parametrize("label", [0, 1])
def test_a_fold_of_one_label_is_refused_by_all_that_learns_labels(fold: str, label: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for name in ("train", "validation"):
        labels = [label] * 6 if name == fold else [0, 1] * 3
        rows = "".join(f"{''.join(rng.choice(list('ACGT'), 32))},{each}\n" for each in labels)
        (tmp_path / f"{name}.csv").write_text(f"sequence,label\n{rows}")
    config = WindowsConfig(train=tmp_path / "train.csv", validation=(str(tmp_path / "validation.csv"),))
    folder = windows(config, tmp_path / "windows")
    none = PhaseConfig(steps=0)
    shape = ModelConfig(width=8, mlp_size=8, layers=1, heads=1, stem_channels=0)
    start = pretrain(
        PretrainConfig(model=shape, full_rank_phase=none, relora_phase=none, corpus="windows"),
        folder,
        tmp_path / "start",
    )
    before = set(tmp_path.iterdir())
    message = f"windows: the {fold} fold holds only one label: nothing can be learnt"
    for train in (
        lambda out: finetune(FinetuneConfig(), folder, start, out),
        lambda out: baseline(BaselineConfig(model="cnn"), folder, out),
        lambda out: baseline(BaselineConfig(model="kmer-lr"), folder, out),
        lambda out: baseline(BaselineConfig(model="kmer-gbm"), folder, out),
    ):
        with pytest.raises(InputError, match=message):
            train(tmp_path / "out")
        assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("what", ["full", "lora", "cnn"])
def test_a_rate_too_high_stops_and_saves_nothing(
    what: str, motif_windows: Path, pretrained: Path, tmp_path: Path
) -> None:
    wild = {"learning_rate": 1e6, "weight_decay": 1e6, "epochs": 3, "batch_size": 16, "warmup_steps": 0}
    wild |= {"lora": LORA} if what == "lora" else {}
    config = FinetuneConfig.model_validate(wild)
    name = "cnn" if what == "cnn" else "finetune"
    with pytest.raises(InputError, match=rf"^{name}: .* is not a finite number at step \d+ of \d+: .*learning_rate"):
        if what == "cnn":
            baseline(BaselineConfig(model="cnn", training=config), motif_windows, tmp_path / "out")
        else:
            finetune(config, motif_windows, pretrained, tmp_path / "out")
    assert not (tmp_path / "out").exists()
