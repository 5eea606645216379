"""What commands show when they are done."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console


def show_metrics(folders: Mapping[str, Path]) -> None:
    """Print the metrics of one or more evaluations."""
    from capsight.report.tables import chromosome_table, metrics_table, similarity_table

    console = Console()
    console.print(metrics_table(folders))
    for table in (chromosome_table(folders), similarity_table(folders)):
        if table:
            console.print(table)


def show_base_metrics(folder: Path) -> None:
    """Print the metrics of answers base by base."""
    from capsight.report.base_tables import base_tables

    console = Console()
    for table in base_tables(folder):
        console.print(table)


def show_audit(folder: Path) -> bool:
    """Print the verdicts of an audit; return whether it failed."""
    from capsight.report.results import read_audit
    from capsight.report.tables import audit_table

    result = read_audit(folder)
    console = Console()
    console.print(audit_table(result))
    failed, warned = (sum(check["verdict"] == kind for check in result["checks"]) for kind in ("fail", "warn"))
    told = f"verdict: {result['verdict']} ({failed} failed, {warned} warnings); pictures in {folder}/audit.html"
    console.print(told, highlight=False, soft_wrap=True)
    return bool(failed)


def show_crossval(folder: Path) -> None:
    """Print the tables of a cross-validation."""
    from capsight.report.tables import crossval_tables

    console = Console()
    for table in crossval_tables(folder):
        console.print(table)
    console.print(
        f"\nBy chromosome: {folder}/crossval.tsv; pictures in {folder}/report/", highlight=False, soft_wrap=True
    )


def show_run(run: Path) -> None:
    """Print the tables of a run, where its files are, and what to do with them."""
    from capsight.report.results import evaluations
    from capsight.report.tables import factor_table, faithfulness_table, motif_table, truth_table

    show_metrics(evaluations(run))
    if (run / "evaluation-base").is_dir():
        show_base_metrics(run / "evaluation-base")
    console = Console(soft_wrap=True)
    for made in (truth_table, faithfulness_table, motif_table, factor_table):
        if table := made(run):
            console.print(table)
    console.print(f"\nResults in {run}/")
    for name, what in (
        ("evaluation/metrics.json", "all metrics with their intervals"),
        ("evaluation-base/metrics-base.json", "how near the predicted summits are"),
        ("predictions.tsv", "the probability of each window that was scored"),
        ("attributions.npz", "the score of every base of the explained windows"),
        ("motifs/", "k-mers, elements and de novo motifs with tests, logos and pictures"),
        ("factors.tsv", "known factors, the most enriched first"),
        ("model/", "the trained model (safetensors)"),
        ("report/", "pictures"),
    ):
        if (run / name).exists():
            console.print(f"  {name:35}{what}", highlight=False)
    console.print("\nNext, score your own sequences:", highlight=False)
    console.print(f"  capsight predict --model {run}/model my.fa -o my.tsv", highlight=False)
