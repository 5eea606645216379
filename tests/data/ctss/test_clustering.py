"""Both methods against literal re-statements of what their authors published."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsight.data.ctss.clustering import by_density, by_distance, summits, sums
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.paraclu import paraclu


def five_ends(places):
    """Return places ``{(contig, minus, position): count}`` as `Ctss`."""
    keys = sorted(places)
    contig, minus, position = (np.array(column) for column in zip(*keys, strict=True))
    count = np.array([places[key] for key in keys], np.float64)
    return Ctss(contig.astype(np.int64), position.astype(np.int64), minus.astype(np.int64), count)


PLACES = st.dictionaries(
    st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 120)), st.integers(1, 9), min_size=1, max_size=60
)


def runs(clusters):
    return list(zip(clusters.first.tolist(), clusters.stop.tolist(), strict=True))


def joined(ends, distance):
    """Walk from place to place, and begin a new cluster wherever the next is too far, or elsewhere."""
    clusters = []
    for i in range(len(ends.counts)):
        same = i and (ends.contig[i], ends.minus[i]) == (ends.contig[i - 1], ends.minus[i - 1])
        if same and ends.position[i] - ends.position[i - 1] <= distance:
            clusters[-1][1] = i + 1
        else:
            clusters.append([i, i + 1])
    return [tuple(pair) for pair in clusters]


@settings(max_examples=200, deadline=None)
@given(PLACES, st.integers(0, 30))
def test_distance_clusters_equal_a_walk(places, distance):
    ends = five_ends(places)
    clusters = by_distance(ends, distance)
    assert runs(clusters) == joined(ends, distance)
    assert sums(ends, clusters).tolist() == [ends.counts[a:b].sum() for a, b in runs(clusters)]
    highest = [max(range(a, b), key=lambda i: (ends.counts[i], -ends.position[i])) for a, b in runs(clusters)]
    assert summits(ends, clusters).tolist() == ends.position[highest].tolist()


def weakest(places, reverse):
    """Return density and length (in places) of the weakest prefix, or suffix: every one is looked at."""
    places = [(-p, n) for p, n in reversed(places)] if reverse else places
    best, total = (math.inf, 0), 0
    for i in range(1, len(places)):
        total += places[i - 1][1]
        density = total / (places[i][0] - places[0][0])
        if density < best[0]:
            best = density, i
    return best


def split(places, first, density, min_count):
    """Restate the published search (Frith et al. 2008): yield first, stop, smallest and largest density."""
    if len(places) == 0 or sum(n for _, n in places) < min_count:
        return
    prefix, suffix = weakest(places, False), weakest(places, True)
    least = min(prefix[0], suffix[0])
    if least > density:
        yield first, first + len(places), density, least
    if least < math.inf:
        middle = prefix[1] if prefix[0] < suffix[0] else len(places) - suffix[1]
        yield from split(places[:middle], first, max(density, least), min_count)
        yield from split(places[middle:], first + middle, max(density, least), min_count)


@pytest.mark.pipeline
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(0, 400), st.integers(1, 30), min_size=1, max_size=80), st.integers(0, 25),
       st.integers(1, 500))  # fmt: skip
def test_the_search_of_paraclu_equals_its_literal_restatement(places, min_count, max_length):
    position = np.array(sorted(places), np.int64)
    count = np.array([places[p] for p in position], np.float64)
    found = paraclu(position, count, min_count, max_length)
    listed = list(zip(position.tolist(), count.tolist(), strict=True))
    expected = [
        (a, b, low, high) for a, b, low, high in split(listed, 0, -math.inf, min_count)
        if b - a > 1 and listed[b - 1][0] - listed[a][0] <= max_length
    ]  # fmt: skip
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_blocks_are_passed_over_without_a_difference():
    rng = np.random.default_rng(0)
    position = np.unique(np.concatenate([rng.integers(0, 90_000, 800), rng.normal(40_000, 60, 700).astype(np.int64)]))
    count = np.ceil(rng.pareto(1.0, len(position)) + 0.001)
    found = paraclu(position, count, 5, 300)
    listed = list(zip(position.tolist(), count.tolist(), strict=True))
    expected = [
        (a, b, low, high) for a, b, low, high in split(listed, 0, -math.inf, 5)
        if b - a > 1 and listed[b - 1][0] - listed[a][0] <= 300
    ]  # fmt: skip
    assert len(expected) > 100
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def cut(found, position, max_length, min_rise):
    """Restate paraclu-cut: over sorted clusters, first those that rose enough, of these those in no other."""
    end, baseline, risen = -1, 0.0, []
    for a, b, low, high in found:
        if b - a > 1 and position[b - 1] - position[a] <= max_length:
            if position[b - 1] > end:
                end, baseline = position[b - 1], low
            if baseline * min_rise <= high:
                risen.append((a, b))
    end, kept = -1, []
    for a, b in risen:
        if position[b - 1] > end:
            end = position[b - 1]
            kept.append((a, b))
    return kept


@settings(max_examples=200, deadline=None)
@given(PLACES, st.integers(0, 9), st.integers(1, 120), st.sampled_from([1.0, 1.5, 2.0, 4.0]))
def test_density_clusters_equal_paraclu_and_paraclu_cut(places, min_count, max_length, min_rise):
    ends = five_ends(places)
    expected = []
    for contig, minus in sorted({key[:2] for key in places}):
        rows = np.flatnonzero((ends.contig == contig) & (ends.minus == minus))
        position = ends.position[rows].tolist()
        listed = list(zip(position, ends.counts[rows].tolist(), strict=True))
        found = split(listed, 0, -math.inf, min_count)
        expected += [(rows[0] + a, rows[0] + b) for a, b in cut(found, position, max_length, min_rise)]
    clusters = by_density(ends, min_count, max_length, min_rise)
    assert runs(clusters) == expected
    assert (clusters.first[1:] >= clusters.stop[:-1]).all()


def test_of_equal_heights_the_lowest_coordinate_is_the_summit():
    ends = five_ends({(0, False, 5): 2, (0, False, 9): 7, (0, False, 12): 7, (0, True, 5): 3, (0, True, 6): 3})
    assert summits(ends, by_distance(ends, 20)).tolist() == [9, 5]


@pytest.mark.parametrize("distance", [3, 4])
def test_distance_is_that_of_neighbours_and_the_last_base_counts(distance):
    ends = five_ends({(0, False, 5): 1, (0, False, 9): 1})
    assert len(by_distance(ends, distance).first) == (2 if distance == 3 else 1)
