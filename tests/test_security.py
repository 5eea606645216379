"""What comes from elsewhere runs no code: no pickles, no shells, no archives, no markup; downloads are checked."""

import ast
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from capsight.config import BaselineConfig, CnnConfig, FinetuneConfig
from capsight.data.attributions import Attributions
from capsight.errors import CapsightError
from capsight.model.track_folder import load_track
from capsight.predict.windows import load_network, load_scorer
from capsight.train.baselines.baseline import baseline
from capsight.train.checkpoint import read_checkpoint, write_checkpoint
from capsight.train.finetune import finetune

from .conftest import save_tiny_track

SOURCE = Path(__file__).parents[1] / "src" / "capsight"
MODULES = sorted(SOURCE.rglob("*.py"))

#: What can run code that a file brings along, or hands text to a shell; by module, or by call.
BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "subprocess", "pty",
                  "tarfile", "zipfile"}  # fmt: skip
BANNED_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv",
    "torch.load", "torch.save", "torch.jit.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "shutil.unpack_archive", "np.fromregex", "pd.read_pickle", "pd.eval",
}  # fmt: skip

#: Loaders of YAML that make plain values only (`test_a_recipe_makes_plain_values_only`).
SAFE_LOADERS = {"_Loader"}


def called(node: ast.expr) -> str:
    """Return the dotted name of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(text: str) -> list[str]:
    """Return what of a module could run code of others."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in BANNED_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if str(node.module).split(".")[0] in BANNED_MODULES else []
        elif isinstance(node, ast.Call):
            name = called(node.func)
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if name == "yaml.load" and len(node.args) == 2 and called(node.args[1]) in SAFE_LOADERS:
                continue
            if name in BANNED_CALLS or "trust_remote_code" in given or "shell" in given:
                found.append(name)
            if name in ("np.load", "numpy.load"):
                allowed = given.get("allow_pickle")
                if not (isinstance(allowed, ast.Constant) and allowed.value is False):
                    found.append(name)
            if "from_pretrained" in name and name.split(".")[-2:-1] != ["PeftModel"]:
                found.append(name)  # may fetch, and would ask for code to trust
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_runs_code_of_others(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from joblib import load", "import tarfile", "eval('1')", "import torch\ntorch.load('a')",
        "import numpy as np\nnp.load('a')", "import numpy as np\nnp.load('a', allow_pickle=True)",
        "AutoModel.from_pretrained('a')", "f('a', trust_remote_code=False)", "run('a', shell=True)",
        "import subprocess", "import os\nos.system('a')", "import yaml\nyaml.load('a')",
    ],
)  # fmt: skip
def test_a_module_that_does_would_be_found(text: str) -> None:
    assert faults(text)


def test_a_recipe_makes_plain_values_only(tmp_path: Path) -> None:
    from capsight.config import yaml_files

    assert issubclass(yaml_files._Loader, yaml.SafeLoader)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"windows: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'mark'}]\n")
    with pytest.raises(CapsightError, match=r"recipe\.yaml"):
        yaml_files.load_yaml(recipe)
    with pytest.raises(CapsightError):
        yaml_files.override({}, [f"a=!!python/object/apply:pathlib.Path.touch [{tmp_path / 'mark'}]"])
    assert not (tmp_path / "mark").exists()


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


def as_pickle(mark: Path) -> bytes:
    return pickle.dumps({"weights": Bomb(mark)})


def as_torch(mark: Path) -> bytes:
    handle = io.BytesIO()
    torch.save({"weights": Bomb(mark)}, handle)
    return handle.getvalue()


def as_npz(mark: Path) -> bytes:
    handle = io.BytesIO()
    array = np.array([Bomb(mark)], dtype=object)
    np.savez(handle, **dict.fromkeys(("codes", "score", "weights", "roots", "header"), array))
    return handle.getvalue()


KINDS = {"a pickle": as_pickle, "torch.save": as_torch, "objects in an NPZ file": as_npz}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bombs_are_live(kind: str, tmp_path: Path) -> None:
    data = KINDS[kind](tmp_path / "mark")
    if kind == "a pickle":
        pickle.loads(data)  # noqa: S301 (its own)
    elif kind == "torch.save":
        torch.load(io.BytesIO(data), weights_only=False)
    else:
        np.load(io.BytesIO(data), allow_pickle=True)["score"]
    assert (tmp_path / "mark").exists()


def _track(folder: Path, _: Path, __: Path) -> tuple[Path, Callable[[], object]]:
    model = save_tiny_track(folder / "model")
    return model / "model.safetensors", lambda: load_track(model)


def _window(folder: Path, windows: Path, pretrained: Path) -> tuple[Path, Callable[[], object]]:
    config = FinetuneConfig(epochs=0.1, max_train=16, max_validation=16, batch_size=8, warmup_steps=0)
    model = finetune(config, windows, pretrained, folder / "model")
    return model / "model.safetensors", lambda: load_network(model)


def _pretrained(folder: Path, windows: Path, pretrained: Path) -> tuple[Path, Callable[[], object]]:
    import shutil

    copy = Path(shutil.copytree(pretrained, folder / "pretrained"))
    return copy / "model.safetensors", lambda: finetune(FinetuneConfig(), windows, copy, folder / "out")


def _of_baseline(model: str, file: str) -> Callable[[Path, Path, Path], tuple[Path, Callable[[], object]]]:
    def make(folder: Path, windows: Path, _: Path) -> tuple[Path, Callable[[], object]]:
        training = FinetuneConfig(epochs=0.1, max_train=16, max_validation=16, batch_size=8, warmup_steps=0)
        network = {"training": training, "cnn": CnnConfig(width=8)} if model == "cnn" else {}
        made = baseline(BaselineConfig(model=model, **network), windows, folder / "baseline")
        return next(iter(made.glob(file))), lambda: load_scorer(made)

    return make


def _checkpoint(folder: Path, _: Path, __: Path) -> tuple[Path, Callable[[], object]]:
    write_checkpoint(folder / "checkpoint", {"weights/a": torch.zeros(2)}, {"step": 1})
    (folder / "checkpoint" / "SHA256SUMS").unlink()
    return folder / "checkpoint" / "tensors.safetensors", lambda: read_checkpoint(folder / "checkpoint")


def _signed_checkpoint(folder: Path, windows: Path, pretrained: Path) -> tuple[Path, Callable[[], object]]:
    """Give one whose checksums are those of the bomb."""
    from capsight.artefact import sha256

    path, _ = _checkpoint(folder, windows, pretrained)

    def read() -> object:
        sums = "".join(f"{sha256(path.parent / name)}  {name}\n" for name in ("tensors.safetensors", "state.json"))
        (path.parent / "SHA256SUMS").write_text(sums)
        return read_checkpoint(path.parent)

    return path, read


def _attributions(folder: Path, _: Path, __: Path) -> tuple[Path, Callable[[], object]]:
    path = folder / "attributions.npz"
    return path, lambda: Attributions.read(path)


LOADERS = {
    "track network": _track,
    "window network": _window,
    "pre-trained network": _pretrained,
    "random forest": _of_baseline("rf", "*.safetensors"),
    "logistic regression": _of_baseline("kmer-lr", "*.safetensors"),
    "LightGBM": _of_baseline("lgbm", "*.txt"),
    "XGBoost": _of_baseline("xgb", "*.ubj"),
    "CNN": _of_baseline("cnn", "*.safetensors"),
    "checkpoint": _checkpoint,
    "checkpoint with checksums": _signed_checkpoint,
    "attributions": _attributions,
}


@pytest.mark.pipeline
@pytest.mark.parametrize("loader", LOADERS)
def test_a_malicious_file_in_place_of_weights_is_refused_in_one_line(
    loader: str, motif_windows: Path, pretrained: Path, tmp_path: Path
) -> None:
    path, load = LOADERS[loader](tmp_path, motif_windows, pretrained)
    for record in path.parent.glob("provenance.yaml"):
        record.unlink()  # it would give the change away by its checksum
    mark = tmp_path / "mark"
    for kind in KINDS.values():
        path.write_bytes(kind(mark))
        with pytest.raises(CapsightError) as caught:
            load()
        assert not mark.exists()
        assert "\n" not in str(caught.value)
        assert path.parent.name in str(caught.value)
