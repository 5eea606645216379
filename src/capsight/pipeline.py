"""`run`: every stage of a recipe, in order, into one folder; what is done and valid is skipped.

simulation/ → windows/ → pretrained/ → model/ → evaluation/, predictions.tsv
             windows/ ───────────→ model/ of `train` → also evaluation-scan/, scan/
                       → baseline/ → evaluation-baseline/
              windows/, model/ → attributions.npz → motifs/ → hits.tsv, matches.tsv, factors.tsv
everything → report/
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from capsight import artefact
from capsight.artefact.claim import check_run_dir, init_run_dir
from capsight.config import Recipe
from capsight.data.fetch.named import with_files
from capsight.errors import NoPredictedPositives
from capsight.recipe import SIMULATION, read_recipe

logger = logging.getLogger(__name__)

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
    record = artefact.provenance("run", settings, {})
    check_run_dir(out, record)
    settings = with_files(settings)
    with init_run_dir(out, record):
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
    except NoPredictedPositives as error:
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


def _announce(stage: str, purpose: str) -> None:
    logger.info("── %s: %s", stage, purpose)
