"""A teacher for a network that has few windows: boosted trees mark DNA without labels, and the network learns from it.

A few thousand windows teach trees on counts of words more than they teach a network. The trees read random windows of
the training chromosomes and say of each how likely it is that a cap site is in its middle; the network learns to say
the same (distillation, Hinton et al. 2015, arXiv:1503.02531), of more windows than have labels and with noise in them
(noisy student, Xie et al. 2020, doi:10.1109/CVPR42600.2020.01070), beside what the labels say. Of random windows few
look like promoters to the trees: of the commoner answer only as many are kept as of the rarer. A student that reads
otherwise errs otherwise: the trees may stay in the model, which then says the mean of both (`capsight.predict.trees`).
"""

import logging
from dataclasses import dataclass

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from capsight.config import TeacherConfig
from capsight.data import schema
from capsight.data.bases import Codes, mutated
from capsight.data.loader import GenomeCorpus, Shuffled
from capsight.data.tokenizer import Tokenizer
from capsight.data.windows import Windows
from capsight.errors import InputError
from capsight.predict.trees import FEATURES, Floats, Trees
from capsight.train.baselines import REPEATABLE
from capsight.train.loop import Batch

logger = logging.getLogger(__name__)

#: Parts of a batch.
MARKED = "marked"
MARK = "mark"
#: LightGBM's settings, but for the seed. The number of rounds is fixed: the validation fold has no part in the marks.
BOOSTING = {
    "objective": "binary", "learning_rate": 0.02, "num_leaves": 31, "min_data_in_leaf": 20, "lambda_l2": 1,
    "feature_fraction": 0.1, "bagging_fraction": 0.8, "bagging_freq": 1, **REPEATABLE,
}  # fmt: skip
ROUNDS = 300
#: Boosters with other seeds, whose log-odds are averaged.
BOOSTERS = 6
#: Windows that are drawn together.
CHUNK = 1_000


def grow(codes: Codes, labels: NDArray[np.int64], seed: int) -> Trees:
    """Let boosters learn from base codes ``(n_windows, length)`` and labels ``(n_windows,)``."""
    data = lightgbm.Dataset(FEATURES.matrix(codes), labels, params=REPEATABLE)
    return Trees([lightgbm.train({**BOOSTING, "seed": seed + i}, data, ROUNDS) for i in range(BOOSTERS)])


@dataclass
class MarkedWindows:
    """DNA without labels, and what a teacher says of it.

    Attributes
    ----------
    trees
        The teacher.
    codes
        ``(n_windows, length)`` base codes.
    marks
        ``(n_windows,)`` log-odds in nats that a cap site is in the middle.
    mutate
        Share of bases drawn anew at random whenever a window is read; its mark stays.
    """

    trees: Trees
    codes: Codes
    marks: Floats
    tokenizer: Tokenizer
    batch_size: int
    mutate: float
    seed: int

    def __post_init__(self) -> None:
        self.order = Shuffled(len(self.codes), self.seed + 3)  # not an order of other windows

    def batch(self, index: int) -> Batch:
        """Return batch `index`: tokens ``(batch_size, n_tokens)`` and probabilities ``(batch_size,)``."""
        rng = np.random.default_rng([self.seed, 11, index])
        rows = self.order.rows(index, self.batch_size)
        codes = mutated(self.codes[rows], self.mutate, rng) if self.mutate else self.codes[rows]
        marks = torch.from_numpy(self.marks[rows])
        return {MARKED: torch.from_numpy(self.tokenizer.encode(codes)), MARK: torch.sigmoid(marks)}


def taught_loss(opinions: Tensor, marks: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of what a network says and what the teacher said.

    Parameters
    ----------
    opinions
        ``(n_heads, n_windows, 2)`` logits.
    marks
        ``(n_windows,)`` probabilities.
    """
    said = opinions[..., 1] - opinions[..., 0]
    return functional.binary_cross_entropy_with_logits(said, marks.expand_as(said))


def mark_windows(
    config: TeacherConfig, data: Windows, rows: NDArray[np.int64], tokenizer: Tokenizer, mutate: float, seed: int
) -> MarkedWindows:
    """Teach boosters with some rows of the training fold, and have them mark random DNA of its chromosomes.

    Raises
    ------
    InputError
        If there is no such DNA, or the boosters find only one answer in it.
    """
    training, validation = data.fold(schema.TRAIN), data.fold(schema.VALIDATION)
    corpus = GenomeCorpus(data.genome, data.training_contigs(), data.length, seed + 3)
    if corpus.places <= len(training.table):
        raise InputError(
            "a teacher needs DNA beyond the training windows, and there is none", where=data.folder,
            remedy="set teacher to false",
        )  # fmt: skip
    logger.info("finetune: %d boosters learn from %d windows, to teach the network", BOOSTERS, len(rows))
    trees = grow(training.codes(rows), training.labels[rows], seed)
    auroc = roc_auc_score(validation.labels, trees.log_odds(validation.codes(np.arange(len(validation.table)))))
    n_chunks = -(-config.windows // CHUNK)
    codes = np.concatenate([corpus.codes(i, CHUNK) for i in range(n_chunks)])[: config.windows]
    marks = trees.log_odds(codes)
    kept = balanced(marks)
    if not len(kept):
        raise InputError("the teacher calls all random windows alike", where=data.folder, remedy="set teacher to false")
    logger.info(
        "finetune: validation AUROC of the teacher %.4f; of %d random windows it calls %d positive; %d are kept",
        auroc, len(marks), (marks > 0).sum(), len(kept),
    )  # fmt: skip
    return MarkedWindows(trees, codes[kept], marks[kept], tokenizer, config.batch_size, mutate, seed)


def balanced(marks: Floats) -> NDArray[np.int64]:
    """Return all rows of the rarer answer and the first so many of the commoner one, in order."""
    positive, negative = np.flatnonzero(marks > 0), np.flatnonzero(marks <= 0)
    n = min(len(positive), len(negative))
    return np.sort(np.concatenate([positive[:n], negative[:n]]))
