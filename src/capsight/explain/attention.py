"""Attention as an explanation: shown, never trusted.

Three readings of the real attention weights, each the attention that a position *receives*, averaged over heads: in
the last layer, in all layers, and by rollout (Abnar and Zuidema 2020: layers multiplied, half of each identity for
the residual path, read out as the network pools).

In a causal network early positions are seen by more queries than late ones, whatever they hold. Every reading is
therefore divided by what the same reading gives for uniform attention under the same mask. In a bidirectional network
that divisor is constant, so nothing changes but the scale.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from capsight.explain.reader import Codes, ModelWrapper, PerBase, spread

LAST, ALL, ROLLOUT = "attention", "attention_all", "attention_rollout"


@torch.inference_mode()
def attention(reader: ModelWrapper, codes: Codes) -> dict[str, PerBase]:
    """Return the three readings per base, each ``(n_windows, length)``, in shares of what uniform attention gives.

    The network's attention implementation is switched to eager, which alone gives weights, and then back.
    """
    model = reader.model
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        parts = [_read(reader, codes[rows]) for rows in reader.batches(len(codes))]
    finally:
        model.set_attn_implementation(before)
    return {name: np.concatenate([part[name] for part in parts]) for name in (LAST, ALL, ROLLOUT)}


def _read(reader: ModelWrapper, codes: Codes) -> dict[str, PerBase]:
    """Read one batch."""
    model = reader.model
    embedded = model.embed(reader.tokens(codes))
    inputs = embedded if model.stem is None else model.stem(embedded)
    weights = model.model(inputs_embeds=inputs, use_cache=False, output_attentions=True).attentions
    layers = [layer.mean(dim=1).float() for layer in weights]  # mean over heads: (n, queries, keys)
    spans = reader.position_spans(codes)
    causal, pooling = bool(getattr(reader.model.config, "is_causal", True)), model.config.pooling
    return {
        name: spread(values.cpu().numpy(), spans, reader.length)
        for name, values in received(layers, causal=causal, from_last=pooling == "last").items()
    }


def received(layers: Sequence[Tensor], *, causal: bool, from_last: bool) -> dict[str, Tensor]:
    """Return what every position receives, relative to uniform attention, ``(n_windows, n_positions)``.

    Parameters
    ----------
    layers
        Attention of each layer averaged over heads, ``(n_windows, n_queries, n_keys)``; rows sum to 1.
    causal
        Whether queries see only keys at or before them.
    from_last
        Whether the network reads its answer from the last position (else from all alike).
    """
    n = layers[0].shape[-1]
    even = torch.ones(n, n).tril() if causal else torch.ones(n, n)
    even = (even / even.sum(dim=1, keepdim=True)).to(layers[0].device)[None]
    readings = {
        LAST: layers[-1].mean(dim=1) / even.mean(dim=1),
        ALL: torch.stack([layer.mean(dim=1) for layer in layers]).mean(dim=0) / even.mean(dim=1),
    }
    rows = slice(-1, None) if from_last else slice(None)
    rolled, expected = rollout(layers), rollout([even] * len(layers))
    readings[ROLLOUT] = rolled[:, rows].mean(dim=1) / expected[:, rows].mean(dim=1)
    return readings


def rollout(layers: Sequence[Tensor]) -> Tensor:
    """Multiply layers of attention, each averaged with the identity: ``(n_windows, n_queries, n_keys)``."""
    identity = torch.eye(layers[0].shape[-1], device=layers[0].device)
    total = identity[None]
    for layer in layers:
        total = (0.5 * layer + 0.5 * identity) @ total
    return total
