"""De novo motifs against planted truth."""

from dataclasses import replace

import numpy as np
import pytest

from capsight.data.attributions import Attributions
from capsight.data.io.meme import MotifSet, read_meme
from capsight.motifs.blocks import probabilities
from capsight.motifs.discover import Motif, consensus, discover
from capsight.motifs.known.motif_compare import compare
from capsight.motifs.modisco import FEWEST_SITES
from capsight.simulate import ELEMENTS

from .conftest import LENGTH, Planted


def first(data: Attributions, n: int) -> Attributions:
    """Return some windows: what is found must not need thousands."""
    rows = np.random.default_rng(0).permutation(len(data.score))[:n]
    names = ("codes", "score", "label", "chrom", "strand", "start", "end")
    some = {name: getattr(data, name)[rows] for name in names}
    return replace(data, **some, methods={name: values[rows] for name, values in data.methods.items()})


@pytest.fixture(scope="module")
def some(planted: Planted) -> Attributions:
    return first(planted.attributions, 700)


@pytest.fixture(scope="module")
def found(some: Attributions) -> list[Motif]:
    return discover(some, "ig")


def test_every_planted_element_is_found_in_its_place(planted: Planted, found: list[Motif]) -> None:
    truth = read_meme(planted.simulation / "motifs.meme")
    table = compare(MotifSet(tuple(motif.pwm for motif in found)), truth)
    table = table[(table["q-value"] < 0.01) & (table["Orientation"] == "+")]
    place = {motif.pwm.id: motif.sites.mode(LENGTH // 2) for motif in found}
    true: set[str] = set()
    for element, (_, offset, _) in ELEMENTS.items():
        # The target's first base stands `Optimal_offset` before the query's.
        rows = table[table["Target_ID"] == element].itertuples()
        places = {row.Query_ID: place[row.Query_ID] - row.Optimal_offset for row in rows}
        here = {name for name, place in places.items() if abs(place - offset) <= 2}
        assert here, f"{element} at {offset}: {places}"
        true |= here
    spurious = [motif.pwm.id not in true for motif in found]
    last_true = max(i for i, wrong in enumerate(spurious) if not wrong)
    assert sum(spurious[:last_true]) <= 1


def test_motifs_are_ranked_by_sites_and_named_by_place(found: list[Motif]) -> None:
    sizes = [len(motif.sites) for motif in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] >= FEWEST_SITES
    assert found[0].pwm.id == "M01"
    tata = next(motif for motif in found if motif.pwm.name.startswith("TATA"))
    assert tata.pwm.name.endswith("@-31")
    assert tata.pwm.sites == len(tata.sites)


def test_sites_spell_their_pwm(some: Attributions, found: list[Motif]) -> None:
    for motif in found:
        assert some.positive[motif.sites.window].all()
        np.testing.assert_allclose(probabilities(motif.sites, some.codes), motif.pwm.probabilities)


def test_noise_gives_no_motifs(planted: Planted) -> None:
    data = first(planted.attributions, 300)
    noise = np.random.default_rng(1).normal(size=data.codes.shape).astype(np.float32)
    assert len(discover(replace(data, methods={"ig": noise}), "ig")) <= 1


@pytest.mark.parametrize("height", [0.0, 1.0])
def test_attributions_without_shape_give_none(few: Attributions, height: float) -> None:
    flat = np.full(few.codes.shape, height, dtype=np.float32)
    assert discover(replace(few, methods={"attention": flat}), "attention") == []


def test_short_windows_give_none(few: Attributions, caplog: pytest.LogCaptureFixture) -> None:
    short = replace(few, codes=few.codes[:, :40], methods={"ig": few.methods["ig"][:, :40]})
    assert discover(short, "ig") == []
    assert "too short" in caplog.text


def test_consensus() -> None:
    matrix = np.array([[0.9, 0.04, 0.03, 0.03], [0.4, 0.05, 0.5, 0.05], [0.3, 0.3, 0.3, 0.1], [0.05, 0.45, 0.05, 0.45]])
    assert consensus(matrix) == "ARNY"
