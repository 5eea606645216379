"""How the window network calculates attention: what it answers is the same but for rounding."""

from importlib.util import find_spec
from typing import Final, Literal

from capsight.errors import InputError
from capsight.machine import best_device
from capsight.model.llama import CapsightPreTrainedModel
from capsight.train.loop import choose_precision

Attention = Literal["auto", "sdpa", "flash_attention_2", "eager"]

#: On a CPU, explicit attention over so few positions takes less time than PyTorch's fused one (15 % of a step at 64).
FEW_POSITIONS: Final = 128


def check_attention(attention: Attention, precision: str) -> None:
    """Refuse what is not to be had here, before any work.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    if attention != "flash_attention_2":
        return
    missing = None
    if best_device().type != "cuda":
        missing = f"a CUDA GPU, and training runs on {best_device()}"
    elif find_spec("flash_attn") is None:
        missing = "the package flash-attn, which is not installed"
    elif choose_precision(precision) != "bf16":
        missing = f"bfloat16, and precision is {precision}"
    if missing:
        raise InputError(f"attention=flash_attention_2 needs {missing}", remedy="set attention=sdpa")


def choose_attention(model: CapsightPreTrainedModel, attention: Attention) -> None:
    """Let a network calculate attention as asked for; ``auto`` is what is fastest here."""
    if attention == "auto":
        few = model.config.max_position_embeddings <= FEW_POSITIONS
        attention = "eager" if few and best_device().type != "cuda" else "sdpa"
    model.set_attn_implementation(attention)
