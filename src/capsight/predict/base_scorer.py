"""What answers base by base in a model, reduced to what prediction and evaluation need.

A model folder may hold specialists beside its network: networks that learned single bases alone, from other seeds. What
each says of shares, total and presence is averaged (a deep ensemble, Lakshminarayanan et al. 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capsight.data.bases import Codes
from capsight.data.tokenizer import Tokenizer, make_tokenizer
from capsight.errors import InputError
from capsight.model.base_head import BaseOutput
from capsight.model.checkpoint import load_classifier, load_specialists
from capsight.model.llama import CapsightForClassification
from capsight.predict.classical import BASELINE_CARD
from capsight.predict.scorer import best_device

Floats = NDArray[np.float64]


class BaseScores(NamedTuple):
    """What a model says of windows.

    Attributes
    ----------
    share
        ``(n_windows, length)`` share of the window's 5' ends at each base; rows sum to 1.
    total
        ``(n_windows,)`` expected number of 5' ends, in the unit of the counts that the model was trained on.
    presence
        ``(n_windows,)`` probability that a cap site is in the middle half.
    """

    share: Floats
    total: Floats
    presence: Floats

    @property
    def probability(self) -> Floats:
        """Probability that each base is the cap site, ``(n_windows, length)``."""
        return self.presence[:, None] * self.share

    @property
    def strength(self) -> Floats:
        """Expected number of 5' ends at each base, ``(n_windows, length)``."""
        return self.total[:, None] * self.share


@dataclass(frozen=True)
class BaseScorer:
    """Networks with a head for single bases, ready for prediction.

    Attributes
    ----------
    models
        The network of the model folder, then its specialists.
    length
        Bases that they read.
    folds
        Folds that any of them learned single bases from.
    """

    models: Sequence[CapsightForClassification]
    tokenizer: Tokenizer
    length: int
    batch_size: int
    device: torch.device
    folds: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path, batch_size: int = 256) -> Self:
        """Load a model folder.

        Raises
        ------
        InputError
            If it cannot be used, or has no head for single bases.
        """
        remedy = "train one: capsight finetune --set base=true"
        if (folder / BASELINE_CARD).is_file():
            raise InputError("is a baseline, which does not answer base by base", where=folder, remedy=remedy)
        model, card = load_classifier(folder)
        if model.base_head is None:
            raise InputError("the model has no head for single bases", where=folder, remedy=remedy)
        device = best_device()
        models = [each.to(device) for each in (model, *load_specialists(folder, card))]
        tokenizer = make_tokenizer(card.tokenizer, folder)
        return cls(models, tokenizer, card.length, batch_size, device, card.base_folds)

    @torch.inference_mode()
    def score(self, codes: Codes) -> BaseScores:
        """Score base codes ``(n_windows, length)``."""
        parts = []
        for i in range(0, len(codes), self.batch_size):
            tokens = torch.from_numpy(self.tokenizer.encode(codes[i : i + self.batch_size])).to(self.device)
            said = [_natural(model(input_ids=tokens, base=True)) for model in self.models]
            parts.append([torch.stack(column).mean(dim=0) for column in zip(*said, strict=True)])
        if not parts:
            return BaseScores(np.zeros((0, self.length)), np.zeros(0), np.zeros(0))
        return BaseScores(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


def _natural(said: BaseOutput) -> tuple[Tensor, Tensor, Tensor]:
    """Return shares, number of 5' ends and probability of a cap site, of what a network says in logits and logs."""
    profile, total, presence = (tensor.cpu().double() for tensor in said)
    return torch.softmax(profile, 1), torch.expm1(total).clamp(min=0), torch.sigmoid(presence)
