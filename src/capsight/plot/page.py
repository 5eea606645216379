"""The page of a place: its picture, its TSSs and variants as tables, and how it was made, in one HTML file."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from capsight.plot.drawing import draw_locus
from capsight.plot.locus import Locus

#: Digits of a checksum that are shown.
DIGITS: Final = 12


def write_page(locus: Locus, origin: Mapping[str, Any], path: Path) -> None:
    """Write a page that needs no other file; the same place gives the same bytes.

    Parameters
    ----------
    origin
        Version, settings and inputs, as `capsight.artefact.provenance` returns them.
    """
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "locus.svg"
        draw_locus(locus, picture, "svg")
        svg = picture.read_text(encoding="utf-8")
    page = Environment(loader=PackageLoader("capsight"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = page.get_template("plot.html").render(
        title=locus.name,
        picture=Markup(svg[svg.index("<svg") :]),
        tss=locus.tss,
        variants=locus.variants,
        version=origin["capsight"],
        inputs=[(name, item["path"], item["sha256"][:DIGITS]) for name, item in origin["inputs"].items()],
        settings=yaml.safe_dump(origin["config"], sort_keys=False, allow_unicode=True),
        digits=DIGITS,
    )
    path.write_text(text, encoding="utf-8")
