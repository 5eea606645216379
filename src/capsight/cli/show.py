"""What commands show when they are done."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from capsight.report.console import PlainConsole

if TYPE_CHECKING:
    from capsight.data.fetch.stage import Fetched
    from capsight.doctor import Finding
    from capsight.run.preview import Preview
    from capsight.run.recipe import RecipeSummary
    from capsight.shipped import ModelCard


def show_metrics(folders: Mapping[str, Path]) -> None:
    """Print the metrics of one or more evaluations."""
    from capsight.report.tables import metrics_tables

    console = PlainConsole()
    for table in metrics_tables(folders):
        console.print(table)


def show_scan_metrics(folder: Path) -> None:
    """Print the metrics of a scan, and where the calls are."""
    from capsight.report.scan_tables import scan_tables

    console = PlainConsole()
    for table in scan_tables(folder):
        console.print(table)


def show_assets(own: Path | None) -> None:
    """Print the table of assets, and where each would come from; nobody is asked."""
    from capsight.data.assets import read_table, where_from
    from capsight.data.fetch.download import readable

    rows = [("name", "kind", "size", "from", "species", "assembly", "licence")]
    for asset in read_table(own):
        size = readable(int(asset.size)) if asset.size else ""
        rows.append((asset.name, asset.kind, size, where_from(asset), asset.species, asset.assembly, asset.licence))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join((text or ".").ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def show_fetched(fetched: "Sequence[Fetched]") -> None:
    """Print where the files of assets are, and the command that reads them."""
    for one in fetched:
        for kind, path in one.paths.items():
            typer.echo(f"{kind}\t{path}")
    if genome := next((one for one in fetched if one.genome), None):
        peaks = next((one.peaks for one in fetched if one.peaks and one.assembly == genome.assembly), "PEAKS.bed")
        words = ["capsight", "windows", "--genome", genome.genome, "--peaks", peaks]
        words += ["--validation", genome.validation] if genome.validation else []
        words += ["--test", genome.test] if genome.test else []
        typer.echo("\nNext, make windows:\n  " + shlex.join([*map(str, words), "-o", "windows"]))


def show_audit(folder: Path) -> None:
    """Print the verdicts of an audit."""
    from capsight.report.results import read_audit
    from capsight.report.tables import audit_table

    result = read_audit(folder)
    console = PlainConsole()
    console.print(audit_table(result))
    failed, warned = (sum(check["verdict"] == kind for check in result["checks"]) for kind in ("fail", "warn"))
    counts = f"{failed} failed, {warned} warnings"
    told = f"verdict: {result['verdict']} ({counts}); {folder}/pairs.tsv lists every window that was found"
    console.print(told, soft_wrap=True)


def show_crossval(folder: Path, drawn: Path) -> None:
    """Print the tables of a cross-validation, whose report is in the folder `drawn`."""
    from capsight.report.tables import crossval_tables

    console = PlainConsole()
    for table in crossval_tables(folder):
        console.print(table)
    console.print(
        f"\nBy chromosome: {folder}/crossval.tsv; tables and pictures: {drawn}/report.html",
        soft_wrap=True,
    )


def show_run(run: Path, *, brief: bool = False) -> None:
    """Print the tables of a run, where its files are, and what to do with them.

    A `brief` run is told in a few sentences, and the tables are left to the report.
    """
    from capsight.report.report import headline_of
    from capsight.report.tables import run_tables

    tables, console = PlainConsole(), PlainConsole(soft_wrap=True)
    if brief:
        console.print(f"\n{headline_of(run)}")
    for table in run_tables(run, brief=brief):
        tables.print(table)
    console.print(f"\nResults in {run}/")
    for name, what in (
        ("evaluation-scan/metrics.json", "all metrics of the scan of the test chromosomes, with their intervals"),
        ("scan/", "expected 5' ends as bigWig, and called start sites as BED and GFF3"),
        ("evaluation/metrics.json", "all metrics of windows with their intervals"),
        ("audit/pairs.tsv", "every window that the audit found to leak"),
        ("loci/", "pictures of example loci"),
        ("predictions.tsv", "the probability of each window that was scored"),
        ("attributions.npz", "the score of every base of the explained windows"),
        ("motifs/", "k-mers, elements and de novo motifs with tests, logos and pictures"),
        ("factors.tsv", "known factors, the most enriched first"),
        ("model/", "the trained model (safetensors)"),
        ("report/report.html", "all of it on one page: tables, pictures, methods; open it in a browser"),
    ):
        if (run / name).exists():
            console.print(f"  {name:35}{what}")
    console.print("\nNext, score your own sequences:")
    if (run / "evaluation-scan").exists():
        console.print(f"  capsight scan my-genome.fa --model {run}/model -o my-scan")
    console.print(f"  capsight predict --model {run}/model my.fa -o my.tsv")


def show_preview(found: "Preview", out: Path) -> None:
    """Print the stages of a run that was not run, in order: what is done, what is made, and how long that takes."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = PlainConsole()
    table = Table(title=found.description or None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("stage", "state", "time", "what it makes"):
        table.add_column(name, justify="right" if name == "time" else "left", no_wrap=name != "what it makes")
    for each in found.stages:
        told = f"{each.result}: {each.purpose}" + (f" ({each.why})" if each.why else "")
        table.add_row(each.stage, each.state, _duration(each.seconds), told)
    console.print(table)
    known = [each.seconds for each in found.stages if each.seconds is not None]
    if known:
        console.print(
            f"About {_duration(sum(known))} of training, scanning and explaining, by a short measurement on this "
            "machine, as busy as it is now. Stages without a time take seconds to minutes."
        )
    for asset in found.fetched:
        console.print(f"To be fetched first: {asset}")
    console.print(f"Nothing was written. Without --dry-run, the results go into {out}/", soft_wrap=True)


def show_findings(findings: "Sequence[Finding]") -> None:
    """Print what the doctor found, part by part; what cannot work is marked."""
    from rich.table import Table
    from rich.text import Text

    console = PlainConsole()
    marks = {"ok": Text(""), "note": Text("note", style="yellow"), "fault": Text("fault", style="red")}
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(overflow="fold")
    part = ""
    for each in findings:
        table.add_row(each.part if each.part != part else "", each.name, marks[each.state], each.found)
        part = each.part
    console.print(table)
    faults = sum(each.state == "fault" for each in findings)
    console.print(f"\n{faults} {'fault' if faults == 1 else 'faults'}: see above." if faults else "\nNo faults.")


def _duration(seconds: float | None) -> str:
    """Write a duration as one reads it; nothing where it is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_recipes(recipes: "Sequence[RecipeSummary]") -> None:
    """Print what each shipped recipe is for, what it reads, and how long it takes."""
    rows: list[tuple[str, str]] = []
    for each in recipes:
        rows.append((each.name, each.description))
        rows.append(("", f"data: {', '.join(each.data) or 'your own'}"))
        rows += [("", f"time: {each.time}")] if each.time else []
        rows += [("", f"choose: --set {name}={' | '.join(choices)}") for name, choices in each.variables.items()]
    _print_columns(rows)


def show_models(cards: "Sequence[ModelCard]") -> None:
    """Print what each shipped model is of, how good it is on chromosomes that it has not read, and its limits."""
    rows: list[tuple[str, str]] = []
    for card in cards:
        measured = f"AUPRC {card.scan['auprc'][0]:.3f}"
        if precision := card.scan.get("precision_at_recall_0.5"):
            measured += f", precision at recall 0.5 {precision[0]:.3f}"
        else:
            measured += "; recall 0.5 is not reached"
        tested = f"{', '.join(card.test)} scanned whole, {card.n_peaks:,} peaks"
        rows += [
            (card.name, f"{card.species}; {card.bytes / 1e6:.1f} MB; licence {card.licence}"),
            ("", f"data: {' '.join(card.data)}"),
            ("", f"measured: {tested}: {measured}"),
            ("", f"limits: {' '.join(card.limits)}"),
            ("", ""),
        ]
    _print_columns(rows)
    PlainConsole().print("The whole card of one: capsight models NAME. Use it: --model NAME, in any command.")


def show_card(name: str) -> None:
    """Print the card of a shipped model, without the lines that are for registries of models."""
    from capsight.shipped import read_card_text

    PlainConsole(soft_wrap=True).print(read_card_text(name))


def _print_columns(rows: Sequence[tuple[str, str]]) -> None:
    """Print names, and beside them texts of any length."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    PlainConsole().print(table)
