"""The tables that a terminal shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from capsight.data import schema
from capsight.data.audit.similarity_bins import NO_RELATIVE
from capsight.report.results import (
    CROSSVAL_SUMMARY_FILE,
    CROSSVAL_TESTS_FILE,
    SCAN_AUPRC,
    SCAN_EVALUATION,
    THRESHOLD,
    evaluations,
    factors,
    faithfulness,
    known_motifs,
    planted,
    read_metrics,
    read_scores,
)
from capsight.report.scan_tables import planted_table, scan_tables

#: Metrics in the order shown, each with what it tells a biologist.
METRICS = {
    "auroc": "a cap site scores above a negative (0.5 is chance)",
    "auprc": "precision averaged over recall",
    "accuracy": "windows called right",
    "precision": "calls that are cap sites",
    "recall": "cap sites that are called",
    "f1": "harmonic mean of precision and recall",
    "mcc": "correlation of call and truth (0 is chance)",
    "brier": "squared error of the probability (lower is better)",
    "ece": "gap between probability and frequency (lower is better)",
}
#: How a metric is written, where not as its key.
NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "mcc": "MCC",
    "brier": "Brier score",
    "ece": "calibration error",
}
#: A row for each chromosome is shown for up to this many of them.
MOST_ROWS = 30
#: Motifs and factors shown; the files have all.
MOST_MOTIFS = 15
MOST_FACTORS = 10
#: Factors are shown below this q-value.
ALPHA = 0.05


def run_tables(run: Path, *, brief: bool = False) -> list[Table]:
    """Return all tables of a run, those of predictions first, then those of explanations; the first few if `brief`.

    Raises
    ------
    InputError
        If it holds no evaluation.
    """
    made = (truth_table, faithfulness_table, motif_table, factor_table)
    scanned: list[Table | None] = []
    if (run / SCAN_EVALUATION).is_dir():
        scanned = [*scan_tables(run / SCAN_EVALUATION), planted_table(run)]
    tables = [*scanned, *metrics_tables(evaluations(run)), *(table(run) for table in made)]
    return [table for table in (tables[: len(scanned) or 1] if brief else tables) if table]


def metrics_tables(folders: Mapping[str, Path]) -> list[Table]:
    """Return the metrics of evaluations: of all windows, by chromosome, and by similarity to the training windows."""
    tables = metrics_table(folders), chromosome_table(folders), similarity_table(folders)
    return [table for table in tables if table]


def metrics_table(folders: Mapping[str, Path]) -> Table:
    """Return the metrics of one or more evaluations side by side, with 95 % intervals."""
    results = {name: read_metrics(folder) for name, folder in folders.items()}
    first = next(iter(results.values()))
    title = f"{first['fold']} fold: {first['n']:,} windows, {first['n_positive']:,} of them cap sites"
    table = Table(title=title, title_justify="left", caption="[] 95 % bootstrap interval", caption_justify="left")
    table.add_column("metric")
    for name in results:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what it means")
    for metric, meaning in METRICS.items():
        table.add_row(NAMES.get(metric, metric), *(_cell(result, metric) for result in results.values()), meaning)
    return table


def crossval_tables(folder: Path) -> list[Table]:
    """Return mean and standard deviation of every model over chromosomes, and the paired tests of AUROC."""
    summary = pd.read_csv(folder / CROSSVAL_SUMMARY_FILE, sep="\t")
    tests = pd.read_csv(folder / CROSSVAL_TESTS_FILE, sep="\t")
    metrics = list(dict.fromkeys(summary["metric"]))
    if SCAN_AUPRC in metrics:  # of track models, whose probabilities are of scans: a threshold is no measure by windows
        metrics = [SCAN_AUPRC, "auroc", "auprc"]
    title = f"Mean ± sd over {summary['n'].max()} chromosomes left out"
    means = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("model", *metrics):
        means.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    for model, rows in summary.groupby("model", sort=False):
        rows = rows.set_index("metric").loc[metrics]
        sds = ("" if np.isnan(sd) else f"±{sd:.3f}" for sd in rows["sd"])
        cells = (_number(mean, ".3f") + sd for mean, sd in zip(rows["mean"], sds, strict=True))
        means.add_row(str(model), *cells)
    tests = tests[tests["metric"] == "auroc"]
    if not len(tests):
        return [means]
    least = f"the smallest possible p is {tests['min_attainable_p'].iloc[0]:.2g}"
    caption = f"p: Wilcoxon signed-rank over chromosomes; {least}\np (windows): bootstrap; [] its 95 % interval"
    title = "AUROC of model minus that of other, over chromosomes"
    paired = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    paired.caption, paired.caption_justify = caption, "left"
    for column in ("model", "other", "median", "p", "mean", "p (windows)"):
        paired.add_column(column, justify="left" if column in ("model", "other") else "right", no_wrap=True)
    for row in tests.to_dict("records"):
        mean = _number(row["mean_difference"], "+.3f")
        if not np.isnan(row["low"]):
            mean += f" [{row['low']:+.3f}, {row['high']:+.3f}]"
        first = (row["model"], row["other"], _number(row["median_difference"], "+.3f"), _number(row["p"], ".2g"))
        paired.add_row(*first, mean, _number(row["p_windows"], ".2g"))
    return [means, paired]


def chromosome_table(folders: Mapping[str, Path]) -> Table | None:
    """Return AUROC per chromosome, where the fold has more than one."""
    results = {name: read_metrics(folder).get("per_chromosome", {}) for name, folder in folders.items()}
    chromosomes = next(iter(results.values()))
    if not 1 < len(chromosomes) <= MOST_ROWS:
        return None
    table = Table(title="AUROC per chromosome", title_justify="left")
    for column in ("chromosome", "windows", *results):
        table.add_column(column, justify="left" if column == "chromosome" else "right", overflow="fold")
    for chromosome, values in chromosomes.items():
        cells = (_cell(result[chromosome], "auroc") for result in results.values())
        table.add_row(chromosome, f"{values['n']:,}", *cells)
    return table


def similarity_table(folders: Mapping[str, Path]) -> Table | None:
    """Return AUROC and accuracy by similarity to the training windows, where evaluations have it."""
    results = {name: found for name, folder in folders.items() if (found := read_metrics(folder).get("per_similarity"))}
    if not results or list(next(iter(results.values()))) == [NO_RELATIVE]:  # that is all windows
        return None
    title = "By identity with the nearest training window"
    table = Table(title=title, title_justify="left", caption="[] 95 % bootstrap interval", caption_justify="left")
    for column in ("identity", "windows", *(f"{name} {what}" for name in results for what in ("AUROC", "accuracy"))):
        table.add_column(column, justify="left" if column == "identity" else "right")
    for stratum, values in next(iter(results.values())).items():
        cells = (_cell(result[stratum], metric) for result in results.values() for metric in ("auroc", "accuracy"))
        table.add_row(stratum, f"{values['n']:,}", *cells)
    return table


def audit_table(result: Mapping[str, Any]) -> Table:
    """Return the verdict of every check of an audit."""
    colours = {"pass": "green", "warn": "yellow", "fail": "red", "skipped": "dim"}
    table = Table(title="Audit", title_justify="left")
    for column in ("check", "verdict", "what was found"):
        table.add_column(column, no_wrap=column != "what was found")
    for check in result["checks"]:
        table.add_row(check["name"], Text(check["verdict"], style=colours[check["verdict"]]), check["message"])
    return table


def truth_table(run: Path) -> Table | None:
    """Return planted truth beside what was found, by a scan where there is one, for a run on a simulated genome."""
    if table := planted_table(run):
        return table
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for name, folder in evaluations(run).items():
        content = planted(run, read_scores(folder))
        if content is None:
            return None
        for (label, kind), rows in content.groupby([schema.LABEL, "content"]):
            counts.setdefault(f"{label}{kind}", {})[name] = (
                len(rows),
                int((rows[schema.SCORE] >= THRESHOLD).sum()),
            )
    names = list(next(iter(counts.values())))
    table = Table(title="Planted truth, and what was found in the test fold", title_justify="left")
    table.add_column("planted in the window")
    table.add_column("windows", justify="right")
    for name in names:
        table.add_column(f"called cap site by {name}", justify="right")
    for key in sorted(counts, reverse=True):
        planted_as = f"cap site: {key[1:]}" if key[0] == "1" else f"no cap site: {key[1:]}"
        cells = [f"{called:,} ({called / n:.0%})" for n, called in counts[key].values()]
        table.add_row(planted_as, f"{counts[key][names[0]][0]:,}", *cells)
    return table


def faithfulness_table(run: Path) -> Table | None:
    """Return how far to trust each explanation, where the run has some."""
    found = faithfulness(run)
    if not found:
        return None
    table = Table(title="How far to trust each explanation of this model", title_justify="left")
    table.add_column("method")
    for column in ("faithfulness (0: random bases)", "score left without its bases", "score from its bases alone"):
        table.add_column(column, justify="right")
    for name, values in found.items():
        table.add_row(name, f"{values['score']:.3f}", f"{values['deletion']:.3f}", f"{values['insertion']:.3f}")
    first = next(iter(found.values()))
    table.add_row("random bases", "0.000", f"{first['random_deletion']:.3f}", f"{first['random_insertion']:.3f}")
    return table


def motif_table(run: Path) -> Table | None:
    """Return the motifs found de novo, with their places and the known PWMs like them."""
    found = known_motifs(run)
    if not len(found):
        return None
    shown = f", the first {MOST_MOTIFS} of {len(found)}" if len(found) > MOST_MOTIFS else ""
    table = Table(
        title=f"Motifs behind the predictions{shown}", title_justify="left",
        caption="offset: of the first base from the cap site (0)", caption_justify="left",
    )  # fmt: skip
    for column in ("motif", "sites", "offset", "known as"):
        table.add_column(column, justify="right" if column in ("sites", "offset") else "left", overflow="fold")
    for row in found.iloc[:MOST_MOTIFS].to_dict("records"):
        known = f"{row['match']}, q {row['match_q']:.1g}" if row["match"] else "nothing in the database"
        table.add_row(row["consensus"], f"{row['sites']:,}", f"{row['mode_offset']:+d}", known)
    return table


def factor_table(run: Path, *, every: bool = False) -> Table | None:
    """Return the known factors that hit the seqlets of predicted positives more than those of negatives.

    The most enriched ones below `ALPHA`, or `every` one that was tested.
    """
    found = factors(run)
    if not len(found):
        return None
    called = found[found["q-value"] < ALPHA]
    title = f"Known factors with more hits in positives: {len(called)} of {len(found)} PWMs at q < {ALPHA}"
    if not len(called) and not every:
        return Table(title=title, title_justify="left")
    table = Table(title=title, title_justify="left")
    for column in ("factor", "PWM", "positives", "negatives", "odds ratio", "q"):
        table.add_column(column, justify="left" if column in ("factor", "PWM") else "right", overflow="fold")
    for _, row in (found if every else called.iloc[:MOST_FACTORS]).iterrows():
        rates = (f"{row[f'{side}_rate']:.0%}" for side in ("positive", "negative"))
        odds, q = f"{row['odds_ratio']:.1f}", f"{row['q-value']:.1g}"
        table.add_row(str(row["factor"]), str(row["motif_id"]), *rates, odds, q)
    return table


def _number(value: float, form: str) -> str:
    """Show a number, or that there is none."""
    return "undefined" if np.isnan(value) else f"{value:{form}}"


def _cell(result: Mapping[str, Any], metric: str) -> str:
    """Show a value and its interval."""
    if result[metric] is None:
        return "undefined"
    interval = result.get("intervals", {}).get(metric)
    shown = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"{result[metric]:.3f}{shown}"
