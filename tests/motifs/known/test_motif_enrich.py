"""`motif-enrich`: which known PWMs hit positives more than negatives of the same GC content."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from capsight import artefact
from capsight.config import MotifEnrichConfig
from capsight.data.genome.alphabet import Codes, decode, encode
from capsight.data.io.meme import MotifSet, Pwm, write_meme
from capsight.errors import InputError
from capsight.motifs.known.database import read_motif_db
from capsight.motifs.known.motif_compare import compare
from capsight.motifs.known.motif_enrich import FACTOR_COLUMNS, enrich, gc_matched, motif_enrich
from capsight.motifs.known.pwm_scan import scan

from ..conftest import sharp

Write = Callable[..., Path]


def codes_of_gc(n: int, length: int, seed: int, gc: float = 0.5) -> Codes:
    shares = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    return np.random.default_rng(seed).choice(4, size=(n, length), p=shares).astype(np.uint8)


@pytest.mark.parametrize("side", ["positives", "negatives", "both"])
def test_sequences_of_nothing_but_n_take_no_part(
    database: Path, fasta: Path, write_fasta: Write, tmp_path: Path, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = write_fasta({"n1": "N" * 60, "n2": "N" * 60}, "n.fa")
    positives, negatives = (unknown if side in (name, "both") else fasta for name in ("positives", "negatives"))
    with pytest.raises(InputError, match="no negative has the GC content of a positive"):
        motif_enrich(MotifEnrichConfig(motif_db=str(database)), positives, negatives, tmp_path / "factors.tsv")
    assert "sequences hold nothing but N and are left out" in caplog.text
    assert not (tmp_path / "factors.tsv").exists()


def test_negatives_of_another_gc_content_are_refused(
    database: Path, fasta: Path, write_fasta: Write, tmp_path: Path
) -> None:
    poor = write_fasta({"n": "AT" * 25}, "at.fa")
    with pytest.raises(InputError, match=r"no negative has the GC content of a positive \(within 0.02\)"):
        motif_enrich(MotifEnrichConfig(motif_db=str(database)), fasta, poor, tmp_path / "factors.tsv")
    assert list(tmp_path.glob("factors*")) == []


def planted(codes: Codes, pwm: Pwm, share: float, seed: int) -> list[Codes]:
    """Put a site into the first `share` of the sequences."""
    rng = np.random.default_rng(seed)
    for row in codes[: int(share * len(codes))]:
        place = rng.integers(0, codes.shape[1] - pwm.width)
        row[place : place + pwm.width] = [rng.choice(4, p=p) for p in pwm.probabilities]
    return list(codes)


def test_the_planted_factor_comes_first(fungi: MotifSet) -> None:
    truth = fungi.pwms[0]  # ABF1
    positives = scan(fungi, planted(codes_of_gc(150, 200, 1), truth, 0.3, 2), 1e-4)
    negatives = scan(fungi, list(codes_of_gc(150, 200, 3)), 1e-4)
    table = enrich(fungi, positives, negatives)
    assert tuple(table.columns) == FACTOR_COLUMNS
    assert table.loc[0, "motif_id"] == truth.id
    assert table.loc[0, "q-value"] < 1e-6
    assert table.loc[0, "odds_ratio"] > 5
    assert table["p-value"].is_monotonic_increasing
    assert len(table) == len(positives.used)
    # Only the planted factor's own kind may be called beside it.
    called = table[table["q-value"] < 0.01]
    similar = compare(MotifSet((truth,)), fungi).query("`p-value` < 0.01")["Target_ID"]
    assert set(called["motif_id"]) <= set(similar)


@pytest.mark.pipeline
def test_without_a_signal_nothing_is_called(fungi: MotifSet) -> None:
    sets = [scan(fungi, list(codes_of_gc(100, 200, seed)), 1e-4) for seed in range(6)]
    called = [(enrich(fungi, a, b)["q-value"] < 0.05).any() for a in sets for b in sets if a is not b]
    assert np.mean(called) <= 0.1


def test_counts_are_of_sequences_and_p_values_fishers() -> None:
    motifs = MotifSet((sharp("TATAAAGGCA", "TBP"), sharp("GGCCATCTTG", "YY1")))
    site, other, filler = "TATAAAGGCA", "ATAGAACGTA", "C" * 5
    # Two sites in one sequence count once; all sequences have the same GC content.
    positives = [encode(filler + site + site)] * 5 + [encode(filler + other * 2)] * 3
    negatives = [encode(filler + site + other)] * 1 + [encode(filler + other * 2)] * 7
    table = enrich(motifs, scan(motifs, positives, 1e-4), scan(motifs, negatives, 1e-4)).set_index("motif_id")
    assert list(table.loc["TBP", ["positives", "negatives"]]) == [5, 1]
    assert list(table.loc["YY1", ["positives", "negatives", "p-value", "odds_ratio"]]) == [0, 0, 1, 1]
    expected = fisher_exact([[5, 3], [1, 7]], alternative="greater").pvalue
    np.testing.assert_allclose(table.loc["TBP", "p-value"], expected)
    np.testing.assert_allclose(table.loc["TBP", "q-value"], 2 * expected)
    np.testing.assert_allclose(table.loc["TBP", "odds_ratio"], 5.5 * 7.5 / 3.5 / 1.5)


def test_gc_alone_is_no_enrichment(fungi: MotifSet, caplog: pytest.LogCaptureFixture) -> None:
    """Positives that are merely richer in G and C: against all negatives GC-rich PWMs would be called."""
    rich = list(codes_of_gc(120, 200, 1, gc=0.58))
    poor = list(np.concatenate([codes_of_gc(120, 200, 2, gc=0.42), codes_of_gc(120, 200, 3, gc=0.58)]))
    with caplog.at_level(logging.INFO, logger="capsight"):
        table = enrich(fungi, scan(fungi, rich, 1e-3), scan(fungi, poor, 1e-3))
    assert (table["q-value"] >= 0.05).all()
    assert "positives have a negative of the same GC content (of 240)" in caplog.text


def test_pairs_are_of_equal_gc_and_none_is_used_twice() -> None:
    rng = np.random.default_rng(0)
    positives, negatives = rng.beta(12, 8, 300), rng.beta(8, 8, 1500)
    kept, partners = gc_matched(positives, negatives, seed=1)
    assert len(kept) == len(partners) > 280
    assert len(set(kept)) == len(kept)
    assert len(set(partners)) == len(partners)
    assert np.abs(np.sort(positives[kept]) - np.sort(negatives[partners])).max() <= 0.02
    assert abs(positives[kept].mean() - negatives[partners].mean()) < 0.002
    np.testing.assert_array_equal(partners, gc_matched(positives, negatives, seed=1)[1])
    assert len(gc_matched(np.array([0.9]), np.array([0.1]), seed=1)[0]) == 0


def test_negatives_give_the_table_of_factors(database: Path, write_fasta: Write, tmp_path: Path) -> None:
    pwm = read_motif_db(str(database)).pwms[0]
    positives = write_fasta(dict(enumerate(decode(np.array(planted(codes_of_gc(40, 80, 1), pwm, 0.6, 1))))), "p.fa")
    negatives = write_fasta(dict(enumerate(decode(codes_of_gc(200, 80, 2)))), "n.fa")
    config = MotifEnrichConfig(motif_db=str(database))
    assert motif_enrich(config, positives, negatives, tmp_path / "factors.tsv") == tmp_path / "factors.tsv"
    table = pd.read_csv(tmp_path / "factors.tsv", sep="\t")
    assert tuple(table.columns) == FACTOR_COLUMNS
    assert table.loc[0, "motif_id"] == "TBP"
    assert table.loc[0, "q-value"] < 1e-4
    assert table.loc[0, "positives"] >= 20
    inputs = {"positives": positives, "negatives": negatives, "motif_db": database}
    assert not (tmp_path / "hits.tsv").exists()
    assert artefact.is_done(tmp_path / "factors.tsv", "motif-enrich", config, inputs)


def test_pwms_that_are_left_out_are_reported_once(
    write_fasta: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "two.meme"
    write_meme(database, MotifSet((sharp("TATAAAGGCA", "fine"), sharp("TATA", "short"))))
    positives, negatives = (
        write_fasta(dict(enumerate(decode(codes_of_gc(100, 80, seed)))), f"{seed}.fa") for seed in (1, 2)
    )
    motif_enrich(MotifEnrichConfig(motif_db=str(database)), positives, negatives, tmp_path / "factors.tsv")
    said = [message for message in caplog.messages if "PWMs are" in message]
    assert said == ["1 of 2 PWMs are too short, or too flat, to reach p = 0.0001: left out"]


def test_sequences_with_dna_in_common_count_once() -> None:
    motifs = MotifSet((sharp("TATAAAGGCA", "TBP"),))
    contig = codes_of_gc(1, 140, 3)[0]
    contig[60:70] = encode("TATAAAGGCA")
    overlapping = [contig[i : i + 100] for i in range(40)]
    negatives = list(codes_of_gc(400, 100, 4, gc=((contig == 1) | (contig == 2)).mean()))
    alone = [*overlapping[:1], *codes_of_gc(39, 100, 5)]
    own = codes_of_gc(40, 100, 6)
    own[:, 60:70] = encode("TATAAAGGCA")
    for positives, called in ((overlapping, False), (alone, False), (list(own), True)):
        table = enrich(motifs, scan(motifs, positives, 1e-4), scan(motifs, negatives, 1e-4))
        assert (table.loc[0, "q-value"] < 0.05) == called
    assert enrich(motifs, scan(motifs, overlapping, 1e-4), scan(motifs, negatives, 1e-4)).loc[0, "positives"] == 1


@pytest.mark.real
def test_tbp_is_found_upstream_of_yeast_cap_sites(yeast: tuple[Path, Path], fungi: MotifSet) -> None:
    """Known biology: TATA boxes are commoner at cap sites than 500 bases downstream of them."""
    from capsight.data.genome.genome import Genome
    from capsight.data.peaks.reader import read_peaks

    genome = Genome.open(yeast[0])
    peaks = read_peaks(yeast[1], genome).query("strand == '+'").head(1600)
    contig, summit = genome.index(peaks["chrom"]), peaks["summit"].to_numpy()
    plus = np.zeros(len(peaks), dtype=bool)
    upstream, downstream = (genome.fetch(contig, summit + shift, 150, plus) for shift in (-150, 500))
    tbp = MotifSet(tuple(p for p in fungi.pwms if p.name == "SPT15"), np.array([0.31, 0.19, 0.19, 0.31]))
    table = enrich(tbp, scan(tbp, list(upstream), 1e-3), scan(tbp, list(downstream), 1e-3))
    assert table.loc[0, "p-value"] < 1e-3
