"""How long a training took: kept in an artefact's ``logs``, and no part of its record."""

import json
from pathlib import Path
from typing import Final

from capsight.artefact.folder import LOGS

SECONDS_FILE: Final = "seconds.json"


def write_seconds(folder: Path, name: str, seconds: float, cpu_seconds: float) -> None:
    """Write how long the training called `name` took, by the clock and of the processor, into an artefact's logs."""
    path = folder / LOGS / name / SECONDS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}) + "\n", encoding="utf-8")
