"""Packages that come with an extra of capsight, and the one line that a user reads where one is missing."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from capsight.errors import InputError

if TYPE_CHECKING:
    from capsight.config import Recipe

#: Modules that are not installed with capsight itself, and the extra that brings each.
EXTRA: Final = {
    "captum": "motifs", "memelite": "motifs", "modiscolite": "motifs", "pyjaspar": "motifs",
    "lightgbm": "baselines", "xgboost": "baselines",
    "jinja2": "report", "logomaker": "report", "matplotlib": "report", "PIL": "report",
}  # fmt: skip
_PAGES: Final = ("jinja2", "matplotlib", "PIL")
#: What a stage needs whatever its settings.
_STAGES: Final = {
    "audit": ("lightgbm",),
    "crossval": _PAGES,
    "motif_compare": ("memelite",),
    "motif_enrich": ("memelite",),
    "motif_scan": ("memelite",),
    "motifs": ("logomaker", "matplotlib"),
    "plot": ("logomaker", *_PAGES),
    "report": ("logomaker", *_PAGES),
}
#: What a baseline needs to be trained, by its model.
_BASELINES: Final = {"kmer-gbm": "lightgbm", "lgbm": "lightgbm", "xgb": "xgboost"}


def need(*modules: str) -> None:
    """Make sure that modules of extras are installed.

    Raises
    ------
    InputError
        Naming the first that is not, and how to install it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise InputError(
                f"this needs {module}, which is not installed", remedy=f"pip install 'capsight[{EXTRA[module]}]'"
            )


def need_for_stage(stage: str) -> None:
    """Make sure that a stage can run, before its module is imported.

    Raises
    ------
    InputError
        Of `need`.
    """
    need(*_STAGES.get(stage, ()))


def need_for_baseline(model: str) -> None:
    """Make sure that a baseline can be trained.

    Raises
    ------
    InputError
        Of `need`.
    """
    need(*[_BASELINES[model]] if model in _BASELINES else [])


def need_for_recipe(recipe: "Recipe") -> None:
    """Make sure that all stages of a recipe can run, before hours of work.

    Raises
    ------
    InputError
        Of `need`.
    """
    for stage in ("report", *type(recipe).model_fields):
        if getattr(recipe, stage, True):
            need_for_stage(stage)
    if recipe.baseline:
        need_for_baseline(recipe.baseline.model)
    if recipe.explain and "ig" in recipe.explain.method:
        need("captum")
    if recipe.motifs and recipe.motifs.de_novo:
        need("modiscolite")
