"""`train`: a track network, from the genome, the 5' ends and the peaks of a windows folder."""

import json
import logging
from math import ceil
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from capsight.config.track import TrainConfig
from capsight.data import schema
from capsight.data.ctss.table import CTSS
from capsight.data.peaks.promoters import windows_promoters
from capsight.data.windows.folds import EXCLUDE
from capsight.data.windows.windows import SEQUENCES_FILE, Windows
from capsight.errors import ConfigError
from capsight.model.relora import plain_schedule
from capsight.model.track import TrackModel, TrackNetwork
from capsight.model.track_folder import TrackCard, save_track
from capsight.predict.track import REACH, Precision, TrackScorer, best_device
from capsight.train import processes
from capsight.train.loop import Plan, choose_precision, fit, on_threads
from capsight.train.muon import Muon
from capsight.train.track.auto import choose
from capsight.train.track.calibrate import calibrate
from capsight.train.track.crops import CropSource, croppable
from capsight.train.track.genes import GeneTargets, WithGenes
from capsight.train.track.losses import BLOCK_SIZE
from capsight.train.track.masked import MaskedTask, WithBases
from capsight.train.track.sequences import SequenceTask
from capsight.train.track.single import SingleTask
from capsight.train.track.start import Start
from capsight.train.track.targets import Targets, targets_of
from capsight.train.track.task import TrackTask
from capsight.train.tracking import check_tracking

logger = logging.getLogger(__name__)

#: Shorter open reading frames are met by chance.
MIN_ORF_CODONS: Final = 100
#: Scans of the validation chromosomes during a training, where the settings name no other number of updates.
LOOKS: Final = 10
SEQUENCES: Final = "sequences"

Log = list[dict[str, Any]]


def train(config: TrainConfig, windows: Path, out: Path) -> Path:
    """Train a track network on the training chromosomes; calibrate it on a scan of the validation chromosomes.

    Parameters
    ----------
    config
        Shape, crops, losses, optimiser.
    windows
        Folder of the `windows` stage: it says genome, 5' ends, peaks and folds. The windows themselves are read only
        where they are labelled sequences.
    out
        Model folder to write.

    Raises
    ------
    InputError
        If the folder cannot be used, or training diverges; if the model to start from cannot be, or is of another
        shape than the settings ask for.

    Notes
    -----
    Where no 5' ends were counted, one summit of a peak counts as one 5' end, and strengths are not learned. Labelled
    sequences have no places at all: see `capsight.train.track.sequences`.
    """
    inputs = {"windows": windows}
    start = Start.from_model(config.init) if config.init else None
    if start:
        config = start.shaped(config)
        inputs["init"] = start.weights
    if config.auto:
        config = choose(config, Windows.open(windows))
    passes = config.crops.gradient_accumulation_steps
    shares = {"crops__gradient_accumulation_steps": (config.crops.batch_size, passes)}
    processes.check_shared_out(processes.join(), **shares)
    if processes.is_done(out, "train", config, inputs):
        logger.info("train: %s is done already", out)
        return out
    check_tracking(config.tracking)
    data = Windows.open(windows)
    for fold in (schema.TRAIN, schema.VALIDATION):
        data.fold(fold)  # refuses one without windows before any work is done
    labelled = (data.folder / SEQUENCES_FILE).is_file()
    if start:
        start.warn_of_seen(data)
    with processes.atomic_dir(out, "train", config, inputs) as folder, on_threads(config.threads):
        targets = None if labelled else targets_of(data)
        model, logs = TrackModel(config.model, config.members), []
        for number in range(config.members):
            seed, suffix = config.seed + number, f"-{number + 1}" if config.members > 1 else ""
            torch.manual_seed(seed)
            network = TrackNetwork(config.model)
            if start:
                start.give(network, number)
            if targets is None:
                log = _on_sequences(config, data, network, seed, f"train{suffix}", folder)
            elif config.crops.promoters:
                log = _on_single(config, data, targets, network, seed, f"train{suffix}", folder)
            else:
                log = _on_crops(config, data, targets, network, seed, suffix, folder)
            model.networks[number].load_state_dict(network.state_dict())
            logs.append(log)
        processes.rest_is_of_the_first()
        text = "".join(json.dumps({"member": i, **record}) + "\n" for i, log in enumerate(logs, 1) for record in log)
        (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
        card = _card(config, data, targets, model)
        save_track(model, card.model_copy(update={"init": start.ancestor() if start else None}), folder)
    return out


def _on_crops(
    config: TrainConfig, data: Windows, targets: Targets, network: TrackNetwork, seed: int, suffix: str, folder: Path
) -> Log:
    """Train one network on crops of the training chromosomes, in place."""
    if config.crops.length < 2 * BLOCK_SIZE:
        raise ConfigError(
            f"crops of {config.crops.length} bases are too short: losses are of blocks of {BLOCK_SIZE} bases",
            where="train.crops.length", remedy=f"take {2 * BLOCK_SIZE} or more",
        )  # fmt: skip

    def crops(fold: str) -> CropSource:
        stretches = croppable(data.stretches(fold), config.crops.length, fold)
        return CropSource(data.genome, targets.tags, targets.summits, stretches, network.halo, config.crops, seed)

    source, promoters = crops(schema.TRAIN), windows_promoters(data.folder)
    per_pass = source.crops_per_pass / config.crops.per_update
    if config.pretrain_epochs:
        masked = MaskedTask(source, crops(schema.VALIDATION))
        steps = ceil(config.pretrain_epochs * per_pass)
        fit(WithBases(network), masked, _plan(config, network, steps, seed, f"pretrain{suffix}"), folder)
    loss = config.loss
    if targets.counts != CTSS:
        loss = loss.model_copy(update={"strength_weight": 0.0})
    genes = GeneTargets.from_stretches(source.stretches, MIN_ORF_CODONS, targets.tags) if loss.orf_weight else None
    precision: Precision = "bf16" if choose_precision(config.precision) == "bf16" else "fp32"
    if promoters:
        logger.warning("train: the %d promoters of the windows are not used: set crops.promoters", len(promoters.tss))
    task = TrackTask(source, loss, genes, data.stretches(schema.VALIDATION), targets.summits, precision)
    torch.manual_seed(seed)  # whatever came before, the heads of the second lesson and dropout are the same
    learner = WithGenes(network) if genes else network
    steps = ceil(config.epochs * per_pass)
    return fit(learner, task, _plan(config, network, steps, seed, f"train{suffix}"), folder)


def _on_single(
    config: TrainConfig, data: Windows, targets: Targets, network: TrackNetwork, seed: int, name: str, folder: Path
) -> Log:
    """Train one network on single TSSs and background, in place."""
    precision: Precision = "bf16" if choose_precision(config.precision) == "bf16" else "fp32"
    task = SingleTask(
        data.stretches(schema.TRAIN), targets.summits, windows_promoters(data.folder),
        data.stretches(schema.VALIDATION), network.halo, config.crops, seed, precision,
    )  # fmt: skip
    steps = ceil(config.epochs * task.batches_per_pass)
    log = fit(network, task, _plan(config, network, steps, seed, name), folder)
    network.answer_alike()
    return log


def _on_sequences(config: TrainConfig, data: Windows, network: TrackNetwork, seed: int, name: str, folder: Path) -> Log:
    """Train one network on labelled sequences, in place."""
    bases = config.crops.batch_size * config.crops.length
    folds = data.fold(schema.TRAIN), data.fold(schema.VALIDATION)
    task = SequenceTask(*folds, network.halo, bases, seed)
    steps = ceil(config.epochs * task.batches_per_pass / config.crops.gradient_accumulation_steps)
    return fit(network, task, _plan(config, network, steps, seed, name), folder)


def _plan(config: TrainConfig, network: TrackNetwork, steps: int, seed: int, name: str) -> Plan:
    """Return how long to train, how fast, and when to look."""
    layers = network.layers if config.optimizer == "muon" else nn.ModuleList()
    phase = config.phase(steps, config.crops.batch_size, config.crops.gradient_accumulation_steps)
    return Plan(
        name=name,
        phase=phase,
        schedule=lambda step: plain_schedule(step, phase),
        seed=seed,
        checkpoint_every=config.checkpoint_every,
        evaluate_every=config.evaluate_every or ceil(steps / LOOKS),
        precision=config.precision,
        tracking=config.tracking,
        ema_decay=config.ema_decay,
        optimizer=lambda model: Muon(model, layers, config.learning_rate, config.betas, config.weight_decay),
    )


def _card(config: TrainConfig, data: Windows, targets: Targets | None, model: TrackModel) -> TrackCard:
    """Calibrate, and say what the model is."""
    if targets is None:
        return TrackCard(halo=model.halo + REACH, members=config.members, counts=SEQUENCES)
    scorer = TrackScorer(model.to(best_device()))
    calibration, calling = calibrate(scorer, data.stretches(schema.VALIDATION), targets.summits, config.min_precision)
    names = {name: data.stretches(name).names for name in (*schema.FOLDS, EXCLUDE)}
    contigs = sorted({int(number) for name in names for number in data.stretches(name).contig})
    lengths = {data.genome.names[number]: int(data.genome.lengths[number]) for number in contigs}
    return TrackCard(
        halo=scorer.halo, members=config.members, counts=targets.counts, calibration=calibration, calling=calling,
        lengths=lengths, **names,
    )  # fmt: skip
