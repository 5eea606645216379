"""Turn the model of a run into one that comes with the package.

    python benchmarks/ship.py RUN NAME

Copies what prediction needs from RUN/model to src/capsight/models/NAME, keeps the record (inputs by checksum, paths by
their last part), and writes the card: `card.json` with what RUN has measured and what benchmarks/cards/NAME.yaml says,
and `README.md`, which is benchmarks/cards/card.md.jinja filled with it.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml
from pydantic import Field

from capsight import artefact
from capsight.config.base import Config
from capsight.config.yaml_files import load_yaml, parse
from capsight.errors import InputError
from capsight.evaluate.evaluate import METRICS_FILE
from capsight.model.track_folder import load_track
from capsight.shipped import CARD_FACTS, CARD_TEXT, Measured, ModelCard

CARDS = Path(__file__).parent / "cards"
MODELS = Path(__file__).parents[1] / "src" / "capsight" / "models"
#: Metrics of a scan that the card shows, where they were measured, and how it calls them.
FIGURES: Final = {
    "auprc": "AUPRC of 50-base bins, by probability",
    "auprc_expected_tags": "AUPRC of 50-base bins, by expected tags",
    "auroc": "AUROC of 50-base bins, by probability",
    "prevalence": "share of bins with a peak: the AUPRC of guessing",
    "precision_at_recall_0.5": "precision at recall 0.5, calls within 50 bases",
    "best_calls_with_tag": "share of the best calls, as many as peaks, with a tag within 50 bases",
    "log_total_correlation_strength": "correlation of log totals at peaks, by strength",
    "log_total_correlation_expected_tags": "correlation of log totals at peaks, by expected tags",
    "profile_correlation": "profile correlation at peaks",
    "named_within_10": "named base within 10 bases of the summit",
    "named_median_distance": "its median distance in bases",
    "calibration_error": "calibration error of calls",
}


class Sentences(Config):
    """What the card of a model says and no run knows: benchmarks/cards/NAME.yaml."""

    species: str
    data: tuple[str, ...] = Field(min_length=1)
    licence: str
    unit: str
    network: str = "on convolutions alone"
    limits: tuple[str, ...] = Field(min_length=1)


def card_of(run: Path, name: str) -> ModelCard:
    """Return the card of a run's model."""
    said = parse(Sentences, load_yaml(CARDS / f"{name}.yaml"), where=CARDS / f"{name}.yaml")
    model, card = load_track(run / "model")
    if card.calling is None:
        raise InputError("the model has no calibration: it needs a validation chromosome", where=run / "model")
    scan = _read(run / "evaluation-scan" / METRICS_FILE)
    windows = _read(run / "evaluation" / METRICS_FILE)
    settings = artefact.read_record(run / "model" / artefact.RECORD)["config"]
    took = [_read(path) for path in sorted((run / "model" / artefact.LOGS).glob(f"*/{artefact.SECONDS_FILE}"))]
    return ModelCard(
        name=name,
        **said.model_dump(),
        command=f"capsight run {name} -o {name}",
        train=card.train,
        validation=card.validation,
        test=tuple(scan["chromosomes"]),
        minutes=sum(each["seconds"] for each in took) / 60 if took else None,
        cpu_minutes=sum(each["cpu_seconds"] for each in took) / 60 if took else None,
        threads=settings["threads"],
        precision=settings["precision"],
        members=card.members,
        weights=sum(tensor.numel() for tensor in model.parameters()),
        halo=card.halo,
        min_probability=card.calling.min_probability,
        calling_precision=card.calling.precision,
        calling_recall=card.calling.recall,
        bases=scan["bases"],
        n_peaks=scan["n_peaks"],
        n_windows=windows["n"],
        scan=measured(scan["scan"]),
        windows=measured(windows),
    )


def measured(metrics: dict[str, Any]) -> dict[str, Measured]:
    """Return metrics with their intervals."""
    intervals = metrics.get("intervals", {})
    return {
        name: (value, *(intervals.get(name) or (None, None)))
        for name, value in metrics.items()
        if isinstance(value, float)
    }


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def fill(card: ModelCard) -> str:
    """Return a card as Markdown."""

    def figure(metric: Measured) -> str:
        value, low, high = metric
        return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CARDS), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["figure"] = figure
    counted = "log_total_correlation_strength" in card.scan
    given = card.model_dump() | {"figures": FIGURES, "counted": counted}
    return environment.get_template("card.md.jinja").render(given)


def record(run: Path) -> dict[str, Any]:
    """Return the record of the model, without where things lay on the machine that trained it."""
    content: dict[str, Any] = yaml.safe_load((run / "model" / artefact.RECORD).read_text(encoding="utf-8"))
    for given in content["inputs"].values():
        given["path"] = Path(given["path"]).name
    return content


def ship(run: Path, name: str) -> Path:
    """Copy the model, and write card and record; what cannot be shipped changes nothing."""
    artefact.check_unchanged(run / "model")
    card, content, to = card_of(run, name), record(run), MODELS / name
    text = fill(card)
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for file in content["outputs"]:
        (to / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(run / "model" / file, to / file)
    (to / CARD_TEXT).write_text(text, encoding="utf-8")
    (to / CARD_FACTS).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for file in (CARD_TEXT, CARD_FACTS):
        content["outputs"][file] = artefact.sha256(to / file)
    artefact.write_yaml(to / artefact.RECORD, content)
    return to


def main() -> None:
    """Ship the model of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    given = parser.parse_args()
    to = ship(given.run, given.name)
    size = sum(path.stat().st_size for path in to.rglob("*") if path.is_file())
    print(f"{to}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
