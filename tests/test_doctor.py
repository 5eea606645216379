"""The doctor: what it finds, and that inputs that do not fit are faults."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from capsight.cli import app
from capsight.doctor import Finding, doctor


def found(findings: list[Finding]) -> dict[str, Finding]:
    return {each.name: each for each in findings}


def model(folder: Path, **card: object) -> Path:
    """Write the card of a track model."""
    folder.mkdir()
    text = json.dumps({"task": "track", "halo": 100, "members": 1, "train": ["chr1"], "test": ["chr2"]} | card)
    (folder / "capsight.json").write_text(text)
    return folder


@pytest.fixture
def genome(write_fasta: Callable[..., Path]) -> Path:
    return write_fasta({"chr1": "ACGTN" * 100, "chr2": "GGCAT" * 50})


def test_the_machine_and_its_places_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CAPSIGHT_MIRROR", raising=False)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "file").write_bytes(b"x" * 2_000)
    told = found(doctor(out=tmp_path / "out" / "deep"))
    assert {"device", "threads", "memory", "Python", "libraries", "results", "cache", "mirror"} <= set(told)
    assert told["cache"].found.endswith("; 1 file of 2 kB")
    assert str(tmp_path / "out" / "deep") in told["results"].found
    assert "torch" in told["libraries"].found
    assert not [each for each in told.values() if each.state == "fault"]


def test_a_mirror_that_is_not_there_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSIGHT_MIRROR", str(tmp_path / "nowhere"))
    assert found(doctor())["mirror"].state == "fault"


def test_inputs_that_fit(tmp_path: Path, genome: Path) -> None:
    peaks = tmp_path / "peaks.bed"
    peaks.write_text("chr1\t10\t20\tp\t1\t+\n")
    told = found(doctor(genome=genome, peaks=peaks, model=model(tmp_path / "m", lengths={"chr1": 500, "chr2": 250})))
    assert "750 bases on 2 contigs (chr1, chr2)" in told["genome"].found
    assert "1 peak, on 1 of the 2 contigs" in told["peaks"].found
    assert told["both"].state == "ok"
    assert "held out for testing: chr2" in told["both"].found


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ({"lengths": {"chr1": 400}}, "another assembly or species than the model was trained on: chr1 has 500 bases"),
        ({"train": ["I"], "lengths": {"I": 500}}, "no contig has the name of one that the model was trained on"),
        ({"train": ["chrX:1-200"]}, "no contig has the name of one that the model was trained on"),
    ],
)  # fmt: skip
def test_a_model_of_another_genome_is_noted(card: dict[str, object], says: str, tmp_path: Path, genome: Path) -> None:
    told = found(doctor(genome=genome, model=model(tmp_path / "m", **card)))
    assert told["both"].state == "note"
    assert says in told["both"].found


@pytest.mark.parametrize(
    ("line", "says"),
    [("chrX\t10\t20\tp\t1\t+", "chrX"), ("chr2\t10\t9000\tp\t1\t+", "peaks.bed:1"), ("nonsense", "peaks.bed")],
)
def test_peaks_that_do_not_fit_are_a_fault_and_exit_code_2(line: str, says: str, tmp_path: Path, genome: Path) -> None:
    peaks = tmp_path / "peaks.bed"
    peaks.write_text(line + "\n")
    done = CliRunner().invoke(app, ["doctor", str(peaks), "--genome", str(genome), "--json"])
    assert done.exit_code == 2
    [fault] = [each for each in json.loads(done.stdout) if each["state"] == "fault"]
    assert fault["name"] == "peaks"
    assert says in fault["found"]


@pytest.mark.parametrize(("option", "name"), [("genome", "genome"), ("model", "model")])
def test_a_file_that_is_not_there_is_a_fault(option: str, name: str, tmp_path: Path) -> None:
    told = found(doctor(**{option: tmp_path / "gone"}))
    assert told[name].state == "fault"
    assert "gone" in told[name].found


def test_an_asset_that_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CAPSIGHT_MIRROR", raising=False)
    told = found(doctor(genome=Path("sacCer3")))["genome"]
    assert told.state == "fault"
    assert "capsight fetch sacCer3" in told.found
    assert not (tmp_path / "cache").exists()


def test_peaks_without_a_genome_are_noted(tmp_path: Path) -> None:
    assert found(doctor(peaks=tmp_path / "peaks.bed"))["peaks"].state == "note"


def test_the_command_prints_a_table_and_ends_well(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("No faults.\n")
