"""Laws that hold for every strategy on any genome and peaks, through the whole stage."""

import json
import logging
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from capsight.config import WindowsConfig
from capsight.data import schema
from capsight.data.genome.alphabet import decode, encode, reverse_complement
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError

STRATEGIES = ["matched", "uniform", "flank", "shuffled", "haldar2026", "bed", "matched:2,flank:1,shuffled:1"]
FOLDS = {"a": "train", "b": "validation", "c": "test", "d": "train"}


class Said(logging.Handler):
    """Collects what the library logs."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def flipped(text):
    return decode(reverse_complement(encode(text)[None]))[0]


def random_contig(rng, size):
    """Return a contig with a stretch of another GC content, one of repeats, a tandem, and perhaps N."""
    gc = np.repeat(rng.uniform(0.2, 0.8, 2), [size // 2, size - size // 2])
    letters = np.where(rng.random(size) < gc, rng.choice(["C", "G"], size), rng.choice(["A", "T"], size))
    middle = slice(size // 2 - 60, size // 2 + 60)
    known = letters[middle].copy()
    start = rng.integers(0, size)
    letters[start : start + 60] = np.resize(list("AC"), len(letters[start : start + 60]))
    for _ in range(rng.integers(0, 3)):
        letters[rng.integers(0, size) :][: rng.integers(1, 30)] = "N"
    letters[middle] = known  # the peak in the middle keeps every fold from being empty
    start = rng.integers(0, size)
    text = "".join(letters)
    return text[:start] + text[start : start + size // 3].lower() + text[start + size // 3 :]


@st.composite
def worlds(draw):
    """Draw contigs, peaks (chrom, start, end, minus), the user's own intervals, and settings."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    size = draw(st.sampled_from([300, 1_200, 12_000]))
    contigs = {name: random_contig(rng, size + int(rng.integers(0, 50))) for name in FOLDS}
    places = st.tuples(st.sampled_from("abc"), st.integers(0, size - 40), st.integers(1, 30), st.booleans())
    middle = [(name, size // 2, 9, name == "b") for name in "abc"]
    peaks = [(c, s, s + n, minus) for c, s, n, minus in [*middle, *draw(st.lists(places, max_size=8))]]
    own = [(c, s, s + n, ".+-"[s % 3]) for c, s, n, _ in draw(st.lists(places, min_size=1, max_size=30))]
    given = {
        "length": draw(st.sampled_from([16, 40])),
        "exclusion_bp": draw(st.integers(0, 60)),
        "ratio": draw(st.sampled_from([0.4, 1.0, 2.5, 9.0])),
        "flank_range": draw(st.sampled_from([(0, 100), (50, 400)])),
        "match_on": draw(st.sampled_from(["gc", "repeat", "gc,repeat"])),
        "seed": draw(st.integers(0, 50)),
    }
    return contigs, peaks, own, given


def make(place, contigs, peaks, own, given, strategy):
    """Write the files, run the stage twice; return the windows, the summary, and what was said."""
    (place / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    lines = [f"{c}\t{s}\t{e}\tp\t0\t{'-' if minus else '+'}\n" for c, s, e, minus in peaks]
    (place / "peaks.bed").write_text("".join(lines))
    (place / "own.bed").write_text("".join(f"{c}\t{s}\t{e}\tn\t0\t{strand}\n" for c, s, e, strand in own))
    config = WindowsConfig(
        genome=place / "genome.fa", peaks=place / "peaks.bed", validation=["b"], test=["c"], negatives=strategy,
        negatives_file=place / "own.bed" if strategy == "bed" else None, **given,
    )  # fmt: skip
    said, logger = Said(), logging.getLogger("capsight")
    before = logger.level
    logger.addHandler(said)
    logger.setLevel(logging.INFO)
    try:
        one = windows(config, place / "one")
    finally:
        logger.removeHandler(said)
        logger.setLevel(before)
    two = windows(config, place / "two")
    for name in ("windows.parquet", "summary.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    return Windows.open(one), json.loads((one / "summary.json").read_text()), said.lines


@pytest.mark.pipeline
@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds())
def test_laws_of_windows(tmp_path_factory, strategy, world):
    contigs, peaks, own, given = world
    try:
        data, summary, said = make(tmp_path_factory.mktemp("w"), contigs, peaks, own, given, strategy)
    except InputError as error:
        if " positives, but 0 negatives found" not in str(error):
            raise
        event("no room for negatives")
        return
    table = data.table
    check_sequences(data, contigs, given["length"])
    check_zones(table[table.label == 0], peaks, own, given)
    assert set(zip(table.chrom, table.fold, strict=True)) <= set(FOLDS.items())
    check_numbers(table, summary, said, given["ratio"], len(peaks))


def check_sequences(data, contigs, length):
    """Right length, right strand, no N, none twice; shuffles have the dinucleotides of a positive of their fold."""
    table = data.table
    texts = decode(data.codes(np.arange(len(table))))
    assert all(len(text) == length and "N" not in text for text in texts)
    assert (table.end - table.start == length).all()
    assert len({min(text, flipped(text)) for text in texts}) == len(texts)
    positives = set(table.loc[table.label == 1, ["chrom", "start", "strand"]].itertuples(index=False, name=None))
    for text, row in zip(texts, table.itertuples(), strict=True):
        here = contigs[row.chrom][row.start : row.end].upper()
        here = flipped(here) if row.strand == "-" else here
        if row.source.startswith("shuffled"):
            assert (row.chrom, row.start, row.strand) in positives
            assert Counter(pairwise(text)) == Counter(pairwise(here))
        else:
            assert text == here
    for fold in schema.FOLDS:
        rows = np.flatnonzero(table.fold == fold)
        if len(rows):
            assert decode(data.fold(fold).codes(np.arange(len(rows)))) == [texts[i] for i in rows]


def check_zones(negatives, peaks, own, given):
    """No negative shares a base with a widened peak; those of flank and bed are where they have to be."""
    for row in negatives[~negatives.source.str.startswith("shuffled")].itertuples():
        gaps = [max(s - row.end, row.start - e) for c, s, e, _ in peaks if c == row.chrom]
        assert min(gaps) >= given["exclusion_bp"]
        assert row.distance == min(gaps)
        if row.source == "flank":
            assert given["flank_range"][0] <= min(gaps) <= given["flank_range"][1]
        if row.source == "bed":
            middle = row.start + given["length"] // 2
            assert any(c == row.chrom and (s + e) // 2 == middle and t in (row.strand, ".") for c, s, e, t in own)
    assert (negatives.distance[negatives.source.str.startswith("shuffled")] == -1).all()


def check_numbers(table, summary, said, ratio, n_peaks):
    """Every count is true, and whatever the ratio lacks is stated."""
    for fold in schema.FOLDS:
        found = [int(((table.fold == fold) & (table.label == label)).sum()) for label in (1, 0)]
        assert summary["folds"][fold] == {"positive": found[0], "negative": found[1]}
        wanted = summary["negatives_wanted"][fold]
        assert wanted == round(found[0] * ratio)
        assert found[1] <= wanted
        stated = f"windows: {fold}: {wanted - found[1]} negatives fewer than the {wanted} wanted"
        assert (stated in said) == (found[1] < wanted)
    assert (table.distance[table.label == 1] == 0).all()
    assert sum(summary["dropped"]["positive"].values()) + (table.label == 1).sum() == n_peaks
