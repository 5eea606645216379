"""The CNN of `baseline`: trained by the loop, the batches, the augmentation and the selection of `finetune`."""

import logging
from pathlib import Path
from typing import Any

import torch

from capsight.config import BaselineConfig, CnnConfig, FinetuneConfig
from capsight.config.yaml_files import dump
from capsight.data.sequence.tokenizer import make_tokenizer
from capsight.data.windows.windows import Windows
from capsight.model.cnn import DilatedCnn, save_cnn
from capsight.predict.windows import CNN_TOKENS, CNN_WEIGHTS
from capsight.train.classifier import train_classifier, write_log
from capsight.train.loop import on_threads
from capsight.train.tasks import ClassificationTask

logger = logging.getLogger(__name__)


def fit_cnn(config: BaselineConfig, data: Windows, folder: Path) -> dict[str, Any]:
    """Train the network, write its weights and log into `folder`, and return what its card says.

    Raises
    ------
    InputError
        If the training or the validation fold has only one label.
    """
    shape, training = config.cnn or CnnConfig(), config.training or FinetuneConfig()
    tokenizer = make_tokenizer(CNN_TOKENS)
    torch.manual_seed(config.seed)
    model = DilatedCnn(shape, data.length, tokenizer.vocabulary)
    parameters = sum(p.numel() for p in model.parameters())
    task = ClassificationTask(training, data, tokenizer)
    logger.info("baseline: cnn of %d parameters on %d windows", parameters, task.n)
    with on_threads(training.threads):
        log = train_classifier(model, task, folder, config.model)
    metrics = write_log(log, training.select, folder)
    save_cnn(model, folder / CNN_WEIGHTS)
    return {"cnn": dump(shape), "n_parameters": parameters, "n_train": task.n, "metrics": metrics}
