"""The page of a run: its tables, its pictures and how each number was made, in one HTML file that needs no other."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from jinja2 import Environment, PackageLoader
from PIL import Image
from rich.console import RenderableType
from rich.table import Table

from capsight.artefact import RECORD, read_record
from capsight.output import writing
from capsight.report.console import PlainConsole
from capsight.report.results import CROSSVAL_FOLDS

PAGE_FILE: Final = "report.html"
#: Pictures that the report draws.
DRAWN: Final = {
    "accuracy.png": "ROC curve, and precision against recall with the share of positives as chance.",
    "scores.png": "Probabilities of positives and negatives, and share of cap sites against predicted probability (on "
    "the diagonal: calibrated).",
    "training.png": "Loss of pre-training, and AUROC on the validation fold during fine-tuning.",
    "crossval.png": "Every model, a point for each chromosome left out; boxes are quartiles.",
    "truth.png": "Share of windows called a cap site, by what was planted in them.",
}
#: Pictures that `motifs` has drawn before.
OF_MOTIFS: Final = {
    "frequencies.png": "How often k-mers with much attribution are in positives and negatives.",
    "volcano.png": "Enrichment of k-mers in positives, and its significance.",
    "elements.png": "Known promoter elements: hits in positives and negatives.",
    "positions.png": "Where in the windows the motifs lie, from the cap site.",
}
#: Logos of de novo motifs.
LOGOS: Final = "motifs/logos/*.png"
#: Stages in the order of work; results are told in it.
STAGES: Final = (
    "run", "crossval", "simulate", "windows", "baseline", "train", "pretrain", "finetune", "evaluate", "scan",
    "predict", "explain", "motifs", "motif-scan", "motif-compare", "motif-enrich",
)  # fmt: skip
#: Digits of a checksum that are shown.
DIGITS: Final = 12
#: Pixels of a picture file for one on the page: files are drawn for print.
DENSITY: Final = 1.5


class _Column(NamedTuple):
    """A column of a table."""

    name: str
    number: bool


class _Shown(NamedTuple):
    """A table in plain text."""

    title: str
    columns: list[_Column]
    rows: list[tuple[str, ...]]
    note: str


def write_page(run: Path, pictures: Path, tables: Sequence[Table]) -> Path:
    """Write `PAGE_FILE` into the folder of the pictures; the same run gives the same bytes.

    Parameters
    ----------
    run
        Run folder, or folder of `crossval`.
    pictures
        Folder of the report's own pictures.
    tables
        What the page shows first, as the terminal does.
    """
    page = Environment(loader=PackageLoader("capsight"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    whole = read_record(run / RECORD)
    text = page.get_template("report.html").render(
        title=f"capsight {whole.get('stage', 'run')}",
        description=(whole.get("config") or {}).get("description"),
        tables=[_shown(table) for table in tables],
        pictures=_pictures(run, pictures),
        records=_records(run),
        digits=DIGITS,
    )
    out = pictures / PAGE_FILE
    with writing(out) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return out


def _shown(table: Table) -> _Shown:
    """Return what a table for the terminal says, without its colours."""
    console = PlainConsole(width=1_000)

    def plain(cell: RenderableType | None) -> str:
        return console.render_str(cell).plain if isinstance(cell, str) else str(cell or "")

    columns = [_Column(plain(column.header), column.justify == "right") for column in table.columns]
    cells = [[plain(cell) for cell in column.cells] for column in table.columns]
    return _Shown(plain(table.title), columns, list(zip(*cells, strict=True)), plain(table.caption))


def _pictures(run: Path, pictures: Path) -> list[dict[str, Any]]:
    """Return the pictures of a run with their captions, each as text."""
    figures = run / "motifs" / "figures"
    captions = {pictures / name: caption for name, caption in DRAWN.items()}
    captions |= {figures / name: caption for name, caption in OF_MOTIFS.items()}
    captions |= {path: f"De novo motif {path.stem}." for path in sorted(run.glob(LOGOS))}
    return [_picture(path, caption) for path, caption in captions.items() if path.is_file()]


def _picture(path: Path, caption: str) -> dict[str, Any]:
    """Return a PNG file as text, with its width in pixels of the page."""
    with Image.open(path) as picture:
        width = round(picture.width / DENSITY)
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"name": path.stem, "caption": caption, "width": width, "data": data}


def _records(run: Path) -> list[dict[str, Any]]:
    """Return how every result of a run was made, in the order of work; of a cross-validation, fold by fold."""
    found = []
    patterns = RECORD, f"*/{RECORD}", f"*.{RECORD}", f"{CROSSVAL_FOLDS}/*/*/{RECORD}"
    for path in (path for pattern in patterns for path in run.glob(pattern)):
        record = read_record(path)
        if record.get("stage") in (None, "report"):
            continue
        made = path.parent if path.name == RECORD else path.with_name(path.name.removesuffix(f".{RECORD}"))
        inputs = [(key, each["path"], each["sha256"][:DIGITS]) for key, each in (record.get("inputs") or {}).items()]
        found.append(
            {
                "fold": made.parent, "stage": record["stage"], "version": record.get("capsight", ""), "inputs": inputs,
                "name": "the whole" if made == run else made.relative_to(run).as_posix(),
                "seed": "" if record.get("seed") is None else record["seed"],
                "settings": yaml.safe_dump(record.get("config"), sort_keys=False),
            }
        )  # fmt: skip
    return sorted(found, key=lambda each: (each["fold"], _rank(each["stage"]), each["name"]))


def _rank(stage: str) -> int:
    """Return the place of a stage in the order of work; those that no run makes come last."""
    return STAGES.index(stage) if stage in STAGES else len(STAGES)
