"""Pre-training: it learns, leaves held-out chromosomes alone, and full rank is the same stage without ReLoRA."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from capsight.config import (
    BlocksConfig,
    FinetuneConfig,
    ModelConfig,
    PhaseConfig,
    PretrainConfig,
    ReloraConfig,
    TokenizerConfig,
    WindowsConfig,
)
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.model.classifier import start_classifier
from capsight.model.llama import CapsightForPretraining, architecture
from capsight.train.finetune import finetune
from capsight.train.pretrain import LanguageTask, SubstitutionTask, check_asked, make_corpus, pretrain

MODEL = ModelConfig(width=32, mlp_size=48, layers=1, heads=2, stem_channels=0, downsample=1, dropout=0.0)
CAUSAL = MODEL.model_copy(update={"causal": True})
PHASE = PhaseConfig(steps=6, batch_size=8, learning_rate=1e-3, warmup_steps=1)
SMALL = PretrainConfig(
    mask_span=1,
    corpus="windows",
    model=MODEL,
    full_rank_phase=PHASE,
    relora_phase=PHASE,
    relora=ReloraConfig(rank=2, merge_every=3, restart_warmup_steps=1),
)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL.model_copy(update={"model": CAUSAL, "objective": "causal"}),
        SMALL.model_copy(update={"model": MODEL.model_copy(update={"stem_channels": 16, "downsample": 4})}),
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
    config = SMALL.model_copy(update={"full_rank_phase": longer, "evaluate_every": 10})
    pretrain(config, motif_windows, tmp_path / "out")
    log = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [r["phase"] for r in log] == ["full_rank_phase"] * 4 + ["relora_phase"]
    assert log[3]["validation_loss"] < log[0]["validation_loss"]


@pytest.mark.parametrize("relora", [False, ReloraConfig(rank=2, merge_every=3, restart_warmup_steps=1)])
def test_weights_change_in_the_main_phase(relora: object, motif_windows: Path, tmp_path: Path) -> None:
    still = SMALL.model_copy(update={"relora_phase": PHASE.model_copy(update={"steps": 0})})
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
    assert data.stretches("train").names == ("chr1",)
    corpus = make_corpus(SMALL.model_copy(update={"corpus": "genome"}), data, make_tokenizer(SMALL.tokenizer), seed=1)
    training = "".join("ACGT"[c] for c in data.genome.contig(0))
    other = str.maketrans("ACGT", "TGCA")
    for row in corpus(0, 64):
        text = "".join("ACGT"[c] for c in row)
        assert text in training or text.translate(other)[::-1] in training


def test_no_steps_gives_the_untrained_network(motif_windows: Path, tmp_path: Path) -> None:
    none = PHASE.model_copy(update={"steps": 0})
    config = SMALL.model_copy(update={"full_rank_phase": none, "relora_phase": none})
    out = pretrain(config, motif_windows, tmp_path / "out")
    assert (out / "model.safetensors").is_file()
    assert (out / "metrics.jsonl").read_text() == ""


def test_missing_windows_leave_nothing(motif_windows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder"):
        pretrain(SMALL, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_span": 64}, "mask_span 64 hides the whole of windows of 64 bases"),
        ({"mask_span": 1_000}, "mask_span 1000 hides the whole"),
        ({"mask_fraction": 0.999}, "mask_fraction 0.999 hides the whole of windows of 64 bases"),
        (
            {"mask_fraction": 1e-6},
            r"mask_fraction 1e-06 hides nothing in most updates of full_rank_phase, of 8 windows of 64",
        ),
        ({"tokenizer": TokenizerConfig(k=4, stride=4), "mask_span": 64}, "mask_span 64 hides the whole"),
    ],
)
def test_an_objective_that_asks_for_nothing_is_refused(
    changes: dict[str, object], message: str, motif_windows: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        pretrain(SMALL.model_copy(update=changes), motif_windows, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_one_token_has_no_next_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="windows of one token have no next token to predict"):
        check_asked(SMALL.model_copy(update={"model": CAUSAL, "objective": "causal"}), 1, tmp_path)


def test_small_batches_always_ask_for_something(motif_windows: Path) -> None:
    data = Windows.open(motif_windows)
    tokenizer = make_tokenizer(SMALL.tokenizer)
    config = SMALL.model_copy(update={"mask_fraction": 0.02, "mask_span": 4})  # e^-1.3 of windows have no mask
    corpus = make_corpus(config, data, tokenizer, seed=1)
    task = LanguageTask(config, tokenizer, corpus, data.fold("validation").codes(np.arange(9)), 1)
    targets = [(task.batch(i)["targets"] != -100).numpy() for i in range(200)]
    assert all(each.any() for each in targets)
    assert (
        np.mean([each.mean() for each in targets]) < 0.1
    )  # a span of 4 in 64 tokens is the least, and no more than one is added
    assert all(torch.equal(a, b) for a, b in zip(task.batch(7).values(), task.batch(7).values(), strict=True))
    torch.manual_seed(0)
    model = CapsightForPretraining(architecture(config.model, tokenizer.vocabulary, 64)).eval()
    with torch.no_grad():
        loss = task.validate(model, torch.device("cpu"))["validation_loss"]
    assert loss == pytest.approx(np.log(tokenizer.vocabulary), abs=0.5)


def labelled(folder: Path, train: list[tuple[str, int]], held: list[tuple[str, int]]) -> Path:
    for name, rows in (("train", train), ("held", held)):
        text = "sequence,label\n" + "".join(f"{sequence},{label}\n" for sequence, label in rows)
        (folder / f"{name}.csv").write_text(text)
    config = WindowsConfig(train=folder / "train.csv", validation=(str(folder / "held.csv"),))
    return windows(config, folder / "windows")


def sequences(n: int) -> list[tuple[str, int]]:
    rng = np.random.default_rng(4)
    return [("".join(rng.choice(list("ACGT"), 32)), i % 2) for i in range(n)]


def test_windows_without_known_bases_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = sequences(12)
    folder = labelled(tmp_path, [*known[:6], ("N" * 32, 0)], known[6:])
    config = SMALL.model_copy(update={"relora_phase": PHASE.model_copy(update={"steps": 0})})
    one = config.model_copy(
        update={"full_rank_phase": PHASE.model_copy(update={"batch_size": 1, "gradient_accumulation_steps": 8})}
    )
    out = pretrain(one, folder, tmp_path / "out")
    assert "1 training windows have no known bases and are left out" in caplog.text
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all(1 < record[key] < 3 for record in log for key in ("train_loss", "validation_loss"))


def test_a_validation_batch_without_known_bases_does_not_spoil_the_mean(motif_windows: Path) -> None:
    tokenizer = make_tokenizer(SMALL.tokenizer)
    known = Windows.open(motif_windows).fold("validation").codes(np.arange(3))
    torch.manual_seed(0)
    model = CapsightForPretraining(architecture(SMALL.model, tokenizer.vocabulary, 64)).eval()
    losses = []
    for codes in (known, np.concatenate([known, np.full_like(known, 4)])):
        task = LanguageTask(SMALL, tokenizer, lambda index, size: known, codes, 3)
        with torch.no_grad():
            losses.append(task.validate(model, torch.device("cpu"))["validation_loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("fold", ["train", "validation"])
def test_a_fold_without_known_bases_is_refused(fold: str, tmp_path: Path) -> None:
    unknown = [("N" * 32, 0), ("N" * 32, 1)]
    folder = labelled(tmp_path, *((unknown, sequences(6)) if fold == "train" else (sequences(6), unknown)))
    with pytest.raises(InputError, match=f"the {fold} fold holds no"):
        pretrain(SMALL, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("phase", ["full_rank_phase", "relora_phase"])
def test_a_phase_that_diverges_stops_and_saves_nothing(phase: str, motif_windows: Path, tmp_path: Path) -> None:
    wild = PHASE.model_copy(update={"learning_rate": 1e6, "weight_decay": 1e6, "steps": 20})
    message = (
        rf"^{phase}: .* is not a finite number at step \d+ of 20: .*lower learning_rate \(1e\+06\), or weight_decay"
    )
    with pytest.raises(InputError, match=message):
        pretrain(SMALL.model_copy(update={phase: wild}), motif_windows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_number_of_threads_is_that_of_the_settings(motif_windows: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen = []
    for threads in (1, 3):
        torch.set_num_threads(threads)  # as OMP_NUM_THREADS does
        seen.append((pretrain(SMALL, motif_windows, tmp_path / f"{threads}") / "model.safetensors").read_bytes())
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert seen[0] == seen[1]


SUBSTITUTED = SMALL.model_copy(
    update={
        "objective": "substituted", "corpus": "genome", "relora": False, "substitute": BlocksConfig(block=16),
        "model": MODEL.model_copy(update={"stem_channels": 16, "downsample": 4}), "validation_windows": 100,
    }
)  # fmt: skip


def test_every_other_window_is_substituted(motif_windows: Path) -> None:
    data, tokenizer = Windows.open(motif_windows), make_tokenizer(SUBSTITUTED.tokenizer)
    codes = data.fold("train").codes(np.arange(50))
    before = codes.copy()
    task = SubstitutionTask(SUBSTITUTED, tokenizer, lambda index, size: codes, codes, 50)
    batch = task.batch(0)
    same = torch.from_numpy(tokenizer.encode(codes)) == batch["tokens"]
    assert batch["labels"].tolist() == [0, 1] * 25
    assert same[batch["labels"] == 1].all()
    assert not same[batch["labels"] == 0].all(dim=1).any()
    assert np.array_equal(codes, before)
    assert torch.equal(batch["tokens"], task.batch(0)["tokens"])


def test_repeats_are_told_from_random_bases_and_finetune_goes_on(
    motif_windows: Path, write_fasta: Callable[..., Path], tmp_path: Path
) -> None:
    genome = write_fasta({"a": "ACGGT" * 200, "short": "ACG"})
    phase = PhaseConfig(steps=60, batch_size=32, learning_rate=5e-3, warmup_steps=1)
    config = SUBSTITUTED.model_copy(
        update={"genome": genome, "full_rank_phase": PhaseConfig(steps=0), "relora_phase": phase}
    )
    out = pretrain(config, motif_windows, tmp_path / "out")
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert log[-1]["validation_loss"] < 0.3  # guessing has 0.69
    weights = load_file(out / "model.safetensors")
    started = start_classifier(out, seed=1)
    assert all(torch.equal(weights[name], tensor) for name, tensor in started.state_dict().items())
    record = (out / "provenance.yaml").read_text()
    assert "genome.fa" in record
    model = finetune(FinetuneConfig(epochs=0.1), motif_windows, out, tmp_path / "model")
    assert (model / "model.safetensors").is_file()


def test_another_genome_is_read_in_place_of_that_of_the_windows(
    motif_windows: Path, write_fasta: Callable[..., Path]
) -> None:
    data, tokenizer = Windows.open(motif_windows), make_tokenizer(SUBSTITUTED.tokenizer)
    config = SUBSTITUTED.model_copy(update={"genome": write_fasta({"a": "A" * 100})})
    assert set(np.unique(make_corpus(config, data, tokenizer, 1)(0, 50))) == {0, 3}  # A, and T on the other strand
    short = SUBSTITUTED.model_copy(update={"genome": write_fasta({"a": "A" * 63}, "short.fa")})
    with pytest.raises(InputError, match=r"short\.fa: no chromosome is as long as a window \(64 bases\)"):
        make_corpus(short, data, tokenizer, 1)


def test_a_genome_is_no_corpus_of_windows() -> None:
    with pytest.raises(ValueError, match="are for corpus genome"):
        PretrainConfig(corpus="windows", match_gc=True)
