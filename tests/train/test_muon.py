"""The optimiser of the track network."""

import pytest
import torch
from torch import nn

from capsight.config.track import TrackConfig
from capsight.model.track import TrackNetwork
from capsight.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_orthogonal_keeps_directions_and_evens_out_their_sizes(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    sizes = u.T @ orthogonal(matrix) @ v.T
    assert sizes.diagonal().min() > 0.6
    assert sizes.diagonal().max() < 1.3
    assert (sizes - torch.diag(sizes.diagonal())).abs().max() < 1e-4


def network() -> TrackNetwork:
    torch.manual_seed(1)
    return TrackNetwork(TrackConfig(width=8, dilations=(1, 2), average_radius=4))


def stepped(scale: float, decay: float = 0.0) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return parameters before and after one update with random gradients times `scale`."""
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
    Muon(model, model.layers, lr=0.01, betas=(0.9, 0.98), weight_decay=decay).step()
    return before, {name: p.detach().clone() for name, p in model.named_parameters()}


def test_steps_do_not_depend_on_the_size_of_gradients() -> None:
    _, one = stepped(1.0)
    before, other = stepped(1000.0)
    for name, value in one.items():
        assert torch.allclose(value, other[name], atol=1e-6), name
        assert not torch.equal(value, before[name]), name


def test_convolutions_move_by_orthogonal_matrices_and_all_else_by_adamw() -> None:
    before, after = stepped(1.0)
    for name, value in after.items():
        change = (value - before[name]).flatten(1) if value.ndim > 1 else value - before[name]
        if name.startswith("layers.") and value.ndim > 1:
            singular = torch.linalg.svdvals(change) / (0.01 * 0.2 * max(change.shape) ** 0.5)
            assert singular.min() > 0.6, name
            assert singular.max() < 1.3, name
        else:  # the first step of Adam is the sign of the gradient
            assert torch.allclose(change.abs(), torch.full_like(change, 0.01), rtol=1e-3), name


def test_weights_decay_and_biases_do_not() -> None:
    plain, decayed = stepped(1.0)[1], stepped(1.0, decay=0.5)[1]
    for name, value in network().named_parameters():
        lost = plain[name] - decayed[name]
        assert torch.allclose(lost, (0.005 if value.ndim > 1 else 0.0) * value, atol=1e-6), name


def test_without_layers_it_is_adamw() -> None:
    models = network(), network()
    ours = Muon(models[0], nn.ModuleList(), lr=0.01, betas=(0.9, 0.98), weight_decay=0.5)
    flat = [p for p in models[1].parameters() if p.ndim < 2]
    decayed = [p for p in models[1].parameters() if p.ndim >= 2]
    groups = [{"params": decayed}, {"params": flat, "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98), weight_decay=0.5)
    for seed in range(3):
        for model, optimizer in zip(models, (ours, theirs), strict=True):
            generator = torch.Generator().manual_seed(seed)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
