"""Options that every command has alike: they are there, mean the same, and faults in them are one line."""

import json
import logging
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch
import typer
from typer.testing import CliRunner

from capsight.cli import commands
from capsight.cli.commands import app
from capsight.cli.options import settings
from capsight.cli.shared import Answer, with_shared
from capsight.config import BaselineConfig, MotifsConfig, ScanConfig, TrainConfig, WindowsConfig
from capsight.errors import ConfigError, InputError
from capsight.machine import best_device, limited
from capsight.progress import progress
from capsight.run.recipe import read_recipe

GROUP: Any = typer.main.get_command(app)
COMMANDS = list(GROUP.commands)
#: Commands without a network, or that calculate nothing; all others have the option.
NO_DEVICE = {
    "recipe", "models", "fetch", "simulate", "cluster", "merge", "report", "doctor",
    "windows", "audit", "motifs", "motif-scan", "motif-compare", "motif-enrich",
}  # fmt: skip
NO_THREADS = {"recipe", "models", "fetch", "simulate", "cluster", "merge", "report", "doctor"}
NO_JSON = {"recipe"}


@pytest.fixture(autouse=True)
def _leave_the_logger() -> Iterator[None]:
    logger = logging.getLogger("capsight")
    before = logger.level, logger.handlers
    yield
    logger.setLevel(before[0])
    logger.handlers = before[1]


def options(command: str) -> dict[str, click.Option]:
    return {name: each for each in GROUP.commands[command].params for name in each.opts}


def example(command: str) -> list[str]:
    """Return the words of a command's example, without the program and without a redirection."""
    module = getattr(commands, command.replace("-", "_"))
    return shlex.split(module.EXAMPLE.partition(">")[0])[1:]


@pytest.mark.parametrize("command", COMMANDS)
def test_shared_options_are_there_and_the_same(command: str) -> None:
    there = options(command)
    expected = {"-q", "--quiet", "-v", "--verbose"}
    expected |= {"--device"} if command not in NO_DEVICE else set()
    expected |= {"--threads"} if command not in NO_THREADS else set()
    expected |= {"--json"} if command not in NO_JSON else set()
    shared = {"-q", "--quiet", "-v", "--verbose", "--device", "--threads", "--json"}
    assert shared & there.keys() == expected
    for name in expected:
        other = options("run" if name != "--threads" else "scan")[name]
        assert (there[name].help, there[name].metavar) == (other.help, other.metavar)


@pytest.mark.parametrize("command", COMMANDS)
def test_quiet_and_verbose_exclude_each_other(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*example(command), "-q", "-v"])
    assert done.exit_code == 2
    assert "choose one of --verbose and --quiet" in done.output
    assert not list(tmp_path.iterdir())


DEVICES = {"gpu": "is no device", "cuda:": "is no device", "CPU": "is no device", "cuda:99": "GPU"}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in NO_DEVICE])
@pytest.mark.parametrize("device", DEVICES)
def test_a_device_that_is_not_there_is_one_line(
    command: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*example(command), "--device", device])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(f"--device {device}: ")
    assert DEVICES[device] in str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("there", "device", "says"),
    [(0, "cuda", "PyTorch finds no CUDA GPU here"), (1, "cuda:1", "there is no such GPU: numbers go from 0 to 0")],
)
def test_gpus_are_counted(there: int, device: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(InputError, match=rf"--device {device}: {says} \(capsight doctor"), limited(device):
        pass


def test_the_device_that_was_asked_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert best_device() == torch.device("cuda")
    with limited("cpu"):
        assert best_device() == torch.device("cpu")
        assert os.environ["ACCELERATE_TORCH_DEVICE"] == "cpu"
    with limited("cuda:1"):
        assert best_device() == torch.device("cuda:1")
    assert chosen == [1]
    assert best_device() == torch.device("cuda")
    assert "ACCELERATE_TORCH_DEVICE" not in os.environ


def test_apples_gpus_are_for_those_that_can_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert best_device() == torch.device("mps")
    assert best_device(mps=False) == torch.device("cpu")
    with limited("mps"):
        assert best_device() == torch.device("mps")
        with pytest.raises(InputError, match=r"--device mps: .*use --device cpu"):
            best_device(mps=False)


def test_processes_that_train_together_choose_their_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"--device cpu: .*leave --device out"), limited("cpu"):
        pass


def test_threads_reach_settings_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    with limited(threads=3):
        assert settings(ScanConfig).threads == 3
        assert settings(TrainConfig, None, ["threads=2"]).threads == 3
        cnn = settings(BaselineConfig, model="cnn")
        assert cnn.training is not None
        assert cnn.training.threads == 3
        assert settings(BaselineConfig).training is None
        assert torch.get_num_threads() == 3
        assert {os.environ[name] for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")} == {"3"}
    assert settings(ScanConfig).threads is None
    assert torch.get_num_threads() == before
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_recipe_without_a_section_leaves_defaults(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("windows: {length: 64}\ntrain: {epochs: 2}\n")
    with caplog.at_level("INFO", "capsight"):
        assert settings(MotifsConfig, recipe, ["k=4"]) == MotifsConfig(k=4)
    assert f"recipe: {recipe} has no section motifs: defaults are used" in caplog.messages
    assert settings(TrainConfig, recipe).epochs == 2
    recipe.write_text("windows: {length: 64}\nmotives: {k: 4}\n")
    with pytest.raises(ConfigError, match="unknown key 'windows'"):
        settings(MotifsConfig, recipe)
    recipe.write_text("train: train.csv\n")  # a setting of windows by the name of a stage
    assert settings(WindowsConfig, recipe, ["validation=other.csv"]).train == Path("train.csv")


def test_threads_reach_every_stage_of_a_recipe(tmp_path: Path) -> None:
    def threads() -> list[int | None]:
        found = read_recipe(Path("demo"), tmp_path, ["scan={}"])
        assert found.train
        assert found.scan
        return [found.train.threads, found.scan.threads]

    assert threads()[1] is None
    with limited(threads=3):
        assert threads() == [3, 3]


def command_of(answer: object) -> typer.Typer:
    """Return a program whose one command gives an answer."""
    one = typer.Typer(add_completion=False)

    def command() -> object:
        logging.getLogger("capsight.test").info("begun")
        logging.getLogger("capsight.test").warning("beware")
        with progress("x", 1) as bar:
            typer.echo(f"bar {'hidden' if bar.disable else 'shown'}")
        return answer

    one.command()(with_shared(command, json_output=True, threads=True, device=True, trains=False))
    return one


@pytest.mark.parametrize(
    ("given", "out", "err"),
    [
        ([], "bar shown\ntable\n", ["begun", "beware"]),
        (["-q"], "bar hidden\n", ["beware"]),
        (["--json"], 'bar shown\n{\n  "a": 1\n}\n', ["begun", "beware"]),
        (["--json", "-q"], 'bar hidden\n{\n  "a": 1\n}\n', ["beware"]),
    ],
)
def test_what_is_printed(given: list[str], out: str, err: list[str]) -> None:
    done = CliRunner().invoke(command_of(Answer(lambda: typer.echo("table"), lambda: {"a": 1}, code=1)), given)
    assert (done.exit_code, done.stdout) == (1, out)
    assert [line for line in done.stderr.splitlines() if line.startswith("be")] == err


def test_what_was_asked_for_is_printed_though_quiet() -> None:
    done = CliRunner().invoke(command_of(Answer(lambda: typer.echo("table"), dict, asked=True)), ["-q"])
    assert done.stdout.endswith("table\n")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in NO_JSON and "--output" in options(name)])
def test_a_document_and_a_result_cannot_both_be_standard_output(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*example(command), "-o", "-", "--json"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith("-o -: the result and the document of --json would both go there")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_track: Path) -> Path:
    """Return a folder with a simulated genome, its windows, a model, and a file of variants."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "model").symlink_to(tiny_track)
    small = ["--set", "bases=60000", "--set", "chromosomes=3", "--set", "spacing=700"]
    assert CliRunner().invoke(app, ["simulate", *small, "-o", str(folder / "simulation")]).exit_code == 0
    data = ["--genome", f"{folder}/simulation/genome.fa", "--peaks", f"{folder}/simulation/peaks.bed"]
    folds = ["--validation", "chr2", "--test", "chr3", "--length", "64"]
    assert CliRunner().invoke(app, ["windows", *data, *folds, "-o", str(folder / "windows")]).exit_code == 0
    (folder / "variants.tsv").write_text("chrom\tposition\tref\talt\n")
    (folder / "a.fa").write_text(">a\n" + "ACGT" * 30 + "\n")
    return folder


#: Commands with small inputs, and a figure that their documents hold.
DOCUMENTS = {
    "simulate --set bases=60000 --set chromosomes=3 --set spacing=700": None,
    "windows --genome simulation/genome.fa --peaks simulation/peaks.bed --length 64 --validation chr2 --test chr3":
    "folds",
    "cluster simulation/ctss.bed": None,
    "audit windows": "verdict",
    "baseline windows": None,
    "scan simulation/genome.fa --model model --device cpu --threads 2": None,
    "predict --model model a.fa --threads 1": None,
    "variants --model model --genome simulation/genome.fa variants.tsv": None,
    "mutate --model model --genome simulation/genome.fa --region chr2:101-110": None,
    "evaluate windows --scan --model model --bootstrap 10": "scan",
}  # fmt: skip


@pytest.mark.pipeline
@pytest.mark.parametrize("command", DOCUMENTS, ids=lambda command: command.split()[0])
def test_json_is_one_document(command: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*command.split(), "-o", str(out), "--json", "-q"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["output"] == str(out)
    folder = out if out.is_dir() else out.parent
    assert document["files"]
    assert all((folder / name).is_file() for name in document["files"])
    figure = DOCUMENTS[command]
    assert figure is None or figure in document, document.keys()


def test_json_of_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hg19" in {
        each["name"] for each in json.loads(CliRunner().invoke(app, ["fetch", "--list", "--json"]).stdout)
    }
    recipes = json.loads(CliRunner().invoke(app, ["run", "--list", "--json"]).stdout)
    assert {each["name"]: each["data"] for each in recipes}["demo"] == ["simulated"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "demo", "-o", "demo", "--dry-run", "--json", "-q"])
    document = json.loads(done.stdout)
    assert document["output"] == "demo"
    assert [each["stage"] for each in document["stages"]][-1] == "report"
    assert not list(tmp_path.iterdir())


@pytest.mark.pipeline
def test_json_of_a_run_holds_its_metrics(finished: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(finished), "-o", str(tmp_path / "report"), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["output"] == str(tmp_path / "report")
    assert document["results"]["evaluation"] == json.loads((finished / "evaluation" / "metrics.json").read_text())
