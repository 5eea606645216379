"""Attention: all ways give the same answers; what is not to be had here is said in one line."""

from pathlib import Path

import pytest
import torch

from capsight.config import FinetuneConfig, ModelConfig, PhaseConfig, PretrainConfig
from capsight.errors import InputError
from capsight.model.llama import CapsightForClassification, architecture
from capsight.train import attention as module
from capsight.train.attention import check_attention, choose_attention
from capsight.train.finetune import finetune
from capsight.train.pretrain import pretrain


@pytest.mark.parametrize("causal", [False, True])
def test_all_ways_give_the_same_answers(causal: bool) -> None:
    shape = {
        "width": 32,
        "mlp_size": 48,
        "layers": 2,
        "heads": 2,
        "stem_channels": 0,
        "causal": causal,
        "pooling": "mean",
    }
    torch.manual_seed(1)
    model = CapsightForClassification(architecture(ModelConfig(**shape), 8, 24)).eval()
    tokens, answers = torch.randint(0, 8, (3, 24)), {}
    for way in ("sdpa", "eager"):
        choose_attention(model, way)
        assert model.config._attn_implementation == way
        with torch.no_grad():
            answers[way] = model(tokens).logits
    torch.testing.assert_close(answers["sdpa"], answers["eager"], atol=1e-5, rtol=1e-5)


def test_auto_is_explicit_for_few_positions_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for length, way in ((64, "eager"), (512, "sdpa")):
        model = CapsightForClassification(architecture(ModelConfig(width=16, heads=2, stem_channels=0), 8, length))
        choose_attention(model, "auto")
        assert model.config._attn_implementation == way


@pytest.mark.parametrize(
    ("cuda", "package", "precision", "message"),
    [
        (False, True, "bf16", "a CUDA GPU, and training runs on cpu"),
        (True, False, "bf16", "the package flash-attn, which is not installed"),
        (True, True, "fp32", "bfloat16, and precision is fp32"),
    ],
)
def test_what_is_missing_is_named(
    cuda: bool, package: bool, precision: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(module, "find_spec", lambda _: object() if package else None)
    with pytest.raises(InputError, match=rf"^attention=flash_attention_2 needs {message} \(set attention=sdpa\)$"):
        check_attention("flash_attention_2", precision)
    for way in ("auto", "sdpa", "eager"):
        check_attention(way, precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_stages_refuse_it_before_any_work(stage: str, motif_windows: Path, pretrained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attention=flash_attention_2 needs a CUDA GPU"):
        if stage == "pretrain":
            config = PretrainConfig(model=ModelConfig(attention="flash_attention_2"))
            pretrain(config, motif_windows, tmp_path / "out")
        else:
            config = FinetuneConfig(attention="flash_attention_2")
            finetune(config, motif_windows, pretrained, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_pretraining_uses_what_is_asked_for_and_its_folder_is_the_same(motif_windows: Path, tmp_path: Path) -> None:
    none, seen = PhaseConfig(steps=0), {}
    for way in ("sdpa", "eager"):
        model = ModelConfig(width=16, mlp_size=24, layers=1, heads=2, stem_channels=0, pooling="mean", attention=way)
        out = pretrain(
            PretrainConfig(model=model, full_rank_phase=none, relora_phase=none), motif_windows, tmp_path / way
        )
        seen[way] = {name: (out / name).read_bytes() for name in ("config.json", "model.safetensors")}
    assert seen["sdpa"] == seen["eager"]


@pytest.mark.gpu
def test_flash_attention_trains(motif_windows: Path, tmp_path: Path) -> None:
    pytest.importorskip("flash_attn")
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    phase, none = PhaseConfig(steps=4, warmup_steps=1), PhaseConfig(steps=0)
    for causal, objective in ((True, "causal"), (False, "masked")):
        model = ModelConfig(width=64, heads=2, layers=2, stem_channels=0, pooling="mean", causal=causal,
                            attention="flash_attention_2")  # fmt: skip
        config = PretrainConfig(
            model=model, objective=objective, full_rank_phase=phase, relora_phase=none, relora=False
        )
        pretrain(config, motif_windows, tmp_path / objective)
