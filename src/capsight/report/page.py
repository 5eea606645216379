"""The page of a run or of a cross-validation, in one HTML file that needs no other: sections in a reader's order."""

import base64
import json
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
from capsight.report.figures import Drawn
from capsight.report.methods import Methods
from capsight.report.results import CROSSVAL_FOLDS

PAGE_FILE: Final = "report.html"
#: Stages in the order of work; results are told in it.
STAGES: Final = (
    "run", "crossval", "simulate", "windows", "audit", "baseline", "train", "pretrain", "finetune", "evaluate", "scan",
    "predict", "explain", "motifs", "motif-scan", "motif-compare", "motif-enrich", "loci",
)  # fmt: skip
#: Digits of a checksum that are shown.
DIGITS: Final = 12
#: Pixels of a PNG file for one on the page: files are drawn for print.
DENSITY: Final = 1.5


class KeyFigure(NamedTuple):
    """A figure that stands out: its value, its interval, its name, and what it means in plain words."""

    value: str
    interval: str
    name: str
    meaning: str


class Picture(NamedTuple):
    """A picture as text, for an ``img`` element."""

    source: str
    alt: str
    caption: str
    width: int | None


class Column(NamedTuple):
    """A column of a table."""

    name: str
    number: bool


class Shown(NamedTuple):
    """A table of plain text and pictures; one that is `sortable` is sorted and filtered by the reader."""

    title: str
    columns: list[Column]
    rows: list[tuple[str | Picture, ...]]
    note: str
    sortable: bool = False


class Section(NamedTuple):
    """A part of the page, with its place in the contents.

    Attributes
    ----------
    anchor
        What a link to it names.
    text
        Below the heading.
    wide
        Whether its pictures are as wide as the page: those of loci.
    """

    anchor: str
    title: str
    text: str = ""
    figures: Sequence[KeyFigure] = ()
    tables: Sequence[Shown] = ()
    pictures: Sequence[Picture] = ()
    wide: bool = False


def write_page(
    run: Path, out: Path, *, title: str, headline: str, sections: Sequence[Section], cited: Methods | None = None
) -> Path:
    """Write `PAGE_FILE` into the folder `out`; the same run gives the same bytes.

    Parameters
    ----------
    run
        Run folder, or folder of `crossval`.
    title, headline
        Above all: what this is, and what came out, in a sentence.
    cited
        Methods paragraph and references.
    """
    page = Environment(loader=PackageLoader("capsight"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    whole = read_record(run / RECORD)
    text = page.get_template("report.html").render(
        title=title, headline=headline, description=(whole.get("config") or {}).get("description"),
        sections=[section for section in sections if section.tables or section.pictures or section.figures],
        methods=cited, records=_records(run), version=whole.get("capsight", ""), digits=DIGITS,
    )  # fmt: skip
    path = out / PAGE_FILE
    with writing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def shown(table: Table, *, sortable: bool = False) -> Shown:
    """Return what a table for the terminal says, without its colours."""
    console = PlainConsole(width=1_000)

    def plain(cell: RenderableType | None) -> str:
        return console.render_str(cell).plain if isinstance(cell, str) else str(cell or "")

    columns = [Column(plain(column.header), column.justify == "right") for column in table.columns]
    cells = [[plain(cell) for cell in column.cells] for column in table.columns]
    rows: list[tuple[str | Picture, ...]] = list(zip(*cells, strict=True))
    return Shown(plain(table.title), columns, rows, plain(table.caption), sortable)


def picture(drawn: Drawn) -> Picture:
    """Return an SVG or PNG file as text, with its width in pixels of the page."""
    data = base64.b64encode(drawn.path.read_bytes()).decode("ascii")
    if drawn.path.suffix == ".svg":
        return Picture(f"data:image/svg+xml;base64,{data}", drawn.alt, drawn.caption, None)
    with Image.open(drawn.path) as image:
        width = round(image.width / DENSITY)
    return Picture(f"data:image/png;base64,{data}", drawn.alt, drawn.caption, width)


def examples(folder: Path) -> list[Picture]:
    """Return the pictures of example loci, as the stage `loci` drew and described them."""
    path = folder / "examples.json"
    if not path.is_file():
        return []
    found = []
    for each in json.loads(path.read_text(encoding="utf-8")):
        calls = f"{each['calls']} called TSS" + ("" if each["calls"] == 1 else "s")
        logo = ", and a logo of the bases that matter to the TSS" if each["explained"] else ""
        alt = f"{each['place']}: observed 5' ends and expected tags on both strands, {calls}{logo}."
        found.append(picture(Drawn(folder / each["file"], f"{each['place']}. {each['what']}", alt)))
    return found


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
    ranks = {stage: i for i, stage in enumerate(STAGES)}  # those that no run makes come last
    return sorted(found, key=lambda each: (each["fold"], ranks.get(each["stage"], len(ranks)), each["name"]))
