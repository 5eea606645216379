"""The network, read top to bottom: an optional convolutional stem, LLaMA blocks, and one of two heads.

Choices:

* The blocks are Hugging Face's `LlamaModel` (rotary positions, RMS norm, gated SiLU feed-forward), causal or
  bidirectional (`is_causal=False`). Without a stem, a model folder is a plain LLaMA folder.
* The stem reads tokens one-hot: one wide convolution that can hold a whole motif, residual convolutions (dilated:
  each sees further than the one before), and a linear map of every `downsample` tokens together, so that attention runs
  over few positions. A maximum over them would forget which of them had the motif: the base at the cap site would not
  be told from its neighbours. A learned vector per position is added after it, because a cap site has a fixed place
  in its window and rotary positions are only relative.
* One vector per window is made by taking the last position (the paper), the mean, or a learned weighting.
* No biases in the blocks and the heads, no tied weights, no batch statistics: a window's score depends on that
  window alone.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaPreTrainedModel

from capsight.config import ModelConfig
from capsight.model.convolution import Convolution, side_by_side

#: Bases that the first convolution of the stem spans: enough for a TATA box with its flanks.
STEM_KERNEL = 15
#: Bases that each residual convolution of the stem spans.
RESIDUAL_KERNEL = 7


class CapsightConfig(LlamaConfig):
    """A `LlamaConfig` with the stem and the pooling of `capsight`."""

    model_type = "capsight"

    stem_channels: int = 0
    stem_blocks: int = 2
    stem_dilation: int = 1
    downsample: int = 1
    pooling: str = "mean"
    n_tokens: int = 512
    hidden_dropout: float = 0.0


class Output(NamedTuple):
    """Logits, and the states behind them.

    Attributes
    ----------
    logits
        ``(n_windows, n_tokens, vocabulary)`` from the language head, ``(n_windows, 2)`` from the classifier.
    states
        ``(n_windows, n_positions, width)``: what the last block gave, normalised.
    """

    logits: Tensor
    states: Tensor


def architecture(config: ModelConfig, vocabulary: int, n_tokens: int, pad: int = 0) -> CapsightConfig:
    """Turn the settings of a recipe into the configuration of a network for `n_tokens` tokens a window.

    `pad` is a token that never occurs in a window; Hugging Face's own classifier wants one to find the last.
    """
    positions = -(-n_tokens // config.downsample) if config.stem_channels else n_tokens
    return CapsightConfig(
        vocab_size=vocabulary,
        hidden_size=config.width,
        intermediate_size=config.mlp_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=max(positions, 16),
        initializer_range=config.init_std,
        attention_dropout=0.0,  # with it, PyTorch takes a slow path: a third of the time on a CPU
        use_cache=False,
        is_causal=config.causal,
        num_labels=2,
        pad_token_id=pad,
        bos_token_id=None,
        eos_token_id=None,
        stem_channels=config.stem_channels,
        stem_blocks=config.stem_blocks,
        stem_dilation=config.stem_dilation,
        downsample=config.downsample if config.stem_channels else 1,
        pooling=config.pooling,
        n_tokens=n_tokens,
        hidden_dropout=config.dropout,
    )


class Stem(nn.Module):
    """One-hot tokens to states: convolutions, every `downsample` tokens joined, learned positions."""

    def __init__(self, config: CapsightConfig) -> None:
        super().__init__()
        self.downsample = config.downsample
        self.vocabulary = config.vocab_size
        self.motifs = Convolution(config.vocab_size, config.stem_channels, STEM_KERNEL)
        self.residual = nn.ModuleList(
            Convolution(config.stem_channels, config.stem_channels, RESIDUAL_KERNEL, config.stem_dilation**layer)
            for layer in range(config.stem_blocks)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, config.stem_channels) for _ in range(config.stem_blocks))
        self.join = nn.Conv1d(
            config.stem_channels, config.hidden_size, config.downsample, stride=config.downsample, bias=False
        )
        self.positions = nn.Embedding(-(-config.n_tokens // config.downsample), config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, one_hot: Tensor) -> Tensor:
        """Map ``(n_windows, n_tokens, vocabulary)`` to ``(n_windows, n_positions, width)``."""
        x = self.motifs(side_by_side(one_hot))
        for norm, convolution in zip(self.norms, self.residual, strict=True):
            x = x + convolution(functional.gelu(norm(x)))
        x = x.squeeze(2)
        x = functional.pad(functional.gelu(x).transpose(1, 2), (0, 0, 0, -x.shape[-1] % self.downsample))
        weight = self.join.weight.transpose(1, 2).flatten(1)  # bases before channels, as they lie in memory
        x = functional.linear(x.unflatten(1, (-1, self.downsample)).flatten(2), weight)
        return self.dropout(x + self.positions.weight[: x.shape[1]])


class Pooling(nn.Module):
    """One vector per window.

    ``last`` takes the last position, ``mean`` the mean of all, ``max`` the greatest of each feature, ``attention`` a
    mean weighted by what the states hold, ``position`` one weighted by where they stand: a learned weight for each
    position and feature, which starts as the mean.
    """

    def __init__(self, kind: str, width: int, n_positions: int) -> None:
        super().__init__()
        self.kind = kind
        if self.kind == "attention":
            self.query = nn.Linear(width, 1, bias=False)
        if self.kind == "position":
            self.weight = nn.Parameter(torch.full((n_positions, width), 1 / n_positions))

    def forward(self, states: Tensor) -> Tensor:
        """Map ``(n_windows, n_positions, width)`` to ``(n_windows, width)``."""
        if self.kind == "last":
            return states[:, -1]
        if self.kind == "mean":
            return states.mean(dim=1)
        if self.kind == "max":
            return states.amax(dim=1)
        if self.kind == "position":
            return (self.weight * states).sum(dim=1)
        return (torch.softmax(self.query(states), dim=1) * states).sum(dim=1)


class CapsightPreTrainedModel(LlamaPreTrainedModel):
    """What both networks share: the stem (or token embeddings) and the blocks."""

    config_class = CapsightConfig
    base_model_prefix = "model"

    def __init__(self, config: CapsightConfig) -> None:
        super().__init__(config)
        self.model = LlamaModel(config)
        self.stem = Stem(config) if config.stem_channels else None
        if self.stem is not None:
            self.model.embed_tokens = None  # the stem reads one-hot tokens: nothing would ever train these

    def embed(self, tokens: Tensor) -> Tensor:
        """Return what the network is differentiable in: one-hot tokens with a stem, else token embeddings."""
        if self.stem is None:
            return self.model.embed_tokens(tokens)
        return functional.one_hot(tokens, self.config.vocab_size).to(self.stem.motifs.weight.dtype)

    def encode(self, embedded: Tensor) -> Tensor:
        """Map the result of `embed` to states ``(n_windows, n_positions, width)``."""
        return self.blocks(embedded if self.stem is None else self.stem(embedded))

    def blocks(self, inputs: Tensor) -> Tensor:
        """Map what the blocks read to what the last one gives, ``(n_windows, n_positions, width)`` both."""
        return self.model(inputs_embeds=inputs, use_cache=False).last_hidden_state

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise as LLaMA does; convolutions, which see few inputs, keep PyTorch's own scale."""
        if not isinstance(module, nn.Conv1d):
            super()._init_weights(module)


class CapsightForPretraining(CapsightPreTrainedModel):
    """The backbone with a language head: logits for every token, `downsample` of them from each position."""

    def __init__(self, config: CapsightConfig) -> None:
        super().__init__(config)
        self.lm_head = nn.Linear(config.hidden_size, config.downsample * config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor, **_: Any) -> Output:
        """Score ``(n_windows, n_tokens)`` tokens."""
        states = self.encode(self.embed(input_ids))
        logits = self.lm_head(states).unflatten(-1, (self.config.downsample, self.config.vocab_size)).flatten(1, 2)
        return Output(logits[:, : input_ids.shape[1]], states)


class CapsightForClassification(CapsightPreTrainedModel):
    """The backbone with a classification head: is there a cap site in the middle of this window?"""

    def __init__(self, config: CapsightConfig) -> None:
        super().__init__(config)
        self.pooling = Pooling(config.pooling, config.hidden_size, -(-config.n_tokens // config.downsample))
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, embedded: Tensor | None = None, **_: Any) -> Output:
        """Score tokens ``(n_windows, n_tokens)``, or what `embed` made of them."""
        if embedded is None:
            if input_ids is None:
                raise ValueError("either input_ids or embedded is needed")
            embedded = self.embed(input_ids)
        states = self.encode(embedded)
        return Output(self.score(self.dropout(self.pooling(states))), states)


#: Parts of the network by the names that recipes use, as suffixes of module names.
PARTS = {
    "embeddings": ("embed_tokens",),
    "norms": ("input_layernorm", "post_attention_layernorm", "model.norm"),
    "head": ("lm_head", "score", "pooling"),
    "stem": ("stem",),
}

#: The linear layers of attention and feed-forward, which adapters are put on.
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def part_modules(model: nn.Module, parts: tuple[str, ...]) -> list[str]:
    """List the modules of `model` that belong to `parts`, those that hold weights."""
    suffixes = tuple(suffix for part in parts for suffix in PARTS[part])
    return [
        name
        for name, module in model.named_modules()
        if any(name == s or name.endswith(f".{s}") for s in suffixes) and any(True for _ in module.parameters())
    ]
