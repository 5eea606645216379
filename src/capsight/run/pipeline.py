"""`run`: every stage of a recipe, in order, into one folder; what is done and valid is skipped.

`plan` lists the stages, each with its settings, its inputs and its result; `run` and the dry run both follow that list.

simulation/ → windows/ → audit/
             windows/ → pretrained/ → model/ → evaluation/, predictions.tsv
             windows/ ───────────→ model/ of `train` → also evaluation-scan/, scan/, loci/
                       → baseline/ → evaluation-baseline/
              windows/, model/ → attributions.npz → motifs/ → hits.tsv, matches.tsv, factors.tsv
everything → report/
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

import capsight
from capsight import artefact
from capsight.artefact.claim import check_run_dir, init_run_dir
from capsight.config import ExamplesConfig, Recipe
from capsight.config.base import Config
from capsight.data.fetch.named import with_files
from capsight.data.io.text import passes
from capsight.errors import InputError, NoPredictedPositives
from capsight.extras import need_for_recipe
from capsight.motifs.known.database import motif_db_inputs
from capsight.report.summary import summary
from capsight.run.recipe import SIMULATION, read_recipe
from capsight.train.launch import check_alone

logger = logging.getLogger(__name__)

WINDOWS = "windows"
AUDIT = "audit"
PRETRAINED = "pretrained"
MODEL = "model"
BASELINE = "baseline"
EVALUATION = "evaluation"
BASELINE_EVALUATION = "evaluation-baseline"
SCAN_EVALUATION = "evaluation-scan"
PREDICTIONS = "predictions.tsv"
SCAN = "scan"
LOCI = "loci"
ATTRIBUTIONS = "attributions.npz"
MOTIFS = "motifs"
HITS = "hits.tsv"
MATCHES = "matches.tsv"
FACTORS = "factors.tsv"
REPORT = "report"
#: Stages that are left out where the model predicts no positive.
_INTERPRETING: Final = ("explain", "motifs", "motif-scan", "motif-compare", "motif-enrich")
#: Modules of the stages that are no command.
_OWN: Final = {"loci": "capsight.plot.examples"}


class Step(NamedTuple):
    """A stage of a run.

    Attributes
    ----------
    stage
        Its name, as in records.
    result
        What it writes, in the run folder.
    purpose
        For the line that announces it.
    config
        Its settings.
    arguments, named
        What its function takes after the settings.
    """

    stage: str
    result: str
    purpose: str
    config: Config
    arguments: tuple[Path, ...]
    named: Mapping[str, Any] = {}

    def run(self) -> None:
        """Call the function of the stage."""
        name = self.stage.replace("-", "_")
        function = getattr(import_module(_OWN[name]) if name in _OWN else capsight, name)
        function(self.config, *self.arguments, **self.named)

    def reads(self, out: Path) -> set[str]:
        """Return the results in the run folder that this stage reads."""
        given = [*self.arguments, *self.named.values()]
        paths = [path for each in given for path in (each if isinstance(each, list) else [each]) if path]
        return {path.relative_to(out).parts[0] for path in paths if path.is_relative_to(out)} - {self.result}


def run(recipe: Path, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Run all stages of a recipe; the same call continues an interrupted run and ends with the same result.

    Parameters
    ----------
    recipe
        YAML file with one section per stage, or the name of a shipped recipe. Relative paths in a file are relative to
        that file, those in a shipped recipe to the current folder.
    out
        Run folder.
    overrides
        ``stage.key=value`` assignments, and ``variable=choice`` of a recipe with variables; their relative paths are
        relative to the current folder.

    Raises
    ------
    ConfigError
        If the recipe has unknown keys or values out of range: before any work is done.
    InputError
        Among others, if an asset that it names is not here and cannot be fetched.
    """
    settings = read_recipe(recipe, out, overrides)
    check_alone("run")
    need_for_recipe(settings)
    record = artefact.provenance("run", settings, {})
    check_run_dir(out, record)
    settings = with_files(settings)
    steps = plan(settings, out)
    check_inputs(steps, out)
    with init_run_dir(out, record):
        check_outputs(steps, out)
        artefact.write_yaml(out / artefact.RECORD, record)
        _run(steps, out)
    return out


def check_inputs(steps: Sequence[Step], out: Path, fetched: Collection[str] = ()) -> None:
    """Refuse a run that reads a file which is not there, before hours of work.

    Parameters
    ----------
    steps
        Its stages.
    out
        Run folder; what lies in it, the run makes itself.
    fetched
        Names of assets that will be files by then.

    Raises
    ------
    InputError
        Naming the file and the setting.
    """
    for step in steps:
        for setting, path in _files(step.config, f"{step.stage.replace('-', '_')}."):
            here = path.exists() or passes(path) or path.absolute().is_relative_to(out.absolute())
            if not here and str(path) not in fetched:
                raise InputError("there is no such file", where=path, remedy=f"correct {setting}")


def _files(config: BaseModel, within: str) -> Iterator[tuple[str, Path]]:
    """Yield the files that settings name, at every depth, each with its setting."""
    for name, value in config:
        if isinstance(value, BaseModel):
            yield from _files(value, f"{within}{name}.")
        elif name == "motif_db":
            yield from ((f"{within}{name}", path) for path in motif_db_inputs(str(value)).values())
        elif name != "init":  # may be the name of a shipped model, and was looked for when the recipe was read
            several = value if isinstance(value, tuple) else (value,)
            yield from ((f"{within}{name}", path) for path in several if isinstance(path, Path))


def check_outputs(steps: Sequence[Step], out: Path) -> None:
    """Refuse a run that would have to replace what is not its own, before hours of work."""
    for stage, name in [*((step.stage, step.result) for step in steps), ("report", REPORT)]:
        if Path(name).suffix:
            artefact.check_replaceable_file(out / name, stage)
        else:
            artefact.check_replaceable(out / name, stage)


def plan(settings: Recipe, out: Path) -> list[Step]:
    """Return the stages of a recipe in the order of work, but for the report, which is always made."""
    steps: list[Step] = []

    def add(
        stage: str,
        result: str,
        purpose: str,
        config: Config | None,
        *inputs: Path,
        after: Sequence[Path] = (),
        **named: Any,
    ) -> None:
        if config is not None:
            steps.append(Step(stage, result, purpose, config, (*inputs, out / result, *after), named))

    made, genome = settings, settings.windows.genome
    windows, model, baseline = out / WINDOWS, out / MODEL, out / BASELINE
    audit = out / AUDIT if made.audit else None
    add("simulate", SIMULATION, "a genome with planted promoters", made.simulate)
    add("windows", WINDOWS, "positives, negatives and folds", made.windows)
    add("audit", AUDIT, "leaks between the folds, and shortcuts to the labels", made.audit, windows)
    add("baseline", BASELINE, "a model to compare with, on the same windows", made.baseline, windows)
    add("train", MODEL, "a network that predicts every base of both strands", made.train, windows)
    add("pretrain", PRETRAINED, "language modelling on the training chromosomes", made.pretrain, windows)
    add("finetune", MODEL, "cap sites against negatives", made.finetune, windows, out / PRETRAINED)
    fold = made.evaluate.fold
    add("evaluate", EVALUATION, f"windows of the {fold} fold", made.evaluate, model, windows, audit=audit)
    if made.baseline:
        purpose = f"windows of the {fold} fold, by the baseline"
        add("evaluate", BASELINE_EVALUATION, purpose, made.evaluate, baseline, windows, audit=audit)
    if made.train and genome:
        by_scan = made.evaluate.model_copy(update={"scan": True})
        purpose = f"a scan of the {fold} chromosomes, against peaks and 5' ends"
        beside = [baseline] if made.baseline else []
        add("evaluate", SCAN_EVALUATION, purpose, by_scan, model, windows, against=beside)
    if made.scan and genome:
        add("scan", SCAN, "expected 5' ends of every base, and called TSSs", made.scan, model, genome)
    add("predict", PREDICTIONS, "a score for every window", made.predict, model, windows)
    if made.explain:
        purpose = f"a score for every base of windows of the {made.explain.fold} fold"
        add("explain", ATTRIBUTIONS, purpose, made.explain, model, windows)
    motifs, purpose = out / MOTIFS, "k-mers, elements and de novo motifs behind the predictions"
    add("motifs", MOTIFS, purpose, made.motifs, out / ATTRIBUTIONS, after=(model, windows))
    seqlets = motifs / "seqlets"
    positives, negatives = seqlets / "positives.fa", seqlets / "negatives.fa"
    add("motif-scan", HITS, "hits of known motifs behind the predictions", made.motif_scan, positives)
    add("motif-compare", MATCHES, "known motifs like the de novo ones", made.motif_compare, motifs / "motifs.meme")
    purpose = "known motifs with more hits in positives than in negatives"
    add("motif-enrich", FACTORS, purpose, made.motif_enrich, positives, negatives)
    if made.scan and genome:
        explained = out / ATTRIBUTIONS if made.explain else None
        config = ExamplesConfig(fold=fold)
        add(
            "loci",
            LOCI,
            f"pictures of example loci of the {fold} fold",
            config,
            windows,
            out / SCAN,
            attributions=explained,
        )
    return steps


def _run(steps: Sequence[Step], out: Path) -> None:
    """Run all stages in order, and make the report."""
    left_out: tuple[str, ...] = ()
    for step in steps:
        if step.stage in left_out or (step.stage == "motif-compare" and not _has_motifs(out)):
            continue
        try:
            _announced(step.stage, step.result, step.purpose, out, step.run)
        except NoPredictedPositives as error:
            logger.warning("explain, motifs and what reads them are left out: %s", error)
            left_out = _INTERPRETING
    from capsight.report.report import report

    _announced("report", REPORT, "all of it on one page", out, lambda: report(out, out / REPORT))


def _announced(stage: str, result: str, purpose: str, out: Path, work: Callable[[], object]) -> None:
    """Do the work of a stage between the line that announces it and the lines that sum it up."""
    logger.info("── %s: %s", stage, purpose)
    before, began = artefact.made_at(out / result), time.monotonic()
    work()
    if artefact.made_at(out / result) == before:
        return
    for line in summary(stage, out / result):
        logger.info("   %s", line)
    seconds = time.monotonic() - began
    logger.info("   → %s, after %s", out / result, f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min")


def _has_motifs(out: Path) -> bool:
    """Tell whether `motifs` found any de novo."""
    return bool(json.loads((out / MOTIFS / "summary.json").read_text(encoding="utf-8"))["de_novo"])
