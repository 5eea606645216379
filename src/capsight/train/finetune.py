"""`finetune`: from a pre-trained network to a classifier of windows, by LoRA or by training all weights."""

import logging
from pathlib import Path

from capsight.config import FinetuneConfig
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.windows import Windows
from capsight.errors import InputError
from capsight.model.classifier import start_classifier
from capsight.model.llama_folder import read_card, save_model
from capsight.train import processes
from capsight.train.attention import check_attention
from capsight.train.classifier import train_classifier, write_log
from capsight.train.loop import on_threads
from capsight.train.tasks import ClassificationTask
from capsight.train.tracking import check_tracking

logger = logging.getLogger(__name__)


def finetune(config: FinetuneConfig, windows: Path, pretrained: Path, out: Path) -> Path:
    """Train a classifier on the training fold; the validation fold picks the weights.

    Parameters
    ----------
    config
        Adapters, optimiser, augmentation and early stopping.
    windows
        Folder of the `windows` stage.
    pretrained
        Folder of the `pretrain` stage (or an earlier model) with the same window length.
    out
        Model folder to write; with LoRA, the adapter is merged into the weights and also kept in ``adapter/``.

    Raises
    ------
    InputError
        If the folders do not fit each other.
    """
    inputs = {"windows": windows, "pretrained": pretrained}
    processes.check_shared_out(
        processes.join(), gradient_accumulation_steps=(config.batch_size, config.gradient_accumulation_steps)
    )
    if processes.is_done(out, "finetune", config, inputs):
        logger.info("finetune: %s is done already", out)
        return out
    check_tracking(config.tracking)
    check_attention(config.attention, config.precision)
    data, card = Windows.open(windows), read_card(pretrained)
    if card.length != data.length:
        raise InputError(
            f"the network reads {card.length} bases and the windows have {data.length}",
            where=pretrained, remedy="pretrain on windows of the same length",
        )  # fmt: skip
    tokenizer = make_tokenizer(card.tokenizer, pretrained)
    model = start_classifier(pretrained, config.seed, config.dropout)
    with processes.atomic_dir(out, "finetune", config, inputs) as folder, on_threads(config.threads):
        task = ClassificationTask(config, data, tokenizer)
        log = train_classifier(model, task, folder, "finetune")
        processes.rest_is_of_the_first()
        update = {"task": "classification", "metrics": write_log(log, config.select, folder)}
        save_model(model, card.model_copy(update=update), folder)
        tokenizer.save(folder)
    return out
