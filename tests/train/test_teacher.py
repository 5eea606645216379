"""A teacher: it learns a planted motif, marks training DNA alone, and the network learns from its marks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from capsight.config import FinetuneConfig, TeacherConfig, WindowsConfig
from capsight.data.bases import decode, reverse_complement
from capsight.data.tokenizer import Tokenizer, make_tokenizer
from capsight.data.windows import Windows, windows
from capsight.errors import InputError
from capsight.model.checkpoint import read_card, start_classifier
from capsight.train.finetune import finetune
from capsight.train.tasks import ClassificationTask
from capsight.train.teacher import MARK, MARKED, MarkedWindows, balanced, grow, mark_windows, taught_loss

SMALL = TeacherConfig(windows=3_000, batch_size=16)


@pytest.fixture(scope="module")
def tokenizer(pretrained: Path) -> Tokenizer:
    return make_tokenizer(read_card(pretrained).tokenizer)


@pytest.fixture(scope="module")
def marked(motif_windows: Path, tokenizer: Tokenizer) -> MarkedWindows:
    data = Windows.open(motif_windows)
    rows = np.arange(len(data.fold("train").table))
    return mark_windows(SMALL, data, rows, tokenizer, mutate=0.0, seed=1)


def test_the_teacher_tells_the_motif(motif_windows: Path) -> None:
    training, test = (Windows.open(motif_windows).fold(name) for name in ("train", "test"))
    trees = grow(training.codes(np.arange(len(training.table))), training.labels, seed=1)
    marks = trees.log_odds(test.codes(np.arange(len(test.table))))
    assert marks[test.labels == 1].mean() > marks[test.labels == 0].mean() + 1


def test_only_training_chromosomes_are_marked(motif_windows: Path, marked: MarkedWindows) -> None:
    genome = (motif_windows.parent / "genome.fa").read_text().split(">")
    chr1 = genome[1].split("\n", 1)[1].replace("\n", "")
    for here, turned in zip(decode(marked.codes), decode(reverse_complement(marked.codes)), strict=True):
        assert here in chr1 or turned in chr1


def test_as_many_are_kept_of_either_answer(marked: MarkedWindows) -> None:
    assert 0 < (marked.marks > 0).sum() == (marked.marks <= 0).sum()
    marks = np.array([-1, 2, -3, -4, 5, -6], dtype=np.float32)
    assert balanced(marks).tolist() == [0, 1, 2, 4]
    assert len(balanced(-np.ones(5, dtype=np.float32))) == 0


def test_batches_are_functions_of_their_number_and_mutate(
    motif_windows: Path, tokenizer: Tokenizer, marked: MarkedWindows
) -> None:
    again = mark_windows(SMALL, Windows.open(motif_windows), np.arange(116), tokenizer, mutate=0.2, seed=1)
    assert np.array_equal(again.marks, marked.marks)
    plain, changed = marked.batch(3), again.batch(3)
    assert torch.equal(plain[MARK], changed[MARK])
    assert 0.1 < (plain[MARKED] != changed[MARKED]).double().mean() < 0.2  # a quarter of new bases are the old ones
    assert torch.equal(changed[MARKED], again.batch(3)[MARKED])


def test_the_loss_is_the_cross_entropy_of_every_head() -> None:
    opinions, marks = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[0.5, 0.5], [0.0, -1.0]]]), torch.tensor([0.9, 0.2])
    target = torch.stack([1 - marks, marks], dim=1).repeat(2, 1)
    expected = functional.cross_entropy(opinions.flatten(0, 1), target)
    assert torch.allclose(taught_loss(opinions, marks), expected)


def test_what_the_teacher_says_is_learned_beside_the_labels(motif_windows: Path, pretrained: Path) -> None:
    data, tokenizer = Windows.open(motif_windows), make_tokenizer(read_card(pretrained).tokenizer)
    alone, taught = (
        ClassificationTask(FinetuneConfig(batch_size=8, teacher=teacher), data, tokenizer) for teacher in (False, SMALL)
    )
    assert taught.tokens_per_batch == 3 * alone.tokens_per_batch
    model = start_classifier(pretrained, seed=1).eval()
    batch = taught.batch(0)
    assert torch.equal(batch["tokens"], alone.batch(0)["tokens"])
    marked = taught_loss(model(input_ids=batch[MARKED]).logits[None], batch[MARK])
    assert torch.allclose(taught.loss(model, batch), alone.loss(model, batch) + SMALL.weight * marked)


@pytest.mark.pipeline
def test_a_network_learns_from_marks(motif_windows: Path, pretrained: Path, tmp_path: Path) -> None:
    config = FinetuneConfig(
        teacher=SMALL, max_train=100, epochs=20, batch_size=8, learning_rate=3e-3, select="last", average=0.9
    )
    model = finetune(config, motif_windows, pretrained, tmp_path / "model")
    assert read_card(model).metrics["validation"]["auroc"] > 0.9


def test_labelled_sequences_have_nothing_to_mark(tmp_path: Path, pretrained: Path) -> None:
    rng = np.random.default_rng(0)
    for fold in ("train", "dev"):
        rows = ["".join(rng.choice(list("ACGT"), 64)) + f",{i % 2}" for i in range(40)]
        (tmp_path / f"{fold}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    config = WindowsConfig(train=tmp_path / "train.csv", validation=(str(tmp_path / "dev.csv"),))
    made = windows(config, tmp_path / "windows")
    with pytest.raises(InputError, match="DNA beyond the training windows"):
        finetune(FinetuneConfig(teacher=SMALL), made, pretrained, tmp_path / "model")
    assert not (tmp_path / "model").exists()
