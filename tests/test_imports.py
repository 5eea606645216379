"""The import law, and cheap help."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "capsight"

#: What each part of the package must not import.
FORBIDDEN = {
    "data": ("model", "train", "predict", "report", "cli"),
    "model": ("data", "train", "predict", "report", "cli"),
    "predict": ("train", "explain", "report", "plot", "cli"),
    "evaluate": ("train", "explain", "report", "plot", "cli"),
    "explain": ("train", "report", "plot", "cli"),
    "motifs": ("model", "train", "predict", "explain", "plot", "cli"),
    "train": ("report", "cli"),
    "plot": ("train", "evaluate", "cli"),
    "report": ("model", "train", "predict", "plot", "cli"),
}

#: What no help loads: each takes longer than all the rest of it, or much of that.
HEAVY = {
    "torch", "transformers", "peft", "accelerate", "pandas", "numpy", "scipy", "sklearn", "numba", "pyarrow", "pysam",
    "pybigtools", "lightgbm", "matplotlib", "jinja2", "rich", "yaml", "httpx2", "filelock", "capsight.artefact",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """List the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_keep_the_import_law(part: str) -> None:
    files = sorted((SOURCE / part).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            top = name.removeprefix("capsight.").split(".")[0] if name.startswith("capsight.") else ""
            assert top not in FORBIDDEN[part], f"{path.name} imports {name}"


def test_nothing_imports_the_command_line() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not any(name.startswith("capsight.cli") for name in imported(path)), path


def test_data_needs_no_torch() -> None:
    for path in (SOURCE / "data").rglob("*.py"):
        assert not any(name.split(".")[0] in ("torch", "transformers", "peft") for name in imported(path)), path


def test_every_stage_is_a_function_of_the_package() -> None:
    import importlib

    import capsight

    for name, module in capsight._STAGES.items():
        importlib.import_module(module)
        assert callable(getattr(capsight, name)), name
        assert getattr(capsight, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("arguments", [["--help"], ["windows", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom capsight.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"heavy = {HEAVY} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout
