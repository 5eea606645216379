import logging
from collections import Counter

import numpy as np
import pytest

from capsight.data.folds import (
    accuracy_interval,
    assign_folds,
    can_be_left_out,
    check_chromosomes,
    check_positives,
    leave_one_out,
    warn_of_small,
)
from capsight.data.genome import Genome
from capsight.errors import InputError


def test_chromosomes_that_are_not_named_are_for_training():
    folds = assign_folds(["chrI", "chrII", "chrIII", "chrI"], ("chrII",), ("chrIII", "chrX"))
    assert folds.tolist() == ["train", "validation", "test", "train"]
    assert assign_folds([], ("chrII",), ()).tolist() == []


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
    check_chromosomes(genome, ("chrI",), ("chrIV",))
    with pytest.raises(InputError, match=message):
        check_chromosomes(genome, validation, test)


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
