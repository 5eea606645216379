"""What `motif-scan`, `motif-compare` and `motif-enrich` share: the database, bad input, and results that are there."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from capsight.cli.options import settings
from capsight.config import MotifCompareConfig, MotifEnrichConfig, MotifScanConfig
from capsight.data.genome.alphabet import decode
from capsight.data.io.meme import MotifSet, write_meme
from capsight.errors import InputError
from capsight.motifs.known import motif_compare, motif_enrich, motif_scan

from ..conftest import sharp


class Command(NamedTuple):
    """A command, its settings, and how many FASTA files it reads (else: one file of PWMs)."""

    name: str
    config: Any
    function: Callable[..., Path]
    fastas: int

    def __call__(self, source: Path, out: Path, **given: object) -> Path:
        return self.function(self.config(**given), *[source] * max(self.fastas, 1), out)


COMMANDS: Final = (
    Command("motif-scan", MotifScanConfig, motif_scan.motif_scan, 1),
    Command("motif-compare", MotifCompareConfig, motif_compare.motif_compare, 0),
    Command("motif-enrich", MotifEnrichConfig, motif_enrich.motif_enrich, 2),
)
every_command = pytest.mark.parametrize("command", COMMANDS, ids=[each.name for each in COMMANDS])
every_scan = pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each.fastas], ids=[each.name for each in COMMANDS if each.fastas]
)


@pytest.fixture
def source(command: Command, database: Path, write_fasta: Callable[..., Path]) -> Path:
    """Return good input of the command: PWMs, or sequences of one GC content with a site of one PWM."""
    if not command.fastas:
        return database
    rng = np.random.default_rng(2)
    codes = rng.permuted(np.tile(np.arange(4, dtype=np.uint8), (40, 10)), axis=1)
    return write_fasta({i: f"{sequence}TATAAAGGCA" for i, sequence in enumerate(decode(codes))}, "sequences.fa")


@pytest.mark.pipeline
@every_command
def test_what_is_done_is_not_done_again(
    command: Command, source: Path, database: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = command(source, tmp_path / "out.tsv", motif_db=str(database)).read_bytes()
    with caplog.at_level(logging.INFO, logger="capsight"):
        command(source, tmp_path / "out.tsv", motif_db=str(database))
    assert f"{command.name}: {tmp_path / 'out.tsv'} is done already" in caplog.text
    assert command(source, tmp_path / "again.tsv", motif_db=str(database)).read_bytes() == first
    write_meme(database, MotifSet((sharp("TATAAAGGCA", "other"),)))  # another database: the table is made anew
    assert command(source, tmp_path / "out.tsv", motif_db=str(database)).read_bytes() != first


@every_command
def test_a_bad_database_is_one_clear_line(command: Command, source: Path, database: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    with pytest.raises(InputError, match=r"motif_db 'JASPAR2077' is neither a file nor one of .*JASPAR2026"):
        command(source, out, motif_db="JASPAR2077")
    with pytest.raises(InputError, match="a MEME file has no taxa"):
        command(source, out, motif_db=str(database), taxon="fungi")
    bare = tmp_path / "bare.meme"
    bare.write_text(database.read_text().replace("Background letter frequencies", ""))
    with pytest.raises(InputError, match=r"bare\.meme: has no background"):
        command(source, out, motif_db=str(bare))
    assert not out.exists()


@every_command
def test_where_it_is_written_is_checked_before_the_work(
    command: Command, source: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, work in ((motif_scan, "scan"), (motif_enrich, "scan"), (motif_compare, "compare")):
        monkeypatch.setattr(module, work, lambda *_: pytest.fail("worked before it looked where to write"))
    with pytest.raises(InputError, match="there is no such folder"):
        command(source, tmp_path / "none" / "out.tsv", motif_db=str(database))
    with pytest.raises(InputError, match="is an input"):
        command(source, source, motif_db=str(database))


@every_command
@pytest.mark.parametrize(
    ("text", "scan_says", "compare_says"),
    [
        ("", "is empty", "is empty"),
        ("once upon a time\n", "is not FASTA: it begins with 'once upon a time'", "is not MEME format: it begins"),
        (">a\nACGTACGTACGT\n", None, "is not MEME format: it begins with '>a'"),
        ("sequence\nACGTACGTACGT\n", "is not FASTA: it begins with 'sequence'", "is not MEME format"),
        ("MEME version 4\n", r"holds motifs \(MEME\), not sequences .*motif-compare", "holds no motifs"),
        (
            ">MA0001.1\tX\nA  [ 4 19 ]\nC  [16 0 ]\nG  [ 0 1 ]\nT  [ 0 0 ]\n",
            r"holds motifs \(JASPAR\), not sequences .*MEME format",
            "is JASPAR, not MEME format",
        ),
    ],
    ids=["empty", "text", "FASTA", "CSV", "MEME", "JASPAR"],
)
def test_input_of_another_format_is_named(
    command: Command, text: str, scan_says: str | None, compare_says: str, database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "odd"
    path.write_text(text)
    says = scan_says if command.fastas else compare_says
    if says is None:
        assert command(path, tmp_path / "out.tsv", motif_db=str(database)).exists()
        return
    with pytest.raises(InputError, match=f"odd: {says}"):
        command(path, tmp_path / "out.tsv", motif_db=str(database))
    assert not (tmp_path / "out.tsv").exists()


@every_scan
def test_sequences_that_no_pwm_fits_into_are_refused(
    command: Command, database: Path, write_fasta: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="all 3 PWMs are wider than the longest sequence"):
        command(write_fasta({"a": "ACGT"}, "short.fa"), tmp_path / "out.tsv", motif_db=str(database))
    assert not (tmp_path / "out.tsv").exists()


@every_command
def test_a_recipe_gives_the_settings_of_its_own_section(command: Command, tmp_path: Path) -> None:
    """The name of a section has an underscore where that of the command has a hyphen."""
    recipe = tmp_path / "recipe.yaml"
    sections = {each.name.replace("-", "_"): f"my-{each.name}.meme" for each in COMMANDS}
    recipe.write_text("".join(f"{name}: {{motif_db: {db}}}\n" for name, db in sections.items()))
    assert settings(command.config, recipe).motif_db == f"my-{command.name}.meme"


def test_the_negatives_may_be_the_bad_file(database: Path, fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"database\.meme: holds motifs \(MEME\), not sequences"):
        motif_enrich.motif_enrich(MotifEnrichConfig(motif_db=str(database)), fasta, database, tmp_path / "out.tsv")


def test_scan_and_enrichment_count_the_same_hits(
    database: Path, write_fasta: Callable[..., Path], tmp_path: Path
) -> None:
    """Every sequence that `motif-scan` lists for a PWM is one that `motif-enrich` counts, where all take part."""
    rng = np.random.default_rng(1)
    codes = rng.permuted(np.tile(np.arange(4, dtype=np.uint8), (30, 20)), axis=1)  # all of one GC content
    other = rng.permuted(codes, axis=1)
    positives = write_fasta(dict(enumerate(decode(codes))), "p.fa")
    negatives = write_fasta(dict(enumerate(decode(other))), "n.fa")
    low: dict[str, Any] = {"motif_db": str(database), "threshold": 0.01}
    hits = motif_scan.motif_scan(MotifScanConfig(**low), positives, tmp_path / "hits.tsv")
    factors = motif_enrich.motif_enrich(MotifEnrichConfig(**low), positives, negatives, tmp_path / "factors.tsv")
    seen = {tuple(line.split("\t")[i] for i in (0, 2)) for line in hits.read_text().splitlines()[1:]}
    counted = [line.split("\t") for line in factors.read_text().splitlines()[1:]]
    assert {row[0]: int(row[2]) for row in counted} == {
        row[0]: sum(pwm == row[0] for pwm, _ in seen) for row in counted
    }
    assert sum(int(row[2]) for row in counted) > 10
