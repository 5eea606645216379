"""Models are found by folder first, then by the name under which they are shipped."""

from pathlib import Path

import pandas as pd
import pytest

from capsight import artefact, shipped
from capsight.config import PredictConfig
from capsight.errors import InputError
from capsight.predict.score import predict

#: sacCer3 chrIV:1538-2050 (0-based), plus strand: a promoter with a TATA box. chrIV was not trained on.
PROMOTER = (
    "TTAAAGTTTTGTAAATTCGTTATTACGATTATTGAATTGGCTAGATAGAAAACAGGAAATGAAATGGATACCCTTTTCGAATAGCTGAGTTTCTTTGCCT"
    "AAAATAGCCCAACATTGTTGCCCTTTTTCTATCACGAGGTTACTGAGCCATTGCATGAACGCGCGCGCCTCGGCGGCTTTTTTTTCCTGCTGTATAAAAG"
    "CGAAAAGCCAGAAGTTACTATCTCGAATAAAAAACCCCTCGAACTGCCATCTCACTACCGAAAATGAAAGAGAATGAAGTCAAAGATGAGAAAAGCGTAG"
    "ATGTGTTATCCTTCAAACAGCTCGAATCCCAAAAGATTGTTCTACCTCAAGATCTTTTCAGAAGCAGCTTTACCTGGTTTTGTTATGAAATTTACAAGTC"
    "CTTAGCGTTTCGCATCTGGATGCTATTATGGCTACCACTTAGCGTCTGGTGGAAACTTTCCAACAATTGTATTTACCCACTTATAGTTTCACTTCTGGTC"
    "CTGTTTCTGGGA"
)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship two models called toy and other."""
    for name in ("toy", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "notes.md").touch()
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "models")
    return tmp_path / "models"


def test_a_name_finds_the_shipped_model(models: Path) -> None:
    assert shipped.shipped_models() == ["other", "toy"]
    assert shipped.find_model(Path("toy")) == models / "toy"


def test_a_folder_of_that_name_comes_first(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "toy").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert shipped.find_model(Path("toy")) == Path("toy")


@pytest.mark.parametrize("given", ["nothing", "sub/toy", "notes.md", "to"])
def test_what_is_neither_is_refused_with_the_names(models: Path, given: str) -> None:
    with pytest.raises(InputError, match="there is no such model folder") as caught:
        shipped.find_model(Path(given))
    assert "other, toy" in str(caught.value)


def test_the_yeast_model_is_whole_and_answers(tmp_path: Path) -> None:
    folder = shipped.find_model(Path("yeast"))
    artefact.check_unchanged(folder)
    assert "/" not in "".join(line for line in (folder / "config.yaml").read_text().splitlines() if "path:" in line)
    fasta = tmp_path / "my.fa"
    fasta.write_text(f">cap\n{PROMOTER}\n>reversed\n{PROMOTER[::-1]}\n")
    predict(PredictConfig(), Path("yeast"), fasta, tmp_path / "windows.tsv")
    scores = pd.read_csv(tmp_path / "windows.tsv", sep="\t").set_index("name")["score"]
    assert scores["cap"] > 0.9
    assert scores["reversed"] < 0.1
    predict(PredictConfig(resolution="base"), Path("yeast"), fasta, tmp_path / "bases.tsv")
    bases = pd.read_csv(tmp_path / "bases.tsv", sep="\t")
    best = bases[bases["name"] == "cap"].sort_values("probability").iloc[-1]
    assert abs(best["position"] - 256) <= 10
