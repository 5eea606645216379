import logging
from collections import Counter

import numpy as np
import pytest

from capsight.data.genome.genome import Genome
from capsight.data.windows.folds import (
    EXCLUDE,
    Folds,
    accuracy_interval,
    can_be_left_out,
    check_positives,
    leave_one_out,
    warn_of_small,
)
from capsight.errors import InputError


@pytest.fixture
def genome(write_fasta):
    return Genome.open(write_fasta({"chrI": "ACGT" * 5, "chrIV": "ACGT" * 3, "chrX": "ACGTA", "chrY": "A"}))


def test_chromosomes_that_are_not_named_are_for_training(genome):
    folds = Folds.from_names(genome, ("chrIV",), ("chrX",))
    assert folds.are_whole
    assert (folds.train.names, folds.validation.names, folds.test.names) == (("chrI", "chrY"), ("chrIV",), ("chrX",))
    at = folds.at(np.array([0, 1, 2, 0]), np.array([0, 11, 4, 19]))
    assert at.tolist() == ["train", "validation", "test", "train"]
    assert folds.at(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_regions_are_taken_out_of_their_chromosomes_and_excluded_ones_out_of_all_folds(genome):
    folds = Folds.from_names(genome, ("chrI:1-4", "chrI:5-8"), ("chrIV",), ("chrIV:11-12", "chrI:8-10", "chrY"))
    assert not folds.are_whole
    assert folds.train.names == ("chrI:11-20", "chrX")
    assert (folds.validation.names, folds.test.names) == (("chrI:1-7",), ("chrIV:1-10",))
    assert folds.exclude.names == ("chrI:8-10", "chrIV:11-12", "chrY")
    at = folds.at(np.array([0, 0, 0, 0, 0, 1, 1, 3]), np.array([0, 6, 7, 9, 10, 9, 10, 0]))
    assert at.tolist() == ["validation"] * 2 + [EXCLUDE] * 2 + ["train", "test", EXCLUDE, EXCLUDE]
    contig, start = np.array([0, 0, 0, 0, 1, 1]), np.array([3, 4, 10, 16, 6, 7])
    assert folds.holds(contig, start, 4).tolist() == [True, False, True, True, True, False]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((("chrI:0-5",), (), ()), "validation fold: 'chrI:0-5' has no bases"),
        (((), ("chrI:6-5",), ()), "test fold: 'chrI:6-5' has no bases"),
        (((), (), ("chrI:1-21",)), "exclude: 'chrI:1-21' ends beyond chrI, which has 20 bases"),
        (((), ("I:1-5",), ()), r"test fold: 'I:1-5': the genome has no contig 'I' \(did you mean chrI\?\)"),
        (((), ("chrI:1",), ()), r"test fold: 'chrI:1': '1' is not a range of bases \(write one base as chrI:1-1\)"),
        ((("chrI:1-6",), ("chrI:4-9", "chrX"), ()), "chrI:4-6: in both validation and test"),
        ((("chrI",), ("chrI:4-9",), ()), "chrI:4-9: in both validation and test"),
        (((), ("chrI:4-9",), ("chrI:1-9",)), r"test fold \(chrI:4-9\): all of it is excluded"),
    ],
)
def test_regions_that_cannot_be_used_are_refused(genome, given, message):
    with pytest.raises(InputError, match=message):
        Folds.from_names(genome, *given)


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (("IV",), (), r"validation fold: 'IV' is not in genome.fa \(did you mean 'chrIV'\?\)"),
        ((), ("chrVI",), r"test fold: 'chrVI' is not in genome.fa \(did you mean 'chrI"),
        ((), ("17",), r"test fold: '17' is not in genome.fa \(it has chrI, chrIV\)"),
    ],
)
def test_unknown_chromosomes_are_refused_with_near_names(write_fasta, validation, test, message):
    genome = Genome.open(write_fasta({"chrI": "ACGT", "chrIV": "ACGT"}))
    Folds.from_names(genome, ("chrI",), ("chrIV",))
    with pytest.raises(InputError, match=message):
        Folds.from_names(genome, validation, test)


def test_every_named_fold_and_training_need_positives():
    check_positives(np.array(["train", "test", "validation"]), ("chrII",), ("chrM",))
    check_positives(np.array(["train"]), (), ())
    with pytest.raises(InputError, match=r"test fold \(chrM\): no positives"):
        check_positives(np.array(["train", "validation"]), ("chrII",), ("chrM",))
    with pytest.raises(InputError, match=r"validation fold \(chrII, chrV\): no positives"):
        check_positives(np.array(["train", "test"]), ("chrII", "chrV"), ("chrM",))
    with pytest.raises(InputError, match="train fold: no positives"):
        check_positives(np.array(["validation", "test"]), ("chrII",), ("chrM",))


def test_an_emptied_fold_says_what_emptied_it():
    lost = lambda fold: Counter({"N": 1_200, "duplicate": 3, "off the contig end": 0})  # noqa: E731
    with pytest.raises(InputError, match=r"no positives: 1,203 were dropped \(1,200 N, 3 duplicate\) \(choose other"):
        check_positives(np.array(["train"]), (), ("chrM",), lost)
    with pytest.raises(InputError, match=r"train fold: no positives: 1,203 were dropped .* \(leave a chromosome"):
        check_positives(np.array(["test"]), (), ("chrM",), lost)
    with pytest.raises(InputError, match=r"test fold \(chrM\): no positives \(choose other chromosomes\)"):
        check_positives(np.array(["train"]), (), ("chrM",), lambda fold: Counter({"N": 0}))


def test_each_chromosome_is_tested_once_and_the_one_before_validates():
    assert leave_one_out(["chr1", "chr2", "chrX"]) == [("chrX", "chr1"), ("chr1", "chr2"), ("chr2", "chrX")]
    with pytest.raises(InputError, match="needs three"):
        leave_one_out(["chr1", "chr2"])


def test_scaffolds_and_mitochondria_are_not_left_out(caplog):
    names = ("chr1", "chr2", "chrM", "MT", "scaffold_7", "chr3")
    chroms = ["chr2"] * 20 + ["chr1"] * 30 + ["chrM"] * 90 + ["MT"] * 40 + ["scaffold_7"] * 19
    with caplog.at_level(logging.INFO):
        assert can_be_left_out(chroms, names) == ["chr1", "chr2"]
    assert "fewer than 20 positives): chrM 90, MT 40, scaffold_7 19" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert can_be_left_out(["chr1"] * 20, names) == ["chr1"]
    assert caplog.text == ""


def test_small_folds_are_said_with_the_interval_of_an_accuracy(caplog):
    from scipy.stats import binomtest

    for n in (10, 90, 1_000):
        wilson = binomtest(n * 8 // 10, n).proportion_ci(method="wilson")
        assert accuracy_interval(n) == pytest.approx((wilson.low, wilson.high), abs=1e-6)
    with caplog.at_level(logging.INFO):
        warn_of_small("test", 100, 100)
        warn_of_small("test", 0, 0)
        assert caplog.text == ""
        warn_of_small("test", 45, 45)
    assert "test has only 45 positives: if its accuracy is 0.80, the 95 % interval is 0.71 to 0.87" in caplog.text
