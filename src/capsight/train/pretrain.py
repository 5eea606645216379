"""`pretrain`: language modelling on DNA, a full-rank warm-up and then ReLoRA."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from capsight.config import PretrainConfig
from capsight.data import schema
from capsight.data.genome.alphabet import substituted
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.genome.stretches import Stretches
from capsight.data.sequence.sampling import Codes, Corpus, EpochShuffler, RandomGenomeWindows, mask_blocks
from capsight.data.sequence.tokenizer import KmerTokenizer, Tokenizer, make_tokenizer
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.model.llama import (
    CapsightForClassification,
    CapsightForPretraining,
    CapsightPreTrainedModel,
    architecture,
)
from capsight.model.llama_folder import ModelCard, save_model
from capsight.model.relora import (
    add_adapters,
    jagged_schedule,
    merge_and_restart,
    plain_schedule,
    reset_moments,
)
from capsight.train import processes
from capsight.train.attention import check_attention, choose_attention
from capsight.train.loop import Batch, Plan, fit, on_threads
from capsight.train.tracking import check_tracking

logger = logging.getLogger(__name__)

IGNORED = -100
#: Windows that are looked through together.
CHUNK = 10_000


def pretrain(config: PretrainConfig, windows: Path, out: Path) -> Path:
    """Pre-train a network on the DNA of the training fold.

    Parameters
    ----------
    config
        Tokens, network, objective and the two phases.
    windows
        Folder of the `windows` stage; validation and test chromosomes are never read for training.
    out
        Folder to write: a model folder with a language head, and `metrics.jsonl`.

    Raises
    ------
    InputError
        If the windows cannot be used.
    """
    inputs = {"windows": windows} | ({"tokenizer_file": config.tokenizer.file} if config.tokenizer.file else {})
    if config.genome:
        inputs |= genome_inputs(config.genome)
    together = processes.join()
    phases = {"full_rank_phase": config.full_rank_phase, "relora_phase": config.relora_phase}
    shares = {
        f"{name}__gradient_accumulation_steps": (of.batch_size, of.gradient_accumulation_steps)
        for name, of in phases.items()
        if of.steps
    }
    processes.check_shared_out(together, **shares)
    if processes.is_done(out, "pretrain", config, inputs):
        logger.info("pretrain: %s is done already", out)
        return out
    check_tracking(config.tracking)
    check_attention(config.model.attention, config.precision)
    data = Windows.open(windows)
    tokenizer = make_tokenizer(config.tokenizer)
    torch.manual_seed(config.seed)
    n_tokens = tokenizer.n_tokens(data.length)
    if n_tokens < 1:
        raise InputError(f"windows of {data.length} bases hold no token of {config.tokenizer.k} bases", where=windows)
    check_asked(config, n_tokens, windows)
    shape = architecture(config.model, tokenizer.vocabulary, n_tokens, tokenizer.pad)
    whole_windows = config.objective == "substituted"
    model = CapsightForClassification(shape) if whole_windows else CapsightForPretraining(shape)
    choose_attention(model, config.model.attention)
    with processes.atomic_dir(out, "pretrain", config, inputs) as folder, on_threads(config.threads):
        log = _train(model, config, data, tokenizer, folder)
        processes.rest_is_of_the_first()
        metrics = {k: v for k, v in log[-1].items() if k not in ("step", "learning_rate")} if log else {}
        card = ModelCard(
            task="pretraining", length=data.length, tokenizer=config.tokenizer, metrics=metrics
        )  # fmt: skip
        save_model(model, card, folder)
        tokenizer.save(folder)
        text = "".join(json.dumps(record) + "\n" for record in log)
        (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    return out


def check_asked(config: PretrainConfig, n_tokens: int, windows: Path) -> None:
    """Refuse an objective that asks for nothing in windows of so many tokens, or leaves nothing to see.

    Raises
    ------
    InputError
        Naming the setting.
    """
    if config.objective == "causal":
        if n_tokens < 2:
            raise InputError("windows of one token have no next token to predict", where=windows)
        return
    if config.objective == "substituted":
        return
    bases = f"windows of {n_tokens * config.tokenizer.stride} bases"
    span, fraction = _mask_span(config), config.mask_fraction
    if span >= n_tokens:
        raise InputError(f"mask_span {config.mask_span} hides the whole of {bases}", remedy="lower mask_span")
    if n_tokens * (1 - fraction) < 1:
        raise InputError(f"mask_fraction {fraction:g} hides the whole of {bases}", remedy="lower mask_fraction")
    for name, phase in (("full_rank_phase", config.full_rank_phase), ("relora_phase", config.relora_phase)):
        per_update = phase.batch_size * phase.gradient_accumulation_steps
        if phase.steps and per_update * n_tokens * fraction < 1:
            raise InputError(
                f"mask_fraction {fraction:g} hides nothing in most updates of {name}, of {per_update} {bases}",
                remedy=f"raise mask_fraction or {name}.batch_size",
            )


def _mask_span(config: PretrainConfig) -> int:
    """Return how many tokens are hidden together."""
    return max(1, config.mask_span // config.tokenizer.stride)


def _train(
    model: CapsightPreTrainedModel, config: PretrainConfig, data: Windows, tokenizer: Tokenizer, folder: Path
) -> list[dict[str, Any]]:
    """Run both phases on `model`, in place; return their logs, one after the other."""
    log: list[dict[str, Any]] = []
    for name, phase in (("full_rank_phase", config.full_rank_phase), ("relora_phase", config.relora_phase)):
        if not phase.steps:
            continue
        relora = config.relora if name == "relora_phase" else False
        corpus = make_corpus(config, data, tokenizer, seed=config.seed + (name == "relora_phase"))
        make_task = SubstitutionTask if config.objective == "substituted" else LanguageTask
        task = make_task(config, tokenizer, corpus, _validation_codes(config, data, tokenizer), phase.batch_size)
        adapted = add_adapters(model, relora) if relora else model
        plan = Plan(
            name=name,
            phase=phase,
            schedule=(
                partial(jagged_schedule, phase=phase, relora=relora) if relora else partial(plain_schedule, phase=phase)
            ),
            seed=config.seed,
            checkpoint_every=config.checkpoint_every,
            evaluate_every=config.evaluate_every,
            precision=config.precision,
            tracking=config.tracking,
            after_step=_cycle(config) if relora else None,
        )
        records = fit(adapted, task, plan, folder)
        log += [{"phase": name, **record} for record in records]
        if relora:
            adapted.merge_and_unload()
    model.requires_grad_(True)
    return log


def _cycle(config: PretrainConfig) -> Callable[[nn.Module, Optimizer, int], None]:
    """Return ReLoRA's turn: merge, restart and reset at the end of every cycle."""
    relora = config.relora
    assert relora

    def after_step(model: nn.Module, optimizer: Optimizer, step: int) -> None:
        if step % relora.merge_every == 0:
            merge_and_restart(model)
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            reset_moments(optimizer, model, relora.optimizer_reset_fraction, generator)

    return after_step


def make_corpus(config: PretrainConfig, data: Windows, tokenizer: Tokenizer, seed: int) -> Corpus:
    """Return what pre-training reads: training windows, any place of the training fold, or of another genome.

    Training windows of unknown bases alone have nothing to predict: these are left out.
    """
    training = data.fold(schema.TRAIN)
    if config.corpus == "genome":
        stretches, genome = data.stretches(schema.TRAIN), Genome.open(config.genome) if config.genome else None
        if genome:
            stretches = Stretches.whole(genome, np.arange(len(genome.names)))
        like = training.codes(np.flatnonzero(training.labels == 1)) if config.match_gc else None
        if like is not None and not len(like):
            raise InputError("the train fold holds no positives, whose GC content is to be matched", where=data.folder)
        corpus = RandomGenomeWindows(stretches, data.length, seed, like)
        if not corpus.places:
            which = "chromosome is" if genome else "training chromosome, or region of one, is"
            raise InputError(f"no {which} as long as a window ({data.length} bases)", where=config.genome)
        return corpus.codes
    rows = np.flatnonzero(_has_known(training, tokenizer))
    if not len(rows):
        raise InputError("the train fold holds no window of known bases", where=data.folder)
    if left_out := len(training.table) - len(rows):
        logger.warning("pretrain: %d training windows have no known bases and are left out", left_out)
    order = EpochShuffler(len(rows), seed)
    return lambda index, size: training.codes(rows[order.rows(index, size)])


def _has_known(data: Windows, tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Tell which windows have a token of known bases, ``(n_windows,)``."""
    if not isinstance(tokenizer, KmerTokenizer):
        return np.ones(len(data.table), dtype=bool)
    parts = np.array_split(np.arange(len(data.table)), -(-len(data.table) // CHUNK))
    return np.concatenate([(tokenizer.encode(data.codes(part)) != tokenizer.unknown).any(axis=1) for part in parts])


def _validation_codes(config: PretrainConfig, data: Windows, tokenizer: Tokenizer) -> Codes:
    """Return the base codes of a fixed sample of the validation fold, ``(n_windows, length)``.

    Of another genome, which has no folds, they are further draws.
    """
    if config.genome:
        return make_corpus(config, data, tokenizer, config.seed + 2)(0, config.validation_windows)
    fold = data.fold(schema.VALIDATION)
    rows = np.linspace(0, len(fold.table) - 1, min(config.validation_windows, len(fold.table))).astype(np.int64)
    codes = fold.codes(rows)
    if isinstance(tokenizer, KmerTokenizer) and (tokenizer.encode(codes) == tokenizer.unknown).all():
        raise InputError("the validation fold holds no known bases: nothing can be measured", where=data.folder)
    return codes


@dataclass
class _CorpusTask(ABC):
    """Micro-batches of a corpus; each is a pure function of seed and number."""

    config: PretrainConfig
    tokenizer: Tokenizer
    corpus: Corpus
    validation: Codes
    batch_size: int

    def __post_init__(self) -> None:
        self.tokens_per_batch = self.batch_size * self.tokenizer.n_tokens(self.validation.shape[1])

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`."""
        rng = np.random.default_rng([self.config.seed, 1, index])
        return self._examples(self.corpus(index, self.batch_size), rng)

    @abstractmethod
    def _examples(self, codes: Codes, rng: np.random.Generator) -> Batch:
        """Turn bases into what is read and what is asked."""


class LanguageTask(_CorpusTask):
    """Predict hidden tokens (masked) or the next token (causal). Tokens with unknown bases cost nothing."""

    def _examples(self, codes: Codes, rng: np.random.Generator) -> Batch:
        """Return tokens and targets ``(batch_size, n_tokens)``."""
        tokens = self.tokenizer.encode(codes)
        if self.config.objective == "causal":
            return {"tokens": torch.from_numpy(tokens), "targets": torch.from_numpy(tokens)}
        tokenizer = self.tokenizer
        assert isinstance(tokenizer, KmerTokenizer)
        span, known = _mask_span(self.config), tokens != tokenizer.unknown
        masked, hidden = mask_blocks(tokens, tokenizer.mask, self.config.mask_fraction, span, rng)
        if known.any() and not (hidden & known).any():  # a small batch: it would ask for nothing
            row, first = rng.choice(np.argwhere(known))
            hidden[row, first : first + span] = True
            masked = np.where(hidden, tokenizer.mask, tokens)
        targets = np.where(hidden & known, tokens, IGNORED)
        return {"tokens": torch.from_numpy(masked), "targets": torch.from_numpy(targets)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats per asked token."""
        logits, targets = model(batch["tokens"]).logits, batch["targets"]
        if self.config.objective == "causal":
            logits, targets = logits[:, :-1], targets[:, 1:]
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the loss on the same masked sample of the validation fold every time."""
        rng = np.random.default_rng([self.config.seed, 2])
        losses = []
        for start in range(0, len(self.validation), self.batch_size):
            batch = self._examples(self.validation[start : start + self.batch_size], rng)
            if (batch["targets"] != IGNORED).any():  # not in a batch of unknown bases alone
                losses.append(self.loss(model, {k: v.to(device) for k, v in batch.items()}).item())
        return {"validation_loss": float(np.mean(losses))}


class SubstitutionTask(_CorpusTask):
    """Tell windows as they are from windows in which blocks of bases are random, half of each."""

    def _examples(self, codes: Codes, rng: np.random.Generator) -> Batch:
        """Substitute blocks of every other window: tokens ``(n, n_tokens)`` and labels ``(n,)``, 1 for real."""
        how, labels = self.config.substitute, np.arange(len(codes)) % 2
        read = codes.copy()
        read[labels == 0] = substituted(codes[labels == 0], how.block, how.offset, how.fraction, rng)
        return {"tokens": torch.from_numpy(self.tokenizer.encode(read)), "labels": torch.from_numpy(labels)}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats per window."""
        return functional.cross_entropy(model(batch["tokens"]).logits.float(), batch["labels"])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the loss on the same windows every time, the same of them substituted."""
        rng, total = np.random.default_rng([self.config.seed, 2]), 0.0
        for start in range(0, len(self.validation), self.batch_size):
            batch = self._examples(self.validation[start : start + self.batch_size], rng)
            total += self.loss(model, {k: v.to(device) for k, v in batch.items()}).item() * len(batch["labels"])
        return {"validation_loss": total / len(self.validation)}
