"""A network that is no network: it sees a cap site at a word."""

from typing import Any

import pytest
import torch

from capsight.config import TokenizerConfig
from capsight.data.profiles import middle_half
from capsight.data.tokenizer import KmerTokenizer
from capsight.model.base_head import BaseOutput
from capsight.predict.base_scorer import BaseScorer

LENGTH = 32
WORD = "CAGTCA"


class Planted(torch.nn.Module):
    """Sees a cap site at the second base of every `WORD`, and expects ten 5' ends in a window that has one."""

    def forward(self, input_ids: torch.Tensor, base: bool = False) -> BaseOutput:
        assert base
        word = torch.tensor(["ACGT".index(letter) + 3 for letter in WORD])
        hit = (input_ids.unfold(1, len(WORD), 1) == word).all(dim=2).float()
        site = torch.nn.functional.pad(hit, (1, len(WORD) - 2))
        present = site[:, middle_half(LENGTH)].any(dim=1)
        total = torch.log1p(10.0 * present)
        return BaseOutput(40.0 * site, total, 20.0 * present - 10.0)


@pytest.fixture
def scorer() -> BaseScorer:
    model: Any = Planted()
    return BaseScorer([model], KmerTokenizer(TokenizerConfig()), LENGTH, 3, torch.device("cpu"))
