"""Bases to tokens, by NumPy look-up, with the exact bases behind every token.

Two kinds: k-mers of length `k` every `stride` bases, and the paper's GPT-NeoX byte-pair encoding over 8-mers
every 4 bases. Both are saved as a Hugging Face ``tokenizer.json`` beside the model.
"""

import json
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer

from capsight.config import TokenizerConfig
from capsight.data.io.text import readable
from capsight.data.sequence.kmers import encode_kmers, kmer_to_string
from capsight.errors import InputError

Codes = NDArray[np.uint8]
Tokens = NDArray[np.int64]

FILE = "tokenizer.json"
SPECIAL = ("[PAD]", "[UNK]", "[MASK]")
BASES = "ACGT"
UNKNOWN_BASE = 4


class Tokenizer(ABC):
    """Encodes windows of base codes (A, C, G, T, N = 0…4) as tokens.

    Attributes
    ----------
    config
        The settings it was made from.
    vocabulary
        Number of distinct tokens.
    pad
        A token that occurs in no window.
    """

    config: TokenizerConfig
    vocabulary: int
    pad: int

    @abstractmethod
    def n_tokens(self, length: int) -> int:
        """Return the number of tokens of a window of `length` bases."""

    @abstractmethod
    def encode(self, codes: Codes) -> Tokens:
        """Map base codes ``(n_windows, length)`` to tokens ``(n_windows, n_tokens)``."""

    @abstractmethod
    def spans(self, codes: Codes) -> NDArray[np.int32]:
        """Return the bases of every token: ``(n_windows, n_tokens, 2)``, 0-based half-open in the window.

        A token without bases (an end-of-text mark) has an empty span.
        """

    @abstractmethod
    def text(self, token: int) -> str:
        """Return the bases that a token stands for, or its special name."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, which `AutoTokenizer` reads."""


class KmerTokenizer(Tokenizer):
    """k-mers in lexical order behind [PAD], [UNK] (a k-mer with N) and [MASK]; bases past the last k-mer are unread."""

    def __init__(self, config: TokenizerConfig) -> None:
        self.config = config
        self.vocabulary = len(SPECIAL) + 4**config.k
        self.pad, self.unknown, self.mask = range(3)

    def n_tokens(self, length: int) -> int:
        """Return the number of whole k-mers in `length` bases."""
        return max(0, (length - self.config.k) // self.config.stride + 1)

    def encode(self, codes: Codes) -> Tokens:
        """Map base codes ``(n_windows, length)`` to tokens ``(n_windows, n_tokens)``."""
        kmers = encode_kmers(codes, self.config.k, stride=self.config.stride)
        return np.where(kmers < 0, self.unknown, kmers + len(SPECIAL))

    def spans(self, codes: Codes) -> NDArray[np.int32]:
        """Return the bases of every token ``(n_windows, n_tokens, 2)``: the same for all windows."""
        start = np.arange(self.n_tokens(codes.shape[1]), dtype=np.int32) * self.config.stride
        one = np.stack([start, start + self.config.k], axis=1)
        return np.broadcast_to(one, (len(codes), *one.shape))

    def text(self, token: int) -> str:
        """Return the k-mer of a token, or its special name."""
        if token < len(SPECIAL):
            return SPECIAL[token]
        return kmer_to_string(np.array([token - len(SPECIAL)]), self.config.k)[0]

    def save(self, folder: Path) -> None:
        """Write a `tokenizers` twin.

        Blocks (k = stride) are cut by the twin itself; overlapping k-mers must be handed to it already cut and
        joined by spaces, as for DNABERT, because a Hugging Face pre-tokenizer cannot overlap.
        """
        kmers = kmer_to_string(np.arange(4**self.config.k), self.config.k)
        vocab = {word: i for i, word in enumerate((*SPECIAL, *kmers))}
        twin = FastTokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
        twin.normalizer = normalizers.Uppercase() if hasattr(normalizers, "Uppercase") else None
        if self.config.k == self.config.stride:
            twin.pre_tokenizer = pre_tokenizers.Split(Regex(f".{{{self.config.k}}}"), "isolated")
        else:
            twin.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        twin.add_special_tokens(list(SPECIAL))
        twin.save(str(folder / FILE))
        _write_tokenizer_config(folder, {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"})


class NeoxTokenizer(Tokenizer):
    """The paper's encoding: 8-mers at 0, 4, 8, … joined by spaces, end-of-text, GPT-NeoX byte-pair encoding.

    Every row is brought to one common length, that of the window, by repeating its own tokens (or cutting
    them), as the paper's script does with NumPy's `resize`. Byte-pair encoding never crosses a space, so each
    8-mer is encoded once and then looked up.
    """

    WORD = 8
    STEP = 4
    #: The paper's embedding has this many rows; the tokenizer's remaining 23 entries are runs of spaces.
    VOCABULARY = 50_254
    END = "<|endoftext|>"
    PAD = "<|padding|>"

    def __init__(self, config: TokenizerConfig, file: Path | None = None) -> None:
        self.config = config
        self.vocabulary = self.VOCABULARY
        self.file = file or config.file
        if self.file is None or not readable(self.file).is_file():
            raise InputError("there is no such tokenizer file", where=self.file, remedy="give a local tokenizer.json")
        try:
            self._bpe = FastTokenizer.from_file(str(readable(self.file)))
        except Exception as error:  # the Rust library raises bare Exception
            raise InputError(f"is not a tokenizer.json: {error}", where=self.file) from None
        end = self._bpe.token_to_id(self.END)
        if end is None:
            raise InputError(f"is not a GPT-NeoX tokenizer: it has no {self.END}", where=self.file)
        self.end = end
        self.pad = self._bpe.token_to_id(self.PAD) or end
        # Rows of words met so far: per word, with and without the leading space, its tokens and their spans.
        self._row = {first: np.full(5**self.WORD, -1, dtype=np.int32) for first in (True, False)}
        self._ids = np.zeros((0, self.WORD), dtype=np.int64)
        self._ends = np.zeros((0, self.WORD), dtype=np.int32)
        self._counts = np.zeros(0, dtype=np.int64)

    def n_tokens(self, length: int) -> int:
        """Return the common row length: as many tokens as bases."""
        return length

    def encode(self, codes: Codes) -> Tokens:
        """Map base codes ``(n_windows, length)`` to tokens ``(n_windows, length)``."""
        return self._encode(codes)[0]

    def spans(self, codes: Codes) -> NDArray[np.int32]:
        """Return the bases of every token ``(n_windows, length, 2)``; repeats have the span of their original."""
        return self._encode(codes)[1]

    def text(self, token: int) -> str:
        """Return the bases of a token (its leading space removed), or its special name."""
        return self._bpe.decode([token], skip_special_tokens=False).strip()

    def save(self, folder: Path) -> None:
        """Copy the tokenizer file that was given."""
        if self.file is not None and self.file != folder / FILE:
            shutil.copyfile(self.file, folder / FILE)
        _write_tokenizer_config(folder, {"eos_token": self.END, "pad_token": self.PAD})

    def _encode(self, codes: Codes) -> tuple[Tokens, NDArray[np.int32]]:
        """Look up every word, lay the words' tokens end to end, and repeat each row to the common length."""
        n, length = codes.shape
        starts = np.arange(0, length - self.WORD, self.STEP)
        if not len(starts):
            raise InputError(f"the neox encoding needs windows longer than {self.WORD} bases, not {length}")
        rows = self._rows(codes, starts)
        counts = self._counts[rows]
        offsets = np.cumsum(counts, axis=1) - counts
        totals = counts.sum(axis=1)
        tokens = np.full((n, totals.max() + 1), self.end, dtype=np.int64)
        spans = np.zeros((*tokens.shape, 2), dtype=np.int32)
        for i in range(self._ids.shape[1]):
            window, word = np.nonzero(counts > i)
            row, place = rows[window, word], offsets[window, word] + i
            tokens[window, place] = self._ids[row, i]
            spans[window, place, 0] = starts[word] + (self._ends[row, i - 1] if i else 0)
            spans[window, place, 1] = starts[word] + self._ends[row, i]
        source = np.arange(self.n_tokens(length)) % (totals[:, None] + 1)  # the end mark is one more token
        return np.take_along_axis(tokens, source, 1), np.take_along_axis(spans, source[..., None], 1)

    def _rows(self, codes: Codes, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the table row of every word ``(n_windows, n_words)``, encoding those never met before."""
        words = np.zeros((len(codes), len(starts)), dtype=np.int64)
        for i in range(self.WORD):
            words = words * 5 + codes[:, starts + i]
        rows = np.empty_like(words)
        for first, part in ((True, slice(0, 1)), (False, slice(1, None))):
            known = self._row[first]
            unseen = np.unique(words[:, part])
            unseen = unseen[known[unseen] < 0]
            if len(unseen):
                self._learn(unseen, first)
            rows[:, part] = known[words[:, part]]
        return rows

    def _learn(self, words: NDArray[np.int64], first: bool) -> None:
        """Encode words with the real tokenizer and append them to the table."""
        letters = ["".join("ACGTN"[int(d)] for d in np.base_repr(w, 5).zfill(self.WORD)) for w in words]
        encodings = self._bpe.encode_batch([w if first else f" {w}" for w in letters], add_special_tokens=False)
        ids = np.zeros((len(words), self.WORD), dtype=np.int64)
        ends = np.zeros((len(words), self.WORD), dtype=np.int32)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            ends[row, : len(encoding.ids)] = [end - (not first) for _, end in encoding.offsets]
        self._row[first][words] = np.arange(len(words)) + len(self._ids)
        self._ids = np.concatenate([self._ids, ids])
        self._ends = np.concatenate([self._ends, ends])
        self._counts = np.concatenate([self._counts, [len(e.ids) for e in encodings]])


def make_tokenizer(config: TokenizerConfig, folder: Path | None = None) -> Tokenizer:
    """Make the tokenizer of a config; with `folder`, read its files from that model folder."""
    if config.kind == "kmer":
        return KmerTokenizer(config)
    return NeoxTokenizer(config, folder / FILE if folder else None)


def _write_tokenizer_config(folder: Path, special: dict[str, Any]) -> None:
    """Tell `AutoTokenizer` which class and special tokens to use."""
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
