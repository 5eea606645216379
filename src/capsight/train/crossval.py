"""`crossval`: models compared by leaving one chromosome out at a time.

folds/CHROMOSOME/ holds windows/, pretrained/ and model/ (or a folder per baseline), and evaluation-MODEL/.
"""

import json
import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from capsight import artefact
from capsight.config import BaselineConfig, CrossvalConfig, Recipe, WindowsConfig
from capsight.data import schema
from capsight.data.windows import leaving_one_out, windows
from capsight.errors import InputError
from capsight.pipeline import SIMULATION, claim, read_recipe
from capsight.recipes import dump
from capsight.train.baselines import baseline
from capsight.train.evaluate import METRICS_FILE, evaluate

logger = logging.getLogger(__name__)

TABLE_FILE = "crossval.tsv"
SUMMARY_FILE = "crossval-summary.tsv"
TESTS_FILE = "crossval-tests.tsv"
METRICS = ("auroc", "accuracy", "f1", "mcc", "auprc")
#: With fewer pairs, no signed-rank test can give a two-sided p below 0.05.
FEWEST_PAIRS = 6


def crossval(config: CrossvalConfig, recipe: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Train and test models with one chromosome left out at a time; the same call continues where it was stopped.

    Parameters
    ----------
    config
        Which models, and which chromosomes.
    recipe
        YAML file with one section per stage; its chromosomes of validation and test are not used.
    out
        Folder for the folds and the tables.
    overrides
        ``stage.key=value`` assignments to the recipe.

    Raises
    ------
    InputError
        If a chromosome cannot be left out, or the recipe is of labelled sequences.

    Notes
    -----
    Each fold is trained without its test chromosome from the first step on: pre-training too reads the training
    chromosomes only. The chromosome before it validates, as in `windows` with ``loco``.
    """
    settings = read_recipe(recipe, out, overrides)
    if settings.windows.train is not None:
        raise InputError("labelled sequences have no chromosomes to leave out", where=recipe)
    claim(out, artefact.origin("crossval", settings, {}) | {"crossval": dump(config)})
    if settings.simulate:
        from capsight.simulate import simulate

        simulate(settings.simulate, out / SIMULATION)
    rows: list[dict[str, Any]] = []
    folds = _chosen(settings.windows, config.chromosomes)
    for number, fold in enumerate(folds, start=1):
        logger.info("── crossval: %s left out (%d of %d)", fold.test[0], number, len(folds))
        folder = out / "folds" / fold.test[0].replace("/", "_")
        windows(fold, folder / "windows")
        rows += [{"chromosome": fold.test[0], "model": m, **_test(m, settings, folder)} for m in config.models]
    _write(pd.DataFrame(rows), out)
    return out


def _chosen(config: WindowsConfig, chromosomes: Sequence[str]) -> list[WindowsConfig]:
    """Return the settings of the folds that are asked for."""
    folds = leaving_one_out(config.model_copy(update={"validation": (), "test": (), "loco": False}))
    names = [fold.test[0] for fold in folds]
    if unknown := [name for name in chromosomes if name not in names]:
        raise InputError(f"{unknown[0]!r} cannot be left out", remedy=f"these can: {', '.join(names)}")
    return [fold for fold in folds if not chromosomes or fold.test[0] in chromosomes]


def _test(model: str, settings: Recipe, folder: Path) -> dict[str, Any]:
    """Train one model on one fold and return its metrics on the chromosome left out."""
    trained = _train(model, settings, folder)
    config = settings.evaluate.model_copy(update={"fold": schema.TEST})
    done = evaluate(config, trained, folder / "windows", folder / f"evaluation-{model}")
    metrics = json.loads((done / METRICS_FILE).read_text(encoding="utf-8"))
    logger.info("crossval: %s: AUROC %.3f", model, metrics["auroc"])
    return {name: metrics[name] for name in ("n", "n_positive", *METRICS)}


def _train(model: str, settings: Recipe, folder: Path) -> Path:
    """Train one model on one fold, or find it trained."""
    if model == "capsight":
        from capsight.train.finetune import finetune
        from capsight.train.pretrain import pretrain

        start = pretrain(settings.pretrain, folder / "windows", folder / "pretrained")
        return finetune(settings.finetune, folder / "windows", start, folder / "model")
    given = settings.baseline
    config = given if given and given.model == model else BaselineConfig.model_validate({"model": model})
    return baseline(config, folder / "windows", folder / model)


def _write(table: pd.DataFrame, out: Path) -> None:
    """Write metrics by chromosome, their mean and spread, and the tests."""
    tests = paired_tests(table)
    n = table["chromosome"].nunique()
    if len(tests) and n < FEWEST_PAIRS:
        logger.warning(
            "crossval: %d chromosomes are too few to call a difference: the least possible p is %.2g", n, least_p(n)
        )
    for name, content in ((TABLE_FILE, table), (SUMMARY_FILE, summarise_folds(table)), (TESTS_FILE, tests)):
        with artefact.writing(out / name) as partial:
            content.to_csv(partial, sep="\t", index=False, float_format="%.6g")


def summarise_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Return number of chromosomes, mean and sample standard deviation of every metric of every model."""
    rows = []
    for model, part in table.groupby("model", sort=False):
        for metric in METRICS:
            mean, sd = part[metric].mean(), part[metric].std(ddof=1)
            rows.append({"model": model, "metric": metric, "n": len(part), "mean": mean, "sd": sd})
    return pd.DataFrame(rows)


def paired_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Compare every two models, chromosome by chromosome, with Wilcoxon's signed-rank test (1945), two-sided.

    Parameters
    ----------
    table
        One row per chromosome and model, with the columns `METRICS`.

    Returns
    -------
    tests
        One row per metric and pair of models: the median over chromosomes of `model` minus `other`, the smaller rank
        sum, p (not corrected for the number of tests), and the least p that so many chromosomes can give.
    """
    models = list(dict.fromkeys(table["model"]))
    rows = []
    for metric in METRICS:
        wide = table.pivot(index="chromosome", columns="model", values=metric)
        for model, other in combinations(models, 2):
            difference = (wide[model] - wide[other]).to_numpy()
            statistic, p = _signed_rank(difference)
            rows.append(
                {
                    "metric": metric, "model": model, "other": other, "n": len(difference),
                    "median_difference": np.median(difference), "statistic": statistic, "p": p,
                    "least_p": least_p(len(difference)),
                }
            )  # fmt: skip
    columns = ["metric", "model", "other", "n", "median_difference", "statistic", "p", "least_p"]
    return pd.DataFrame(rows, columns=columns)


def _signed_rank(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Return the smaller rank sum and p; models that never differ have p = 1."""
    if not difference.any():
        return 0.0, 1.0
    result = wilcoxon(difference)
    return float(result.statistic), float(result.pvalue)


def least_p(n: int) -> float:
    """Return the two-sided p of `n` differences of one sign."""
    return float(min(1.0, 2.0 ** (1 - n)))
