"""The optimiser of the track network: Muon for the convolutions in the middle, AdamW for all other weights.

AdamW moves each weight by itself. Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the
gradients of a layer as one matrix, and moves it by the nearest orthogonal one: all directions as far, the rare ones as
well as the strong. It learns in half the updates what AdamW does (`docs/log.md`, 2026-11-28). The size of its steps is
that of AdamW's (Liu et al. 2025, arXiv:2502.16982), so both have one learning rate and one weight decay.

PyTorch's own `torch.optim.Muon` takes matrices alone, no convolutions, and has no AdamW beside it.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

#: Momentum of the gradients.
_MOMENTUM: Final = 0.95
#: Newton-Schulz iteration: steps, and coefficients of the odd polynomial (Jordan et al. 2024).
_STEPS: Final = 5
_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
#: Root mean square of an update of AdamW, about.
_RMS: Final = 0.2


class Muon(torch.optim.AdamW):
    """AdamW, with Muon for the weights of `layers`.

    Parameters
    ----------
    model
        Its parameters with ``requires_grad`` are trained; those of one dimension have no weight decay.
    layers
        The part whose weights, ``(out_channels, ...)``, are trained by Muon; AdamW alone where it is empty.
    lr, betas, weight_decay
        As those of `torch.optim.AdamW`; Muon has the same rate and decay.
    """

    def __init__(
        self, model: nn.Module, layers: nn.Module, lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        inside = {id(parameter) for parameter in layers.parameters() if parameter.ndim >= 2}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim >= 2 and id(p) not in inside], "muon": False},
            {"params": [p for p in trained if p.ndim < 2], "muon": False, "weight_decay": 0.0},
            {"params": [p for p in trained if id(p) in inside], "muon": True},
        ]
        super().__init__([group for group in groups if group["params"]], lr=lr, betas=betas, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make one update. Gradients of Muon's weights are gone afterwards."""
        for group in self.param_groups:
            for parameter in group["params"] if group["muon"] else ():
                if parameter.grad is None:
                    continue
                state, gradient = self.state[parameter], parameter.grad
                if not state:
                    state["step"] = torch.zeros(())  # not counted; AdamW looks for it when a state is loaded
                    state["momentum"] = torch.zeros_like(parameter)
                momentum: Tensor = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
                direction = orthogonal(gradient.lerp(momentum, _MOMENTUM).flatten(1))  # Nesterov's
                size = _RMS * max(direction.shape) ** 0.5
                rate, decay = group["lr"], group["weight_decay"]
                parameter.mul_(1 - rate * decay).sub_(direction.view_as(parameter), alpha=rate * size)
                parameter.grad = None  # so that AdamW leaves it alone
        return super().step(closure)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors, ``(rows, columns)``, and all singular values near 1."""
    a, b, c = _COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrix else x.T
