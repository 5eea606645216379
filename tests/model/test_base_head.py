"""The head for single bases: its shapes, what it leaves alone, and old folders."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from capsight.config import LoraConfig, ModelConfig, TokenizerConfig
from capsight.errors import InputError
from capsight.model.checkpoint import ModelCard, load_classifier, save_model, start_classifier
from capsight.model.llama import CapsightForClassification, architecture
from capsight.model.relora import add_adapters

LENGTH = 30  # no multiple of the pool
SHAPE = ModelConfig(width=16, mlp=24, layers=2, heads=2, stem=8, stem_layers=3, stem_dilation=1, pool=4, dropout=0.0)


def tokens(n: int = 3) -> torch.Tensor:
    return torch.randint(3, 7, (n, LENGTH), generator=torch.Generator().manual_seed(0))


def network(*, base: bool, config: ModelConfig = SHAPE) -> CapsightForClassification:
    torch.manual_seed(0)
    shape = architecture(config, 7, LENGTH)
    shape.base = base
    return CapsightForClassification(shape).eval()


def write(model: CapsightForClassification, folder: Path, **more: object) -> Path:
    folder.mkdir()
    has_head = model.base_head is not None
    card = ModelCard(task="classification", length=LENGTH, tokenizer=TokenizerConfig(**more), base=has_head)
    save_model(model, card, folder)
    return folder


def test_shapes_and_one_answer_for_every_base() -> None:
    output = network(base=True)(tokens(), base=True)
    assert output.profile.shape == (3, LENGTH)
    assert output.total.shape == output.presence.shape == (3,)


def test_the_classifier_answers_the_same_with_and_without_the_head() -> None:
    plain, more = network(base=False), network(base=True)
    report = more.load_state_dict(plain.state_dict(), strict=False)
    assert {name.partition(".")[0] for name in report.missing_keys} == {"base_head"}
    assert not report.unexpected_keys
    logits = plain(tokens()).logits
    assert torch.equal(more(tokens()).logits, logits)
    with pytest.raises(ValueError, match="no head for single bases"):
        plain(tokens(), base=True)


def test_a_change_of_one_base_moves_the_profile_there_most() -> None:
    torch.manual_seed(1)
    model = network(base=True)
    changed = tokens()
    changed[:, 20] = (changed[:, 20] - 3 + 1) % 4 + 3
    with torch.no_grad():
        moved = (model(tokens(), base=True).profile - model(changed, base=True).profile).abs()
    assert (moved[:, 10:].sum(dim=1) > 5 * moved[:, :5].sum(dim=1)).all()
    assert (moved > 0).all()  # through the blocks, everywhere


def test_every_weight_of_the_head_is_reached_by_the_gradient() -> None:
    model = network(base=True)
    said = model(tokens(), base=True)
    (model(tokens()).logits.square().sum() + sum(part.square().sum() for part in said)).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_adapters_leave_the_head_to_be_trained_in_full() -> None:
    model = network(base=True)
    adapted = add_adapters(model, LoraConfig(rank=2, trainable=("head", "stem"))).eval()
    before = {name: p.detach().clone() for name, p in adapted.named_parameters() if p.requires_grad}
    assert {"base_head", "stem"} <= {part for name in before for part in name.split(".")}
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=0.01)
    said = adapted(input_ids=tokens(), base=True)
    (adapted(input_ids=tokens()).logits.square().sum() + sum(part.square().sum() for part in said)).backward()
    optimizer.step()
    after = dict(adapted.named_parameters())
    moved = {name for name, p in before.items() if not torch.equal(p, after[name])}
    assert {name for name in before if "base_head" in name or "stem" in name} <= moved
    with torch.no_grad():
        expected = adapted(input_ids=tokens(), base=True)
        merged = adapted.merge_and_unload()(tokens(), base=True)
    for one, other in zip(expected, merged, strict=True):
        torch.testing.assert_close(one, other)


def test_folders_keep_the_head_and_old_ones_have_none(tmp_path: Path) -> None:
    model = network(base=True)
    folder = write(model, tmp_path / "m")
    again, _ = load_classifier(folder)
    assert torch.equal(again(tokens(), base=True).profile, model(tokens(), base=True).profile)
    old = write(network(base=False), tmp_path / "old")
    for name in ("config.json", "capsight.json"):
        values = json.loads((old / name).read_text())
        values.pop("base")  # as before there was such a head
        (old / name).write_text(json.dumps(values))
    loaded, card = load_classifier(old)
    assert loaded.base_head is None
    assert card.base is False
    assert torch.equal(loaded(tokens()).logits, network(base=False)(tokens()).logits)


def test_training_starts_from_the_head_of_a_model_or_leaves_it_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(network(base=True), tmp_path / "m")
    kept = load_file(folder / "model.safetensors")
    with_head = start_classifier(folder, seed=3, base=True)
    assert torch.equal(with_head.base_head.profile.weight, kept["base_head.profile.weight"])
    with caplog.at_level(logging.INFO):
        assert start_classifier(folder, seed=3).base_head is None
    assert "is left out: base is not set" in caplog.text
    fresh = start_classifier(write(network(base=False), tmp_path / "none"), seed=3, base=True)
    assert not torch.equal(fresh.base_head.profile.weight, kept["base_head.profile.weight"])


@pytest.mark.parametrize(
    ("stem", "tokenizer", "message"),
    [
        (0, {}, r"the network has no stem.*\(set base to false, or pretrain with model.stem\)"),
        (8, {"k": 3}, r"does not read one token per base.*tokenizer.k: 1"),
        (8, {"k": 2, "stride": 2}, "does not read one token per base"),
    ],
)
def test_a_network_that_sees_no_single_bases_is_refused(
    tmp_path: Path, stem: int, tokenizer: dict[str, int], message: str
) -> None:
    config = ModelConfig(width=16, mlp=24, layers=1, heads=2, stem=stem, pool=4)
    folder = write(network(base=False, config=config), tmp_path / "m", **tokenizer)
    with pytest.raises(InputError, match=message):
        start_classifier(folder, seed=1, base=True)
    start_classifier(folder, seed=1)


def test_a_stem_is_needed() -> None:
    shape = architecture(ModelConfig(width=16, mlp=24, layers=1, heads=2, stem=0), 7, LENGTH)
    shape.base = True
    with pytest.raises(ValueError, match="reads the stem"):
        CapsightForClassification(shape)
