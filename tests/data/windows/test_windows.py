import gzip
import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from capsight import artefact
from capsight.config import WindowsConfig
from capsight.data import schema
from capsight.data.genome.alphabet import decode, encode, reverse_complement
from capsight.data.windows import build as laying
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError

LENGTH = 40


def random_text(seed, size):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), size))


def flipped(text):
    return decode(reverse_complement(encode(text)[None]))[0]


@pytest.fixture
def world(write_fasta, tmp_path):
    """Return a function that lays windows over three random contigs and some peaks, and opens them."""
    contigs = {name: random_text(i, 3_000) for i, name in enumerate(("chrI", "chrII", "chrIII"))}

    def make(peaks, contigs=contigs, out="windows", **settings):
        genome = write_fasta(contigs)
        bed = tmp_path / "peaks.bed"
        bed.write_text("".join(f"{c}\t{s}\t{e}\tp\t0\t{strand}\t{t}\t{t + 1}\t0\n" for c, s, e, strand, t in peaks))
        given = {"length": LENGTH, "validation": ["chrII"], "test": ["chrIII"], "exclusion_bp": 20} | settings
        return Windows.open(windows(WindowsConfig(genome=genome, peaks=bed, **given), tmp_path / out))

    make.contigs = contigs
    return make


EACH = [("chrI", 500, 520, "+", 507), ("chrII", 900, 930, "-", 911), ("chrIII", 1_000, 1_009, "+", 1_000)]


def summary(data):
    return json.loads((data.folder / "summary.json").read_text())


def test_the_summit_stands_in_the_middle_of_both_strands(world):
    data = world([*EACH, ("chrI", 700, 720, "-", 705)])
    text = world.contigs["chrI"]
    table = data.table
    assert tuple(table.columns) == schema.WINDOW_COLUMNS
    rows = np.flatnonzero((table.chrom == "chrI") & (table.label == 1))
    plus, minus = decode(data.codes(rows))
    assert plus == text[507 - 20 : 507 + 20]
    assert plus[20] == text[507]
    assert minus == flipped(text[705 - 19 : 705 + 21])
    assert minus[20] == flipped(text[705])
    assert table.loc[rows, ["start", "end", "strand", "source", "distance"]].to_numpy().tolist() == [
        [487, 527, "+", "peak", 0],
        [686, 726, "-", "peak", 0],
    ]
    assert table.gc[rows[0]] == pytest.approx((plus.count("G") + plus.count("C")) / 40)


def test_windows_off_the_contig_or_with_n_are_dropped_and_counted(world):
    contigs = dict(world.contigs)
    contigs["chrI"] = "N" * 100 + contigs["chrI"][100:]
    near = [
        ("chrII", 0, 30, "+", 19), ("chrII", 0, 30, "+", 20), ("chrII", 0, 30, "-", 18),
        ("chrII", 0, 30, "-", 19), ("chrII", 2970, 3000, "+", 2980), ("chrII", 2970, 3000, "-", 2980),
        ("chrI", 100, 130, "+", 119), ("chrI", 100, 130, "+", 120),
    ]  # fmt: skip
    data = world([*EACH, *near], contigs=contigs)
    positives = data.table[(data.table.label == 1)]
    assert positives[positives.chrom == "chrII"].start.tolist() == [0, 892, 2960]
    assert positives[positives.chrom == "chrI"].start.tolist() == [100, 487]
    # + at 20 and - at 19 read the same bases from either side: one of them is a duplicate
    assert summary(data)["dropped"]["positive"] == {"N": 1, "duplicate": 1, "off the contig end": 3}


def test_duplicates_keep_test_before_validation_before_train_and_positives_first(world):
    shared, other = random_text(7, 200), random_text(8, 200)
    base = {name: random_text(10 + i, 2_000) for i, name in enumerate(("chrI", "chrII", "chrIII"))}
    contigs = {
        "chrI": base["chrI"] + shared + base["chrI"][:50] + other,
        "chrII": base["chrII"] + other,
        "chrIII": base["chrIII"] + flipped(shared),
    }
    peaks = [
        *EACH,
        ("chrI", 2_090, 2_110, "+", 2_100),  # the other strand of the one on chrIII
        ("chrIII", 2_090, 2_110, "-", 2_099),
        ("chrI", 2_340, 2_360, "+", 2_350),  # the same as on chrII
        ("chrII", 2_090, 2_110, "+", 2_100),
    ]
    data = world(peaks, contigs=contigs)
    kept = data.table[(data.table.label == 1) & (data.table.start > 1_500)]
    assert kept[["chrom", "start"]].to_numpy().tolist() == [["chrII", 2_080], ["chrIII", 2_080]]
    assert summary(data)["dropped"]["positive"]["duplicate"] == 2


def test_a_negative_of_test_does_not_displace_a_positive_of_training(world, tmp_path):
    contigs = dict(world.contigs)
    place = contigs["chrI"][487:527]  # the window of the positive on chrI
    contigs["chrIII"] = contigs["chrIII"][:2_000] + place + contigs["chrIII"][2_040:]
    (tmp_path / "own.bed").write_text("chrIII\t2000\t2040\nchrIII\t100\t140\nchrI\t1000\t1040\nchrII\t100\t140\n")
    data = world(EACH, contigs=contigs, negatives="bed", negatives_file=tmp_path / "own.bed", ratio=2.0)
    assert data.table[["chrom", "start", "source"]].to_numpy().tolist() == [
        ["chrI", 487, "peak"], ["chrI", 1_000, "bed"], ["chrII", 100, "bed"], ["chrII", 892, "peak"],
        ["chrIII", 100, "bed"], ["chrIII", 980, "peak"],
    ]  # fmt: skip
    assert summary(data)["dropped"]["negative"]["duplicate"] == 1


def test_rows_are_in_order_and_types_are_fixed(world):
    peaks = [(c, s, s + 9, strand, s + 3) for c, _, _, _, _ in EACH for s in (900, 300, 2_000) for strand in "-+"]
    data = world(peaks)
    table = data.table
    rank = table.fold.map({"train": 0, "validation": 1, "test": 2})
    keys = list(zip(rank, table.start, table.strand == "-", strict=True))
    assert keys == sorted(keys)
    assert table.fold.unique().tolist() == ["train", "validation", "test"]
    assert set(table.loc[table.fold == "validation", "chrom"]) == {"chrII"}
    assert [str(t) for t in table.dtypes.drop(["chrom", "strand", "fold", "source"])] == [
        "int64", "int64", "int8", "float32", "float32", "int64",
    ]  # fmt: skip
    assert summary(data)["folds"]["train"] == {"positive": 6, "negative": 6}
    assert summary(data)["negatives_wanted"] == {"train": 6, "validation": 6, "test": 6}


def test_repeat_fraction_counts_lower_case(world):
    contigs = dict(world.contigs)
    contigs["chrI"] = contigs["chrI"][:500] + contigs["chrI"][500:].lower()
    data = world(EACH, contigs=contigs)
    assert data.table[(data.table.label == 1)].repeat.round(4).tolist() == [pytest.approx(27 / 40), 0, 0]


def test_ratio_sets_the_number_of_negatives(world):
    data = world([(c, s, s + 2, "+", s) for c in ("chrI", "chrII", "chrIII") for s in (500, 1_500)], ratio=2.5)
    assert {name: counts["negative"] for name, counts in summary(data)["folds"].items()} == {
        "train": 5, "validation": 5, "test": 5,
    }  # fmt: skip


def test_strategies_are_mixed_by_their_shares_and_named_in_the_source(world, tmp_path):
    data = world(EACH, ratio=8.0, negatives="matched:2,flank:1,shuffled:1", flank_range="0,200")
    sources = data.table[data.table.fold == "test"].source.value_counts().to_dict()
    assert sources == {"matched": 4, "flank": 2, "peak": 1, "shuffled": 1, "shuffled:2": 1}
    assert summary(data)["negatives_wanted"] == {"train": 8, "validation": 8, "test": 8}
    assert (data.table.distance[data.table.source == "flank"] <= 200).all()
    record = yaml.safe_load((data.folder / artefact.RECORD).read_text())
    assert record["config"]["negatives"] == {"matched": 2.0, "flank": 1.0, "shuffled": 1.0}


def test_shuffles_are_made_again_alike_from_the_table_alone(world):
    data = world(EACH, ratio=4.0, negatives="shuffled")
    rows = np.flatnonzero(data.labels == 0)
    texts = decode(data.codes(rows))
    assert len(set(texts)) == 12
    assert decode(data.codes(rows[::-1])) == texts[::-1]
    test = data.fold("test")
    assert decode(test.codes(np.flatnonzero(test.labels == 0))) == texts[-4:]
    positive = decode(test.codes(np.flatnonzero(test.labels == 1)))[0]
    assert all(sorted(text) == sorted(positive) for text in texts[-4:])
    assert decode(world(EACH, ratio=4.0, negatives="shuffled", seed=2, out="two").codes(rows)) != texts
    right = decode(data.codes(rows, np.full(len(rows), 3)))  # moved, a shuffle of the moved bases
    moved = decode(data.codes(np.flatnonzero(data.labels == 1), np.full(3, 3)))
    assert {"".join(sorted(text)) for text in right} == {"".join(sorted(text)) for text in moved}


def test_a_fold_that_duplicates_or_n_emptied_says_so(world):
    contigs = dict(world.contigs)
    contigs["chrII"] = contigs["chrII"][:891] + world.contigs["chrIII"][980:1_020] + contigs["chrII"][931:]
    peaks = [EACH[0], ("chrII", 900, 930, "+", 911), EACH[2]]
    message = r"validation fold \(chrII\): no positives: 1 were dropped \(1 duplicate\) \(choose other chromosomes\)"
    with pytest.raises(InputError, match=message):
        world(peaks, contigs=contigs)
    contigs["chrII"] = contigs["chrII"][:895] + "N" + contigs["chrII"][896:]
    for protocol, bases in (("capsight", "N"), ("haldar2026", "N")):
        with pytest.raises(
            InputError, match=rf"\(chrII\): no positives: 2 were dropped \(1 {bases}, 1 off the contig end"
        ):
            world([EACH[0], EACH[1], EACH[2], ("chrII", 1, 5, "+", 2)], contigs=contigs, protocol=protocol)


def test_contigs_without_peaks_get_no_negatives(world):
    data = world(EACH, contigs=world.contigs | {"unplaced": random_text(99, 50_000)}, ratio=20.0)
    assert set(data.table.chrom) == {"chrI", "chrII", "chrIII"}
    assert data.genome.names[-1] == "unplaced"
    assert data.stretches(schema.TRAIN).names == ("chrI",)


def test_a_shortfall_is_stated(world, caplog):
    with caplog.at_level(logging.INFO):
        data = world(EACH, exclusion_bp=1_470)  # leaves chrI its last stretch only
    assert summary(data)["folds"]["train"] == {"positive": 1, "negative": 1}
    data = world(EACH, exclusion_bp=1_900, out="other")
    assert summary(data)["folds"]["validation"] == {"positive": 1, "negative": 1}


@pytest.mark.parametrize("empty", ["train", "validation", "test"])
def test_a_fold_without_negatives_is_refused_with_the_way_out(world, tmp_path, empty, monkeypatch):
    original = laying.build_capsight_windows

    def build_windows(*given):
        table, dropped, remarks = original(*given)
        return laying.WindowSet(table[(table["fold"] != empty) | (table["label"] == 1)], dropped, remarks)

    monkeypatch.setattr(laying, "build_capsight_windows", build_windows)
    with pytest.raises(InputError, match=rf"{empty} fold: \d+ positives, but 0 negatives found \(lower exclusion"):
        world(EACH)
    assert not (tmp_path / "windows").exists()


#: Of chrI, most is for training, and of the other two some.
PARTS = {"validation": "chrI:1-1000,chrII:1-1499", "test": "chrI:2501-3000,chrIII", "exclude": "chrI:2001-2500"}
#: Of each fold, and at every border: a window of 40 bases ends at it, or is cut by it. On - it reaches a base further.
AT_BORDERS = [
    ("chrI", 900, 1_000, "+", 979), ("chrI", 900, 1_000, "+", 980), ("chrI", 900, 1_000, "+", 981),
    ("chrI", 1_000, 1_040, "-", 1_018), ("chrI", 1_000, 1_040, "-", 1_019), ("chrI", 1_000, 1_040, "-", 1_020),
    ("chrI", 1_990, 2_010, "+", 1_999), ("chrI", 1_990, 2_010, "+", 2_000), ("chrI", 2_400, 2_510, "+", 2_499),
    ("chrI", 2_400, 2_510, "+", 2_500), ("chrI", 2_600, 2_610, "+", 2_600), ("chrIII", 700, 730, "-", 711),
    ("chrII", 900, 930, "-", 911), ("chrII", 1_700, 1_730, "-", 1_711), ("chrI", 1_500, 1_520, "+", 1_507),
]  # fmt: skip


def test_a_window_belongs_to_the_fold_of_its_summit_and_one_that_a_border_cuts_is_dropped(world, caplog):
    with caplog.at_level(logging.INFO):
        data = world(AT_BORDERS, **PARTS)
    positives = data.table[data.table.label == 1]
    found = positives.groupby(["fold", "chrom"], sort=True).start.agg(list).to_dict()
    assert found == {
        ("test", "chrI"): [2_580], ("test", "chrIII"): [692],
        ("train", "chrI"): [1_000, 1_001, 1_487], ("train", "chrII"): [1_692],
        ("validation", "chrI"): [959, 960], ("validation", "chrII"): [892],
    }  # fmt: skip
    dropped = summary(data)["dropped"]["positive"]
    assert dropped["across the border of a fold"] == 4  # of 981, 1018, 1999, 2500
    assert dropped["in an excluded stretch"] == 2
    assert "folds: 500 bases are excluded, and with them 2 of 15 peaks" in caplog.text
    assert "2 in an excluded stretch" in caplog.text


def test_the_folder_says_the_stretches_of_each_fold(world):
    data = world(AT_BORDERS, **PARTS)
    assert data.stretches("train").names == ("chrI:1001-2000", "chrII:1500-3000")
    assert data.stretches("validation").names == ("chrI:1-1000", "chrII:1-1499")
    assert data.stretches("test").names == ("chrI:2501-3000", "chrIII")
    assert data.stretches("exclude").names == ("chrI:2001-2500",)
    assert len(pd.read_parquet(data.folder / "peaks.parquet")) == len(AT_BORDERS)


def test_folds_of_whole_chromosomes_record_nothing_more(world):
    assert "regions" not in summary(world(EACH))
    data = world(EACH, validation="chrII:1-3000", out="named by their ends")
    assert "regions" not in summary(data)
    assert data.stretches("exclude").names == ()


@pytest.mark.parametrize(
    "settings",
    [{"negatives": name} for name in ("matched", "uniform", "flank", "haldar2026", "bed")]
    + [{"protocol": "haldar2026"}],
    ids=str,
)
def test_negatives_lie_in_one_stretch_of_their_fold_and_touch_no_peak_of_another(world, tmp_path, settings):
    sizes = {"chrI": 60_000, "chrII": 30_000, "chrIII": 30_000}
    contigs = {name: random_text(i, size) for i, (name, size) in enumerate(sizes.items())}
    peaks = [(name, at, at + 30, "+", at) for name, size in sizes.items() for at in range(480, size - 500, 500)]
    peaks += [("chrI", 19_900, 20_000, "+", 19_990), ("chrI", 39_900, 40_150, "+", 39_950)]
    if settings.get("negatives") == "bed":
        own = "".join(f"{name}\t{at}\t{at + 10}\n" for name, size in sizes.items() for at in range(95, size - 50, 100))
        (tmp_path / "negatives.bed").write_text(own)
        settings = settings | {"negatives_file": tmp_path / "negatives.bed"}
    parts = {"validation": "chrI:1-20000,chrII:1-9999", "test": "chrIII", "exclude": "chrI:40001-60000"}
    data = world(peaks, contigs=contigs, flank_range="0,20000", **parts, **settings)
    table = data.table
    contig = data.genome.index(table.chrom)
    for fold in schema.FOLDS:
        rows = np.flatnonzero(table.fold == fold)
        assert len(rows) > 20
        assert data.stretches(fold).holds(contig[rows], table.start.to_numpy()[rows], LENGTH).all()
    negatives = table[(table.label == 0) & (table.chrom == "chrI")]
    assert (negatives.end <= 40_000).all()
    if "protocol" not in settings:
        assert negatives.distance.min() >= 20
        assert not negatives.start.between(39_841, 40_169).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": "chrII", "test": "chrII:5-90"}, "chrII:5-90: in both validation and test"),
        ({"exclude": "chrIV:1-9"}, "exclude: 'chrIV:1-9': the genome has no contig 'chrIV'"),
        ({"test": "chrIII:1-3001"}, "test fold: 'chrIII:1-3001' ends beyond chrIII, which has 3,000 bases"),
        ({"test": "chrIII:1-900"}, r"test fold \(chrIII:1-900\): no positives"),
        ({"exclude": "chrI,chrII,chrIII"}, r"validation fold \(chrII\): all of it is excluded"),
        ({"exclude": "chrI"}, "train fold: no positives"),
        ({"validation": (), "test": (), "exclude": "chrI,chrII,chrIII"}, "exclude leaves none of the 3 peaks"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(world, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        world(EACH, **settings)
    assert not (tmp_path / "windows").exists()


def test_chromosomes_are_left_out_by_the_peaks_that_are_not_excluded(write_fasta, tmp_path):
    contigs = {name: random_text(i, 30_000) for i, name in enumerate(("chrI", "chrII", "chrIII", "chrIV"))}
    genome = write_fasta(contigs)
    bed = "".join(f"{name}\t{at}\t{at + 9}\tp\t0\t+\n" for name in contigs for at in range(500, 29_500, 1_000))
    (tmp_path / "peaks.bed").write_text(bed)
    config = WindowsConfig(
        genome=genome,
        peaks=tmp_path / "peaks.bed",
        length=LENGTH,
        leave_one_chromosome_out=True,
        exclude="chrII:5001-30000",
    )
    out = windows(config, tmp_path / "folds")
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["chrI", "chrIII", "chrIV"]
    data = Windows.open(out / "chrIII")
    assert data.stretches("train").names == ("chrII:1-5000", "chrIV")
    assert data.stretches("validation").names == ("chrI",)


def test_no_place_for_negatives_is_refused(world, caplog):
    with pytest.raises(InputError, match="train fold: 1 positives, but 0 negatives found"):
        world(EACH, exclusion_bp=3_000)
    assert "negatives: validation: matched: 1 wanted, 0 found" in caplog.text
    with pytest.raises(InputError, match=r"0 negatives found .*take protocol capsight"):
        world(EACH, protocol="haldar2026")


def test_duplicate_negatives_are_dropped_and_said(world, caplog):
    contigs = dict(world.contigs)
    contigs["chrII"] = "ACAT" * 215 + contigs["chrII"][860:960] + "ACAT" * 500
    with caplog.at_level(logging.INFO):
        data = world(EACH, contigs=contigs, ratio=60.0)
    counts = summary(data)
    found, wanted = counts["folds"]["validation"]["negative"], counts["negatives_wanted"]["validation"]
    assert wanted == 60
    assert found < 60
    assert counts["dropped"]["negative"]["duplicate"] == 60 - found
    assert f"validation: {60 - found} negatives fewer than the 60 wanted" in caplog.text
    texts = decode(data.codes(np.arange(len(data.table))))
    assert len({min(text, flipped(text)) for text in texts}) == len(texts)


def test_another_seed_gives_other_negatives_and_the_same_positives(world):
    one, two = world(EACH, ratio=9.0), world(EACH, ratio=9.0, seed=2, out="two")
    columns = ["chrom", "start", "strand"]
    pick = lambda data, label: data.table.loc[data.table.label == label, columns].to_numpy().tolist()  # noqa: E731
    assert pick(one, 1) == pick(two, 1)
    assert pick(one, 0) != pick(two, 0)


def test_negatives_of_test_do_not_depend_on_training_peaks(world):
    one = world(EACH, ratio=9.0)
    two = world([*EACH, ("chrI", 2_000, 2_020, "+", 2_003)], ratio=9.0, out="two")
    pd.testing.assert_frame_equal(one.fold("test").table, two.fold("test").table)


def test_done_work_is_skipped_and_other_settings_are_not(world, caplog):
    data = world(EACH)
    made = (data.folder / "windows.parquet").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        world(EACH)
    assert "is done already" in caplog.text
    assert (data.folder / "windows.parquet").stat().st_mtime_ns == made
    assert world(EACH, ratio=5.0).labels.mean() == pytest.approx(1 / 6)


def test_the_log_tells_folds_and_drops(world, caplog):
    with caplog.at_level(logging.INFO):
        world([*EACH, EACH[0]])
    lines = [record.message for record in caplog.records]
    assert "windows: train            1 positives       1 negatives" in lines
    assert "windows: positives dropped: 1 duplicate" in lines


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation": ["II"]}, r"validation fold: 'II' is not in genome.fa \(did you mean 'chrII'\?\)"),
        ({"test": ["chrIV"]}, r"test fold \(chrIV\): no positives"),
        ({"test": ["chrI", "chrIII"]}, "train fold: no positives"),
        ({"length": 4_000}, "no positives"),
        ({"genome": "none.fa"}, "none.fa: there is no such file"),
        ({"peaks": "."}, "is a folder"),
    ],
)
@pytest.mark.parametrize("protocol", ["capsight", "haldar2026"])
def test_input_errors_leave_nothing_behind(world, tmp_path, settings, message, protocol):
    contigs = world.contigs | {"chrIV": random_text(9, 3_000)}
    world(EACH, contigs=contigs, out="good")
    files = {"genome": tmp_path / "genome.fa", "peaks": tmp_path / "peaks.bed"}
    given = files | {"validation": ["chrII"], "test": ["chrIII"], "length": LENGTH, "protocol": protocol}
    with pytest.raises(InputError, match=message):
        windows(WindowsConfig(**given | settings), tmp_path / "bad")
    assert not list(tmp_path.glob("bad*"))


def test_no_validation_or_test_chromosomes_give_training_only(world):
    data = world(EACH, validation=[], test=[])
    assert data.table.fold.unique().tolist() == ["train"]
    with pytest.raises(InputError, match="the test fold has no windows"):
        data.fold("test")
    with pytest.raises(InputError, match="the validation fold has no windows"):
        data.fold("validation")
    assert len(data.fold("train").table) == len(data.table)


class TestLeaveOneOut:
    @pytest.fixture
    def config(self, world, tmp_path):
        names = ("chr1", "chr2", "chr3", "chrM")
        contigs = {name: random_text(i, 6_000) for i, name in enumerate(names)}
        peaks = [(c, s, s + 9, "+", s) for c in names for s in range(200, 5_800, 250)]
        peaks = [peak for peak in peaks if peak[0] != "chr3" or peak[1] < 5_000]  # fewer, but enough
        world(peaks, contigs=contigs, validation=["chr1"], test=["chr2"], out="single")
        return {"genome": tmp_path / "genome.fa", "peaks": tmp_path / "peaks.bed", "length": LENGTH, "exclusion_bp": 20}

    def test_each_chromosome_gets_a_folder(self, config, tmp_path, caplog):
        with caplog.at_level(logging.INFO):
            out = windows(WindowsConfig(**config, leave_one_chromosome_out=True), tmp_path / "folds")
        assert sorted(path.name for path in out.iterdir()) == ["chr1", "chr2", "chr3"]
        assert "for training only (mitochondrial, or fewer than 20 positives): chrM 23" in caplog.text
        assert "test has only 20 positives: if its accuracy is 0.80, the 95 % interval is 0.65 to 0.90" in caplog.text
        for test, validation in (("chr1", "chr3"), ("chr2", "chr1"), ("chr3", "chr2")):
            table = Windows.open(out / test).table
            of = table.groupby("fold").chrom.unique().map(set).to_dict()
            assert (of["test"], of["validation"]) == ({test}, {validation})
            assert of["train"] == {"chr1", "chr2", "chr3", "chrM"} - {test, validation}
        assert (out / "chr2" / "windows.parquet").read_bytes() == (tmp_path / "single/windows.parquet").read_bytes()
        caplog.clear()
        with caplog.at_level(logging.INFO):
            windows(WindowsConfig(**config, leave_one_chromosome_out=True), tmp_path / "folds")
        assert caplog.text.count("is done already") == 3

    def test_too_few_chromosomes_or_a_single_result_are_refused(self, config, tmp_path):
        kept = [line for line in config["peaks"].read_text().splitlines() if "chr3" not in line]
        (tmp_path / "two.bed").write_text("\n".join(kept))
        two = config | {"peaks": tmp_path / "two.bed"}
        with pytest.raises(InputError, match=r"needs three with at least 20 positives, not 2"):
            windows(WindowsConfig(**two, leave_one_chromosome_out=True), tmp_path / "folds")
        assert not (tmp_path / "folds").exists()
        with pytest.raises(InputError, match="single: is a single result"):
            windows(WindowsConfig(**config, leave_one_chromosome_out=True), tmp_path / "single")


def test_haldar2026_windows(world, tmp_path):
    contigs = {name: random_text(20 + i, 60_000) for i, name in enumerate(("chrI", "chrII", "chrIII"))}
    peaks = [(c, s, s + 20, "-", s + 10) for c in contigs for s in range(25_000, 55_000, 900)]
    data = world(peaks, contigs=contigs, protocol="haldar2026", length=128)
    table = data.table
    assert (table.strand == "+").all()
    assert table.groupby("label").source.unique().map(list).to_dict() == {0: ["haldar2026"], 1: ["peak"]}
    assert (table.start[table.label == 0] % 128 == 0).all()
    assert sorted(table.start[(table.label == 1) & (table.chrom == "chrI")]) == [
        s - 64 for s in range(25_000, 55_000, 900)
    ]
    assert table.groupby("chrom").fold.first().tolist() == ["train", "validation", "test"]
    counts = summary(data)
    assert counts["protocol"] == "haldar2026"
    assert sum(counts["dropped"]["negative"].values()) + (table.label == 0).sum() == 2 * len(peaks)


class TestWindows:
    def test_opens_folder_or_parquet(self, world):
        data = world(EACH)
        same = Windows.open(data.folder / "windows.parquet")
        pd.testing.assert_frame_equal(same.table, data.table)
        assert (same.length, same.folder) == (LENGTH, data.folder)

    def test_codes_shift_along_the_strand(self, world):
        data = world(EACH)
        rows = np.flatnonzero(data.labels == 1)
        plain = decode(data.codes(rows))
        right = decode(data.codes(rows, np.full(3, 5)))
        left = decode(data.codes(rows, np.full(3, -5)))
        for middle, after, before in zip(plain, right, left, strict=True):
            assert after[:-5] == middle[5:]
            assert before[5:] == middle[:-5]
        assert data.table.strand[rows].tolist() == ["+", "-", "+"]

    def test_fold_renumbers_rows(self, world):
        data = world(EACH, ratio=3.0)
        fold = data.fold("test")
        assert fold.table.fold.unique().tolist() == ["test"]
        assert fold.labels.tolist() == fold.table.label.tolist()
        whole = np.flatnonzero(data.table.fold == "test")
        assert (fold.codes(np.arange(4)) == data.codes(whole)).all()

    def test_refuses_what_is_not_a_windows_folder(self, world, tmp_path):
        with pytest.raises(InputError, match="there is no such folder"):
            Windows.open(tmp_path / "none")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="is not a folder of the windows stage"):
            Windows.open(tmp_path / "empty")

    def test_refuses_a_changed_table(self, world):
        data = world(EACH)
        data.table.iloc[:2].to_parquet(data.folder / "windows.parquet")
        with pytest.raises(InputError, match="was changed after it was made"):
            Windows.open(data.folder)

    def test_refuses_another_genome_or_none(self, world, tmp_path, write_fasta):
        data = world(EACH)
        write_fasta({"chrI": "ACGT" * 100})
        with pytest.raises(InputError, match=r"genome\.fa: is not the genome that .*windows was made from"):
            Windows.open(data.folder)
        (tmp_path / "genome.fa").unlink()
        with pytest.raises(InputError, match="is not there any more"):
            Windows.open(data.folder)

    def test_a_moved_run_finds_its_genome(self, world, tmp_path):
        run = tmp_path / "run"
        (run / "simulation").mkdir(parents=True)
        data = world(EACH)
        record = yaml.safe_load((data.folder / artefact.RECORD).read_text())
        shutil.move(tmp_path / "genome.fa", run / "simulation" / "genome.fa")
        shutil.move(data.folder, run / "windows")
        record["inputs"]["genome"]["path"] = str(tmp_path / "before" / "simulation" / "genome.fa")
        (run / "windows" / artefact.RECORD).write_text(yaml.safe_dump(record))
        moved = Windows.open(run / "windows")
        assert moved.genome.path == run / "simulation" / "genome.fa"

    def test_a_folder_of_contigs_gives_the_windows_of_one_file(self, world, tmp_path, caplog):
        data = world(EACH)
        folder = tmp_path / "contigs"
        folder.mkdir()
        for name, text in world.contigs.items():
            (folder / f"{name}.fa").write_text(f">{name}\n{text}\n")
        config = WindowsConfig(
            genome=folder, peaks=tmp_path / "peaks.bed", length=LENGTH, validation=["chrII"], test=["chrIII"],
            exclusion_bp=20,
        )  # fmt: skip
        split = Windows.open(windows(config, tmp_path / "split"))
        assert (split.folder / "windows.parquet").read_bytes() == (data.folder / "windows.parquet").read_bytes()
        assert decode(split.codes(np.arange(6))) == decode(data.codes(np.arange(6)))
        record = yaml.safe_load((split.folder / artefact.RECORD).read_text())
        assert list(record["inputs"]) == ["genome/chrI.fa", "genome/chrII.fa", "genome/chrIII.fa", "peaks"]
        shutil.move(folder, tmp_path / "moved")
        with caplog.at_level(logging.INFO):
            windows(config.model_copy(update={"genome": tmp_path / "moved"}), tmp_path / "split")
        assert "is done already" in caplog.text
        with pytest.raises(InputError, match=r"the genome of .* is not there any more"):
            Windows.open(split.folder)
        shutil.move(tmp_path / "moved", folder)
        (folder / "chrII.fa").write_text(">chrII\nACGT\n")
        with pytest.raises(InputError, match="is not the genome"):
            Windows.open(split.folder)


def test_aliases_hold_for_peaks_and_folds(world, tmp_path):
    data = world(EACH)
    (tmp_path / "alias.txt").write_text("".join(f"{name}\t{name[3:]}\tNC_{name[3:]}\n" for name in world.contigs))
    peaks = [(chrom[3:], *rest) for chrom, *rest in EACH]
    other = world(peaks, out="other", aliases=tmp_path / "alias.txt", validation=["NC_II"], test=["III"])
    assert (other.folder / "windows.parquet").read_bytes() == (data.folder / "windows.parquet").read_bytes()
    record = yaml.safe_load((other.folder / artefact.RECORD).read_text())
    assert list(record["inputs"]) == ["genome", "peaks", "aliases"]


def test_unstranded_peaks_are_read_on_plus(world):
    table = world([(c, s, e, ".", t) for c, s, e, _, t in EACH], assume_plus_strand=True).table
    assert table.strand[table.label == 1].tolist() == ["+"] * 3
    assert table.start[table.label == 1].tolist() == [487, 891, 980]


class TestLabelledSequences:
    @pytest.fixture
    def make(self, tmp_path):
        def run(train, validation, test=None, out="windows"):
            files = {"train": train, "validation": validation, "test": test}
            for name, records in files.items():
                if records is not None:
                    rows = "".join(f"{sequence},{label}\n" for sequence, label in records)
                    (tmp_path / f"{name}.csv").write_text("sequence,label\n" + rows)
            config = WindowsConfig(
                train=tmp_path / "train.csv", validation=[str(tmp_path / "validation.csv")],
                test=[str(tmp_path / "test.csv")] if test else [],
            )  # fmt: skip
            return Windows.open(windows(config, tmp_path / out))

        return run

    def test_each_record_is_a_contig(self, make):
        data = make([("ACGTAC", 1), ("ggttCC", 0)], [("TTTTTA", 1)], [("GGGGGA", 0)])
        table = data.table
        assert table.chrom.tolist() == ["train:0", "train:1", "validation:0", "test:0"]
        assert table[["start", "end", "label", "distance"]].to_numpy().tolist() == [
            [0, 6, 1, -1], [0, 6, 0, -1], [0, 6, 1, -1], [0, 6, 0, -1],
        ]  # fmt: skip
        assert table.source.tolist() == ["train.csv", "train.csv", "validation.csv", "test.csv"]
        assert table.gc.tolist() == pytest.approx([0.5, 4 / 6, 0, 5 / 6])
        assert table.repeat.tolist() == pytest.approx([0, 4 / 6, 0, 0])
        assert decode(data.codes(np.arange(4))) == ["ACGTAC", "GGTTCC", "TTTTTA", "GGGGGA"]
        assert data.length == 6
        assert data.stretches(schema.TRAIN).contig.tolist() == [0, 1]

    def test_shorter_sequences_are_centred_between_n(self, make, caplog):
        with caplog.at_level(logging.INFO):
            data = make([("ACGTACGT", 1), ("GGG", 0)], [("TTTT", 1)])
        assert decode(data.codes(np.arange(3))) == ["ACGTACGT", "NNGGGNNN", "NNTTTTNN"]
        assert data.table.gc.tolist() == pytest.approx([0.5, 1, 0])
        assert data.table.start.tolist() == [0, -2, -2]
        assert summary(data)["padded"] == 2
        assert "2 of 3 sequences are shorter than 8 and padded with N" in caplog.text

    def test_training_copies_are_dropped_and_evaluation_stays_as_given(self, make):
        data = make(
            train=[("ACGTA", 1), ("ACGTA", 0), ("GGGGA", 1), ("TCCCC", 0), ("TTGAC", 1), ("CCATG", 0)],
            validation=[("GGGGA", 1), ("GGGGA", 1), ("CCATG", 0)],
            test=[("CATGG", 0), ("CATGG", 0)],
        )
        assert data.table.chrom.tolist() == [
            "train:0", "train:4", "validation:0", "validation:1", "test:0", "test:1",
        ]  # fmt: skip
        assert summary(data)["dropped"] == {"positive": {"duplicate": 1}, "negative": {"duplicate": 4}}
        assert data.genome.names == tuple(data.table.chrom)

    def test_same_input_same_bytes(self, make, tmp_path):
        files = [("ACGTA", 1), ("GGGGA", 0)], [("TTTTA", 1)]
        one, two = make(*files), make(*files, out="two")
        for name in ("windows.parquet", "summary.json", "sequences.fa"):
            assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()
        assert artefact.sha256(one.folder) == artefact.sha256(two.folder)

    def test_folder_can_be_moved(self, make, tmp_path):
        data = make([("ACGTA", 1), ("GGGGA", 0)], [("TTTTA", 1)])
        shutil.move(data.folder, tmp_path / "elsewhere")
        assert decode(Windows.open(tmp_path / "elsewhere").codes(np.array([1]))) == ["GGGGA"]

    def test_missing_file_is_an_input_error(self, tmp_path):
        config = WindowsConfig(train=tmp_path / "no.csv", validation=["also_no.csv"])
        with pytest.raises(InputError, match=r"no\.csv: there is no such file"):
            windows(config, tmp_path / "out")

    @pytest.mark.real
    def test_real_benchmark(self, yeast, tmp_path):
        folder = yeast.peaks.parents[1] / "gue" / "prom_core_tata"
        if not folder.is_dir():
            pytest.skip("the shared real data (gue) are not here")
        config = WindowsConfig(train=folder / "train.csv.gz", validation=[str(folder / "dev.csv.gz")])
        data = Windows.open(windows(config, tmp_path / "windows"))
        dev = gzip.decompress((folder / "dev.csv.gz").read_bytes()).decode().split()[1:]
        validation = data.fold("validation")
        texts = decode(validation.codes(np.arange(len(dev))))
        assert [f"{t},{label}" for t, label in zip(texts, validation.labels, strict=True)] == dev
        assert 4_904 - 100 < len(data.fold("train").table) < 4_904


@pytest.fixture(scope="module")
def yeast_windows(yeast, tmp_path_factory):
    config = WindowsConfig(genome=yeast.genome, peaks=yeast.peaks, validation=["chrVII"], test=["chrIV"])
    return Windows.open(windows(config, tmp_path_factory.mktemp("y") / "windows"))


@pytest.mark.real
class TestYeast:
    def test_summits_are_pyrimidine_purine_on_both_strands(self, yeast_windows):
        data = yeast_windows
        for strand in "+-":
            rows = np.flatnonzero((data.labels == 1) & (data.table.strand == strand))
            codes = data.codes(rows)
            pairs = np.isin(codes[:, 255], [1, 3]) & np.isin(codes[:, 256], [0, 2])
            assert pairs.mean() >= 0.95

    def test_gc_of_negatives_follows_positives_in_every_fold(self, yeast_windows):
        data = yeast_windows
        for fold in schema.FOLDS:
            gc = data.fold(fold).table.groupby("label").gc
            assert abs(gc.mean()[0] - gc.mean()[1]) < 0.01
            assert abs(gc.std()[0] - gc.std()[1]) < 0.01

    def test_counts(self, yeast_windows):
        data = yeast_windows
        counts = summary(data)
        assert sum(fold["positive"] for fold in counts["folds"].values()) + sum(
            counts["dropped"]["positive"].values()
        ) == 5_911  # fmt: skip
        lacking = sum(fold["positive"] - fold["negative"] for fold in counts["folds"].values())
        assert lacking == counts["dropped"]["negative"]["duplicate"] < 5
        assert (data.table.distance[data.labels == 0] >= 150).all()
