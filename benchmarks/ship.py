"""Turn the model of a run into one that comes with the package.

    python benchmarks/ship.py RUN NAME

Copies what prediction needs from RUN/model to src/capsight/models/NAME, keeps the record (inputs by checksum, paths by
their last part), and fills the figures of RUN/evaluation-scan and RUN/evaluation into the card,
benchmarks/cards/NAME.md.
"""

import argparse
import json
import shutil
from pathlib import Path
from string import Template
from typing import Any

import yaml

from capsight import artefact
from capsight.model.track_folder import load_track, read_track_card
from capsight.train.evaluate import METRICS_FILE

HERE = Path(__file__).parent
CARD_FILE = "README.md"


def figures(run: Path) -> dict[str, str]:
    """Return the metrics of a run as text, each with its interval; keys of a scan have no points in them."""
    scan = json.loads((run / "evaluation-scan" / METRICS_FILE).read_text(encoding="utf-8"))
    windows = json.loads((run / "evaluation" / METRICS_FILE).read_text(encoding="utf-8"))
    card = read_track_card(run / "model")
    shown = {"n_peaks": f"{scan['n_peaks']:,}", "bases": f"{scan['bases']:,}", "halo": f"{card.halo:,}"}
    shown |= {"windows_n": f"{windows['n']:,}"}
    if card.calling:
        shown |= {name: f"{value:.3g}" for name, value in card.calling.model_dump().items()}
    for prefix, metrics in (("", scan["scan"]), ("windows_", windows)):
        for name, value in metrics.items():
            if isinstance(value, float):
                low, high = metrics.get("intervals", {}).get(name) or (None, None)
                between = f" ({low:.3f} to {high:.3f})" if low is not None else ""
                shown[prefix + name.replace(".", "")] = f"{value:.3f}{between}"
    return shown


def record(run: Path) -> dict[str, Any]:
    """Return the record of the model, without where things lay on the machine that trained it."""
    content: dict[str, Any] = yaml.safe_load((run / "model" / artefact.RECORD).read_text(encoding="utf-8"))
    for given in content["inputs"].values():
        given["path"] = Path(given["path"]).name
    return content


def main() -> None:
    """Copy, and write card and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    given = parser.parse_args()
    artefact.check_unchanged(given.run / "model")
    to = HERE.parent / "src" / "capsight" / "models" / given.name
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    content = record(given.run)
    for name in content["outputs"]:
        (to / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(given.run / "model" / name, to / name)
    card = Template((HERE / "cards" / f"{given.name}.md").read_text(encoding="utf-8"))
    (to / CARD_FILE).write_text(card.substitute(figures(given.run)), encoding="utf-8")
    content["outputs"][CARD_FILE] = artefact.sha256(to / CARD_FILE)
    artefact.write_yaml(to / artefact.RECORD, content)
    load_track(to)
    size = sum(path.stat().st_size for path in to.rglob("*") if path.is_file())
    print(f"{to}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
