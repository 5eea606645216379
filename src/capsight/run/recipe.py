"""`recipe`: recipes by name, and as a run reads them. Those that come with the package lie in ``capsight/recipes``."""

import logging
import shutil
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from capsight import artefact
from capsight.config import NOT_FOR_CNN, BaselineConfig, FinetuneConfig, Recipe
from capsight.config.base import Config
from capsight.config.variables import declared_variables, fill_variables
from capsight.config.yaml_files import load_yaml, override, parse
from capsight.data.fetch.named import may_be_asset
from capsight.data.io.text import passes
from capsight.errors import InputError
from capsight.machine import with_threads
from capsight.shipped import shipped_models
from capsight.version import __version__

logger = logging.getLogger(__name__)

#: Folder of the simulated genome, in a run.
SIMULATION = "simulation"
_FOLDER = Path(str(resources.files("capsight"))) / "recipes"
#: Settings of `windows` that name data.
_DATA = ("genome", "peaks", "ctss", "ctss_plus", "ctss_minus", "promoters", "train", "validation")


class _Named(Config):
    """Which recipe was copied; for the record beside the copy."""

    recipe: str


class RecipeSummary(NamedTuple):
    """What `capsight run --list` shows of a recipe.

    Attributes
    ----------
    data
        What it reads, as the recipe names it; empty where the data are the user's.
    variables
        Choices of each ``--set name=choice``, the default first.
    """

    name: str
    description: str
    data: tuple[str, ...]
    time: str
    variables: dict[str, tuple[str, ...]]


def recipe(name: str, out: Path) -> Path:
    """Write a copy of a shipped recipe, comments included, to be changed.

    Parameters
    ----------
    name
        Name of a shipped recipe.
    out
        The file to write; ``-`` is standard output.

    Raises
    ------
    InputError
        If there is no recipe of this name, or `out` is a file of the user's, or a copy that was changed.
    """
    file = _FOLDER / f"{name}.yaml"
    if name not in shipped_recipes():
        raise InputError("there is no shipped recipe of this name", where=name, remedy=_remedy(Path(name)))
    config, inputs = _Named(recipe=name), {"recipe": file}
    if artefact.is_done(out, "recipe", config, inputs):
        logger.info("recipe: %s is done already", out)
        return out
    with artefact.atomic_file(out, "recipe", config, inputs, suffix=".yaml") as partial:
        shutil.copyfile(file, partial)
    return out


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with this version."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def find_recipe(given: Path) -> Path:
    """Return the file of a recipe: `given`, or the shipped recipe of that name.

    A file goes before a shipped recipe of the same name; the log reports which one is used.

    Raises
    ------
    InputError
        If it is neither.
    """
    shipped = str(given) in shipped_recipes()
    if (given.exists() and not (shipped and given.is_dir())) or passes(given):
        if shipped:
            logger.warning(
                "recipe: the file %s hides the shipped recipe of that name: rename the file to use the shipped one",
                given,
            )
        return given
    if shipped:
        logger.info("recipe: %s, which comes with capsight %s", given, __version__)
        return _FOLDER / f"{given}.yaml"
    raise InputError(
        "there is no such file, nor a shipped recipe of this name", where=given, remedy=_remedy(given)
    )  # fmt: skip


def read_recipe(recipe: Path, out: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply overrides, and fill in what the run folder itself provides."""
    file = find_recipe(recipe)
    values, overrides = fill_variables(load_yaml(file), overrides, where=recipe)
    values = _resolve(values, Path() if passes(file) or file.parent == _FOLDER else file.parent)
    values = override(values, overrides)
    windows = values.get("windows")
    if values.get("simulate") is not None and isinstance(windows, dict) and "train" not in windows:
        windows.setdefault("genome", str(out / SIMULATION / "genome.fa"))
        windows.setdefault("peaks", str(out / SIMULATION / "peaks.bed"))
        windows.setdefault("ctss", [str(out / SIMULATION / "ctss.bed")])
        for section in ("motif_scan", "motif_compare", "motif_enrich"):  # what was planted is what can be found
            if isinstance(values.get(section), dict):
                values[section].setdefault("motif_db", str(out / SIMULATION / "motifs.meme"))
    settings = parse(Recipe, values, where=recipe)
    if settings.train and settings.train.init:  # a name or shape that is wrong is found before any work is done
        from capsight.train.track.start import Start

        Start.from_model(settings.train.init).shaped(settings.train)
    if settings.baseline and settings.baseline.model == "cnn":
        settings = settings.model_copy(update={"baseline": cnn_baseline(settings)})
    return with_threads(settings)


def cnn_baseline(settings: Recipe) -> BaselineConfig:
    """Return the CNN of a recipe: trained as its `finetune` says, but for what its section `baseline` says itself.

    A recipe without `finetune` trains it by the defaults of that section.

    So budget, augmentation and selection are those of the network that it is compared with.
    """
    given = settings.baseline.model_dump(exclude_unset=True) if settings.baseline else {}
    given = given if given.get("model") == "cnn" else {}
    own = {key: FinetuneConfig.model_fields[key].default for key in NOT_FOR_CNN}
    training = (settings.finetune or FinetuneConfig()).model_dump() | own | given.get("training", {})
    return BaselineConfig.model_validate({"model": "cnn", **given, "training": training, "seed": training["seed"]})


def _resolve(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths in a recipe relative to the current folder rather than to the recipe's."""
    windows = values.get("windows")
    if isinstance(windows, dict):
        keys = ["genome", "peaks", "aliases", "negatives_file", "promoters", "train"]
        keys += ["validation", "test"] if windows.get("train") else []
        for key in keys:
            if isinstance(windows.get(key), str):
                windows[key] = _beside(folder, windows[key])
        for key in ("ctss", "ctss_plus", "ctss_minus"):
            paths = windows.get(key)
            if isinstance(paths, str):  # a comma in the name of a file that exists is its own
                paths = [paths] if (folder / paths).exists() else paths.split(",")
            if isinstance(paths, list):
                windows[key] = [_beside(folder, path) if isinstance(path, str) else path for path in paths]
    train = values.get("train")
    init = train.get("init") if isinstance(train, dict) else None
    if isinstance(init, str) and (init not in shipped_models() or (folder / init / "capsight.json").is_file()):
        values["train"]["init"] = _beside(folder, init)
    pretrain = values.get("pretrain")
    if isinstance(pretrain, dict) and isinstance(pretrain.get("genome"), str):
        pretrain["genome"] = _beside(folder, pretrain["genome"])
    tokenizer = pretrain.get("tokenizer") if isinstance(pretrain, dict) else None
    if isinstance(tokenizer, dict) and isinstance(tokenizer.get("file"), str):
        tokenizer["file"] = str(folder / tokenizer["file"])
    return values


def _beside(folder: Path, name: str) -> str:
    """Return the path of a file beside a recipe; the name of an asset stays, unless there is such a file."""
    return name if may_be_asset(name) and not (folder / name).exists() else str(folder / name)


def _remedy(given: Path) -> str:
    """Return what may have been meant: a shipped recipe, also by its former file, or a file beside."""
    names = shipped_recipes()
    beside = [str(path) for path in given.parent.glob("*.yaml")] if given.parent.is_dir() else []
    near = get_close_matches(str(given), [*names, *beside], n=1) or get_close_matches(given.stem, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}shipped are: {', '.join(names)}"


def summaries() -> list[RecipeSummary]:
    """Return what each shipped recipe is for, what it reads, and how long it takes."""
    found = []
    for name in shipped_recipes():
        values = load_yaml(_FOLDER / f"{name}.yaml")
        windows = values.get("windows") or {}
        keys = _DATA if windows.get("train") else _DATA[:-2]  # else the folds are chromosomes
        named = [windows.get(key) or [] for key in keys] if values.get("simulate") is None else ["simulated"]
        data = [Path(str(each)).name for item in named for each in (item if isinstance(item, list) else [item])]
        description, time = (str(values.get(key, "")) for key in ("description", "time"))
        variables = declared_variables(values, where=name)
        found.append(RecipeSummary(name, description, tuple(data), time, variables))
    return found
