"""A package of an extra that is missing: one line that names it and the extra, and exit code 2; the rest works."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import capsight
from capsight import cli
from capsight.errors import InputError
from capsight.extras import EXTRA
from capsight.predict import classical

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: Commands, and modules that each needs of an extra.
COMMANDS = {
    "audit windows -o out": ("lightgbm",),
    "baseline windows --model lgbm -o out": ("lightgbm",),
    "baseline windows --model kmer-gbm -o out": ("lightgbm",),
    "baseline windows --model xgb -o out": ("xgboost",),
    "crossval demo -o out": ("matplotlib",),
    "explain a.bed --model yeast --genome genome.fa --method ig -o out.npz": ("captum",),
    "motif-compare motifs.meme -o out.tsv": ("memelite",),
    "motif-enrich a.fa --negatives b.fa -o out.tsv": ("memelite",),
    "motif-scan a.fa -o out.tsv": ("memelite",),
    "motif-scan a.fa --motif-db JASPAR2024 -o out.tsv": ("pyjaspar",),
    "motifs a.npz -o out": ("matplotlib", "logomaker"),
    "mutate --model yeast --genome genome.fa --region a --picture a.png -o out.tsv": ("matplotlib", "logomaker"),
    "plot --model yeast --genome genome.fa --region chrI:1-10 -o out.svg": ("matplotlib", "logomaker", "jinja2"),
    "report runs -o out": ("matplotlib", "logomaker", "jinja2", "PIL"),
    "run demo -o out": ("matplotlib", "jinja2", "captum", "modiscolite", "memelite"),
    "run demo -o out --set baseline.model=lgbm": ("lightgbm",),
}


@pytest.mark.parametrize(
    ("command", "module"), [(command, module) for command, modules in COMMANDS.items() for module in modules]
)
def test_a_missing_package_is_one_line(
    command: str,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("genome.fa", "a.fa", "b.fa"):
        (tmp_path / name).write_text(">chrI\nACGTACGTACGTACGTACGTACGT\n")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "argv", ["capsight", *command.split()])
    assert cli._run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        rf"error: this needs {module}, which is not installed \(pip install 'capsight\[\w+\]'\)", error
    ), error
    assert not list(tmp_path.glob("out*"))


def test_from_python_it_is_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"this needs matplotlib, .*pip install 'capsight\[report\]'"):
        _ = capsight.plot


@pytest.mark.parametrize("model", ["lgbm", "kmer-gbm", "xgb"])
def test_a_booster_that_is_there_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    for module in ("lightgbm", "xgboost"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"not installed \(pip install 'capsight\[baselines\]'\)"):
        classical._LOADERS[model](tmp_path, 3)


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index]


def test_each_module_is_in_the_extra_that_is_named() -> None:
    extras = {extra: names(listed) for extra, listed in PROJECT["optional-dependencies"].items()}
    distributions = {"modiscolite": "modisco-lite", "PIL": "pillow"}
    for module, extra in EXTRA.items():
        assert distributions.get(module, module) in extras[extra], module
        assert distributions.get(module, module) not in names(PROJECT["dependencies"]), module
    assert set(extras) >= {"motifs", "baselines", "report", "all", "dev"}


def test_dependencies_are_what_is_imported() -> None:
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module))
    found = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - {"capsight", *EXTRA}
    distributions = {"sklearn": "scikit-learn", "yaml": "pyyaml"}
    comes_with = {"markupsafe"}  # jinja2
    asked_of_torch = {"tensorboard"}
    declared = names(PROJECT["dependencies"])
    assert {distributions.get(name, name) for name in found} - comes_with == declared - asked_of_torch


@pytest.mark.pipeline
def test_what_predicts_and_trains_loads_no_extra() -> None:
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in ("lightgbm", "xgboost", "memelite", "pyjaspar"))
    code = (
        f"import sys\n{blocked}import capsight\n"
        "heavy = {'lightgbm', 'xgboost', 'matplotlib', 'logomaker', 'captum', 'modiscolite'}\n"
        "for stage in ('predict', 'scan', 'variants', 'train'):\n"
        "    getattr(capsight, stage)\n"
        "    found = {name for name in heavy if sys.modules.get(name)}\n"
        "    if found: sys.exit(f'{stage} imported {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
