"""`crossval`: models compared by leaving one chromosome out at a time.

folds/CHROMOSOME/ holds windows/, pretrained/ and model/ (or a folder per baseline), and evaluation-MODEL/; with a track
network scan-MODEL/ as well.
What is compared with what, and how sure that is: `capsight.evaluate.compare`.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd

from capsight import artefact, output
from capsight.artefact.claim import check_run_dir
from capsight.config import BaselineConfig, CrossvalConfig, Recipe, WindowsConfig
from capsight.data import schema
from capsight.data.fetch.named import with_files
from capsight.data.windows.stage import leaving_one_out, windows
from capsight.errors import InputError
from capsight.evaluate.compare import HeldOut, min_attainable_p, paired_tests, window_tests
from capsight.evaluate.evaluate import METRICS_FILE, SCORES_FILE, evaluate
from capsight.extras import need_for_recipe
from capsight.report.results import SCAN_AUPRC
from capsight.run.recipe import SIMULATION, cnn_baseline, read_recipe
from capsight.stats.bootstrap import OverlapClusters
from capsight.train.baselines.baseline import baseline
from capsight.train.launch import check_alone

logger = logging.getLogger(__name__)

TABLE_FILE = "crossval.tsv"
SUMMARY_FILE = "crossval-summary.tsv"
TESTS_FILE = "crossval-tests.tsv"
#: Folder with a file for each part that a process holds.
LOCKS = ".locks"
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
    chromosomes only. The chromosome before it validates, as in `windows` with ``leave_one_chromosome_out``.

    Several processes may work in one folder, best on different chromosomes: on the same, one waits for the other.
    """
    settings = read_recipe(recipe, out, overrides)
    check_alone("crossval")
    need_for_recipe(settings)
    if settings.windows.train is not None:
        raise InputError("labelled sequences have no chromosomes to leave out", where=recipe)
    record = artefact.provenance("crossval", settings, {})
    check_run_dir(out, record)
    settings = with_files(settings)
    with artefact.folders_above(output.resolve(out)):
        out.mkdir(exist_ok=True)
    artefact.write_yaml(out / artefact.RECORD, record)
    if settings.simulate:
        from capsight.simulate import simulate

        with _lock(out, SIMULATION):
            simulate(settings.simulate, out / SIMULATION)
    folds = _chosen(settings.windows, config.chromosomes)
    rows: list[dict[str, Any]] = []
    for number, fold in enumerate(folds, start=1):
        chromosome = fold.test[0]
        logger.info("── crossval: %s left out (%d of %d)", chromosome, number, len(folds))
        folder = _folder(out, chromosome)
        with _lock(out, folder.name):
            windows(fold, folder / "windows")
            rows += [{"chromosome": chromosome, "model": m, **_test(m, settings, folder)} for m in config.models]
    scored = [_scores(_folder(out, fold.test[0]), config.models) for fold in folds]
    with _lock(out, "tables"):
        _write(pd.DataFrame(rows), window_tests(scored, settings.evaluate.seed), out)
    return out


def _folder(out: Path, chromosome: str) -> Path:
    """Return the folder of the fold that tests a chromosome."""
    return out / "folds" / output.folder_name(chromosome)


@contextmanager
def _lock(out: Path, name: str) -> Iterator[None]:
    """Hold other processes off a part of the folder: two trainings in one place would spoil each other."""
    path = out / LOCKS / f"{name}.lock"
    path.parent.mkdir(exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("crossval: another process is at work on %s: waiting for it", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _chosen(config: WindowsConfig, chromosomes: Sequence[str]) -> list[WindowsConfig]:
    """Return the settings of the folds that are asked for."""
    folds = leaving_one_out(config.model_copy(update={"validation": (), "test": (), "leave_one_chromosome_out": False}))
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
    found = {name: metrics[name] for name in ("n", "n_positive", *METRICS)}
    if settings.train:
        by_scan = config.model_copy(update={"scan": True})
        done = evaluate(by_scan, trained, folder / "windows", folder / f"scan-{model}")
        found[SCAN_AUPRC] = json.loads((done / METRICS_FILE).read_text(encoding="utf-8"))["scan"]["auprc"]
        logger.info("crossval: %s: AUPRC of the scan %.3f", model, found[SCAN_AUPRC])
    return found


def _train(model: str, settings: Recipe, folder: Path) -> Path:
    """Train one model on one fold, or find it trained."""
    if model == "capsight" and settings.train:
        from capsight.train.track.train import train

        return train(settings.train, folder / "windows", folder / "model")
    if model == "capsight":
        from capsight.train.finetune import finetune
        from capsight.train.pretrain import pretrain

        assert settings.pretrain is not None
        assert settings.finetune is not None
        start = pretrain(settings.pretrain, folder / "windows", folder / "pretrained")
        return finetune(settings.finetune, folder / "windows", start, folder / "model")
    if model == "cnn":
        return baseline(cnn_baseline(settings), folder / "windows", folder / model)
    given = settings.baseline
    config = given if given and given.model == model else BaselineConfig.model_validate({"model": model})
    return baseline(config, folder / "windows", folder / model)


def _scores(folder: Path, models: Sequence[str]) -> HeldOut:
    """Read what every model gave the windows of the chromosome left out."""
    tables = {model: pd.read_parquet(folder / f"evaluation-{model}" / SCORES_FILE) for model in models}
    first = tables[models[0]]
    return HeldOut(
        first[schema.LABEL].to_numpy(np.int64),
        {model: table[schema.SCORE].to_numpy(np.float64) for model, table in tables.items()},
        OverlapClusters.from_table(first),
    )


def _write(table: pd.DataFrame, by_windows: pd.DataFrame, out: Path) -> None:
    """Write metrics by chromosome, their mean and spread, and the tests."""
    tests = paired_tests(table, _measured(table)).merge(by_windows, on=["metric", "model", "other"], how="left")
    n = table["chromosome"].nunique()
    if len(tests) and n < FEWEST_PAIRS:
        logger.warning(
            "crossval: %d chromosomes are too few to call a difference: the smallest possible p is %.2g; p_windows "
            "only says whether other windows of the same chromosomes would show it", n, min_attainable_p(n),
        )  # fmt: skip
    for name, content in ((TABLE_FILE, table), (SUMMARY_FILE, summarise_folds(table)), (TESTS_FILE, tests)):
        with output.writing(out / name) as partial:
            content.to_csv(partial, sep="\t", index=False, float_format="%.6g")


def _measured(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the metrics that a table has."""
    return tuple(name for name in (*METRICS, SCAN_AUPRC) if name in table)


def summarise_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Return number of chromosomes, mean and sample standard deviation of every metric of every model."""
    rows = []
    for model, part in table.groupby("model", sort=False):
        for metric in _measured(table):
            mean, sd = part[metric].mean(), part[metric].std(ddof=1)
            rows.append({"model": model, "metric": metric, "n": len(part), "mean": mean, "sd": sd})
    return pd.DataFrame(rows)
