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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import capsight
from capsight import artefact, output
from capsight.config import NOT_FOR_CNN, BaselineConfig, ExamplesConfig, FinetuneConfig, Recipe
from capsight.config.base import Config
from capsight.config.variables import fill_variables
from capsight.config.yaml_files import load_yaml, override, parse
from capsight.data.fetch.named import may_be_asset, with_files
from capsight.data.io.text import passes
from capsight.errors import InputError, NothingPredicted
from capsight.recipe import find_recipe, is_shipped
from capsight.report.summary import summary
from capsight.shipped import shipped_models

logger = logging.getLogger(__name__)

SIMULATION = "simulation"
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
    record = artefact.origin("run", settings, {})
    check_claim(out, record)
    settings = with_files(settings)
    steps = plan(settings, out)
    with claiming(out, record):
        check_outputs(steps, out)
        artefact.write_yaml(out / artefact.RECORD, record)
        _run(steps, out)
    return out


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
        except NothingPredicted as error:
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


def read_recipe(recipe: Path, out: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply overrides, and fill in what the run folder itself provides."""
    file = find_recipe(recipe)
    values, overrides = fill_variables(load_yaml(file), overrides, where=recipe)
    values = _resolve(values, Path() if passes(file) or is_shipped(file) else file.parent)
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

        Start.of(settings.train.init).shaped(settings.train)
    if settings.baseline and settings.baseline.model == "cnn":
        settings = settings.model_copy(update={"baseline": cnn_baseline(settings)})
    return settings


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
        keys = ["genome", "peaks", "aliases", "negatives_bed", "promoters", "train"]
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


@contextmanager
def claiming(out: Path, record: Mapping[str, Any]) -> Iterator[None]:
    """Make the folder of a run or a cross-validation, and hold other processes off it for the length of the block.

    Raises
    ------
    InputError
        If `out` holds something that is not a run, or not one of this stage, or another process works in it.
    """
    check_claim(out, record)
    with artefact.folders_above(output.resolve(out)), output.locked(output.resolve(out), record["stage"]):
        out.mkdir(exist_ok=True)
        yield


def check_claim(out: Path, record: Mapping[str, Any]) -> None:
    """Refuse a folder that is not one of this stage, or that cannot be written.

    Raises
    ------
    InputError
        Naming the folder.
    """
    output.check_folder(out)
    made = out / artefact.RECORD
    others = out.is_dir() and any(path.suffix != ".partial" for path in out.iterdir())  # another may be claiming it
    if others and not made.is_file():
        raise InputError("exists and is not a run of capsight", where=out, remedy="name another folder")
    if made.is_file() and (stage := artefact.read_record(made).get("stage")) != record["stage"]:
        was = f"was made by {stage}, not by {record['stage']}" if stage else "is not a run of capsight"
        raise InputError(was, where=out, remedy="name another folder")
