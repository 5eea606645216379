"""Low-rank adapters, and ReLoRA's cycle: merge, re-initialise, reset the optimiser, warm up again.

ReLoRA (Lialin et al., "ReLoRA: High-Rank Training Through Low-Rank Updates", 2023) trains a sum of low-rank
updates: every `merge_every` steps the adapters are added to the frozen weights and started anew, so that the whole
change has a higher rank than any of its parts. The adapters themselves are peft's.
"""

import warnings
from collections.abc import Iterator
from math import cos, pi

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from torch import nn
from torch.optim import Optimizer

from capsight.config import LoraConfig, PhaseConfig, ReloraConfig
from capsight.model.llama import ADAPTED, part_modules

ADAPTER = "default"


def add_adapters(model: nn.Module, config: LoraConfig | ReloraConfig) -> PeftModel:
    """Freeze `model`, put adapters on attention and feed-forward, and free the parts that `config` names."""
    lora = PeftLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(ADAPTED),
        modules_to_save=part_modules(model, config.modules_to_save) or None,
    )
    with warnings.catch_warnings():  # peft asks transformers by a name that transformers has deprecated
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        return get_peft_model(model, lora)


def adapted_layers(model: nn.Module) -> Iterator[LoraLinear]:
    """Yield every linear layer that carries an adapter."""
    return (module for module in model.modules() if isinstance(module, LoraLinear))


@torch.no_grad()
def merge_and_restart(model: nn.Module) -> None:
    """Add every adapter to its frozen weight and start it anew (A Kaiming-uniform, B zero).

    The output of the model is unchanged, up to rounding.
    """
    for layer in adapted_layers(model):
        layer.get_base_layer().weight += layer.get_delta_weight(ADAPTER)
        layer.reset_lora_parameters(ADAPTER, init_lora_weights=True)


def reset_moments(optimizer: Optimizer, model: nn.Module, fraction: float, generator: torch.Generator) -> None:
    """Zero a random `fraction` of AdamW's moments of the adapters; all other parameters keep theirs."""
    adapters = {id(p) for layer in adapted_layers(model) for n, p in layer.named_parameters() if "lora_" in n}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in adapters:
                continue
            for key in ("exp_avg", "exp_avg_sq"):
                moment = optimizer.state[parameter].get(key)
                if moment is not None:
                    keep = torch.rand(moment.shape, generator=generator) >= fraction
                    moment.mul_(keep.to(moment.device))


def cosine(x: float, floor: float) -> float:
    """Fall from 1 at x = 0 to `floor` at x = 1 along a half cosine."""
    return floor + (1 - floor) * 0.5 * (1 + cos(pi * x))


def plain_schedule(step: int, phase: PhaseConfig) -> float:
    """Rate at update `step` as a fraction of its peak: a linear rise, then a half cosine."""
    if step < phase.warmup_steps:
        return step / phase.warmup_steps
    return cosine((step - phase.warmup_steps) / max(1, phase.steps - phase.warmup_steps), phase.min_lr_ratio)


def jagged_schedule(step: int, phase: PhaseConfig, relora: ReloraConfig) -> float:
    """Rate at update `step` as a fraction of its peak: `plain_schedule` with a re-warm-up after every merge.

    Within the first r updates of every later cycle the rate rises linearly to the value that the cosine has
    at the cycle's update r (as in the code released with the ReLoRA paper).
    """
    since = step % relora.merge_every
    if step < phase.warmup_steps or step < relora.merge_every or since >= relora.restart_warmup_steps:
        return plain_schedule(step, phase)
    end = step - since + relora.restart_warmup_steps
    reached = cosine((end - phase.warmup_steps) / max(1, phase.steps - phase.warmup_steps), phase.min_lr_ratio)
    return since / relora.restart_warmup_steps * reached
