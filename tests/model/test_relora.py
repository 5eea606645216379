"""ReLoRA: merges change nothing, ranks add up, frozen weights stay, the schedule is the formula."""

from math import cos, pi

import pytest
import torch
from torch import nn

from capsight.config import ModelConfig, PhaseConfig, ReloraConfig
from capsight.model.llama import CapsightForPretraining, architecture
from capsight.model.relora import (
    ADAPTER,
    adapted_layers,
    add_adapters,
    jagged_schedule,
    merge_and_restart,
    plain_schedule,
    reset_moments,
)

RANK = 2
RELORA = ReloraConfig(rank=RANK, alpha=4, dropout=0.0, merge_every=5, restart_warmup_steps=1)


def make(trainable: tuple[str, ...] = ("embeddings", "norms", "head", "stem"), stem: int = 0) -> nn.Module:
    torch.manual_seed(0)
    shape = ModelConfig(width=32, mlp_size=48, layers=2, heads=2, stem_channels=stem, downsample=2)
    model = CapsightForPretraining(architecture(shape, 7, 24))
    return add_adapters(model, RELORA.model_copy(update={"modules_to_save": trainable}))


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 7, (8, 24), generator=torch.Generator().manual_seed(seed))


def train(model: nn.Module, steps: int, seed: int = 0) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for step in range(steps):
        batch = tokens(seed * 100 + step)
        nn.functional.cross_entropy(model(batch).logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def test_merge_leaves_the_output_unchanged() -> None:
    model = make()
    train(model, 10)
    model.eval()
    with torch.no_grad():
        before = model(tokens()).logits
        merge_and_restart(model)
        after = model(tokens()).logits
    assert all(float(layer.lora_B[ADAPTER].weight.detach().abs().max()) == 0 for layer in adapted_layers(model))
    assert all(float(layer.lora_A[ADAPTER].weight.detach().abs().max()) > 0 for layer in adapted_layers(model))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)


def test_adapters_had_something_to_merge() -> None:
    model = make()
    first = {i: layer.get_base_layer().weight.clone() for i, layer in enumerate(adapted_layers(model))}
    train(model, 10)
    merge_and_restart(model)
    for i, layer in enumerate(adapted_layers(model)):
        assert float((layer.get_base_layer().weight - first[i]).abs().max()) > 1e-3


def test_rank_of_the_change_grows_with_every_cycle() -> None:
    model = make()
    start = [layer.get_base_layer().weight.clone() for layer in adapted_layers(model)]
    ranks = []
    for cycle in range(4):
        train(model, 10, seed=cycle)
        merge_and_restart(model)
        change = [la.get_base_layer().weight - w for la, w in zip(adapted_layers(model), start, strict=True)]
        ranks.append([int(torch.linalg.matrix_rank(c, rtol=1e-4)) for c in change])
    assert set(ranks[0]) == {RANK}
    assert all(n > RANK for n in ranks[1])
    assert all(n == 4 * RANK for n in ranks[3])


@pytest.mark.parametrize(
    ("trainable", "moving"),
    [
        ((), {"lora"}),
        (("head",), {"lora", "lm_head"}),
        (("embeddings", "norms", "head"), {"lora", "lm_head", "embed_tokens", "norm"}),
    ],
)
def test_only_adapters_and_named_parts_move(trainable: tuple[str, ...], moving: set[str]) -> None:
    model = make(trainable)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, 5)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    kinds = {kind for kind in ("lora", "lm_head", "embed_tokens", "norm") if any(kind in name for name in moved)}
    assert kinds == moving
    assert not any("base_layer" in name for name in moved)
    assert not any("original_module" in name for name in moved)


def test_stem_moves_when_named() -> None:
    model = make(("stem",), stem=8)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, 3)
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
    assert any("stem" in name for name in moved)
    assert not any("lm_head" in name for name in moved)


def test_unloading_gives_back_the_plain_network() -> None:
    model = make()
    train(model, 5)
    model.eval()
    with torch.no_grad():
        before = model(tokens()).logits
        plain = model.merge_and_unload()
        torch.testing.assert_close(before, plain(tokens()).logits, atol=1e-5, rtol=0)
    fresh = CapsightForPretraining(plain.config)
    assert set(plain.state_dict()) == set(fresh.state_dict())


def test_reset_zeroes_the_share_of_adapter_moments_only() -> None:
    model = make()
    optimizer = train(model, 3)
    adapters = {id(p) for n, p in model.named_parameters() if "lora_" in n}
    others = {p: s["exp_avg"].clone() for p, s in optimizer.state.items() if id(p) not in adapters}
    reset_moments(optimizer, model, 0.9, torch.Generator().manual_seed(0))
    kept = torch.cat([(s["exp_avg_sq"] != 0).flatten() for p, s in optimizer.state.items() if id(p) in adapters])
    assert 0.08 < kept.float().mean() < 0.12
    assert others
    assert all(torch.equal(optimizer.state[p]["exp_avg"], m) for p, m in others.items())


def test_schedule_equals_the_formula_at_its_corners() -> None:
    n, w, r, c, m = 20_000, 500, 100, 4_000, 0.1
    phase = PhaseConfig(steps=n, warmup_steps=w, min_lr_ratio=m)
    relora = ReloraConfig(merge_every=c, restart_warmup_steps=r)

    def wave(x: float) -> float:
        return m + (1 - m) * 0.5 * (1 + cos(pi * x))

    def rate(t: int) -> float:
        return jagged_schedule(t, phase, relora)

    assert rate(0) == 0
    assert rate(250) == pytest.approx(0.5)
    assert rate(500) == pytest.approx(1.0)
    assert rate(3_999) == pytest.approx(wave((3_999 - w) / (n - w)))
    assert rate(4_000) == 0
    assert rate(4_050) == pytest.approx(0.5 * wave((4_000 + r - w) / (n - w)))
    assert rate(4_099) == pytest.approx(0.99 * wave((4_000 + r - w) / (n - w)))
    assert rate(4_100) == pytest.approx(wave((4_100 - w) / (n - w)))
    assert rate(16_000) == 0
    assert rate(16_001) == pytest.approx(0.01 * wave((16_000 + r - w) / (n - w)))
    assert rate(19_999) == pytest.approx(m, abs=1e-6)


def test_paper_warm_up_only_rises() -> None:
    phase = PhaseConfig(steps=1_000, warmup_steps=1_000)
    rates = [plain_schedule(t, phase) for t in range(1_000)]
    assert rates == sorted(rates)
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.999)
