"""Predict RNA 5' cap sites (TSSs) from DNA sequence, and show which bases drive each prediction.

One public function per stage, each named like its command, and `load`, which returns a model to be asked from Python.
All load on first use, so that importing `capsight` stays cheap.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from capsight.version import __version__

TYPE_CHECKING = False  # that of `typing`, whose import is most of the time that this module takes
if TYPE_CHECKING:
    from typing import Any

    from capsight.api import Model as Model
    from capsight.api import load as load
    from capsight.data.audit.stage import audit as audit
    from capsight.data.ctss.stage import cluster as cluster
    from capsight.data.fetch.stage import fetch as fetch
    from capsight.data.windows.stage import windows as windows
    from capsight.doctor import doctor as doctor
    from capsight.evaluate.evaluate import evaluate as evaluate
    from capsight.explain.explain import explain as explain
    from capsight.merge import merge as merge
    from capsight.motifs.known.motif_compare import motif_compare as motif_compare
    from capsight.motifs.known.motif_enrich import motif_enrich as motif_enrich
    from capsight.motifs.known.motif_scan import motif_scan as motif_scan
    from capsight.motifs.motifs import motifs as motifs
    from capsight.plot.plot import plot as plot
    from capsight.predict.predict import predict as predict
    from capsight.predict.scan import scan as scan
    from capsight.report.report import report as report
    from capsight.run.crossval import crossval as crossval
    from capsight.run.pipeline import run as run
    from capsight.run.recipe import recipe as recipe
    from capsight.shipped import models as models
    from capsight.simulate import simulate as simulate
    from capsight.train.baselines.baseline import baseline as baseline
    from capsight.train.finetune import finetune as finetune
    from capsight.train.pretrain import pretrain as pretrain
    from capsight.train.track.train import train as train
    from capsight.variants.mutate import mutate as mutate
    from capsight.variants.variants import variants as variants

_STAGES = {
    "fetch": "capsight.data.fetch.stage",
    "simulate": "capsight.simulate",
    "cluster": "capsight.data.ctss.stage",
    "windows": "capsight.data.windows.stage",
    "audit": "capsight.data.audit.stage",
    "train": "capsight.train.track.train",
    "pretrain": "capsight.train.pretrain",
    "finetune": "capsight.train.finetune",
    "baseline": "capsight.train.baselines.baseline",
    "evaluate": "capsight.evaluate.evaluate",
    "crossval": "capsight.run.crossval",
    "predict": "capsight.predict.predict",
    "scan": "capsight.predict.scan",
    "variants": "capsight.variants.variants",
    "merge": "capsight.merge",
    "mutate": "capsight.variants.mutate",
    "plot": "capsight.plot.plot",
    "explain": "capsight.explain.explain",
    "motifs": "capsight.motifs.motifs",
    "motif_scan": "capsight.motifs.known.motif_scan",
    "motif_compare": "capsight.motifs.known.motif_compare",
    "motif_enrich": "capsight.motifs.known.motif_enrich",
    "report": "capsight.report.report",
    "run": "capsight.run.pipeline",
    "doctor": "capsight.doctor",
    "recipe": "capsight.run.recipe",
    "models": "capsight.shipped",
}

#: What is not a stage: models from Python.
_API = {"load": "capsight.api", "Model": "capsight.api"}

__all__ = ["__version__", *_API, *_STAGES]


def __getattr__(name: str) -> Any:
    """Load the function of a stage, or what reads models, when it is first asked for (PEP 562)."""
    if module := _STAGES.get(name) or _API.get(name):
        from capsight.extras import need_for_stage

        need_for_stage(name)
        return getattr(import_module(module), name)
    raise AttributeError(f"module 'capsight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``capsight.predict`` the function: importing the subpackage of that name would hide it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _STAGES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
