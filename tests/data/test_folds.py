import numpy as np
import pytest

from capsight.data.folds import assign_folds, check_chromosomes, check_positives
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
