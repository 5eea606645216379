"""The stage as a whole: what it writes, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from capsight.cli.motifs import command
from capsight.config import MotifsConfig
from capsight.config.yaml_files import parse
from capsight.data.attributions import Attributions
from capsight.data.io.meme import read_meme
from capsight.data.io.sequences import read_sequences
from capsight.errors import ConfigError, InputError
from capsight.motifs.kmers import KMER_COLUMNS
from capsight.motifs.motif_sites import POSITION_COLUMNS
from capsight.motifs.motifs import motifs

QUICK = MotifsConfig(k=6, de_novo=False)


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name, sep="\t", keep_default_na=False, na_values=[""])


@pytest.fixture(scope="module")
def attributions(few: Attributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few.write(tmp_path_factory.mktemp("few") / "attributions.npz")


@pytest.fixture(scope="module")
def out(attributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motifs(QUICK, attributions, tmp_path_factory.mktemp("motifs") / "motifs")


def test_kmers_are_called_with_their_counts_and_place(out: Path) -> None:
    found = read(out, "motifs.tsv")
    assert list(found.columns) == [*KMER_COLUMNS, "mode_offset", "median_offset"]
    called = found[found["q"] < 0.05].set_index("kmer")
    assert {"TATAAA", "ATAAAA", "TAAAAG"} <= set(called.index)
    row = called.loc["TATAAA"]
    assert (row["positives"], row["enriched_in"], row["mode_offset"]) == (20, "positives", -31)
    assert called.loc["TAAAAG", "mode_offset"] == -29
    assert found["mode_offset"].isna().sum() == (found["q"] >= 0.05).sum()
    assert found["q"].is_monotonic_increasing


def test_positions_add_up(out: Path) -> None:
    found = read(out, "positions.tsv")
    assert tuple(found.columns) == POSITION_COLUMNS
    rows = found[found["motif"] == "TATAAA"].set_index("offset")
    assert rows.loc[-31, "positives"] == 20
    assert rows["positives"].sum() == read(out, "motifs.tsv").set_index("kmer").loc["TATAAA", "positive_occurrences"]


def test_seqlets_of_a_called_kmer_carry_it(out: Path, few: Attributions) -> None:
    names, sequences = read_sequences(out / "seqlets" / "TATAAA.fa")
    assert len({name.partition("@")[0] for name in names}) == 20
    assert all("TATAAA" in sequence for sequence in sequences)
    assert names[0].startswith("chrI:1-256:+@")
    everything = read_sequences(out / "seqlets" / "positives.fa")
    assert len(everything.names) == 3 * few.positive.sum()
    assert len(set(everything.names)) == len(everything.names)


def test_summary_and_pictures(out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["method"], summary["n_positive"], summary["n_negative"]) == ("ig", 20, 20)
    assert summary["kmers_tested"] == 4**6
    assert summary["attributions"]["model_sha256"] == "m"
    for name in ("frequencies", "volcano", "positions", "elements"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert len(read(out, "aggregate.tsv")) == 3
    assert read(out, "elements.tsv").set_index(["element", "scope"]).loc[("TATA", "window"), "positive_matches"] == 20


def test_the_same_settings_give_the_same_bytes(attributions: Path, out: Path, tmp_path: Path) -> None:
    again = motifs(QUICK, attributions, tmp_path / "again")
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.name != "provenance.yaml"]
    assert len(files) > 8
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_done_work_is_skipped(attributions: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    motifs(QUICK, attributions, out)
    assert "done already" in caplog.text


@pytest.mark.usefixtures("undrawn")
def test_says_whose_attributions_it_reads(attributions: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    motifs(QUICK, attributions, tmp_path / "a")
    assert "attributions of ig (the most faithful on this model, faithfulness 0.500)" in caplog.text
    motifs(QUICK.model_copy(update={"method": "attention"}), attributions, tmp_path / "b")
    assert "attributions of attention (as asked)" in caplog.text


def test_a_method_that_is_not_there(attributions: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no attributions of 'ism', only of"):
        motifs(QUICK.model_copy(update={"method": "ism"}), attributions, tmp_path / "out")


@pytest.mark.parametrize(("score", "missing"), [(0.1, "positive"), (0.9, "negative")])
def test_nothing_to_compare(few: Attributions, tmp_path: Path, score: float, missing: str) -> None:
    path = replace(few, score=np.full_like(few.score, score)).write(tmp_path / "same.npz")
    with pytest.raises(InputError, match=f"none of its 40 windows is predicted {missing}"):
        motifs(QUICK, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("positives", "negatives"),
    [(1, 1), (2, 1), (1, 3), (20, 1)],  # modisco compiles for twenty
)
@pytest.mark.parametrize("kind", ["random", "equal scores", "no bases"])
def test_few_windows_give_tables_without_nan(
    few: Attributions, tmp_path: Path, positives: int, negatives: int, kind: str, request: pytest.FixtureRequest
) -> None:
    if (positives, negatives) in {(2, 1), (1, 3)}:  # pictures are drawn of the fewest and of the most
        request.getfixturevalue("undrawn")
    rows = np.r_[0:positives, 20 : 20 + negatives]
    data = few.subset(np.isin(np.arange(len(few.score)), rows))
    if kind == "equal scores":
        data = replace(data, methods={name: np.ones_like(values) for name, values in data.methods.items()})
    if kind == "no bases":
        data = replace(data, codes=np.full_like(data.codes, 4))
    folder = motifs(MotifsConfig(), data.write(tmp_path / "a.npz"), tmp_path / "out")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    summary = json.loads((folder / "summary.json").read_text(), parse_constant=refuse)
    assert (summary["n_positive"], summary["n_negative"]) == (positives, negatives)
    for path in folder.glob("*.tsv"):
        cells = {cell for line in path.read_text().splitlines() for cell in line.split("\t")}
        assert not cells & {"nan", "NaN", "inf", "-inf"}, path.name


@pytest.mark.pipeline
@pytest.mark.usefixtures("undrawn")
def test_a_kmer_that_fits_into_no_seqlet_is_said(
    attributions: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = motifs(MotifsConfig(k=10, flank=2, de_novo=False), attributions, tmp_path / "out")
    assert "no 10-mer fits into a seqlet of 5 bases" in caplog.text
    assert len(pd.read_csv(folder / "motifs.tsv", sep="\t")) == 0


@pytest.mark.pipeline
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["[red]", "$x$", "n\u00e4", "a/b", "=1", '"q'])
def test_contigs_of_any_name_stand_in_the_names_of_seqlets(few: Attributions, tmp_path: Path, name: str) -> None:
    data = replace(few, chrom=np.full(len(few.score), name))
    folder = motifs(QUICK, data.write(tmp_path / "a.npz"), tmp_path / "out")
    names = read_sequences(folder / "seqlets" / "positives.fa").names
    assert names[0].startswith(f"{name}:1-256:+@")


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"k: .*less than or equal to 10"):
        parse(MotifsConfig, {"k": 11})


@pytest.mark.pipeline
def test_command_line(attributions: Path, tmp_path: Path) -> None:
    """Twenty windows may be too few for any motif de novo, but the files are there."""
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "m"
    arguments = [str(attributions), "-o", str(out), "-k", "5", "--method", "ig"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert (out / "motifs.meme").read_text().startswith("MEME version 4")
    found = read(out, "de_novo.tsv")
    if len(found):
        assert [pwm.id for pwm in read_meme(out / "motifs.meme").pwms] == list(found["motif"])
        assert (out / "logos" / "M01.png").is_file()
