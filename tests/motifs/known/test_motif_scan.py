"""`motif-scan`: its table, its record, its q-values."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from capsight import artefact
from capsight.cli.motif_scan import command
from capsight.config import MotifScanConfig
from capsight.errors import ConfigError
from capsight.motifs.known.motif_scan import FIMO_COLUMNS, motif_scan

Write = Callable[..., Path]


def test_sequences_are_scanned(database: Path, fasta: Path, tmp_path: Path) -> None:
    config = MotifScanConfig(motif_db=str(database))
    assert motif_scan(config, fasta, tmp_path / "hits.tsv") == tmp_path / "hits.tsv"
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
    config = MotifScanConfig(motif_db=str(database))
    out = motif_scan(config, fasta, tmp_path / "hits.tsv")
    record = yaml.safe_load((tmp_path / "hits.tsv.provenance.yaml").read_text())
    assert record["stage"] == "motif-scan"
    assert record["inputs"]["motif_db"]["sha256"] == artefact.sha256(database)
    assert artefact.is_done(out, "motif-scan", config, {"sequences": fasta, "motif_db": database})
    first = out.read_bytes()
    assert motif_scan(config, fasta, tmp_path / "again.tsv").read_bytes() == first


@pytest.mark.parametrize("name", ["[red]", '"q', 'a"b', "$x$", "=1", "#x", "NA", "n\u00e4"])
def test_names_stand_as_they_are_in_the_hits(database: Path, fasta: Path, tmp_path: Path, name: str) -> None:
    text = fasta.read_text().splitlines()
    (tmp_path / "odd.fa").write_text("\n".join([f">{name}", *text[1:]]) + "\n", encoding="utf-8")
    hits = motif_scan(MotifScanConfig(motif_db=str(database)), tmp_path / "odd.fa", tmp_path / "hits.tsv")
    assert name in {line.split("\t")[2] for line in hits.read_text(encoding="utf-8").splitlines()}


def test_a_scan_without_hits_is_an_empty_table(database: Path, write_fasta: Write, tmp_path: Path) -> None:
    motif_scan(MotifScanConfig(motif_db=str(database)), write_fasta({"a": "C" * 60}), tmp_path / "hits.tsv")
    assert (tmp_path / "hits.tsv").read_text() == "\t".join(FIMO_COLUMNS) + "\n"


def test_sequences_of_nothing_but_n_are_counted(
    database: Path, write_fasta: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = write_fasta({"n1": "N" * 60, "n2": "N" * 60}, "n.fa")
    hits = motif_scan(MotifScanConfig(motif_db=str(database)), unknown, tmp_path / "hits.tsv")
    assert hits.read_text() == "\t".join(FIMO_COLUMNS) + "\n"
    assert "motif-scan: 2 of 2 sequences hold nothing but N" in caplog.text


def test_the_command(database: Path, fasta: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "hits.tsv"
    arguments = [str(fasta), "--motif-db", str(database), "--threshold", "1e-5", "-o", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(out, sep="\t")) == 2
    wrong = CliRunner().invoke(app, [*arguments, "--set", "engine=grep"])
    assert isinstance(wrong.exception, ConfigError)
    assert "unknown key 'engine'" in str(wrong.exception)
