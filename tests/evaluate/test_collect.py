"""Going along chromosomes in pieces: pieces change nothing, and what is kept is what stands there."""

from collections.abc import Callable

import numpy as np
import pytest

from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import ctss_from_summits, read_ctss_table
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Stretches
from capsight.data.windows.peaks_table import read_windows_peaks
from capsight.data.windows.windows import Windows
from capsight.evaluate import collect as module
from capsight.evaluate.collect import BLOCK, Truth, collect
from capsight.evaluate.predictions import Answers, Prediction, TagCounts, counted_prediction, model_prediction


@pytest.fixture(scope="module")
def truth(world) -> Truth:
    data = Windows.open(world.windows)
    peaks = read_windows_peaks(data.folder, data.genome)
    tags = read_ctss_table(data.folder / "ctss.parquet", data.genome)
    return Truth.from_tags(Stretches.whole(data.genome, [1, 2]), ctss_from_summits(peaks, data.genome), tags, seed=3)


def rows(*columns: np.ndarray) -> np.ndarray:
    """Return a table with its rows in an order that does not depend on pieces, and without the last bits."""
    table = np.concatenate([np.atleast_2d(column.astype(float)) for column in columns]).T.round(4)
    return table[np.lexsort(table.T)]


@pytest.mark.parametrize("source", ["track", "counts"])
def test_pieces_change_nothing(source: str, world, track, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    genome = truth.stretches.genome
    prediction = (
        model_prediction(track, genome, 10, 8, "model") if source == "track"
        else counted_prediction(world.ctss, genome, Aliases(), "counts")
    )  # fmt: skip
    found = []
    for piece in (10 * BLOCK, BLOCK):
        monkeypatch.setattr(module, "PIECE", piece)
        told: list[int] = []
        found.append(collect(prediction, truth, told.append))
        assert sum(told) == 22_000 + 43_210
    one, other = found
    for mine, theirs in (
        (one.bins, other.bins),
        ((*one.calls, one.summit_distance, one.matched), (*other.calls, other.summit_distance, other.matched)),
        (one.peaks, other.peaks),
        (one.named, other.named),
    ):
        np.testing.assert_allclose(rows(*mine), rows(*theirs), rtol=1e-4, atol=2e-4)
    assert len(found[0].calls.score) > 50
    assert len(found[0].peaks.block) == found[0].named.distance.shape[1] == len(truth.summits.position)


def test_blocks_are_numbered_along_all_chromosomes(truth: Truth) -> None:
    assert truth.block_bases.tolist() == [10_000, 10_000, 2_000, 10_000, 10_000, 10_000, 10_000, 3_210]
    assert truth.block(1, np.array([0, 9_999, 10_000, 21_999])).tolist() == [0, 0, 1, 2]
    assert truth.block(2, np.array([0, 43_209])).tolist() == [3, 7]
    here = truth.summits.contig == 2
    assert truth.summit_block[here].tolist() == (3 + truth.summits.position[here] // 10_000).tolist()


def test_a_part_is_measured_as_if_it_were_all_of_its_chromosome(world, track, truth: Truth) -> None:
    """Summits and counts beyond it change nothing; blocks and bins begin with it; its calls are those of the whole."""
    genome, tags = truth.stretches.genome, truth.counts.tags  # type: ignore[union-attr]
    summits = ctss_from_summits(read_windows_peaks(world.windows, genome), genome)
    part = Stretches.named(genome, ["chr2:3001-9020", "chr3:12346-34345"])
    whole = Truth.from_tags(part, summits, tags, seed=3)
    inside, there = (part.find(each.contig, each.position) >= 0 for each in (summits, tags))
    alone = Truth.from_tags(
        part, Ctss(*(column[inside] for column in summits)), Ctss(*(column[there] for column in tags)), seed=3
    )
    assert whole.block_bases.tolist() == [6_020, 10_000, 10_000, 2_000]
    assert whole.block(2, np.array([12_345, 22_344, 22_345])).tolist() == [1, 1, 2]
    prediction = model_prediction(track, genome, 10, 8, "model")
    found, again = collect(prediction, whole, lambda n: n), collect(prediction, alone, lambda n: n)
    for mine, theirs in zip(found[:4], again[:4], strict=True):
        for one, other in zip(mine, theirs, strict=True):  # type: ignore[arg-type]
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.matched, again.matched)
    assert len(found.bins.score) == 2 * (121 + 440)
    assert found.bins.holds.sum() == inside.sum() == len(whole.summits.position)
    assert (part.find(found.calls.contig, found.calls.position) >= 0).all()
    everywhere = collect(prediction, truth, lambda n: n).calls
    margin = 300  # calls nearer to an end may be decided by what lies beyond it
    deep = Stretches.from_intervals(genome, part.contig, part.start + margin, part.end - margin)
    chosen = [
        {(c, s, p) for c, s, p in zip(each.contig, each.strand, each.position, strict=True) if deep.find(c, p) >= 0}
        for each in (found.calls, everywhere)
    ]
    assert len(chosen[0]) > 20
    assert chosen[0] == chosen[1]


def constant(genome: Genome, strand: int, position: int) -> Callable[[int, int, int], Answers]:
    """Return what answers 1 at one base of contig 2, with a little everywhere on its strand."""

    def ask(contig: int, start: int, end: int) -> Answers:
        score = np.zeros((2, end - start))
        if contig == 2 and start <= position < end:
            score[strand, position - start] = 1
        return Answers(score, score, score, expected_tags=score)

    return ask


@pytest.mark.parametrize("which", [0, 1, 16, 17])
def test_one_call_is_kept_with_all_that_stands_around_it(which: int, truth: Truth) -> None:
    rows = np.flatnonzero(truth.summits.contig == 2)
    strand = int(truth.summits.minus[rows[which]])
    summit = int(truth.summits.position[rows[which]])
    position = summit + (-7 if strand else 7)  # 7 bases downstream
    found = collect(Prediction("one", constant(truth.stretches.genome, strand, position)), truth, lambda n: n)
    calls = found.calls
    assert (calls.contig.tolist(), calls.strand.tolist(), calls.position.tolist()) == ([2], [strand], [position])
    assert (calls.score.tolist(), found.summit_distance.tolist()) == ([1], [7])
    assert found.matched[:, 0].tolist() == [False, True, True, True]  # within 0, 10, 50, 150
    assert calls.has_tag.tolist() == [True]
    assert calls.block.tolist() == [3 + position // BLOCK]
    at = np.flatnonzero(found.bins.score)
    assert found.bins.score[at].tolist() == found.bins.tags[at].tolist() == [1]
    assert found.bins.holds.sum() == len(truth.summits.position)
    other = collect(Prediction("other", constant(truth.stretches.genome, 1 - strand, position)), truth, lambda n: n)
    assert not other.matched.any(), "the other strand"
    assert other.calls.has_tag.tolist() == [False]


def test_without_counts_tags_are_summits_and_peaks_are_not_compared(world, truth: Truth) -> None:
    plain = Truth(truth.stretches, truth.summits, None, truth.shift)
    found = collect(counted_prediction(world.ctss, truth.stretches.genome, Aliases(), "counts"), plain, lambda n: n)
    assert len(found.peaks.block) == 0
    assert found.calls.has_tag.all()


def test_counts_of_a_stretch_are_those_of_both_strands(truth: Truth) -> None:
    counts: TagCounts | None = truth.counts
    assert counts is not None
    tags = counts.tags
    whole = counts.between(2, 0, 43_210)
    here = tags.contig == 2
    assert whole.sum() == tags.counts[here].sum()
    assert (whole[tags.minus[here], tags.position[here]] == tags.counts[here]).all()
    for start, end in ((0, 1), (510, 511), (1_000, 9_000)):
        assert (counts.between(2, start, end) == whole[:, start:end]).all()
