"""The match stage: scanned sequences, compared PWMs, and the factors behind them."""

import importlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from scipy.stats import fisher_exact
from typer.testing import CliRunner

from capsight import artefact
from capsight.cli.match import command
from capsight.config import MatchConfig
from capsight.data.bases import Codes, decode, encode
from capsight.errors import ConfigError, InputError
from capsight.motifs.known import known
from capsight.motifs.match import FACTOR_COLUMNS, FIMO_COLUMNS, TOMTOM_COLUMNS, compare, enrich, gc_matched, match
from capsight.motifs.meme import MotifSet, Pwm, write_meme
from capsight.motifs.scan import scan

Write = Callable[..., Path]


def sharp(word: str, name: str) -> Pwm:
    """Return a PWM that has seen one word only."""
    return Pwm(name, f"{name}-like", np.eye(4)[encode(word)], 100.0)


def random_codes(n: int, length: int, seed: int, gc: float = 0.5) -> Codes:
    shares = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    return np.random.default_rng(seed).choice(4, size=(n, length), p=shares).astype(np.uint8)


@pytest.fixture(scope="module")
def fungi() -> MotifSet:
    return known("JASPAR2022", "fungi")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "database.meme"
    write_meme(path, MotifSet((sharp("TATAAAGGCA", "TBP"), sharp("GGCCATCTTG", "YY1"), sharp("CACGTGACTC", "CBF1"))))
    return path


@pytest.fixture
def fasta(write_fasta: Write) -> Path:
    return write_fasta({"a": "C" * 20 + "TATAAAGGCA" + "C" * 15, "b": "GT" * 12 + "CAAGATGGCC" + "GT"}, "seqlets.fa")


def test_sequences_are_scanned(database: Path, fasta: Path, tmp_path: Path) -> None:
    config = MatchConfig(database=str(database))
    assert match(config, fasta, tmp_path / "hits.tsv") == tmp_path / "hits.tsv"
    table = pd.read_csv(tmp_path / "hits.tsv", sep="\t")
    assert tuple(table.columns) == FIMO_COLUMNS
    # 1-based, both ends included, start before stop on either strand: as in FIMO's own file.
    expected = [
        ("TBP", "TBP-like", "a", 21, 30, "+", "TATAAAGGCA"),
        ("YY1", "YY1-like", "b", 25, 34, "-", "GGCCATCTTG"),
    ]
    shown = ["motif_id", "motif_alt_id", "sequence_name", "start", "stop", "strand", "matched_sequence"]
    assert list(table[shown].itertuples(index=False, name=None)) == expected
    np.testing.assert_allclose(table["p-value"], 0.25**10, rtol=0.01)
    tests = 3 * 2 * (36 + 27)  # PWMs × strands × positions
    np.testing.assert_allclose(table["q-value"], 0.25**10 * tests / 2, rtol=0.01)


def test_the_record_says_how_it_was_made(database: Path, fasta: Path, tmp_path: Path) -> None:
    config = MatchConfig(database=str(database))
    out = match(config, fasta, tmp_path / "hits.tsv")
    record = yaml.safe_load((tmp_path / "hits.tsv.config.yaml").read_text())
    assert record["stage"] == "match"
    assert record["inputs"]["database"]["sha256"] == artefact.sha256(database)
    assert artefact.is_done(out, "match", config, {"motifs": fasta, "database": database})
    first = out.read_bytes()
    assert match(config, fasta, tmp_path / "again.tsv").read_bytes() == first


def test_pwms_are_compared(fungi: MotifSet, tmp_path: Path) -> None:
    tbp, other = fungi.pwms[100], fungi.pwms[20]
    flanked = np.concatenate([np.full((2, 4), 0.25), other.probabilities])
    queries = (
        Pwm("inner", "", tbp.probabilities[2:-1]),
        Pwm("turned", "", tbp.probabilities[::-1, ::-1]),
        Pwm("flanked", "", flanked),
    )
    write_meme(tmp_path / "motifs.meme", MotifSet(queries, fungi.background))
    config = MatchConfig(database="JASPAR2022", taxon="fungi")
    match(config, tmp_path / "motifs.meme", tmp_path / "hits.tsv")
    table = pd.read_csv(tmp_path / "hits.tsv", sep="\t")
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
    targets = known(str(database))
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


@pytest.mark.parametrize("spread", [0.0, 0.001, 0.02, 0.05])
@pytest.mark.parametrize("width", [1, 3, 10])
@pytest.mark.parametrize("side", ["query", "target"])
def test_a_flat_motif_matches_nothing_whichever_side_it_is_on(
    fungi: MotifSet, spread: float, width: int, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = MotifSet((flat("level", spread, width),))
    queries, targets = (own, fungi) if side == "query" else (MotifSet(fungi.pwms[:20]), own)
    assert (compare(queries, targets)["p-value"] == 1).all()
    told = "compare: 1 of 1 motifs hold less than 1.25 bits and match nothing: level" in caplog.text
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


@pytest.mark.parametrize("side", ["positives", "negatives", "both"])
def test_sequences_of_nothing_but_n_take_no_part(
    database: Path, fasta: Path, write_fasta: Write, tmp_path: Path, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = write_fasta({"n1": "N" * 60, "n2": "N" * 60}, "n.fa")
    positives, negatives = (unknown if side in (name, "both") else fasta for name in ("positives", "negatives"))
    with pytest.raises(InputError, match="no negative has the GC content of a positive"):
        match(MatchConfig(database=str(database)), positives, tmp_path / "hits.tsv", negatives)
    assert "sequences hold nothing but N and are left out" in caplog.text
    assert not (tmp_path / "hits.tsv").exists()
    hits = match(MatchConfig(database=str(database)), unknown, tmp_path / "alone.tsv")
    assert len(pd.read_csv(hits, sep="\t")) == 0
    assert "scan: 2 of 2 sequences hold nothing but N" in caplog.text


@pytest.mark.parametrize("name", ["[red]", '"q', 'a"b', "$x$", "=1", "#x", "NA", "n\u00e4"])
def test_names_stand_as_they_are_in_the_hits(database: Path, fasta: Path, tmp_path: Path, name: str) -> None:
    text = fasta.read_text().splitlines()
    (tmp_path / "odd.fa").write_text("\n".join([f">{name}", *text[1:]]) + "\n", encoding="utf-8")
    hits = match(MatchConfig(database=str(database)), tmp_path / "odd.fa", tmp_path / "hits.tsv")
    assert name in {line.split("\t")[2] for line in hits.read_text(encoding="utf-8").splitlines()}


def planted(codes: Codes, pwm: Pwm, share: float, seed: int) -> list[Codes]:
    """Put a site into the first `share` of the sequences."""
    rng = np.random.default_rng(seed)
    for row in codes[: int(share * len(codes))]:
        place = rng.integers(0, codes.shape[1] - pwm.width)
        row[place : place + pwm.width] = [rng.choice(4, p=p) for p in pwm.probabilities]
    return list(codes)


def test_the_planted_factor_comes_first(fungi: MotifSet) -> None:
    truth = fungi.pwms[0]  # ABF1
    positives = scan(fungi, planted(random_codes(150, 200, 1), truth, 0.3, 2), 1e-4)
    negatives = scan(fungi, list(random_codes(150, 200, 3)), 1e-4)
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


def test_without_a_signal_nothing_is_called(fungi: MotifSet) -> None:
    sets = [scan(fungi, list(random_codes(100, 200, seed)), 1e-4) for seed in range(6)]
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
    rich = list(random_codes(120, 200, 1, gc=0.58))
    poor = list(np.concatenate([random_codes(120, 200, 2, gc=0.42), random_codes(120, 200, 3, gc=0.58)]))
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
    pwm = known(str(database)).pwms[0]
    positives = write_fasta(dict(enumerate(decode(np.array(planted(random_codes(40, 80, 1), pwm, 0.6, 1))))), "p.fa")
    negatives = write_fasta(dict(enumerate(decode(random_codes(200, 80, 2)))), "n.fa")
    config = MatchConfig(database=str(database))
    match(config, positives, tmp_path / "hits.tsv", negatives)
    table = pd.read_csv(tmp_path / "factors.tsv", sep="\t")
    assert tuple(table.columns) == FACTOR_COLUMNS
    assert table.loc[0, "motif_id"] == "TBP"
    assert table.loc[0, "q-value"] < 1e-4
    assert table.loc[0, "positives"] >= 20
    inputs = {"motifs": positives, "database": database, "negatives": negatives}
    assert artefact.is_done(tmp_path / "factors.tsv", "match", config, inputs)


def test_sequences_with_dna_in_common_count_once() -> None:
    motifs = MotifSet((sharp("TATAAAGGCA", "TBP"),))
    contig = random_codes(1, 140, 3)[0]
    contig[60:70] = encode("TATAAAGGCA")
    overlapping = [contig[i : i + 100] for i in range(40)]
    negatives = list(random_codes(400, 100, 4, gc=((contig == 1) | (contig == 2)).mean()))
    alone = [*overlapping[:1], *random_codes(39, 100, 5)]
    own = random_codes(40, 100, 6)
    own[:, 60:70] = encode("TATAAAGGCA")
    for positives, called in ((overlapping, False), (alone, False), (list(own), True)):
        table = enrich(motifs, scan(motifs, positives, 1e-4), scan(motifs, negatives, 1e-4))
        assert (table.loc[0, "q-value"] < 0.05) == called
    assert enrich(motifs, scan(motifs, overlapping, 1e-4), scan(motifs, negatives, 1e-4)).loc[0, "positives"] == 1


def test_a_scan_without_hits_is_an_empty_table(database: Path, write_fasta: Write, tmp_path: Path) -> None:
    match(MatchConfig(database=str(database)), write_fasta({"a": "C" * 60}), tmp_path / "hits.tsv")
    assert (tmp_path / "hits.tsv").read_text() == "\t".join(FIMO_COLUMNS) + "\n"


def test_bad_input_is_one_clear_line(
    database: Path, fasta: Path, write_fasta: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = MatchConfig(database=str(database)), tmp_path / "hits.tsv"
    with pytest.raises(InputError, match="negatives are for sequences that are scanned, and these are PWMs"):
        match(config, database, out, fasta)
    with pytest.raises(InputError, match="all 3 PWMs are wider than the longest sequence"):
        match(config, write_fasta({"a": "ACGT"}, "short.fa"), out)
    with pytest.raises(InputError, match="no negative has the GC content of a positive"):
        match(config, fasta, out, write_fasta({"n": "AT" * 25}, "at.fa"))
    stage = importlib.import_module("capsight.motifs.match")
    monkeypatch.setattr(stage, "scan", lambda *_: pytest.fail("scanned before it looked where to write"))
    with pytest.raises(InputError, match="there is no such folder"):
        match(config, fasta, tmp_path / "none" / "hits.tsv")
    monkeypatch.undo()
    with pytest.raises(InputError, match="name the table of hits otherwise"):
        match(config, fasta, tmp_path / "factors.tsv", fasta)
    (tmp_path / "empty.meme").write_text("")
    with pytest.raises(InputError, match=r"empty\.meme: is empty"):
        match(config, tmp_path / "empty.meme", out)
    bare = database.read_text().replace("Background letter frequencies", "")
    (tmp_path / "bare.meme").write_text(bare)
    for kind, motifs in ((config, tmp_path / "bare.meme"), (MatchConfig(database=str(tmp_path / "bare.meme")), fasta)):
        with pytest.raises(InputError, match="has no background"):
            match(kind, motifs, out)
    with pytest.raises(InputError, match="neither a file nor one of"):
        match(MatchConfig(database="JASPAR2077"), fasta, out)
    assert not out.exists()


def test_the_command(database: Path, fasta: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "hits.tsv"
    arguments = ["--motifs", str(fasta), "--database", str(database), "--threshold", "1e-5", "-o", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(out, sep="\t")) == 2
    wrong = CliRunner().invoke(app, [*arguments, "--engine", "grep"])
    assert isinstance(wrong.exception, ConfigError)
    assert "engine" in str(wrong.exception)


@pytest.mark.real
def test_tbp_is_found_upstream_of_yeast_cap_sites(yeast: tuple[Path, Path], fungi: MotifSet) -> None:
    """Known biology: TATA boxes are commoner at cap sites than 500 bases downstream of them."""
    from capsight.data.genome import Genome
    from capsight.data.peaks import read_peaks

    genome = Genome.open(yeast[0])
    peaks = read_peaks(yeast[1], genome).query("strand == '+'").head(1600)
    contig, summit = genome.index(peaks["chrom"]), peaks["summit"].to_numpy()
    plus = np.zeros(len(peaks), dtype=bool)
    upstream, downstream = (genome.fetch(contig, summit + shift, 150, plus) for shift in (-150, 500))
    tbp = MotifSet(tuple(p for p in fungi.pwms if p.name == "SPT15"), np.array([0.31, 0.19, 0.19, 0.31]))
    table = enrich(tbp, scan(tbp, list(upstream), 1e-3), scan(tbp, list(downstream), 1e-3))
    assert table.loc[0, "p-value"] < 1e-3


def test_matching_leaves_the_threads_of_others_alone() -> None:
    import torch

    before = torch.get_num_threads()
    pwm = Pwm("one", "one", np.tile([0.7, 0.1, 0.1, 0.1], (8, 1)))
    compare(MotifSet((pwm,)), MotifSet((pwm,)))
    assert torch.get_num_threads() == before
