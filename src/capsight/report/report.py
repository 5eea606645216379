"""`report`: the pictures of a run, and its page."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from rich.table import Table

from capsight import artefact, output
from capsight.config.base import Config
from capsight.progress import progress
from capsight.report import figures
from capsight.report.audit_figures import draw_audit
from capsight.report.drawing import BLUE, GREY
from capsight.report.figures import Drawn
from capsight.report.methods import methods
from capsight.report.page import KeyFigure, Picture, Section, Shown, examples, picture, shown, write_page
from capsight.report.results import CROSSVAL_FILE, SCAN_EVALUATION, evaluations, known_motifs, read_audit, read_metrics
from capsight.report.scan_tables import interval, key_figures, planted_table, scan_tables
from capsight.report.tables import (
    audit_table,
    crossval_tables,
    factor_table,
    faithfulness_table,
    metrics_tables,
    truth_table,
)

logger = logging.getLogger(__name__)

#: Pictures that `motifs` has drawn before, with captions and what they show.
_OF_MOTIFS = {
    "elements.png": (
        "Known promoter elements at their expected place: share of windows that have them.",
        "Bar chart of the share of positives, negatives and background with each known promoter element.",
    ),
    "volcano.png": (
        "Every k-mer: how much more frequent it is in predicted positives (across), and how sure that is (up).",
        "Volcano plot of k-mers: log2 odds against the p-value.",
    ),
    "frequencies.png": (
        "How often k-mers with much attribution are in predicted positives and in negatives.",
        "Bar chart of the share of windows with each k-mer.",
    ),
}


def report(run: Path, out: Path) -> Path:
    """Draw the pictures of a finished run, or of a finished cross-validation, and write its page.

    Parameters
    ----------
    run
        Run folder, or folder of `crossval`.
    out
        Folder for ``report.html`` and the pictures; an earlier report there is replaced.

    Raises
    ------
    InputError
        If `run` holds no evaluation, or `out` holds anything but a report.
    """
    output.check_folder(out, [run])
    with artefact.atomic_dir(out, "report", Config(), {}) as folder:
        if (run / CROSSVAL_FILE).is_file():
            tables = [shown(table) for table in crossval_tables(run)]
            drawn = [picture(each) for each in figures.draw_crossval(run, folder)]
            section = Section("models", "Models compared", tables=tables, pictures=drawn)
            title = "capsight crossval"
            headline = "Every model was trained anew for each chromosome that was left out, and tested on that one."
            write_page(run, folder, title=title, headline=headline, sections=[section])
        else:
            evaluations(run)  # refuses a folder without any
            sections: list[Section] = []
            with progress("report", len(_SECTIONS), " sections") as bar:
                for make in _SECTIONS:
                    sections.extend(make(run, folder))
                    bar.update()
            write_page(
                run, folder, title="capsight run", headline=headline_of(run), sections=sections, cited=methods(run)
            )  # fmt: skip
    return out


def headline_of(run: Path) -> str:
    """Return what came out of a run, in two or three sentences."""
    told = []
    if (run / SCAN_EVALUATION).is_dir():
        found = read_metrics(run / SCAN_EVALUATION)
        scan, names = (
            found["scan"],
            ", ".join(found["chromosomes"][:3]) + (" and others" if len(found["chromosomes"]) > 3 else ""),
        )
        where = f"On {names} ({found['bases']:,} bases, {found['n_peaks']:,} peaks), which were held out of training,"
        beside = [
            f"{each['auprc']:.3f} for the {name}"
            for name, each in found["compared"].items()
            if each.get("auprc") is not None
        ]
        against = f", against {' and '.join(beside)}" if beside else ""
        area = "undefined" if scan.get("auprc") is None else f"{scan['auprc']:.3f}"
        told.append(f"{where} the scan has an AUPRC of {area}{against}.")
        if scan.get("precision_at_recall_0.5") is not None:
            told.append(f"Of the calls that find half of the peaks, {scan['precision_at_recall_0.5']:.0%} are right.")
    else:
        results = {name: read_metrics(folder) for name, folder in evaluations(run).items()}
        first, *others = results.items()
        areas = [("undefined" if each.get("auroc") is None else f"{each['auroc']:.3f}") for _, each in (first, *others)]
        other = f", the {others[0][0]} one of {areas[1]}" if others else ""
        told.append(
            f"On {first[1]['n']:,} windows of the {first[1]['fold']} fold, which were held out of training, the "
            f"model has an AUROC of {areas[0]}{other}."
        )
    if (run / "scan" / "tss.bed").is_file():
        with (run / "scan" / "tss.bed").open(encoding="utf-8") as handle:
            told.append(f"{sum(1 for _ in handle):,} TSSs are called in the whole genome.")
    if (run / "audit" / "audit.json").is_file():
        checks = [check["verdict"] for check in read_audit(run / "audit")["checks"]]
        failed, warned = checks.count("fail"), checks.count("warn")
        told.append(
            f"In the audit of the data {failed or 'none'} of {len(checks)} checks failed and {warned or 'none'} gave "
            f"a warning."
        )
    return " ".join(told)


def _scan(run: Path, out: Path) -> Iterator[Section]:
    """Show what a scan of the held-out chromosomes found."""
    folder = run / SCAN_EVALUATION
    if folder.is_dir():
        text = "The held-out chromosomes, scanned base by base on both strands, against the observed peaks."
        tables = [shown(table) for table in scan_tables(folder, explained=True)]
        found = [KeyFigure(*each) for each in key_figures(folder)]
        tables += [shown(table) for table in [planted_table(run)] if table]
        yield Section("scan", "Accuracy of the scan", text, found, tables)


def _curves(run: Path, out: Path) -> Iterator[Section]:
    """Show the curves of the scan; of windows where there is none."""
    drawn = figures.draw_scan_curves(run, out) or figures.draw_window_curves(run, out)
    yield Section("curves", "ROC and precision–recall", pictures=_all(drawn))


def _reliability(run: Path, out: Path) -> Iterator[Section]:
    """Show whether probabilities can be taken at their word."""
    text = "A probability is calibrated if, of the calls with a probability of 0.8, four in five are right."
    yield Section("reliability", "Reliability", text, pictures=_all(figures.draw_reliability(run, out)))


def _windows(run: Path, out: Path) -> Iterator[Section]:
    """Show the metrics of windows."""
    tables = [shown(table) for table in metrics_tables(evaluations(run))]
    truth = None if (run / SCAN_EVALUATION).is_dir() else truth_table(run)
    tables += [shown(truth)] if truth else []
    found: list[KeyFigure] = []
    if not (run / SCAN_EVALUATION).is_dir():
        found = _window_figures(read_metrics(run / "evaluation"))
    text = "Windows with a cap site in their middle against windows without one: an easier question than a scan asks."
    drawn = figures.draw_truth(run, out)
    if (out / "scan-roc.svg").is_file():  # those of windows are not shown yet
        drawn += figures.draw_window_curves(run, out)
    yield Section("windows", "Accuracy on windows", text, found, tables, _all(drawn))


def _window_figures(result: dict[str, Any]) -> list[KeyFigure]:
    """Return the figures of windows that stand out, where there is no scan."""
    told = {
        "auroc": "Chance that a window with a cap site scores above one without. 0.5 is by luck.",
        "auprc": "Precision averaged over recall. 1 is perfect.",
        "mcc": "Correlation of call and truth. 0 is by luck, 1 is perfect.",
    }
    names = {"auroc": "AUROC", "auprc": "AUPRC", "mcc": "MCC"}
    found = []
    for key, meaning in told.items():
        if result.get(key) is not None:
            between = interval(result, key)
            found.append(
                KeyFigure(f"{result[key]:.3f}", f"95 % interval {between}" if between else "", names[key], meaning)
            )
    return found


def _loci(run: Path, out: Path) -> Iterator[Section]:
    """Show example loci, chosen by rule."""
    text = (
        "Places of the held-out chromosomes, chosen by rule and not by looks. Upwards: + strand, downwards: − strand. "
        "Arrows are called TSSs with their probability. A logo shows how much each base matters to the TSS. The strong "
        "and the median peak were chosen among those that were explained as predicted positives."
    )
    yield Section("loci", "Example loci", text, pictures=examples(run / "loci"), wide=True)


def _motifs(run: Path, out: Path) -> Iterator[Section]:
    """Show motifs with logos and position profiles, and how far explanations can be trusted."""
    tables = []
    if table := _motif_table(run, out):
        tables.append(table)
    if trust := faithfulness_table(run):
        tables.append(shown(trust))
    folder = run / "motifs" / "figures"
    drawn = [Drawn(folder / name, *told) for name, told in _OF_MOTIFS.items() if (folder / name).is_file()]
    text = "Stretches of DNA that the predictions rest on, gathered into motifs, and where they lie from the cap site."
    yield Section("motifs", "Motifs", text, tables=tables, pictures=_all(drawn))


def _motif_table(run: Path, out: Path) -> Shown | None:
    """Return every de novo motif with its logo, its places and the known motif that it matches best."""
    found = known_motifs(run)
    if not len(found):
        return None
    table = Table(
        title="De novo motifs", caption="position: of the first base, from the cap site (0), in predicted positives"
    )
    for name in ("motif", "logo", "sites", "main position", "positions of all sites", "known as"):
        table.add_column(name, justify="right" if name in ("sites", "main position") else "left")
    made = shown(table)
    rows: list[tuple[str | Picture, ...]] = []
    for row in found.to_dict("records"):
        name = str(row["motif"])
        known = f"{row['match']}, q {row['match_q']:.1g}" if row["match"] else "nothing in the database"
        logo, profile = run / "motifs" / "logos" / f"{name}.png", _profile(run, name, out)
        alt = f"Logo of {row['consensus']}"
        rows.append((
            str(row["consensus"]), picture(Drawn(logo, "", alt)) if logo.is_file() else "",
            f"{row['sites']:,}", f"{row['mode_offset']:+d}", picture(profile) if profile else "", known,
        ))  # fmt: skip
    return made._replace(rows=rows, sortable=len(rows) > 1)


def _profile(run: Path, name: str, out: Path) -> Drawn | None:
    """Draw where a motif begins in predicted positives."""
    path = run / "motifs" / "positions.tsv"
    if not path.is_file():
        return None
    table = pd.read_csv(path, sep="\t", dtype={"motif": str}, keep_default_na=False)
    rows = table[(table["motif"] == name) & (table["kind"] == "de_novo")]
    reach = int(table["offset"].abs().max()) if len(table) else 0
    if not len(rows) or not reach:
        return None

    def panel(axes: Axes) -> None:
        axes.bar(rows["offset"], rows["positives"], width=max(1.0, reach / 100), color=BLUE)
        axes.axvline(0, color=GREY, lw=0.8, ls=":")
        axes.set(xlim=(-reach, reach), yticks=[0, int(np.max(rows["positives"]))])
        axes.tick_params(labelsize=7)

    (out / "profiles").mkdir(exist_ok=True)
    top = rows.iloc[int(np.argmax(rows["positives"]))]
    alt = f"Position profile of {name}: most sites, {top['positives']:,}, begin at {top['offset']:+d}"
    return figures.draw(
        out / "profiles" / f"{len(list((out / 'profiles').iterdir())) + 1}.svg", panel, "", alt, (3.0, 0.9)
    )


def _factors(run: Path, out: Path) -> Iterator[Section]:
    """Show every known factor that was tested."""
    if table := factor_table(run, every=True):
        text = (
            "Known transcription factors whose motif is found more often behind predicted positives than behind "
            "negatives of the same GC content. A click on a heading sorts."
        )
        yield Section("factors", "Factors", text, tables=[shown(table, sortable=True)])


def _audit(run: Path, out: Path) -> Iterator[Section]:
    """Show the verdicts of the audit, and its pictures."""
    if not (run / "audit" / "audit.json").is_file():
        return
    text = "Do the folds leak into each other, and does anything but the sequence tell positives from negatives?"
    table = shown(audit_table(read_audit(run / "audit")))._replace(
        title="", note="pairs.tsv in the folder of the audit names every window that was found."
    )
    yield Section(
        "audit",
        "Audit of the data",
        text,
        tables=[table],
        pictures=_all(draw_audit(run / "windows", run / "audit", out)),
    )


def _training(run: Path, out: Path) -> Iterator[Section]:
    """Show how training went."""
    yield Section("training", "Training", pictures=_all(figures.draw_training(run, out)))


def _all(drawn: list[Drawn]) -> list[Picture]:
    return [picture(each) for each in drawn]


#: What makes each part of the page, in the order of reading.
_SECTIONS: tuple[Callable[[Path, Path], Iterator[Section]], ...] = (
    _scan, _curves, _reliability, _windows, _loci, _motifs, _factors, _audit, _training,
)  # fmt: skip
