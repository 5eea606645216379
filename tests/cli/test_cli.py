"""The command line as a user meets it: help, one-line errors, exit codes, nothing half-written."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from capsight.cli.commands import app

from ..conftest import Done

Command = Callable[..., Done]

COMMANDS = (
    "run",
    "recipe",
    "models",
    "fetch",
    "simulate",
    "cluster",
    "windows",
    "audit",
    "pretrain",
    "finetune",
    "baseline",
    "evaluate",
    "crossval",
    "predict",
    "variants",
    "mutate",
    "plot",
    "explain",
    "motifs",
    "motif-scan",
    "motif-compare",
    "motif-enrich",
    "report",
)
CONTIGS = {
    name: "".join(np.random.default_rng(i).choice(list("ACGT"), 6000))
    for i, name in enumerate(("chrI", "chrII", "chrIII"))
}
GENOME = CONTIGS["chrI"]
FASTA = "".join(f">{name}\n{sequence}\n" for name, sequence in CONTIGS.items())
PEAK = "{chrom}\t{start}\t{end}\tp\t9\t{strand}\n"
PEAKS = "".join(
    PEAK.format(chrom=chrom, start=s, end=s + 20, strand="+-"[i % 2])
    for chrom in ("chrI", "chrII", "chrIII")
    for i, s in enumerate((1000, 2500, 4000))
)


def one_line_error(done: Done) -> str:
    """Check what every fault of the user has in common; return the line."""
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    return errors[0]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a genome and its peaks, in which commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genome.fa").write_text(FASTA)
    (tmp_path / "peaks.bed").write_text(PEAKS)
    return tmp_path


@pytest.fixture
def windows(files: Path, capsight: Command) -> Command:
    """Return a function that makes windows of these files, with more or other options."""

    def call(*more: object) -> Done:
        given = [*map(str, more)]
        options = {"--genome": "genome.fa", "--peaks": "peaks.bed", "--validation": "chrII", "--test": "chrIII",
                   "--length": "64", "-o": "out"}  # fmt: skip
        for name, value in options.items():
            if name not in given:
                given += [name, value]
        return capsight("windows", *given)

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [command, "-h"])
    assert done.exit_code == 0
    assert f"capsight {command}" in done.stdout.partition("Example:")[2]


def test_commands_stand_in_pipeline_order(capsight: Command) -> None:
    text = capsight("--help").out
    places = [text.index(f" {command} ") for command in COMMANDS]
    assert places == sorted(places)


def test_interruption_says_what_to_do(files: Path, capsight: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("capsight.simulate"), "simulate", interrupted)
    done = capsight("simulate", "-o", "x")
    assert done.code == 130
    assert done.err.strip() == "interrupted: the same command continues where this stopped"


def test_version(capsight: Command) -> None:
    from capsight.version import __version__

    assert capsight("--version").out == f"capsight {__version__}\n"


def test_good_input_works_in_a_process_of_its_own(files: Path) -> None:
    data = ["--genome", "genome.fa", "--peaks", "peaks.bed", "--length", "64", "-o", "out"]
    command = [sys.executable, "-m", "capsight", "windows", *data, "--validation", "chrII", "--test", "chrIII"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (files / "out" / "windows.parquet").is_file()


BAD_PEAKS = {
    "empty": ("", "no peaks"),
    "only comments": ("# nothing\ntrack name=x\n", "no peaks"),
    "other names": (PEAKS.replace("chr", ""), "'I'.*'chrI'"),
    "unknown contig": (PEAKS + PEAK.format(chrom="plasmid", start=1, end=2, strand="+"), r"peaks\.bed:10: .*plasmid"),
    "beyond the end": (PEAKS + PEAK.format(chrom="chrI", start=5990, end=6001, strand="+"), r"peaks\.bed:10: .*6,?000"),
    "start after end": (PEAKS + PEAK.format(chrom="chrI", start=30, end=20, strand="+"), r"peaks\.bed:10: "),
    "no strand": (PEAKS + PEAK.format(chrom="chrI", start=10, end=20, strand="."), r"peaks\.bed:10: .*strand"),
    "three columns": ("chrI\t1\t5\n", r"peaks\.bed:1: .*strand"),
    "not a number": (PEAKS.replace("1000", "ten", 1), r"peaks\.bed:1: .*ten"),
    "negative": (PEAKS.replace("1000", "-10", 1), r"peaks\.bed:1: .*-10"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PEAKS)
def test_bad_peaks_give_one_line(files: Path, case: str, windows: Command) -> None:
    text, message = BAD_PEAKS[case]
    (files / "peaks.bed").write_text(text)
    line = one_line_error(windows())
    assert re.search(message, line), line
    assert not list(files.glob("out*"))


BAD_OPTIONS = {
    "missing genome": (["--genome", "none.fa"], "none.fa"),
    "missing peaks": (["--peaks", "none.bed"], "none.bed"),
    "unknown test chromosome": (["--test", "III"], "'III'.*'chrIII'"),
    "unknown validation chromosome": (["--validation", "chrX"], "chrX"),
    "same chromosome twice": (["--test", "chrII"], "both validation and test"),
    "odd length": (["--length", "63"], "even"),
    "unknown protocol": (["--protocol", "mine"], "haldar2026"),
    "unknown key": (["--set", "lenght=64"], "did you mean 'length'"),
    "output is a file": (["-o", "genome.fa"], "genome.fa"),
    "output is somebody's": (["-o", "."], "holds an input"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_give_one_line(files: Path, case: str, windows: Command) -> None:
    options, message = BAD_OPTIONS[case]
    before = sorted(p.name for p in files.iterdir())
    line = one_line_error(windows(*options))
    assert re.search(message, line), line
    assert sorted(p.name for p in files.iterdir() if not p.name.startswith("genome.fa.")) == before


def test_fold_without_positives(files: Path, windows: Command) -> None:
    (files / "peaks.bed").write_text("".join(line + "\n" for line in PEAKS.splitlines() if "chrIII" not in line))
    assert "test" in one_line_error(windows())
    assert not list(files.glob("out*"))


def test_letters_other_than_bases_are_counted(files: Path, windows: Command) -> None:
    (files / "genome.fa").write_text(FASTA.replace(GENOME[:9], GENOME[:4] + "RYR" + GENOME[7:9], 1))
    done = windows()
    assert done.code == 0
    assert "genome genome.fa: letters other than A, C, G, T, N are read as N: R 2, Y 1" in done.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "genome.fa: is empty"),
        (b"chrI\t1\t2\n", "genome.fa: is not FASTA: it begins with 'chrI\\t1\\t2' and not with '>'"),
        (b"\x00\x01\x02", "genome.fa: is not FASTA"),
    ],
)
def test_not_a_genome(files: Path, content: bytes, says: str, windows: Command) -> None:
    (files / "genome.fa").write_bytes(content)
    assert says in one_line_error(windows())


def test_truncated_gzip(files: Path, windows: Command) -> None:
    (files / "g.fa.gz").write_bytes(gzip.compress(FASTA.encode())[:-400])
    assert "g.fa.gz" in one_line_error(windows("--genome", "g.fa.gz"))


def test_a_gzip_genome_is_refused_with_the_remedy(files: Path, windows: Command) -> None:
    (files / "g.fa.gz").write_bytes(gzip.compress(FASTA.encode()))
    assert "gunzip g.fa.gz && bgzip g.fa" in one_line_error(windows("--genome", "g.fa.gz"))


def test_peaks_without_strand_name_the_option_that_takes_them(files: Path, windows: Command) -> None:
    (files / "peaks.bed").write_text("".join("\t".join(line.split()[:3]) + "\n" for line in PEAKS.splitlines()))
    assert "--assume-plus-strand" in one_line_error(windows())
    assert windows("--assume-plus-strand").code == 0
    assert windows("--set", "assume_plus_strand=true", "-o", "other").code == 0
    tables = [(files / out / "windows.parquet").read_bytes() for out in ("out", "other")]
    assert tables[0] == tables[1]


def test_counts_become_peaks_become_windows(files: Path, windows: Command, capsight: Command) -> None:
    counts = "".join(
        PEAK.format(chrom=chrom, start=s, end=s + 1, strand="+").replace("\t9\t", f"\t{n}\t")
        for chrom in CONTIGS
        for s, n in ((1000, 3), (1004, 8), (3000, 5))
    )
    (files / "x.ctss.bed").write_text(counts)
    assert "capsight cluster makes peaks" in windows("--peaks", "x.ctss.bed").err
    done = capsight("cluster", "x.ctss.bed", "-o", "clusters.bed")
    assert done.code == 0, done.err
    assert "6 peaks with 100.0 % of all tags" in done.err
    assert windows("--peaks", "clusters.bed", "-o", "clustered").code == 0
    assert "no such file" in one_line_error(capsight("cluster", "none.bed", "-o", "n.bed"))
    assert "is named twice" in one_line_error(capsight("cluster", *["x.ctss.bed"] * 2, "-o", "n.bed"))
    assert not list(files.glob("*n.bed*"))


def test_model_folder_without_weights(files: Path, windows: Command, capsight: Command) -> None:
    assert windows().code == 0
    model = files / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "capsight.json").write_text("{}")
    done = capsight("predict", "genome.fa", "--model", "model", "-o", "p.tsv")
    assert "model.safetensors is missing" in one_line_error(done)
    assert not (files / "p.tsv").exists()
    done = capsight("evaluate", "--model", "nowhere", "out", "-o", "e")
    assert "no such model folder" in one_line_error(done)
    assert not (files / "e").exists()


def test_a_recipe_will_do_as_settings_of_a_stage(files: Path, windows: Command, capsight: Command) -> None:
    (files / "r.yaml").write_text("windows: {length: 80}\nfinetune: {epochs: 3}\n")
    assert windows("--config", "r.yaml", "--length", "64").code == 0
    assert json.loads((files / "out" / "summary.json").read_text())["length"] == 64
    given = ["--config", "r.yaml", "--genome", "genome.fa", "--peaks", "peaks.bed", "--validation", "chrII"]
    assert capsight("windows", *given, "--test", "chrIII", "-o", "other").code == 0
    assert json.loads((files / "other" / "summary.json").read_text())["length"] == 80


def test_unknown_recipe_key(files: Path, capsight: Command) -> None:
    (files / "r.yaml").write_text(
        "windows: {genome: genome.fa, peaks: peaks.bed}\npretrain: {}\nfinetune: {epoch: 3}\n"
    )
    line = one_line_error(capsight("run", "r.yaml", "-o", "run"))
    assert "unknown key 'finetune.epoch'; did you mean 'finetune.epochs'?" in line
    assert not (files / "run").exists()


def test_missing_recipe(files: Path, capsight: Command) -> None:
    assert "none.yaml" in one_line_error(capsight("run", "none.yaml", "-o", "run"))


def test_baseline_predicts_a_fasta_in_order(files: Path, windows: Command, capsight: Command) -> None:
    assert windows().code == 0
    assert capsight("baseline", "out", "-o", "base").code == 0
    records = {"b": GENOME[:64], "a": GENOME[64:128], "short": GENOME[:10], "long": GENOME[:100]}
    (files / "x.fa").write_text("".join(f">{name} note\n{sequence}\n" for name, sequence in records.items()))
    done = capsight("predict", "x.fa", "--model", "base", "-o", "p.tsv")
    assert done.code == 0, done.err
    rows = [line.split("\t") for line in (files / "p.tsv").read_text().splitlines()]
    assert rows[0] == ["name", "chrom", "start", "end", "strand", "score"]
    assert [row[0] for row in rows[1:]] == list(records)
    assert all(row[1:5] == ["."] * 4 and 0 <= float(row[5]) <= 1 for row in rows[1:])
    assert "1 of 4 sequences are longer" in done.err
    assert "1 of 4 sequences are shorter" in done.err


def test_counts_are_kept_beside_windows(files: Path, windows: Command) -> None:
    for name in ("one", "two"):
        (files / f"{name}.bed").write_text(PEAK.format(chrom="chrI", start=1000, end=1001, strand="+"))
    texts = []
    for out, options in (("repeated", "--ctss one.bed --ctss two.bed"), ("joined", "--ctss one.bed,two.bed")):
        assert windows(*options.split(), "-o", out).code == 0
        texts.append((files / out / "ctss.parquet").read_bytes())
        told = json.loads((files / out / "summary.json").read_text())["ctss"]
        assert told == {"source": "ctss", "positions": 1, "tags": 18}
    assert texts[0] == texts[1]
    assert "named twice" in one_line_error(windows("--ctss", "one.bed,one.bed"))
    assert "no such file" in one_line_error(windows("--ctss", "none.bed"))
    assert not list(files.glob("out*"))


def test_evaluate_shows_what_it_writes(files: Path, windows: Command, capsight: Command) -> None:
    assert windows().code == 0
    assert capsight("baseline", "out", "-o", "base").code == 0
    done = capsight("evaluate", "--model", "base", "out", "-o", "e", "--bootstrap", 20)
    assert done.code == 0, done.err
    metrics = json.loads((files / "e" / "metrics.json").read_text())
    assert f"{metrics['auroc']:.3f}" in done.out
    assert metrics["n"] == 6
    assert metrics["per_chromosome"]["chrIII"]["n"] == 6


def test_evaluate_shows_a_scan_and_what_it_is_compared_with(files: Path, windows: Command, capsight: Command) -> None:
    assert windows().code == 0
    assert capsight("baseline", "out", "-o", "base").code == 0
    (files / "rep[1].bed").write_text("chrIII\t1000\t1001\t.\t5\t+\n")
    given = ("--scan", "--model", "base", "out", "--bootstrap", 20, "--step", 100, "--pwm")
    done = capsight("evaluate", *given, "--reference", "rep[1].bed")
    assert done.code == 0, done.err
    metrics = json.loads((files / "evaluation-scan" / "metrics.json").read_text())
    assert metrics["chromosomes"] == ["chrIII"]
    assert list(metrics["compared"]) == ["rep[1].bed", "TATA + initiator"]
    assert f"{metrics['bases']:,} bases, {metrics['n_peaks']} peaks" in done.out
    shown = next(line for line in done.out.splitlines() if "AUPRC" in line).split()
    interval = "–".join(f"{end:.3f}" for end in metrics["scan"]["intervals"]["auprc"])
    values = [f"{each['auprc']:.3f}" for each in metrics["compared"].values()]
    assert shown[-4:] == [f"{metrics['scan']['auprc']:.3f}", interval, *values]
    done = capsight("evaluate", *given[1:6], "--reference", "rep[1].bed")
    assert "set scan to true" in one_line_error(done)
    done = capsight("evaluate", *given[:4], "--reference", "rep[1].bed", "--reference", "rep[1].bed")
    assert "is named twice" in one_line_error(done)


def test_audit_shows_verdicts_and_strict_makes_failure_an_exit_code(
    files: Path, windows: Command, capsight: Command
) -> None:
    assert windows().code == 0
    done = capsight("audit", "out", "-o", "audit", "--fail-on-error")
    assert done.code == 0, done.err
    assert "verdict: pass (0 failed, 0 warnings); audit/pairs.tsv lists every window that was found" in done.out
    chrom = {name: CONTIGS["chrI"] if name == "chrIII" else text for name, text in CONTIGS.items()}
    (files / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in chrom.items()))
    peaks = PEAKS.replace("chrIII\t1000\t1020", "chrIII\t1010\t1030")  # windows that overlap but are not the same
    (files / "peaks.bed").write_text(peaks)
    assert windows().code == 0
    done = capsight("audit", "out", "-o", "audit")
    assert done.code == 0, done.err
    assert "similar" in done.out
    assert "verdict: fail (1 failed" in done.out
    assert capsight("audit", "out", "-o", "audit", "--fail-on-error").code == 1


def test_audit_of_something_else_is_one_line(files: Path, windows: Command, capsight: Command) -> None:
    assert "make one with: capsight windows" in one_line_error(capsight("audit", ".", "-o", "audit"))
    assert not (files / "audit").exists()
    assert windows().code == 0
    done = capsight("audit", "out", "-o", "audit", "--min-identity", "0.5")
    assert "min_identity: " in one_line_error(done)
    done = capsight("audit", "out", "-o", "audit", "--set", "warn_auroc=0.7")
    assert "warn_auroc 0.7 is above fail_auroc 0.6" in one_line_error(done)
