"""What a step reads is a pure function of seed and step."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from capsight.data.bases import decode, reverse_complement
from capsight.data.genome import Genome
from capsight.data.kmer_counts import count_kmers
from capsight.data.loader import GenomeCorpus, Shuffled, mask_blocks
from capsight.data.stretches import Stretches


def test_every_pass_reads_every_row_once() -> None:
    order = Shuffled(10, seed=1)
    drawn = np.concatenate([order.rows(i, 4) for i in range(15)])  # 60 rows: six passes, batches cross the seams
    for i in range(6):
        assert sorted(drawn[i * 10 : i * 10 + 10]) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:20].tolist()


def test_any_batch_can_be_replayed() -> None:
    straight, jumping = Shuffled(7, seed=3), Shuffled(7, seed=3)
    expected = [straight.rows(i, 3).tolist() for i in range(40)]
    assert [jumping.rows(i, 3).tolist() for i in reversed(range(40))] == expected[::-1]
    assert Shuffled(7, seed=4).rows(0, 7).tolist() != Shuffled(7, seed=3).rows(0, 7).tolist()


def test_genome_corpus_reads_only_its_contigs_on_both_strands(write_fasta: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    contigs = {name: "".join(rng.choice(list("ACGT"), 300)) for name in ("a", "b", "c")} | {"gap": "N" * 300}
    genome = Genome.open(write_fasta(contigs))
    corpus = GenomeCorpus(Stretches.whole(genome, [0, 2, 3]), length=20, seed=1)
    codes = corpus.codes(0, 500)
    assert codes.shape == (500, 20)
    assert (corpus.codes(0, 500) == codes).all()
    assert (corpus.codes(1, 500) != codes).any()
    plus = [any(text in contigs[name] for name in "ac") for text in decode(codes)]
    minus = [any(text in contigs[name] for name in "ac") for text in decode(reverse_complement(codes))]
    assert all(a or b for a, b in zip(plus, minus, strict=True))
    assert 150 < sum(plus) < 350
    assert not any(text in contigs["b"] for text in decode(codes))
    parts = GenomeCorpus(Stretches.named(genome, ["a:11-40", "b:101-119", "c:281-300"]), length=20, seed=1)
    assert parts.places == 12  # 11 in a, one in c, and none in what is shorter than a window
    inside = {contigs["a"][i : i + 20] for i in range(10, 21)} | {contigs["c"][280:]}
    codes = parts.codes(0, 200)
    found = {text if text in inside else other for text, other in
             zip(decode(codes), decode(reverse_complement(codes)), strict=True)}  # fmt: skip
    assert found == inside


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
