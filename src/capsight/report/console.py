"""The console that tables are printed on: names in them stand as they are."""

import re
from typing import Any

from rich.console import Console
from rich.text import Text

#: What would steer a terminal: control characters but for the line end.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class PlainConsole(Console):
    """A console without markup: a contig called ``[red]`` colours nothing, and ``:cat:`` is no emoji.

    Names of contigs, records, motifs and folders are data, and any character may stand in them. Control characters
    are shown as escapes.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return text as it stands, without markup, whatever the caller asks for."""
        shown = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
        return super().render_str(shown, **settings | {"markup": False, "emoji": False})
