"""The network: shapes, directions, and what a window's score may depend on."""

import pytest
import torch

from capsight.config import ModelConfig
from capsight.model.convolution import side_by_side
from capsight.model.llama import CapsightForClassification, CapsightForPretraining, architecture, part_modules

SMALL = {"width": 16, "mlp_size": 24, "layers": 2, "heads": 2, "stem_channels": 0, "downsample": 1, "dropout": 0.0}
PLAIN = ModelConfig(**SMALL)
STEM = ModelConfig(**(SMALL | {"stem_channels": 8, "downsample": 4}), pooling="attention")
CAUSAL = ModelConfig(**SMALL, causal=True, pooling="last")
ALL = pytest.mark.parametrize("config", [PLAIN, STEM, CAUSAL], ids=["plain", "stem", "causal"])


def tokens(n: int = 3, length: int = 30) -> torch.Tensor:
    return torch.randint(3, 7, (n, length), generator=torch.Generator().manual_seed(0))


@ALL
def test_shapes(config: ModelConfig) -> None:
    shape = architecture(config, 7, 30)
    language = CapsightForPretraining(shape)(tokens())
    assert language.logits.shape == (3, 30, 7)
    assert language.states.shape == (3, 8 if config.stem_channels else 30, 16)
    assert CapsightForClassification(shape)(tokens()).logits.shape == (3, 2)


@ALL
def test_score_depends_on_its_own_window_alone(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = CapsightForClassification(architecture(config, 7, 30)).eval()
    together = model(tokens()).logits
    alone = torch.cat([model(t[None]).logits for t in tokens()])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("causal", "changes"), [(True, False), (False, True)])
def test_causal_models_do_not_look_ahead(causal: bool, changes: bool) -> None:
    torch.manual_seed(0)
    config = ModelConfig(**SMALL, causal=causal)
    model = CapsightForPretraining(architecture(config, 7, 30)).eval()
    before = tokens()
    after = before.clone()
    after[:, 20:] = (after[:, 20:] - 3 + 1) % 4 + 3
    difference = (model(before).logits - model(after).logits)[:, :20].abs().max()
    assert bool(difference > 1e-6) is changes


@pytest.mark.parametrize(("dilation", "reach"), [(1, 7 + 2 * 3), (2, 7 + 3 + 6)])
def test_dilation_widens_what_the_stem_sees_of_a_base(dilation: int, reach: int) -> None:
    torch.manual_seed(0)
    config = STEM.model_copy(update={"stem_blocks": 2, "stem_dilation": dilation})
    model = CapsightForClassification(architecture(config, 7, 60)).eval()
    one_hot = model.embed(tokens(1, 60)).requires_grad_()
    unpooled = model.stem.motifs(side_by_side(one_hot))  # 7 bases to each side
    for convolution in model.stem.residual:  # 3 dilations to each side; the norms, left out, see all bases
        unpooled = unpooled + convolution(unpooled)
    unpooled[0, :, 0, 30].sum().backward()
    seen = one_hot.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert (int(seen[0]), int(seen[-1])) == (30 - reach, 30 + reach)


def test_paper_size() -> None:
    config = ModelConfig(width=256, mlp_size=688, layers=4, heads=4, causal=True, pooling="last", stem_channels=0)
    model = CapsightForClassification(architecture(config, 50_254, 512))
    n = sum(p.numel() for p in model.parameters())
    assert round(n / 1e6, 1) == 16.0
    assert 0.79 < model.model.embed_tokens.weight.numel() / n < 0.81


def test_embedded_input_equals_tokens() -> None:
    for config in (PLAIN, STEM):
        model = CapsightForClassification(architecture(config, 7, 30)).eval()
        with torch.no_grad():
            same = model(embedded=model.embed(tokens())).logits
            torch.testing.assert_close(same, model(tokens()).logits)


def test_every_weight_is_reached_by_the_gradient() -> None:
    for config in (PLAIN, STEM, CAUSAL):
        for kind in (CapsightForClassification, CapsightForPretraining):
            model = kind(architecture(config, 7, 30))
            model(tokens()).logits.square().sum().backward()
            idle = [name for name, p in model.named_parameters() if p.grad is None]
            assert not idle


def test_parts_have_the_names_that_recipes_use() -> None:
    model = CapsightForPretraining(architecture(PLAIN, 7, 30))
    assert part_modules(model, ("embeddings", "head")) == ["model.embed_tokens", "lm_head"]
    assert len(part_modules(model, ("norms",))) == 2 * 2 + 1
    assert part_modules(model, ("stem",)) == []
    assert part_modules(CapsightForClassification(architecture(STEM, 7, 30)), ("stem", "head")) == [
        "stem",
        "pooling",
        "score",
    ]
