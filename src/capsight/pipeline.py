"""`run`: every stage of a recipe, in order, into one folder; what is done and valid is skipped.

simulation/ → windows/ → pretrained/ → model/ → evaluation/, predictions.tsv
             windows/ ───────────→ model/ of `train` → also evaluation-scan/, scan/
                       → baseline/ → evaluation-baseline/
              windows/, model/ → attributions.npz → motifs/ → hits.tsv, matches.tsv, factors.tsv
everything → report/
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capsight import artefact, output
from capsight.config import NOT_FOR_CNN, BaselineConfig, FinetuneConfig, Recipe
from capsight.config.variables import fill_variables
from capsight.config.yaml_files import load_yaml, override, parse
from capsight.data.fetch.named import may_be_asset, with_files
from capsight.data.io.text import passes
from capsight.errors import InputError, NothingPredicted
from capsight.recipe import find_recipe, is_shipped
from capsight.shipped import shipped_models
from capsight.train.launch import check_alone

logger = logging.getLogger(__name__)

SIMULATION = "simulation"
WINDOWS = "windows"
PRETRAINED = "pretrained"
MODEL = "model"
BASELINE = "baseline"
EVALUATION = "evaluation"
BASELINE_EVALUATION = "evaluation-baseline"
SCAN_EVALUATION = "evaluation-scan"
PREDICTIONS = "predictions.tsv"
SCAN = "scan"
ATTRIBUTIONS = "attributions.npz"
MOTIFS = "motifs"
HITS = "hits.tsv"
MATCHES = "matches.tsv"
FACTORS = "factors.tsv"
REPORT = "report"
#: Every result of a run, and the stage that makes it.
_STAGES = {
    SIMULATION: "simulate", WINDOWS: "windows", PRETRAINED: "pretrain", MODEL: "finetune", BASELINE: "baseline",
    EVALUATION: "evaluate", BASELINE_EVALUATION: "evaluate", SCAN_EVALUATION: "evaluate", SCAN: "scan",
    PREDICTIONS: "predict", ATTRIBUTIONS: "explain", MOTIFS: "motifs", HITS: "motif-scan", MATCHES: "motif-compare",
    FACTORS: "motif-enrich", REPORT: "report",
}  # fmt: skip


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
    with claiming(out, record):
        _check_outputs(settings, out)
        artefact.write_yaml(out / artefact.RECORD, record)
        _run(settings, out)
    return out


def _check_outputs(settings: Recipe, out: Path) -> None:
    """Refuse a run that would have to replace what is not its own, before hours of work."""
    for name, stage in (_STAGES | ({MODEL: "train"} if settings.train else {})).items():
        if Path(name).suffix:
            artefact.check_replaceable_file(out / name, stage)
        else:
            artefact.check_replaceable(out / name, stage)


def _run(settings: Recipe, out: Path) -> None:
    """Run all stages in order."""
    if settings.simulate:
        from capsight.simulate import simulate

        _announce("simulate", "a genome with planted promoters")
        simulate(settings.simulate, out / SIMULATION)
    from capsight.data.windows.stage import windows

    _announce("windows", "positives, negatives and folds")
    windows(settings.windows, out / WINDOWS)
    _learn(settings, out)
    _measure(settings, out)
    try:
        _interpret(settings, out)
    except NothingPredicted as error:
        logger.warning("explain, motifs and what reads them are left out: %s", error)
    from capsight.report.report import report

    _announce("report", "tables and pictures on one page")
    report(out, out / REPORT)


def _learn(settings: Recipe, out: Path) -> None:
    """Train everything that the recipe asks for."""
    if settings.baseline:
        from capsight.train.baselines.baseline import baseline

        _announce("baseline", "a model to compare with, on the same windows")
        baseline(settings.baseline, out / WINDOWS, out / BASELINE)
    if settings.train:
        from capsight.train.track.train import train

        _announce("train", "a track of every base of both strands, from crops of the training chromosomes")
        train(settings.train, out / WINDOWS, out / MODEL)
    if not (settings.pretrain and settings.finetune):
        return
    from capsight.train.finetune import finetune
    from capsight.train.pretrain import pretrain

    _announce("pretrain", "language modelling on the training chromosomes")
    pretrain(settings.pretrain, out / WINDOWS, out / PRETRAINED)
    _announce("finetune", "cap sites against negatives")
    finetune(settings.finetune, out / WINDOWS, out / PRETRAINED, out / MODEL)


def _measure(settings: Recipe, out: Path) -> None:
    """Score the folds."""
    from capsight.evaluate.evaluate import evaluate
    from capsight.predict.predict import predict

    _announce("evaluate", f"metrics on the {settings.evaluate.fold} fold")
    evaluate(settings.evaluate, out / MODEL, out / WINDOWS, out / EVALUATION)
    if settings.baseline:
        evaluate(settings.evaluate, out / BASELINE, out / WINDOWS, out / BASELINE_EVALUATION)
    if settings.train and settings.windows.genome:
        _announce("evaluate", f"a scan of the {settings.evaluate.fold} chromosomes, against peaks and 5' ends")
        beside = [out / BASELINE] if settings.baseline else []
        by_scan = settings.evaluate.model_copy(update={"scan": True})
        evaluate(by_scan, out / MODEL, out / WINDOWS, out / SCAN_EVALUATION, against=beside)
    if settings.scan and settings.windows.genome:
        from capsight.predict.scan import scan

        _announce("scan", "expected tags of every base, and called TSSs")
        scan(settings.scan, out / MODEL, settings.windows.genome, out / SCAN)
    _announce("predict", "scores for every window")
    predict(settings.predict, out / MODEL, out / WINDOWS, out / PREDICTIONS)


def _interpret(settings: Recipe, out: Path) -> None:
    """Say which bases the answers rest on, what these have in common, and which factors know them."""
    if not settings.explain:
        return
    from capsight.explain.explain import explain

    _announce("explain", f"scores per base on the {settings.explain.fold} fold")
    explain(settings.explain, out / MODEL, out / WINDOWS, out / ATTRIBUTIONS)
    if not settings.motifs:
        return
    from capsight.motifs.motifs import motifs

    _announce("motifs", "k-mers, elements and motifs behind the predictions")
    motifs(settings.motifs, out / ATTRIBUTIONS, out / MOTIFS, out / MODEL, out / WINDOWS)
    _name_factors(settings, out)


def _name_factors(settings: Recipe, out: Path) -> None:
    """Look for known PWMs in what `motifs` wrote."""
    from capsight.motifs.known.motif_compare import motif_compare
    from capsight.motifs.known.motif_enrich import motif_enrich
    from capsight.motifs.known.motif_scan import motif_scan
    from capsight.motifs.motifs import MEME_FILE, NEGATIVES_FASTA, POSITIVES_FASTA, SUMMARY_FILE

    folder = out / MOTIFS
    if settings.motif_scan:
        _announce("motif-scan", f"hits of {settings.motif_scan.motif_db} in the seqlets of predicted positives")
        motif_scan(settings.motif_scan, folder / POSITIVES_FASTA, out / HITS)
    if settings.motif_compare and json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))["de_novo"]:
        _announce("motif-compare", f"de novo motifs and those of {settings.motif_compare.motif_db}")
        motif_compare(settings.motif_compare, folder / MEME_FILE, out / MATCHES)
    if settings.motif_enrich:
        _announce("motif-enrich", f"factors of {settings.motif_enrich.motif_db} that hit positives more than negatives")
        motif_enrich(settings.motif_enrich, folder / POSITIVES_FASTA, folder / NEGATIVES_FASTA, out / FACTORS)


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
    """Refuse a folder that is not one of this stage, or that cannot be written, and several processes.

    Raises
    ------
    InputError
        Naming the folder, or how many processes a launcher has started.
    """
    check_alone(record["stage"])
    output.check_folder(out)
    made = out / artefact.RECORD
    others = out.is_dir() and any(path.suffix != ".partial" for path in out.iterdir())  # another may be claiming it
    if others and not made.is_file():
        raise InputError("exists and is not a run of capsight", where=out, remedy="name another folder")
    if made.is_file() and (stage := artefact.read_record(made).get("stage")) != record["stage"]:
        was = f"was made by {stage}, not by {record['stage']}" if stage else "is not a run of capsight"
        raise InputError(was, where=out, remedy="name another folder")


def _announce(stage: str, purpose: str) -> None:
    logger.info("── %s: %s", stage, purpose)
