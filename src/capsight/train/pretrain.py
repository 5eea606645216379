"""`pretrain`: language modelling on DNA, a full-rank warm-up and then ReLoRA."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from capsight import artefact
from capsight.config import PhaseConfig, PretrainConfig, ReloraConfig
from capsight.data import schema
from capsight.data.loader import Codes, Corpus, GenomeCorpus, Shuffled, mask_blocks
from capsight.data.tokenizer import KmerTokenizer, Tokenizer, make_tokenizer
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.model.checkpoint import ModelCard, save_model
from capsight.model.llama import CapsightForPretraining, architecture
from capsight.model.relora import (
    add_adapters,
    jagged_schedule,
    merge_and_restart,
    plain_schedule,
    reset_moments,
)
from capsight.train.loop import Batch, Plan, fit

logger = logging.getLogger(__name__)

IGNORED = -100


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
    if artefact.is_done(out, "pretrain", config, inputs):
        logger.info("pretrain: %s is done already", out)
        return out
    data = Windows.open(windows)
    tokenizer = make_tokenizer(config.tokenizer)
    torch.manual_seed(config.seed)
    n_tokens = tokenizer.n_tokens(data.length)
    if n_tokens < 1:
        raise InputError(f"windows of {data.length} bases hold no token of {config.tokenizer.k} bases", where=windows)
    model = CapsightForPretraining(architecture(config.model, tokenizer.vocabulary, n_tokens, tokenizer.pad))
    with artefact.building(out, "pretrain", config, inputs) as folder:
        log = _train(model, config, data, tokenizer, folder)
        metrics = {k: v for k, v in log[-1].items() if k not in ("step", "learning_rate")} if log else {}
        card = ModelCard(
            task="pretraining", length=data.length, tokenizer=config.tokenizer, metrics=metrics
        )  # fmt: skip
        save_model(model, card, folder)
        tokenizer.save(folder)
        text = "".join(json.dumps(record) + "\n" for record in log)
        (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    return out


def _train(
    model: CapsightForPretraining, config: PretrainConfig, data: Windows, tokenizer: Tokenizer, folder: Path
) -> list[dict[str, Any]]:
    """Run both phases on `model`, in place; return their logs, one after the other."""
    log: list[dict[str, Any]] = []
    for name, phase in (("warmup", config.warmup), ("main", config.main)):
        if not phase.steps:
            continue
        relora = config.relora if name == "main" else False
        corpus = make_corpus(config, data, seed=config.seed + (name == "main"))
        task = LanguageTask(
            config, tokenizer, corpus, _validation_codes(data, config.validation_windows), phase.batch_size
        )
        adapted = add_adapters(model, relora) if relora else model
        plan = Plan(
            name=name,
            phase=phase,
            schedule=_schedule(phase, relora),
            seed=config.seed,
            checkpoint_every=config.checkpoint_every,
            evaluate_every=config.evaluate_every,
            precision=config.precision,
            after_step=_cycle(config) if relora else None,
        )
        records = fit(adapted, task, plan, folder)
        log += [{"phase": name, **record} for record in records]
        if relora:
            adapted.merge_and_unload()
    model.requires_grad_(True)
    return log


def _schedule(phase: PhaseConfig, relora: ReloraConfig | Literal[False]) -> Callable[[int], float]:
    """Return the learning rate of a phase, as a fraction of its peak, at every step."""
    return lambda step: jagged_schedule(step, phase, relora) if relora else plain_schedule(step, phase)


def _cycle(config: PretrainConfig) -> Callable[[nn.Module, Optimizer, int], None]:
    """Return ReLoRA's turn: merge, restart and reset at the end of every cycle."""
    relora = config.relora
    assert relora

    def after_step(model: nn.Module, optimizer: Optimizer, step: int) -> None:
        if step % relora.cycle == 0:
            merge_and_restart(model)
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            reset_moments(optimizer, model, relora.reset, generator)

    return after_step


def make_corpus(config: PretrainConfig, data: Windows, seed: int) -> Corpus:
    """Return what pre-training reads: training windows, or any place of the training chromosomes."""
    training = data.fold(schema.TRAIN)
    if config.corpus == "genome":
        corpus = GenomeCorpus(data.genome, data.training_contigs(), data.length, seed)
        if not corpus.places:
            raise InputError(f"no training chromosome is as long as a window ({data.length} bases)")
        return corpus.codes
    order = Shuffled(len(training.table), seed)
    return lambda index, size: training.codes(order.rows(index, size))


def _validation_codes(data: Windows, most: int) -> Codes:
    """Return the base codes of a fixed sample of the validation fold, ``(n_windows, length)``."""
    fold = data.fold(schema.VALIDATION)
    rows = np.linspace(0, len(fold.table) - 1, min(most, len(fold.table))).astype(np.int64)
    return fold.codes(rows)


@dataclass
class LanguageTask:
    """Predict hidden tokens (masked) or the next token (causal). Tokens with unknown bases cost nothing."""

    config: PretrainConfig
    tokenizer: Tokenizer
    corpus: Corpus
    validation: Codes
    batch_size: int

    def __post_init__(self) -> None:
        self.tokens_per_batch = self.batch_size * self.tokenizer.n_tokens(self.validation.shape[1])

    def batch(self, index: int) -> Batch:
        """Return micro-batch `index`: tokens and targets ``(batch_size, n_tokens)``."""
        rng = np.random.default_rng([self.config.seed, 1, index])
        return self._examples(self.corpus(index, self.batch_size), rng)

    def _examples(self, codes: Codes, rng: np.random.Generator) -> Batch:
        """Turn bases into what is read and what is asked."""
        tokens = self.tokenizer.encode(codes)
        if self.config.objective == "causal":
            return {"tokens": torch.from_numpy(tokens), "targets": torch.from_numpy(tokens)}
        tokenizer = self.tokenizer
        assert isinstance(tokenizer, KmerTokenizer)
        span = max(1, self.config.mask_span // self.config.tokenizer.stride)
        masked, hidden = mask_blocks(tokens, tokenizer.mask, self.config.mask_fraction, span, rng)
        targets = np.where(hidden & (tokens != tokenizer.unknown), tokens, IGNORED)
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
            losses.append(self.loss(model, {k: v.to(device) for k, v in batch.items()}).item())
        return {"validation_loss": float(np.mean(losses))}
