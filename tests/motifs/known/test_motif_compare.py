"""`motif-compare`: which known PWMs resemble given ones, and which resemble nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capsight.config import MotifCompareConfig
from capsight.data.io.meme import MotifSet, Pwm, write_meme
from capsight.motifs.known.database import read_motif_db
from capsight.motifs.known.motif_compare import TOMTOM_COLUMNS, compare, motif_compare

from ..conftest import sharp


def test_pwms_are_compared(fungi: MotifSet, tmp_path: Path) -> None:
    tbp, other = fungi.pwms[100], fungi.pwms[20]
    flanked = np.concatenate([np.full((2, 4), 0.25), other.probabilities])
    queries = (
        Pwm("inner", "", tbp.probabilities[2:-1]),
        Pwm("turned", "", tbp.probabilities[::-1, ::-1]),
        Pwm("flanked", "", flanked),
    )
    write_meme(tmp_path / "motifs.meme", MotifSet(queries, fungi.background))
    config = MotifCompareConfig(motif_db="JASPAR2022", taxon="fungi")
    motif_compare(config, tmp_path / "motifs.meme", tmp_path / "matches.tsv")
    table = pd.read_csv(tmp_path / "matches.tsv", sep="\t")
    assert tuple(table.columns) == TOMTOM_COLUMNS
    best = table.groupby("Query_ID").first()
    assert list(best.loc[["inner", "turned", "flanked"], "Target_ID"]) == [tbp.id, tbp.id, other.id]
    # A positive offset: the query is shifted right. A minus: the target is shown reverse-complemented.
    assert list(best.loc[["inner", "turned", "flanked"], "Optimal_offset"]) == [2, 0, -2]
    assert list(best.loc[["inner", "turned", "flanked"], "Overlap"]) == [tbp.width - 3, tbp.width, other.width]
    assert list(best.loc[["inner", "turned", "flanked"], "Orientation"]) == ["+", "-", "+"]
    assert best.loc["turned", "Target_consensus"] == best.loc["turned", "Query_consensus"]
    assert (best["q-value"] < 1e-3).all()
    np.testing.assert_allclose(table["E-value"], table["p-value"] * 179, rtol=0.02)
    assert table["q-value"].max() <= 0.5
    assert (table.groupby("Query_ID")["p-value"].diff().dropna() >= 0).all()


def test_q_values_of_comparisons_are_honest(fungi: MotifSet) -> None:
    """PWMs of shuffled columns resemble nothing, so almost nothing may be called."""
    rng = np.random.default_rng(0)
    columns = np.concatenate([pwm.probabilities for pwm in fungi.pwms])
    queries = tuple(Pwm(str(i), "", columns[rng.integers(0, len(columns), 10)]) for i in range(40))
    table = compare(MotifSet(queries), fungi)
    assert (table["q-value"] < 0.05).sum() <= 2
    assert 0.03 < (table["p-value"] < 0.05).mean() < 0.07


def test_three_targets_are_enough(database: Path) -> None:
    """A database of planted motifs is too small for a null distribution of its own; no warning, sound p-values."""
    targets = read_motif_db(str(database))
    rng = np.random.default_rng(0)
    noisy = np.array([rng.dirichlet(30 * row + 0.5) for row in targets.pwms[0].probabilities])
    strange = Pwm("strange", "", rng.dirichlet([0.3] * 4, size=10))
    table = compare(MotifSet((Pwm("noisy", "", noisy), strange)), targets).set_index(["Query_ID", "Target_ID"])
    assert len(table) == 6
    assert table.loc[("noisy", "TBP"), "q-value"] < 1e-4
    assert (table.drop(index=("noisy", "TBP"))["q-value"] > 0.05).all()
    np.testing.assert_allclose(table["E-value"], 3 * table["p-value"])


def flat(name: str, spread: float, width: int = 10) -> Pwm:
    """Return a PWM whose bases are nearly as frequent as each other."""
    rng = np.random.default_rng(3)
    return Pwm(name, "", rng.dirichlet([1 / spread] * 4, width) if spread else np.full((width, 4), 0.25), 20.0)


@pytest.mark.pipeline
@pytest.mark.parametrize("spread", [0.0, 0.001, 0.02, 0.05])
@pytest.mark.parametrize("width", [1, 3, 10])
@pytest.mark.parametrize("side", ["query", "target"])
def test_a_flat_motif_matches_nothing_whichever_side_it_is_on(
    fungi: MotifSet, spread: float, width: int, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = MotifSet((flat("level", spread, width),))
    queries, targets = (own, fungi) if side == "query" else (MotifSet(fungi.pwms[:20]), own)
    assert (compare(queries, targets)["p-value"] == 1).all()
    told = "motif-compare: 1 of 1 motifs hold less than 1.25 bits and match nothing: level" in caplog.text
    assert told == (side == "query")


def test_flat_columns_beside_a_site_do_not_match_for_it(fungi: MotifSet) -> None:
    site = sharp("TATAAA", "TATA").probabilities
    level = np.full((14, 4), 0.25)
    queries = MotifSet((Pwm("sharp", "", site, 20.0), Pwm("wide", "", np.concatenate([level, site, level]), 20.0)))
    table = compare(queries, MotifSet((*fungi.pwms, Pwm("long", "", np.concatenate([site, level]), 20.0))))
    best = table.groupby("Query_ID").first()
    assert best.loc["sharp", "Target_ID"] == "long"
    assert best.loc["wide", "Target_ID"] == "long"
    assert best.loc["wide", "Optimal_offset"] == -14  # on the site, and not on the level columns


def test_one_letter_among_even_columns_matches_nothing(fungi: MotifSet) -> None:
    one = np.full((10, 4), 0.25)
    one[3] = [0.97, 0.01, 0.01, 0.01]
    assert (compare(MotifSet((Pwm("one", "", one, 20.0),)), fungi)["q-value"] > 0.05).all()


def test_alignments_are_located_by_offset_and_overlap(fungi: MotifSet) -> None:
    width = {pwm.id: pwm.width for pwm in fungi.pwms}
    table = compare(MotifSet(fungi.pwms[:25]), fungi)
    first = np.maximum(table["Optimal_offset"], 0)
    last = np.minimum(table["Target_ID"].map(width), table["Optimal_offset"] + table["Query_ID"].map(width))
    assert (last - first == table["Overlap"]).all()


@pytest.mark.parametrize("words", [["A"], ["TA"], ["TAT"], ["A", "TA", "TAT", "TATAAAAG"]])
def test_short_motifs_and_zero_probabilities_are_compared(fungi: MotifSet, words: list[str]) -> None:
    pwms = tuple(Pwm(word, "", np.eye(4)[["ACGT".index(base) for base in word]], 20.0) for word in words)
    table = compare(MotifSet(pwms), fungi)
    assert len(table) == len(words) * len(fungi.pwms)
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)
    short = table["Query_ID"].str.len() < 4
    assert (table.loc[short, "q-value"] > 0.05).all()


def test_matching_leaves_the_threads_of_others_alone() -> None:
    import torch

    before = torch.get_num_threads()
    pwm = Pwm("one", "one", np.tile([0.7, 0.1, 0.1, 0.1], (8, 1)))
    compare(MotifSet((pwm,)), MotifSet((pwm,)))
    assert torch.get_num_threads() == before
