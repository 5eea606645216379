"""Every token maps back to its bases; look-ups equal the real tokenizers."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from capsight.config import TokenizerConfig
from capsight.data.sequence.tokenizer import KmerTokenizer, NeoxTokenizer, make_tokenizer
from capsight.errors import InputError

NEOX = Path(__file__).parents[4] / "shared" / "data" / "tokenizer" / "gpt-neox-20b.tokenizer.json"
needs_neox = pytest.mark.skipif(not NEOX.is_file(), reason="the GPT-NeoX tokenizer.json is not here")
SHAPES = [(1, 1), (3, 1), (6, 1), (6, 3), (6, 6), (4, 4)]


def random_codes(n: int, length: int, unknown: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (n, length)).astype(np.uint8)
    codes[rng.random(codes.shape) < unknown] = 4
    return codes


def letters(codes: np.ndarray) -> str:
    return "".join("ACGTN"[c] for c in codes)


@pytest.mark.parametrize(("k", "stride"), SHAPES)
def test_kmer_spans_decode_to_their_bases(k: int, stride: int) -> None:
    tokenizer = KmerTokenizer(TokenizerConfig(k=k, stride=stride))
    codes = random_codes(3, 50)
    tokens, spans = tokenizer.encode(codes), tokenizer.spans(codes)
    assert tokens.shape == spans.shape[:2] == (3, tokenizer.n_tokens(50))
    for row in range(3):
        text = letters(codes[row])
        assert [tokenizer.text(t) for t in tokens[row]] == [text[a:b] for a, b in spans[row]]
    assert tokens.max() < tokenizer.vocabulary


def test_kmer_with_unknown_base_is_unknown() -> None:
    tokenizer = KmerTokenizer(TokenizerConfig(k=3, stride=3))
    codes = np.array([[0, 1, 2, 3, 4, 0, 1, 1, 1]], dtype=np.uint8)
    assert [tokenizer.text(t) for t in tokenizer.encode(codes)[0]] == ["ACG", "[UNK]", "CCC"]


@pytest.mark.parametrize(("k", "stride"), SHAPES)
def test_saved_twin_gives_the_same_tokens(tmp_path: Path, k: int, stride: int) -> None:
    tokenizer = KmerTokenizer(TokenizerConfig(k=k, stride=stride))
    tokenizer.save(tmp_path)
    twin = AutoTokenizer.from_pretrained(tmp_path)
    codes = random_codes(2, 6 * 9)
    for row, text in zip(tokenizer.encode(codes), map(letters, codes), strict=True):
        cut = text if k == stride else " ".join(text[i : i + k] for i in range(0, len(text) - k + 1, stride))
        ids = twin(cut, add_special_tokens=False)["input_ids"]
        assert ids[: len(row)] == row.tolist()
    assert (twin.pad_token_id, twin.unk_token_id, twin.mask_token_id) == (0, 1, 2)


@needs_neox
@pytest.mark.real
@pytest.mark.parametrize("unknown", [0.0, 0.02])
def test_neox_equals_the_paper_encoding(unknown: float) -> None:
    tokenizer = make_tokenizer(TokenizerConfig(kind="neox", file=NEOX))
    assert isinstance(tokenizer, NeoxTokenizer)
    codes = random_codes(4, 512, unknown)
    tokens = tokenizer.encode(codes)
    for row, text in zip(tokens, map(letters, codes), strict=True):
        words = " ".join(text[i : i + 8] for i in range(0, 512 - 8, 4))
        whole = tokenizer._bpe.encode(words + "<|endoftext|>").ids
        assert 400 < len(whole) < 620
        assert row.tolist() == np.resize(whole, 512).tolist()


@needs_neox
@pytest.mark.real
def test_neox_spans_decode_to_their_bases() -> None:
    tokenizer = make_tokenizer(TokenizerConfig(kind="neox", file=NEOX))
    codes = random_codes(4, 256, 0.01, seed=3)
    tokens, spans = tokenizer.encode(codes), tokenizer.spans(codes)
    ends = 0
    for row in range(4):
        text = letters(codes[row])
        for token, (start, end) in zip(tokens[row], spans[row], strict=True):
            if start == end:
                ends += 1
                assert tokenizer.text(token) == "<|endoftext|>"
            else:
                assert tokenizer.text(token) == text[start:end]
    assert ends >= 1


@needs_neox
@pytest.mark.real
def test_neox_is_saved_with_the_model(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(TokenizerConfig(kind="neox", file=NEOX))
    tokenizer.save(tmp_path)
    again = make_tokenizer(TokenizerConfig(kind="neox", file=Path("gone.json")), tmp_path)
    codes = random_codes(2, 64)
    assert (again.encode(codes) == tokenizer.encode(codes)).all()
    assert AutoTokenizer.from_pretrained(tmp_path)("ACGT")["input_ids"]


def test_missing_tokenizer_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such tokenizer file"):
        make_tokenizer(TokenizerConfig(kind="neox", file=tmp_path / "none.json"))
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(InputError, match=r"broken\.json: is not a tokenizer\.json"):
        make_tokenizer(TokenizerConfig(kind="neox", file=broken))
