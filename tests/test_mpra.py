"""The benchmark on measured promoters."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from .test_benchmarks import load


@pytest.fixture(scope="module")
def mpra() -> ModuleType:
    return load("mpra")


def changed(sequence: str, *positions: int) -> str:
    letters = list(sequence)
    for position in positions:
        letters[position] = {"A": "C", "C": "G", "G": "T", "T": "A"}[letters[position]]
    return "".join(letters)


@pytest.fixture
def folder(mpra: ModuleType, tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)

    def dna(length: int) -> str:
        return "".join(rng.choice(list("ACGT"), length))

    (tmp_path / "plasmid.json").write_text(json.dumps(dna(2000) + "N" * mpra.INSERT + dna(1500)))
    inserts = [dna(mpra.BEFORE + mpra.INSERT + mpra.BEHIND) for _ in range(6)]
    expression = {"set": "native", "medium": "YPD", "sequence110": inserts, "expression": rng.random(6)}
    pd.DataFrame(expression).to_csv(tmp_path / "expression.tsv.gz", sep="\t", index=False)
    rows = [
        {"medium": medium, "base": f"rand{i}", "mutant_sequence110": changed(base, *places), "distance": len(places),
         "expression_base": 5.0, "expression_mutant": 5.0 + rng.normal()}
        for i, base in enumerate(inserts)
        for medium in ("YPD", "SD-Ura")
        for places in ((20,), (30, 40), (50, 60, 70))[: 1 if i == 5 else 3]
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "mutations.tsv.gz", sep="\t", index=False)
    return tmp_path


def test_bases_are_what_mutants_agree_on(mpra: ModuleType, folder: Path) -> None:
    pairs = pd.read_csv(folder / "mutations.tsv.gz", sep="\t")
    inserts = pd.read_csv(folder / "expression.tsv.gz", sep="\t")["sequence110"]
    assert mpra.base_sequences(pairs) == {f"rand{i}": insert for i, insert in enumerate(inserts[:5])}


def test_figures_of_all_promoters_and_pairs(
    mpra: ModuleType, folder: Path, tiny_track: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mpra.main([str(tiny_track), str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("expression, native, YPD: Spearman ")
    assert lines[0].endswith("of 6")
    assert lines[1] == "2 of 32 pairs left out: their base has too few mutants to be known"
    assert [line.split(":")[0] for line in lines[2:]] == ["changes, SD-Ura", "changes, YPD", "changes, both media"]
    assert "of 30, right sign" in lines[4]


def test_a_change_is_scored_where_it_lies_in_the_plasmid(mpra: ModuleType, folder: Path) -> None:
    plasmid = mpra.Plasmid.read(folder / "plasmid.json", 700)
    text = json.loads((folder / "plasmid.json").read_text())
    base = pd.read_csv(folder / "expression.tsv.gz", sep="\t")["sequence110"][0]
    codes = plasmid.holding(base)
    letters = "".join("ACGT"[code] for code in codes)
    at = len(plasmid.before)
    assert letters[at : at + 110] == base
    assert letters[:at] in (text * 2)  # the circle, without the bases that the insert brings
    assert letters[at + 110 :] in (text * 2)
    found = mpra.changed(base, changed(base, 30, 40), at)
    assert (found.start, found.end) == (at + 30, at + 41)
    assert "".join("ACGT"[code] for code in found.alternative) == changed(base, 30, 40)[30:41]
