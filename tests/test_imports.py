"""The import law, and cheap help."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "capsight"
#: No room has more files than a reader takes in at once, but `cli`, which has one for each command.
MOST_FILES = 12

#: What each part of the package must not import. A part is a folder or a file of the package, or a room in a folder.
FORBIDDEN = {
    "artefact": ("model", "train", "predict", "evaluate", "explain", "motifs", "report", "plot", "variants"),
    "config": ("artefact", "model", "train", "predict", "evaluate", "explain", "motifs", "report", "plot"),
    "data": ("model", "train", "predict", "evaluate", "explain", "motifs", "report", "plot", "variants"),
    "model": ("data", "train", "predict", "evaluate", "explain", "motifs", "report", "plot", "variants"),
    "stats": ("model", "train", "predict", "evaluate", "explain", "motifs", "report", "plot", "variants"),
    "paper": (
        "data/windows",
        "model",
        "train",
        "predict",
        "evaluate",
        "explain",
        "motifs",
        "report",
        "plot",
        "variants",
    ),
    "simulate": ("model", "train", "predict", "evaluate", "explain", "motifs", "report", "plot", "variants"),
    "predict": ("train", "evaluate", "explain", "motifs", "report", "plot", "variants"),
    "variants": ("train", "evaluate", "explain", "motifs", "plot"),
    "evaluate": ("train", "explain", "report", "plot", "variants"),
    "explain": ("train", "evaluate", "motifs", "report", "plot", "variants"),
    "motifs": ("model", "train", "predict", "evaluate", "explain", "plot", "variants"),
    "train": ("report", "explain", "motifs", "plot", "variants"),
    "train/track": (
        "model.llama",
        "model.llama_folder",
        "train.pretrain",
        "train.finetune",
        "train.classifier",
        "train.tasks",
    ),
    "plot": ("train", "evaluate", "motifs"),
    "run.crossval": ("run.pipeline",),
    "report": ("model", "train", "predict", "explain", "plot"),
}
#: Who alone may import these.
ONLY = {"cli": ("cli", "__main__"), "run": ("cli", "run"), "paper": ("data/windows", "paper")}


def module(path: Path) -> str:
    """Return the name of the module that a file holds, without that of the package."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path): path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py"}

#: What no help loads: each takes longer than all the rest of it, or much of that.
HEAVY = {
    "torch", "transformers", "peft", "accelerate", "pandas", "numpy", "scipy", "sklearn", "numba", "pyarrow", "pysam",
    "pybigtools", "lightgbm", "matplotlib", "jinja2", "rich", "yaml", "httpx2", "filelock", "capsight.artefact",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """List the modules that a file imports, wherever in it; those of the package without its name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.removeprefix("capsight.") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            source = str(node.module)
            for name in (f"{source}.{alias.name}".removeprefix("capsight.") for alias in node.names):
                names.add(name if name in MODULES else source.removeprefix("capsight."))
    return names


IMPORTED = {name: imported(path) for name, path in MODULES.items()}


def room(name: str) -> str:
    """Return the room of a module: its folder, or the module itself if it lies at the top."""
    folder = MODULES[name].parent.relative_to(SOURCE).as_posix()
    return name if folder == "." else folder


def part_of(name: str, part: str) -> bool:
    """Tell whether a module is, or lies in, a part of the package."""
    return f"{name}.".startswith(f"{part.replace('/', '.')}.")


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return a circle of a directed graph; an empty list if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle({name: (IMPORTED[name] & MODULES.keys()) - {name} for name in MODULES}) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {room(name): set() for name in MODULES}
    for name in MODULES:
        graph[room(name)] |= {room(other) for other in IMPORTED[name] & MODULES.keys()} - {room(name)}
    assert {"data/genome", "train/track", "stats", "artefact"} <= graph.keys()
    assert circle(graph) == []


def test_no_room_has_too_many_files() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")} - {SOURCE / "cli"}
    counts = {str(f.relative_to(SOURCE)): len(set(f.glob("*.py")) - {f / "__init__.py"}) for f in folders}
    assert {folder: n for folder, n in counts.items() if n > MOST_FILES} == {}


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_keep_the_import_law(part: str) -> None:
    inside = [name for name in MODULES if part_of(name, part)]
    assert inside
    for name in inside:
        for other in IMPORTED[name]:
            assert not any(part_of(other, forbidden) for forbidden in FORBIDDEN[part]), f"{name} imports {other}"


@pytest.mark.parametrize("part", ONLY)
def test_some_parts_are_imported_by_few(part: str) -> None:
    assert any(part_of(name, part) for name in MODULES)
    for name, others in IMPORTED.items():
        if not any(part_of(name, allowed) for allowed in ONLY[part]):
            assert not any(part_of(other, part) for other in others), f"{name} imports {part}"


def test_data_needs_no_torch() -> None:
    for name in MODULES:
        if part_of(name, "data"):
            assert not any(other.split(".")[0] in ("torch", "transformers", "peft") for other in IMPORTED[name]), name


def test_every_stage_is_a_function_of_the_package() -> None:
    import importlib

    import capsight

    for name, module in capsight._STAGES.items():
        importlib.import_module(module)
        assert callable(getattr(capsight, name)), name
        assert getattr(capsight, name) is getattr(importlib.import_module(module), name)
        stated = f"    from {module} import {name} as {name}\n"
        assert stated in (SOURCE / "__init__.py").read_text(), "editors and type checkers read this"


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
