"""The simulated genome: truth.tsv tells what is in it, and only the grammar gives promoters away."""

from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from capsight.config import SimulateConfig
from capsight.errors import CapsightError, ConfigError
from capsight.simulate import ELEMENTS, MARGIN, MIN_DISTANCE, PROMOTERS, Promoter, simulate

FILES = ("genome.fa", "peaks.bed", "ctss.bed", "truth.tsv", "motifs.meme")
BED9 = ["chrom", "start", "end", "name", "score", "strand", "thick_start", "thick_end", "rgb"]
CODES = np.full(256, 4, dtype=np.uint8)
CODES[list(b"ACGTacgt")] = [0, 1, 2, 3] * 2
SETTINGS = SimulateConfig(bases=1_500_000, chromosomes=5, seed=3)


class Simulated(NamedTuple):
    folder: Path
    genome: dict[str, str]
    peaks: pd.DataFrame
    ctss: pd.DataFrame
    truth: pd.DataFrame

    def codes(self, chrom: str) -> npt.NDArray[np.uint8]:
        return CODES[np.frombuffer(self.genome[chrom].encode(), dtype=np.uint8)]


def read_fasta(path: Path) -> dict[str, str]:
    records = [record.split("\n", 1) for record in path.read_text().split(">")[1:]]
    return {name: sequence.replace("\n", "") for name, sequence in records}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = simulate(SETTINGS, tmp_path_factory.mktemp("simulate") / "sim")
    return Simulated(
        folder,
        read_fasta(folder / "genome.fa"),
        pd.read_csv(folder / "peaks.bed", sep="\t", header=None, names=BED9),
        pd.read_csv(folder / "ctss.bed", sep="\t", header=None, names=BED9[:6]),
        pd.read_csv(folder / "truth.tsv", sep="\t", dtype={"offset": str, "cap_site": str}),
    )


def gather(simulated: Simulated, sites: pd.DataFrame, before: int, after: int) -> npt.NDArray[np.uint8]:
    """Bases [site - before, site + after) on the strand of each site, 5' to 3'."""
    windows = np.empty((len(sites), before + after), dtype=np.uint8)
    for chrom in simulated.genome:
        here = (sites["chrom"] == chrom).to_numpy()
        sign = np.where(sites["strand"][here] == "+", 1, -1)[:, None]
        bases = simulated.codes(chrom)[sites["site"][here].to_numpy()[:, None] + sign * np.arange(-before, after)]
        windows[here] = np.where(sign > 0, bases, np.where(bases < 4, 3 - bases, 4))
    return windows


def log_odds(windows: npt.NDArray[np.uint8], pwm: npt.NDArray[np.float64], column: int) -> npt.NDArray[np.float64]:
    """Bits of a PWM over a uniform background, its first base in `column`; N scores zero."""
    scores = np.vstack([np.log2(pwm.T / 0.25), np.zeros(len(pwm))])
    return sum((scores[windows[:, column + i], i] for i in range(len(pwm))), np.zeros(len(windows)))


def element_windows(simulated: Simulated, name: str, kind: str) -> npt.NDArray[np.uint8]:
    rows = simulated.truth.query("element == @name and kind == @kind")
    five_prime = rows["start"].where(rows["strand"] == "+", rows["end"] - 1)
    return gather(simulated, rows.assign(site=five_prime), 0, len(ELEMENTS[name].pwm))


def test_folder_is_an_artefact_with_all_files(simulated: Simulated) -> None:
    record = yaml.safe_load((simulated.folder / "provenance.yaml").read_text())
    assert record["stage"] == "simulate"
    assert record["config"] == SETTINGS.model_dump()
    assert set(record["outputs"]) == set(FILES)


def test_genome_is_a_sixty_column_fasta_of_the_asked_size(simulated: Simulated) -> None:
    lengths = [len(sequence) for sequence in simulated.genome.values()]
    assert list(simulated.genome) == [f"chr{number}" for number in range(1, 6)]
    assert sum(lengths) == SETTINGS.bases
    assert len(set(lengths)) == SETTINGS.chromosomes
    lines = [len(line) for line in (simulated.folder / "genome.fa").read_text().split("\n")]
    assert max(lines) == 60
    assert lines.count(60) >= SETTINGS.bases // 60 - SETTINGS.chromosomes
    assert 0 not in lines[:-1]


def test_genome_has_a_little_soft_masking_and_few_n(simulated: Simulated) -> None:
    letters = np.frombuffer("".join(simulated.genome.values()).encode(), dtype=np.uint8)
    assert set(letters.tobytes()) == set(b"ACGTNacgt")
    assert 0.01 < np.isin(letters, list(b"acgt")).mean() < 0.1
    assert (letters == ord("N")).mean() < 0.01


def test_genome_has_at_rich_and_gc_rich_stretches(simulated: Simulated) -> None:
    bases = simulated.codes("chr1")[1_000:]
    gc = np.isin(bases[: len(bases) // 2_000 * 2_000], [1, 2]).reshape(-1, 2_000).mean(axis=1)
    assert np.quantile(gc, 0.1) < 0.43
    assert np.quantile(gc, 0.9) > 0.51


@pytest.mark.parametrize("kind", ["promoter", "decoy"])
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_stands_where_truth_says(simulated: Simulated, name: str, kind: str) -> None:
    windows = element_windows(simulated, name, kind)
    pwm = ELEMENTS[name].pwm
    assert len(windows) > 200
    # The tolerances are standard errors of draws from the PWM, so that a base or a strand amiss cannot hide.
    frequencies = np.stack([(windows == base).mean(axis=0) for base in range(4)], axis=1)
    assert (np.abs(frequencies - pwm) < 5 * np.sqrt(pwm * (1 - pwm) / len(windows))).all()
    bits = np.log2(pwm / 0.25)
    expected = (pwm * bits).sum()
    variance = ((pwm * bits**2).sum(axis=1) - (pwm * bits).sum(axis=1) ** 2).sum()
    error = np.sqrt(variance / len(windows))
    assert log_odds(windows, pwm, 0).mean() == pytest.approx(expected, abs=4 * error)
    assert expected > log_odds(3 - windows[:, ::-1], pwm, 0).mean() + 3


def test_truth_intervals_have_the_width_of_their_element_and_never_overlap(simulated: Simulated) -> None:
    truth = simulated.truth
    assert list(truth.columns) == ["chrom", "start", "end", "strand", "element", "kind", "offset", "cap_site"]
    widths = truth["element"].map({name: len(element.pwm) for name, element in ELEMENTS.items()})
    assert (truth["end"] - truth["start"]).equals(widths)
    for _, rows in truth.groupby("chrom"):
        assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()


def test_promoter_elements_stand_at_their_offsets(simulated: Simulated) -> None:
    rows = simulated.truth.query("kind == 'promoter'").astype({"offset": int, "cap_site": int})
    plus = rows["strand"] == "+"
    measured = (rows["start"] - rows["cap_site"]).where(plus, rows["cap_site"] - rows["end"] + 1)
    assert measured.equals(rows["offset"])
    for name, group in rows.groupby("element"):
        element = ELEMENTS[str(name)]
        wanted = set(range(element.offset - element.jitter, element.offset + element.jitter + 1))
        assert set(group["offset"]) == wanted


def test_published_offsets() -> None:
    assert {name: (element.offset, element.jitter) for name, element in ELEMENTS.items()} == {
        "TATA": (-31, 0),
        "Inr": (-2, 0),
        "DPE": (27, 0),
        "GCbox": (-55, 2),
        "BREu": (-38, 0),
        "InrWeak": (-2, 0),
    }
    assert all(np.allclose(element.pwm.sum(axis=1), 1) for element in ELEMENTS.values())
    assert sum(promoter.share for promoter in PROMOTERS.values()) == pytest.approx(1)


def test_every_peak_is_one_whole_promoter_of_one_class(simulated: Simulated) -> None:
    planted = simulated.truth.query("kind == 'promoter'").astype({"cap_site": int})
    found = planted.groupby(["chrom", "cap_site", "strand"])["element"].agg(lambda names: tuple(sorted(names)))
    peaks = simulated.peaks.set_index(["chrom", "thick_start", "strand"]).index
    assert sorted(found.index) == sorted(peaks)
    shares = found.value_counts(normalize=True).to_dict()
    wanted = {tuple(sorted(promoter.elements)): promoter.share for promoter in PROMOTERS.values()}
    assert shares == pytest.approx(wanted, abs=0.02)


def test_summits_have_an_initiator(simulated: Simulated) -> None:
    bases = gather(simulated, simulated.peaks.assign(site=simulated.peaks["thick_start"]), 1, 1)
    assert np.isin(bases[:, 0], [1, 3]).mean() > 0.9
    assert np.isin(bases[:, 1], [0, 2]).mean() > 0.9
    assert 0.4 < (simulated.peaks["strand"] == "+").mean() < 0.6


def test_peaks_are_bed9_in_the_layout_of_fantom5(simulated: Simulated) -> None:
    peaks = simulated.peaks
    lines = (simulated.folder / "peaks.bed").read_text().splitlines()
    assert {line.count("\t") for line in lines} == {8}
    assert ((peaks["start"] <= peaks["thick_start"]) & (peaks["thick_end"] <= peaks["end"])).all()
    assert (peaks["thick_end"] == peaks["thick_start"] + 1).all()
    assert peaks["rgb"].equals(peaks["strand"].map({"+": "255,0,0", "-": "0,0,255"}))
    first = peaks.iloc[0]
    assert first["name"] == f"{first['chrom']}:{first['start']}..{first['end']},{first['strand']}"
    assert peaks["name"].is_unique


def test_cap_sites_keep_their_distance(simulated: Simulated) -> None:
    for chrom, rows in simulated.peaks.groupby("chrom"):
        summits = rows["thick_start"].to_numpy()
        gaps = np.diff(summits)
        assert gaps.min() >= MIN_DISTANCE
        assert gaps.mean() == pytest.approx(SETTINGS.spacing, rel=0.1)
        assert summits[0] >= MARGIN
        assert summits[-1] < len(simulated.genome[str(chrom)]) - MARGIN


def test_tags_add_up_to_the_peaks_and_are_most_at_the_summit(simulated: Simulated) -> None:
    ctss = simulated.ctss
    assert (ctss["end"] == ctss["start"] + 1).all()
    assert not ctss.duplicated(["chrom", "start", "strand"]).any()
    inside = 0
    tags = ctss.set_index(["chrom", "strand", "start"])["score"].to_dict()
    columns = ("chrom", "strand", "start", "end", "thick_start", "score")
    for chrom, strand, start, end, summit, score in zip(*(simulated.peaks[c] for c in columns), strict=True):
        own = np.array([tags.get((chrom, strand, position), 0) for position in range(start, end)])
        assert own.sum() == score
        assert own.argmax() == summit - start
        assert (own == own.max()).sum() == 1
        assert own[0] > 0
        assert own[-1] > 0
        inside += int((own > 0).sum())
    assert inside == len(ctss)


def test_sharp_and_broad_promoters_differ_in_width(simulated: Simulated) -> None:
    planted = simulated.truth.query("kind == 'promoter'").astype({"cap_site": int})
    broad = planted.query("element == 'GCbox'").set_index(["chrom", "cap_site"]).index
    peaks = simulated.peaks.set_index(["chrom", "thick_start"])
    width = peaks["end"] - peaks["start"]
    is_broad = peaks.index.isin(broad)
    assert width[~is_broad].median() < 15
    assert 40 <= width[is_broad].median() <= 80


@pytest.mark.parametrize("strand", ["+", "-"])
def test_broad_initiation_prefers_pyrimidine_purine_fourfold(simulated: Simulated, strand: str) -> None:
    peaks = simulated.peaks.query("strand == @strand and end - start > 30")
    bases = gather(simulated, peaks.assign(site=peaks["thick_start"]), 26, 26)
    preferred = np.isin(bases[:, :-1], [1, 3]) & np.isin(bases[:, 1:], [0, 2])
    tags = simulated.ctss.query("strand == @strand").set_index(["chrom", "start"])["score"].to_dict()
    steps = np.arange(-25, 26)
    places = peaks["thick_start"].to_numpy()[:, None] + (1 if strand == "+" else -1) * steps
    found = np.array([[tags.get((c, p), 0) for p in row] for c, row in zip(peaks["chrom"], places, strict=True)])
    flanks = np.abs(steps) >= 8  # clear of the initiator, whose own bases are not free
    here, preferred = found[:, flanks], preferred[:, flanks]
    assert here[preferred].mean() / here[~preferred].mean() == pytest.approx(4, rel=0.2)


def test_some_cpg_islands_have_no_promoter(simulated: Simulated) -> None:
    islands = 0
    for chrom, rows in simulated.peaks.groupby("chrom"):
        bases = simulated.codes(str(chrom))
        tiles = bases[: len(bases) // 250 * 250].reshape(-1, 250)
        middles = np.arange(len(tiles)) * 250 + 125
        far = np.abs(middles[:, None] - rows["thick_start"].to_numpy()).min(axis=1) > 600
        pairs = ((tiles[:, :-1] == 1) & (tiles[:, 1:] == 2)).sum(axis=1)
        expected = (tiles == 1).sum(axis=1) * (tiles == 2).sum(axis=1) / 250
        islands += int((far & (pairs > 0.75 * expected) & (np.isin(tiles, [1, 2]).mean(axis=1) > 0.5)).sum())
    assert islands > 20


def test_broad_promoters_lie_in_cpg_islands(simulated: Simulated) -> None:
    planted = simulated.truth.query("kind == 'promoter'").astype({"cap_site": int})

    def cpg_ratio(element: str) -> float:
        rows = planted.query("element == @element")
        bases = gather(simulated, rows.assign(site=rows["cap_site"]), 150, 150)
        c, g = (bases == 1).mean(), (bases == 2).mean()
        return float(((bases[:, :-1] == 1) & (bases[:, 1:] == 2)).mean() / (c * g))

    assert cpg_ratio("GCbox") > 0.75
    assert cpg_ratio("TATA") < 0.5


def implied_caps(decoys: pd.DataFrame, names: set[str], strand: str) -> npt.NDArray[np.int64]:
    """Where the cap sites of these decoys would be, were they elements of promoters."""
    rows = decoys[decoys["element"].isin(names) & (decoys["strand"] == strand)]
    offsets = rows["element"].map({name: element.offset for name, element in ELEMENTS.items()}).to_numpy()
    if strand == "+":
        return np.asarray(rows["start"].to_numpy() - offsets)
    return np.asarray(rows["end"].to_numpy() - 1 + offsets)


def test_decoys_outnumber_promoter_elements(simulated: Simulated) -> None:
    decoys = simulated.truth.query("kind == 'decoy'")
    assert (decoys[["offset", "cap_site"]] == ".").all(axis=None)
    assert len(decoys) > 2 * (simulated.truth["kind"] == "promoter").sum()
    assert decoys["strand"].value_counts(normalize=True).to_dict() == pytest.approx({"+": 0.5, "-": 0.5}, abs=0.03)
    assert set(decoys["element"]) == set(ELEMENTS)


@pytest.mark.parametrize("promoter", PROMOTERS.values(), ids=list(PROMOTERS))
def test_decoys_pair_wrongly_and_never_rightly(simulated: Simulated, promoter: Promoter) -> None:
    partners = set(promoter.elements) - {promoter.initiator}
    misplaced = 0
    for _, decoys in simulated.truth.query("kind == 'decoy'").groupby("chrom"):
        for strand in "+-":
            initiators = implied_caps(decoys, {promoter.initiator}, strand)
            wrong_by = np.abs(implied_caps(decoys, partners, strand)[:, None] - initiators)
            assert wrong_by.min() >= 6
            misplaced += int((wrong_by <= 14).sum())
    assert misplaced > 200


def test_motifs_are_the_planted_pwms_in_meme_format(simulated: Simulated) -> None:
    text = (simulated.folder / "motifs.meme").read_text()
    assert text.startswith("MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n")
    background = [float(value) for value in text.split("\n")[7].split()[1::2]]
    assert sum(background) == pytest.approx(1, abs=1e-4)
    for block in text.split("MOTIF ")[1:]:
        name, header, *rows = block.strip().split("\n")
        pwm = ELEMENTS[name].pwm
        sites = (simulated.truth["element"] == name).sum()
        assert header == f"letter-probability matrix: alength= 4 w= {len(pwm)} nsites= {sites} E= 0"
        np.testing.assert_allclose([[float(v) for v in row.split()] for row in rows], pwm, atol=1e-6)
    assert text.count("MOTIF ") == len(ELEMENTS)


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    config = SimulateConfig(bases=150_000, chromosomes=3, seed=5)
    first, second = simulate(config, tmp_path / "a"), simulate(config, tmp_path / "b")
    other = simulate(config.model_copy(update={"seed": 6}), tmp_path / "c")
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert (first / name).read_bytes() != (other / name).read_bytes()


def test_finished_work_is_not_done_again_and_a_lost_file_is_made_again(tmp_path: Path) -> None:
    config = SimulateConfig(bases=150_000, chromosomes=3)
    genome = simulate(config, tmp_path / "sim") / "genome.fa"
    before, text = genome.stat().st_mtime_ns, genome.read_bytes()
    simulate(config, tmp_path / "sim")
    assert genome.stat().st_mtime_ns == before
    genome.unlink()
    simulate(config, tmp_path / "sim")
    assert genome.read_bytes() == text


@pytest.mark.parametrize(
    "settings", [{"chromosomes": 40}, {"spacing": 60_000}], ids=["short chromosomes", "wide spacing"]
)
def test_a_genome_too_small_is_a_clear_error(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"shortest of \d+ chromosomes .* spacing \d+ needs \d+ \(give more bases"):
        simulate(SimulateConfig(bases=100_000, **settings), tmp_path / "sim")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CapsightError, match="not made by capsight"):
        simulate(SimulateConfig(bases=100_000, chromosomes=3), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def candidates(simulated: Simulated, length: int, rng: np.random.Generator) -> pd.DataFrame:
    """Random stranded centres whose window does not touch a peak widened by 150 bases."""
    tables = []
    for chrom, rows in simulated.peaks.groupby("chrom"):
        free = np.zeros(len(simulated.genome[str(chrom)]), dtype=bool)
        free[MARGIN:-MARGIN] = True
        margin = 150 + length // 2
        for start, end in zip(rows["start"], rows["end"], strict=True):
            free[max(0, start - margin) : end + margin] = False
        centres = rng.choice(np.flatnonzero(free), 12 * len(rows))
        tables.append(pd.DataFrame({"chrom": chrom, "site": centres, "strand": rng.choice(["+", "-"], len(centres))}))
    return pd.concat(tables, ignore_index=True)


def matched(gc: npt.NDArray[np.float64], pool_gc: npt.NDArray[np.float64], rng: np.random.Generator) -> list[int]:
    """For each value of `gc`, an unused member of the pool within 0.02; those without any are left out."""
    free = np.ones(len(pool_gc), dtype=bool)
    chosen = []
    for value in gc:
        near = np.flatnonzero(free & (np.abs(pool_gc - value) < 0.02))
        if len(near):
            chosen.append(int(rng.choice(near)))
            free[chosen[-1]] = False
    return chosen


def three_mers(windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    words = windows[:, :-2].astype(int) * 16 + windows[:, 1:-1] * 4 + windows[:, 2:]
    return np.stack([np.bincount(row, minlength=64)[:64] for row in words])


def oracle(windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The best class's log-odds, its elements at their true offsets from the middle of the window."""
    middle = windows.shape[1] // 2
    totals = []
    for promoter in PROMOTERS.values():
        total = np.zeros(len(windows))
        for pwm, offset, jitter in (ELEMENTS[name] for name in promoter.elements):
            shifts = range(offset - jitter, offset + jitter + 1)
            total += np.max([log_odds(windows, pwm, middle + shift) for shift in shifts], axis=0)
        totals.append(total)
    return np.max(totals, axis=0)


@pytest.mark.parametrize("length", [256, 512])
def test_only_the_grammar_tells_promoters_from_gc_matched_windows(simulated: Simulated, length: int) -> None:
    rng = np.random.default_rng(1)
    sites = simulated.peaks.assign(site=simulated.peaks["thick_start"])
    pool = candidates(simulated, length, rng)
    positives, others = (gather(simulated, table, length // 2, length // 2) for table in (sites, pool))
    gc, pool_gc = (np.isin(windows, [1, 2]).mean(axis=1) for windows in (positives, others))
    chosen = matched(gc, pool_gc, rng)
    assert len(chosen) > 0.9 * len(positives)

    windows = np.concatenate([positives, others[chosen]])
    labels = np.repeat([1, 0], [len(positives), len(chosen)])
    test = pd.concat([sites["chrom"], pool["chrom"].iloc[chosen]]).isin(["chr1"]).to_numpy()
    counts = three_mers(windows)
    data = lightgbm.Dataset(counts[~test], labels[~test])
    quiet = {"objective": "binary", "num_threads": 1, "seed": 1, "deterministic": True, "verbose": -1}
    k_mers = lightgbm.train(quiet, data).predict(counts[test])

    assert 0.55 < roc_auc_score(labels[test], k_mers) < 0.8
    assert roc_auc_score(labels, oracle(windows)) > 0.97
