"""The audit finds what was planted, names every window of it, and raises nothing about clean windows."""

import json

import numpy as np
import pandas as pd
import pytest

from capsight import artefact
from capsight.config import AuditConfig, WindowsConfig
from capsight.data import schema
from capsight.data.audit.confounders import Auroc
from capsight.data.audit.stage import audit
from capsight.data.genome.alphabet import decode, reverse_complement
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError

LENGTH = 128
CLEAN = {"coordinates", "duplicates", "similar", "repeated", "contradictions"}


def random_codes(seed, size):
    return np.random.default_rng(seed).integers(0, 4, size, dtype=np.uint8)


def mutated(codes, share, rng):
    out = codes.copy()
    at = rng.choice(len(out), round(len(out) * share), replace=False)
    out[at] = (out[at] + rng.integers(1, 4, len(at))) % 4
    return out


def with_indels(codes, rng):
    """Insert two bases and delete two."""
    out = codes.tolist()
    for _ in range(2):
        out.insert(int(rng.integers(10, len(out) - 10)), int(rng.integers(4)))
        del out[int(rng.integers(10, len(out) - 10))]
    return np.array(out, dtype=np.uint8)


def rows(chrom, starts, fold, label=1, strand="+", length=LENGTH):
    """Return windows as a table; a list of labels alternates."""
    n = len(starts)
    return pd.DataFrame(
        {
            "chrom": chrom, "start": np.asarray(starts, np.int64), "end": np.asarray(starts, np.int64) + length,
            "strand": strand, "label": np.resize(np.array(label, np.int8), n), "fold": fold, "source": "peak",
            "gc": np.float32(0.5), "repeat": np.float32(0), "distance": np.int64(500),
        }
    )  # fmt: skip


@pytest.fixture
def lay(write_fasta, tmp_path):
    """Return a function that makes a windows folder of contigs (codes) and a table, whatever is in them."""

    def make(contigs, *tables, name="windows"):
        genome = write_fasta({chrom: decode(codes[None])[0] for chrom, codes in contigs.items()}, f"{name}.fa")
        config = WindowsConfig(genome=genome, peaks="none.bed")
        table = pd.concat(tables, ignore_index=True)[list(schema.WINDOW_COLUMNS)]
        with artefact.atomic_dir(tmp_path / name, "windows", config, {"genome": genome}) as folder:
            table.to_parquet(folder / "windows.parquet", index=False)
        return tmp_path / name

    return make


def read(out):
    result = json.loads((out / "audit.json").read_text())
    return {check["name"]: check for check in result["checks"]}, pd.read_csv(out / "pairs.tsv", sep="\t"), result


def named(pairs, check):
    """Return the places that a check names."""
    return set(pairs.loc[pairs["check"] == check, ["chrom", "start"]].itertuples(index=False, name=None))


def clean_places(n, step=2 * LENGTH):
    return list(range(0, n * step, step))


@pytest.mark.parametrize("length", [64, 128, 512])
def test_every_poisoned_window_is_named_and_no_other(lay, tmp_path, length):
    rng = np.random.default_rng(length)
    starts = [2 * length * i for i in range(60)]
    contigs = {name: random_codes(i, 120 * length + length) for i, name in enumerate(("chr1", "chrT"))}
    kinds = {
        "reverse complement": lambda codes: reverse_complement(codes),
        "90 %": lambda codes: mutated(codes, 0.1, rng),
        "90 % of the other strand": lambda codes: reverse_complement(mutated(codes, 0.1, rng)),
        "indels": lambda codes: with_indels(mutated(codes, 0.05, rng), rng),
    }
    poisoned = {}
    for i, (kind, change) in enumerate(kinds.items()):
        for place in starts[i * 10 : i * 10 + 10]:
            copy = change(contigs["chr1"][place : place + length])
            contigs["chrT"][place : place + length] = copy
            poisoned[place] = kind
    overlapping = [starts[40 + i] + (i + 1) * length // 20 for i in range(10)]
    folder = lay(
        contigs,
        rows("chr1", starts, "train", [0, 1], length=length),
        rows("chrT", starts, "test", [0, 1], length=length),
        rows("chr1", overlapping, "test", [0, 1], "-", length=length),
    )
    checks, pairs, result = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    assert named(pairs, "coordinates") == {("chr1", place) for place in overlapping}
    assert named(pairs, "similar") >= {("chrT", place) for place in poisoned}
    assert named(pairs, "similar") - {("chr1", place) for place in overlapping} == {("chrT", p) for p in poisoned}
    assert named(pairs, "duplicates") == {("chrT", p) for p, kind in poisoned.items() if kind == "reverse complement"}
    assert {name for name in CLEAN if checks[name]["verdict"] == "fail"} == {"coordinates", "duplicates", "similar"}
    assert result["verdict"] == "fail"
    exact = pairs[pairs["check"] == "duplicates"]
    assert (exact["orientation"] == "-").all()
    assert (exact["other_start"] == exact["start"]).all()
    near = pairs[(pairs["check"] == "similar") & (pairs["chrom"] == "chrT")].set_index("start")
    turned = near.index.map(poisoned).isin(["reverse complement", "90 % of the other strand"])
    assert ((near["orientation"] == "-") == turned).all()
    assert near.loc[near.index.map(poisoned) == "90 %", "identity"].mean() == pytest.approx(0.9, abs=0.02)


def test_overlap_counts_bases_and_a_touch_is_none(lay, tmp_path):
    contigs = {"chr1": random_codes(1, 4_000), "chr2": random_codes(2, 4_000)}
    folder = lay(
        contigs,
        rows("chr1", [1_000, 1_100], "train"),
        rows("chr1", [1_000 - LENGTH, 1_000 - LENGTH + 1, 1_090], "test"),
        rows("chr2", [1_000], "validation"),
    )
    checks, pairs, _ = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    shown = pairs.loc[pairs["check"] == "coordinates", ["start", "other_start", "coverage"]]
    assert shown.to_numpy().tolist() == [
        [873, 1_000, pytest.approx(1 / LENGTH, abs=1e-4)],
        [1_090, 1_100, pytest.approx((LENGTH - 10) / LENGTH, abs=1e-4)],
    ]
    assert checks["coordinates"]["numbers"]["test"] == {"windows": 3, "found": 2, "share": 2 / 3, "same_label": 2}


def test_copies_within_a_fold_and_with_two_labels(lay, tmp_path):
    chr1 = random_codes(3, 6_000)
    chr1[2_000 : 2_000 + LENGTH] = reverse_complement(chr1[:LENGTH])
    chr1[3_000 : 3_000 + LENGTH] = chr1[1_000 : 1_000 + LENGTH]
    train = rows("chr1", [0, 1_000, 2_000, 3_000], "train", [1, 1, 1, 0])
    folder = lay({"chr1": chr1, "chr2": random_codes(4, 900)}, train, rows("chr2", [0, 500], "test", [1, 0]))
    checks, pairs, _ = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    assert named(pairs, "repeated") == {("chr1", 2_000), ("chr1", 3_000)}
    assert named(pairs, "contradictions") == {("chr1", 3_000)}
    both = pairs[pairs["check"] == "contradictions"].iloc[0]
    assert (both["label"], both["other_label"], both["other_start"]) == (0, 1, 1_000)
    assert [checks[name]["verdict"] for name in ("repeated", "contradictions", "duplicates")] == [
        "fail",
        "fail",
        "pass",
    ]
    lenient = audit(AuditConfig(max_fraction=0.5), folder, tmp_path / "lenient")
    assert read(lenient)[0]["repeated"]["verdict"] == "warn"


@pytest.mark.pipeline
def test_windows_of_a_random_genome_raise_nothing(write_fasta, tmp_path):
    """Through the windows stage, with peaks at random places: nothing is there to be found."""
    rng = np.random.default_rng(5)
    contigs = {f"chr{i}": decode(random_codes(10 + i, 120_000)[None])[0] for i in range(4)}
    bed = tmp_path / "peaks.bed"
    bed.write_text(
        "".join(f"{chrom}\t{s}\t{s + 9}\tp\t0\t{'+-'[rng.integers(2)]}\n" for chrom in contigs
                for s in np.sort(rng.choice(np.arange(300, 119_000), 250, replace=False)))
    )  # fmt: skip
    config = WindowsConfig(
        genome=write_fasta(contigs), peaks=bed, length=LENGTH, validation="chr2", test="chr3", exclusion_bp=20
    )
    out = audit(AuditConfig(), windows(config, tmp_path / "windows"), tmp_path / "audit")
    checks, pairs, result = read(out)
    assert {name: c["message"] for name, c in checks.items() if c["verdict"] not in ("pass", "skipped")} == {}
    assert {name for name, c in checks.items() if c["verdict"] == "skipped"} == {"repeat", "blind: repeat"}
    assert result["verdict"] == "pass"
    assert len(pairs) == 0
    similarity = pd.read_parquet(out / "similarity.parquet")
    assert similarity["identity"].isna().all()
    assert len(similarity) == 1_000


@pytest.mark.pipeline
def test_gc_repeats_and_grids_that_tell_labels_fail(lay, tmp_path):
    rng = np.random.default_rng(6)
    contigs, tables = {}, []
    for chrom, fold in (("chr1", "train"), ("chr2", "validation"), ("chr3", "test")):
        codes = random_codes(rng.integers(1 << 30), 400 * LENGTH)
        positive = np.sort(rng.choice(np.arange(0, 399 * LENGTH, LENGTH), 150, replace=False)) + rng.integers(
            1, 99, 150
        )
        for start in positive:
            codes[start : start + LENGTH] = rng.choice(4, LENGTH, p=[0.2, 0.3, 0.3, 0.2])
        contigs[chrom] = codes
        negative = rng.choice(np.arange(0, 399 * LENGTH, LENGTH), 150, replace=False)
        for starts, label in ((positive, 1), (negative, 0)):
            table = rows(chrom, starts, fold, label)
            table["gc"] = [np.isin(codes[s : s + LENGTH], (1, 2)).mean() for s in starts]
            table["repeat"] = rng.random(150).astype(np.float32) * (1 if label else 0.5)
            tables.append(table)
    checks, _, _ = read(audit(AuditConfig(), lay(contigs, *tables), tmp_path / "audit"))
    for name in ("gc", "repeat", "blind: composition", "blind: repeat", "blind: grid"):
        assert checks[name]["verdict"] == "fail", checks[name]["message"]
    assert checks["blind: place"]["verdict"] == "pass"
    numbers = checks["repeat"]["numbers"]["train"]
    assert numbers["mean_positive"] == pytest.approx(0.5, abs=0.06)
    assert numbers["ks"] == pytest.approx(0.5, abs=0.08)
    assert numbers["auroc"] == pytest.approx(0.75, abs=0.05)


def test_negatives_that_touch_a_peak_are_counted(lay, tmp_path):
    train = rows("chr1", clean_places(50), "train", [1, 0])
    train.loc[[1, 3], "distance"] = 0
    folder = lay({"chr1": random_codes(7, 13_000), "chr2": random_codes(8, 900)}, train, rows("chr2", [0, 500], "test"))
    checks, _, _ = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    assert checks["negatives on peaks"]["numbers"] == {"negatives": 25, "found": 2, "share": 0.08}
    assert checks["negatives on peaks"]["verdict"] == "fail"


def test_labelled_sequences(tmp_path):
    """Sequences of several lengths; copies with a changed base in test pass the windows stage, not the audit."""
    rng = np.random.default_rng(9)
    sequences = [decode(random_codes(100 + i, int(rng.integers(60, 101)))[None])[0] for i in range(300)]
    test = [text[:30] + "ACGT"[("ACGT".index(text[30]) + 1) % 4] + text[31:] for text in sequences[:5]]
    test += sequences[200:]
    for name, chosen in (("train", sequences[:200]), ("test", test), ("dev", sequences[5:6])):
        lines = [f"{text},{i % 2}" for i, text in enumerate(chosen)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,label", *lines]) + "\n")
    config = WindowsConfig(
        train=tmp_path / "train.csv", validation=str(tmp_path / "dev.csv"), test=str(tmp_path / "test.csv")
    )
    checks, pairs, _ = read(audit(AuditConfig(), windows(config, tmp_path / "windows"), tmp_path / "audit"))
    assert set(pairs["chrom"]) == {f"test:{i}" for i in range(5)}
    assert set(pairs["other_chrom"]) == {f"train:{i}" for i in range(5)}
    assert pairs["identity"].between(0.98, 0.99).all()
    assert (pairs["coverage"] == 1).all()
    assert checks["similar"]["numbers"]["test"]["found"] == 5
    for name in ("coordinates", "blind: place", "blind: grid", "negatives on peaks"):
        assert checks[name]["verdict"] == "skipped"


def test_nearest_training_windows_stand_in_the_order_of_the_folds(lay, tmp_path):
    contigs = {"chr1": random_codes(10, 4_000), "chr2": random_codes(11, 4_000)}
    contigs["chr2"][500 : 500 + LENGTH] = mutated(contigs["chr1"][:LENGTH], 0.25, np.random.default_rng(0))
    contigs["chr2"][1_000 : 1_000 + LENGTH] = contigs["chr1"][300 : 300 + LENGTH]
    folder = lay(
        contigs,
        rows("chr1", [0, 300], "train", [0, 1]),
        rows("chr2", [3_000], "validation"),
        rows("chr2", [500, 1_000, 2_000], "test", strand="-"),
    )
    similarity = pd.read_parquet(audit(AuditConfig(), folder, tmp_path / "audit") / "similarity.parquet")
    assert similarity["start"].tolist() == [3_000, 500, 1_000, 2_000]
    assert similarity["train_start"].tolist() == [pd.NA, 0, 300, pd.NA]
    assert similarity["identity"][1] == pytest.approx(0.77, abs=0.05)
    assert similarity["identity"][2] == 1
    assert similarity["coverage"].fillna(-1).tolist() == [-1, pytest.approx(1, abs=0.3), 1, -1]


def test_the_same_audit_gives_the_same_bytes_and_is_not_repeated(lay, tmp_path, caplog):
    contigs = {"chr1": random_codes(12, 20_000), "chr2": random_codes(13, 20_000)}
    contigs["chr2"][:LENGTH] = contigs["chr1"][:LENGTH]
    places = clean_places(60)
    folder = lay(contigs, rows("chr1", places, "train", [0, 1]), rows("chr2", places, "test", [0, 1]))
    outs = [audit(AuditConfig(), folder, tmp_path / name) for name in ("one", "two")]
    files = sorted(path.name for path in outs[0].iterdir())
    assert files == ["audit.json", "pairs.tsv", "provenance.yaml", "similarity.parquet"]
    for name in files:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    with caplog.at_level("INFO", "capsight"):
        audit(AuditConfig(), folder, outs[0])
    assert "is done already" in caplog.text


def test_the_report_draws_what_was_found(lay, tmp_path):
    from capsight.report.audit_figures import draw_audit

    contigs = {"chr1": random_codes(14, 20_000), "chr2": random_codes(15, 20_000)}
    contigs["chr2"][:LENGTH] = contigs["chr1"][:LENGTH]
    places = clean_places(60)
    folder = lay(contigs, rows("chr1", places, "train", [0, 1]), rows("chr2", places, "test", [0, 1]))
    found = audit(AuditConfig(), folder, tmp_path / "audit")
    drawn = {each.path.stem: each for each in draw_audit(folder, found, tmp_path)}
    assert set(drawn) == {"audit-blind", "audit-gc-train", "audit-gc-test", "audit-similar-test"}
    assert "59 of 60 windows have none" in drawn["audit-similar-test"].alt
    numbers = json.loads((found / "audit.json").read_text())["checks"]
    grid = next(check["numbers"]["auroc"] for check in numbers if check["name"] == "blind: grid")
    assert f"blind: grid {grid:.3f}" in drawn["audit-blind"].alt


def test_no_fold_to_compare_is_said(lay, tmp_path):
    folder = lay({"chr1": random_codes(16, 4_000)}, rows("chr1", clean_places(10), "train", [0, 1]))
    checks, _, result = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    assert checks["similar"]["verdict"] == "skipped"
    assert checks["blind: grid"]["message"] == "training and test do not both have 10 windows of either label"
    assert result["verdict"] == "pass"


@pytest.mark.parametrize(
    ("labels", "fold", "message"),
    [
        ([1], "train", "train has no negatives"),
        ([0], "train", "train has no positives"),
        ([1], "test", "test has no negatives"),
        ([0], "test", "test has no positives"),
    ],
)
def test_a_fold_of_one_label_fails(lay, tmp_path, labels, fold, message):
    other = "test" if fold == "train" else "train"
    contigs = {"chr1": random_codes(16, 4_000), "chr2": random_codes(17, 4_000)}
    folder = lay(contigs, rows("chr1", clean_places(12), fold, labels), rows("chr2", clean_places(12), other, [0, 1]))
    checks, _, result = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    assert checks["labels"]["verdict"] == "fail"
    assert checks["labels"]["message"] == message
    assert result["verdict"] == "fail"


def test_without_any_negative_no_check_of_them_passes(lay, tmp_path):
    contigs = {"chr1": random_codes(16, 4_000), "chr2": random_codes(17, 4_000)}
    folder = lay(contigs, rows("chr1", clean_places(12), "train"), rows("chr2", clean_places(12), "test"))
    checks, _, result = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    passed = {name for name, check in checks.items() if check["verdict"] == "pass"}
    assert passed == {"coordinates", "duplicates", "similar", "repeated"}  # what asks nothing of labels
    assert checks["labels"]["message"] == "train has no negatives, test has no negatives"
    assert result["verdict"] == "fail"


def test_without_a_training_fold_nothing_is_compared(lay, tmp_path):
    folder = lay({"chr1": random_codes(16, 4_000)}, rows("chr1", clean_places(10), "validation", [0, 1]))
    checks, _, _ = read(audit(AuditConfig(), folder, tmp_path / "audit"))
    assert {checks[name]["verdict"] for name in ("coordinates", "duplicates", "similar")} == {"skipped"}
    assert checks["similar"]["message"] == "there are no two folds to compare"


def test_far_fewer_negatives_than_were_asked_for_are_a_warning(lay, tmp_path):
    contigs = {"chr1": random_codes(16, 4_000), "chr2": random_codes(17, 4_000)}
    folder = lay(
        contigs, rows("chr1", clean_places(12), "train", [0, 1]), rows("chr2", clean_places(12), "test", [1, 1, 0])
    )
    (folder / "summary.json").write_text(json.dumps({"negatives_wanted": {"train": 6, "test": 8}}))
    check = read(audit(AuditConfig(), folder, tmp_path / "audit"))[0]["labels"]
    assert (check["verdict"], check["message"]) == ("warn", "test has 4 of 8 negatives wanted")
    assert check["numbers"]["test"] == {"positive": 8, "negative": 4, "wanted": 8}


def test_not_windows(tmp_path):
    with pytest.raises(InputError, match="make one with: capsight windows"):
        audit(AuditConfig(), tmp_path, tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_auroc_and_its_interval():
    labels = np.array([0, 0, 1, 1])
    assert Auroc.from_scores(labels, np.array([0.1, 0.4, 0.35, 0.8])).value == 0.75
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    low, high = np.transpose([Auroc.from_scores(labels, rng.random(1_000) + 0.2 * labels)[1:] for _ in range(200)])
    true = 1 - 0.8**2 / 2  # of two uniform variables 0.2 apart
    assert 0.9 <= np.mean((low < true) & (true < high)) <= 0.99


@pytest.mark.real
@pytest.mark.parametrize(("protocol", "grid", "touching"), [("capsight", False, 0), ("haldar2026", True, 1)])
def test_yeast_has_relatives_between_chromosomes_and_the_paper_a_grid(yeast, tmp_path, protocol, grid, touching):
    config = WindowsConfig(genome=yeast.genome, peaks=yeast.peaks, protocol=protocol, validation="chrVII", test="chrIV")
    data = windows(config, tmp_path / "windows")
    checks, pairs, _ = read(audit(AuditConfig(), data, tmp_path / "audit"))
    assert checks["coordinates"]["verdict"] == checks["duplicates"]["verdict"] == "pass"
    assert 0.03 < checks["similar"]["numbers"]["test"]["share"] < 0.06
    assert (checks["blind: grid"]["verdict"] == "fail") == grid
    assert (checks["negatives on peaks"]["numbers"]["found"] > 0) == touching
    assert len(pairs) > 100
    assert Windows.open(data).length == 512
