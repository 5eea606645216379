"""Pre-training: it learns, leaves held-out chromosomes alone, and full rank is the same stage without ReLoRA."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from capsight.config import ModelConfig, PhaseConfig, PretrainConfig, ReloraConfig, TokenizerConfig
from capsight.data.tokenizer import make_tokenizer
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.model.llama import CapsightForPretraining, architecture
from capsight.train.pretrain import LanguageTask, make_corpus, pretrain

MODEL = ModelConfig(width=32, mlp=48, layers=1, heads=2, stem=0, pool=1, dropout=0.0)
CAUSAL = MODEL.model_copy(update={"causal": True})
PHASE = PhaseConfig(steps=6, batch_size=8, learning_rate=1e-3, warmup_steps=1)
SMALL = PretrainConfig(
    mask_span=1,
    corpus="windows",
    model=MODEL,
    warmup=PHASE,
    main=PHASE,
    relora=ReloraConfig(rank=2, cycle=3, restart_warmup_steps=1),
)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL.model_copy(update={"model": CAUSAL, "objective": "causal"}),
        SMALL.model_copy(update={"model": MODEL.model_copy(update={"stem": 16, "pool": 4})}),
        SMALL.model_copy(update={"tokenizer": TokenizerConfig(k=4, stride=4)}),
    ],
    ids=["masked", "causal", "stem", "blocks"],
)
def test_a_batch_can_be_learned_by_heart(config: PretrainConfig, motif_windows: Path) -> None:
    data = Windows.open(motif_windows)
    tokenizer = make_tokenizer(config.tokenizer)
    codes = data.fold("train").codes(np.arange(2))[:, :32]
    task = LanguageTask(config, tokenizer, lambda index, size: codes, codes, 2)
    torch.manual_seed(0)
    model = CapsightForPretraining(architecture(config.model, tokenizer.vocabulary, tokenizer.n_tokens(32)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    batch = task.batch(0)
    for _ in range(200):
        loss = task.loss(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    if config.objective == "causal":  # the first tokens of two windows cannot be known; all later ones can
        assert loss.item() < 0.1
    else:
        assert loss.item() < 0.02


def test_both_phases_are_logged_and_the_loss_falls(motif_windows: Path, tmp_path: Path) -> None:
    longer = PHASE.model_copy(update={"steps": 40, "learning_rate": 5e-3})
    config = SMALL.model_copy(update={"warmup": longer, "evaluate_every": 10})
    pretrain(config, motif_windows, tmp_path / "out")
    log = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [r["phase"] for r in log] == ["warmup"] * 4 + ["main"]
    assert log[3]["validation_loss"] < log[0]["validation_loss"]


@pytest.mark.parametrize("relora", [False, ReloraConfig(rank=2, cycle=3, restart_warmup_steps=1)])
def test_weights_change_in_the_main_phase(relora: object, motif_windows: Path, tmp_path: Path) -> None:
    still = SMALL.model_copy(update={"main": PHASE.model_copy(update={"steps": 0})})
    moved = SMALL.model_copy(update={"relora": relora})
    before = load_file(pretrain(still, motif_windows, tmp_path / "before") / "model.safetensors")
    after = load_file(pretrain(moved, motif_windows, tmp_path / "after") / "model.safetensors")
    assert set(before) == set(after)
    name = "model.layers.0.mlp.up_proj.weight"
    change = after[name] - before[name]
    assert float(change.abs().max()) > 0
    rank = int(torch.linalg.matrix_rank(change, rtol=1e-4))
    assert rank == 4 if relora else rank > 4


def test_genome_corpus_never_reads_held_out_chromosomes(motif_windows: Path) -> None:
    data = Windows.open(motif_windows)
    assert [data.genome.names[i] for i in data.training_contigs()] == ["chr1"]
    corpus = make_corpus(SMALL.model_copy(update={"corpus": "genome"}), data, seed=1)
    training = "".join("ACGT"[c] for c in data.genome.contig(0))
    other = str.maketrans("ACGT", "TGCA")
    for row in corpus(0, 64):
        text = "".join("ACGT"[c] for c in row)
        assert text in training or text.translate(other)[::-1] in training


def test_no_steps_gives_the_untrained_network(motif_windows: Path, tmp_path: Path) -> None:
    none = PHASE.model_copy(update={"steps": 0})
    config = SMALL.model_copy(update={"warmup": none, "main": none})
    out = pretrain(config, motif_windows, tmp_path / "out")
    assert (out / "model.safetensors").is_file()
    assert (out / "metrics.jsonl").read_text() == ""


def test_missing_windows_leave_nothing(motif_windows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder"):
        pretrain(SMALL, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()
