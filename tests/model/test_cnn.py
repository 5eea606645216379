"""The CNN: its shape and size, what it does not read, and its file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from capsight.config import CnnConfig
from capsight.model.cnn import DilatedCnn, dilations, load_cnn, save_cnn

SMALL = CnnConfig(width=8, blocks=3, kernel=3)


def tokens(n: int, length: int) -> torch.Tensor:
    return torch.randint(3, 7, (n, length), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pooling", ["mean", "max", "position"])
@pytest.mark.parametrize(("length", "pool", "positions"), [(64, 2, 32), (63, 2, 32), (50, 1, 50), (7, 4, 2)])
def test_shapes(pooling: str, length: int, pool: int, positions: int) -> None:
    config = SMALL.model_copy(update={"pooling": pooling, "downsample": pool})
    out = DilatedCnn(config, length, 7)(tokens(5, length))
    assert out.logits.shape == (5, 2)
    assert out.states.shape == (5, positions, 8)


def test_default_size_is_that_of_the_network_it_is_compared_with() -> None:
    assert 350_000 < sum(p.numel() for p in DilatedCnn(CnnConfig(), 512, 7).parameters()) < 450_000


def test_dilations_double_while_they_fit_into_the_window() -> None:
    assert dilations(CnnConfig(), 256) == [1, 2, 4, 8, 16, 32, 1, 2, 4]
    assert dilations(CnnConfig(blocks=4, kernel=3), 10_000) == [1, 2, 4, 8]
    assert dilations(CnnConfig(blocks=3), 5) == [1, 1, 1]


def test_every_base_of_the_window_counts_and_n_is_no_base() -> None:
    torch.manual_seed(1)
    model = DilatedCnn(CnnConfig(width=8, blocks=5, kernel=3, pooling="max"), 64, 7).eval()
    plain = tokens(1, 64)
    with torch.no_grad():
        before = model(plain).states[0, 16]
        for place in (0, 63):
            other = plain.clone()
            other[0, place] = 3 + (other[0, place] - 2) % 4
            assert not torch.equal(model(other).states[0, 16], before), place
        special = [model(torch.full((1, 64), token)).logits for token in (0, 1, 2)]
    assert torch.equal(special[0], special[1])
    assert torch.equal(special[1], special[2])


def test_a_window_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(1)
    model = DilatedCnn(SMALL, 64, 7)  # in training mode: no statistics of the batch either
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.eval()
    several = tokens(4, 64)
    torch.testing.assert_close(model(several[:1]).logits, model(several).logits[:1])


def test_weights_are_read_back_and_randomness_is_left_alone(tmp_path: Path) -> None:
    model = DilatedCnn(SMALL, 64, 7).eval()
    save_cnn(model, tmp_path / "w")
    state = torch.get_rng_state()
    read = load_cnn(SMALL, 64, 7, tmp_path / "w")
    assert torch.equal(torch.get_rng_state(), state)
    assert not read.training
    assert torch.equal(read(tokens(3, 64)).logits, model(tokens(3, 64)).logits)


@pytest.mark.parametrize("change", ["width", "length", "missing", "nan", "double"])
def test_weights_of_another_shape_are_refused(tmp_path: Path, change: str) -> None:
    save_cnn(DilatedCnn(SMALL, 64, 7), tmp_path / "w")
    weights = load_file(tmp_path / "w")
    if change == "missing":
        del weights["score.bias"]
    elif change == "nan":
        weights["score.bias"][0] = float("nan")
    elif change == "double":
        weights["score.bias"] = weights["score.bias"].double()
    save_file(weights, tmp_path / "w")
    shape = SMALL.model_copy(update={"width": 16}) if change == "width" else SMALL
    with pytest.raises((RuntimeError, ValueError)):
        load_cnn(shape, 10**9 if change == "length" else 64, 7, tmp_path / "w")
