"""What a step reads is a pure function of seed and step."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from capsight.data.genome.alphabet import composition, decode, reverse_complement
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.sequence.kmer_counts import count_kmers
from capsight.data.sequence.sampling import EpochShuffler, RandomGenomeWindows, mask_blocks
from capsight.errors import InputError


def test_every_pass_reads_every_row_once() -> None:
    order = EpochShuffler(10, seed=1)
    drawn = np.concatenate([order.rows(i, 4) for i in range(15)])  # 60 rows: six passes, batches cross the seams
    for i in range(6):
        assert sorted(drawn[i * 10 : i * 10 + 10]) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:20].tolist()


def test_any_batch_can_be_replayed() -> None:
    straight, jumping = EpochShuffler(7, seed=3), EpochShuffler(7, seed=3)
    expected = [straight.rows(i, 3).tolist() for i in range(40)]
    assert [jumping.rows(i, 3).tolist() for i in reversed(range(40))] == expected[::-1]
    assert EpochShuffler(7, seed=4).rows(0, 7).tolist() != EpochShuffler(7, seed=3).rows(0, 7).tolist()


def test_genome_corpus_reads_only_its_contigs_on_both_strands(write_fasta: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    contigs = {name: "".join(rng.choice(list("ACGT"), 300)) for name in ("a", "b", "c")} | {"gap": "N" * 300}
    genome = Genome.open(write_fasta(contigs))
    corpus = RandomGenomeWindows(Stretches.whole(genome, [0, 2, 3]), length=20, seed=1)
    codes = corpus.codes(0, 500)
    assert codes.shape == (500, 20)
    assert (corpus.codes(0, 500) == codes).all()
    assert (corpus.codes(1, 500) != codes).any()
    plus = [any(text in contigs[name] for name in "ac") for text in decode(codes)]
    minus = [any(text in contigs[name] for name in "ac") for text in decode(reverse_complement(codes))]
    assert all(a or b for a, b in zip(plus, minus, strict=True))
    assert 150 < sum(plus) < 350
    assert not any(text in contigs["b"] for text in decode(codes))
    parts = RandomGenomeWindows(Stretches.named(genome, ["a:11-40", "b:101-119", "c:281-300"]), length=20, seed=1)
    assert parts.places == 12  # 11 in a, one in c, and none in what is shorter than a window
    inside = {contigs["a"][i : i + 20] for i in range(10, 21)} | {contigs["c"][280:]}
    codes = parts.codes(0, 200)
    found = {text if text in inside else other for text, other in
             zip(decode(codes), decode(reverse_complement(codes)), strict=True)}  # fmt: skip
    assert found == inside


def test_windows_are_drawn_with_the_gc_content_of_others(write_fasta: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    poor, rich = ("".join(rng.choice(list("ACGT"), 20_000, p=p)) for p in ([0.4, 0.1, 0.1, 0.4], [0.2, 0.3, 0.3, 0.2]))
    genome = Genome.open(write_fasta({"a": poor, "b": poor, "c": poor, "d": rich, "gap": "N" * 1_000}))
    like = rng.choice(4, (500, 50), p=[0.2, 0.3, 0.3, 0.2]).astype(np.uint8)
    plain, matched = (RandomGenomeWindows(Stretches.whole(genome, np.arange(5)), 50, 1, each) for each in (None, like))
    shares = [composition(corpus.codes(0, 2_000)).gc.mean() for corpus in (plain, matched)]
    assert 0.25 < shares[0] < 0.4
    assert 0.55 < shares[1] < 0.65
    assert matched.codes(7, 33).shape == (33, 50)
    assert np.array_equal(matched.codes(7, 33), matched.codes(7, 33))


def test_a_genome_without_such_windows_is_refused(write_fasta: Callable[..., Path]) -> None:
    genome = Genome.open(write_fasta({"a": "AT" * 500}))
    with pytest.raises(InputError, match="next to no windows of the GC content"):
        RandomGenomeWindows(Stretches.whole(genome, [0]), 20, 1, np.ones((10, 20), dtype=np.uint8))


def test_masking_hides_about_the_share_asked_for() -> None:
    tokens = np.full((400, 100), 5)
    for span in (1, 4):
        masked, hidden = mask_blocks(tokens, mask=2, fraction=0.15, span=span, rng=np.random.default_rng(0))
        assert 0.13 < hidden.mean() < 0.17
        assert ((masked == 2) == hidden).all()


def test_kmer_counts_equal_a_plain_count() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 5, (6, 40)).astype(np.uint8)
    counts = count_kmers(codes, 2)
    for row, text in zip(counts, decode(codes), strict=True):
        words = [text[i : i + 2] for i in range(39)]
        assert [int(n) for n in row] == [words.count(a + b) for a in "ACGT" for b in "ACGT"]
    assert count_kmers(codes[:, :1], 2).sum() == 0
