"""`run --dry-run`: which stages a run would do, which it would skip, and how long it would take; nothing is written."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from capsight import artefact
from capsight.artefact.claim import check_run_dir
from capsight.config import Recipe, TrainConfig, WindowsConfig
from capsight.config.base import Config
from capsight.data.fetch.gather import described
from capsight.data.fetch.named import with_files_here
from capsight.data.io.text import passes
from capsight.data.peaks.promoters import read_promoters
from capsight.data.peaks.reader import parse_peaks
from capsight.errors import InputError
from capsight.run.pipeline import REPORT, SCAN_EVALUATION, Step, check_inputs, plan
from capsight.run.recipe import read_recipe

logger = logging.getLogger(__name__)

DONE: Final = "done"
NEW: Final = "to do"
AGAIN: Final = "again"
CONTINUED: Final = "continued"
#: Reasons that are named.
_REASONS: Final = 2
#: Bytes of a packed genome for a base: 2bit, and DNA under gzip, hold four bases in one.
_BASES_PER_BYTE: Final = {".2bit": 4.0, ".gz": 3.6, ".bgz": 3.6}


class Planned(NamedTuple):
    """A stage as a dry run shows it.

    Attributes
    ----------
    state
        `DONE` (skipped), `NEW`, `AGAIN` (made anew, in place of what is there) or `CONTINUED`.
    why
        Of `AGAIN`: what has changed.
    seconds
        How long it takes about, where that was measured.
    """

    stage: str
    result: str
    purpose: str
    state: str
    why: str = ""
    seconds: float | None = None


class Preview(NamedTuple):
    """What a run would do, and what it would fetch before."""

    stages: list[Planned]
    fetched: list[str]
    description: str


def preview(recipe: Path, out: Path, overrides: Sequence[str] = ()) -> Preview:
    """Return what `capsight.run` would do with the same arguments; nothing is written or fetched.

    Raises
    ------
    InputError
        As `run` does: of a recipe that cannot be used, or a folder that is not a run's.
    """
    settings = read_recipe(recipe, out, overrides)
    check_run_dir(out, artefact.provenance("run", settings, {}))
    settings, missing = with_files_here(settings)
    steps = plan(settings, out)
    check_inputs(steps, out, {each.asset.name for each in missing})
    stages: list[Planned] = []
    made_anew: set[str] = set()
    for step in steps:
        state, why = _state(step, out, made_anew)
        if state != DONE:
            made_anew.add(step.result)
        seconds = None if state == DONE else _seconds(step, settings, out)
        stages.append(Planned(step.stage, step.result, step.purpose, state, why, seconds))
    stages.append(Planned("report", REPORT, "all of it on one page", AGAIN if (out / REPORT).is_dir() else NEW))
    return Preview(stages, [described(each) for each in missing], settings.description)


def _state(step: Step, out: Path, made_anew: set[str]) -> tuple[str, str]:
    """Return whether a stage is done, and why not."""
    place = out / step.result
    there = artefact.made_at(place) is not None
    if artefact.is_unfinished(place):
        return CONTINUED, "from its last checkpoint"
    if before := sorted(step.reads(out) & made_anew):
        return (AGAIN, f"{', '.join(before)} will be new") if there else (NEW, "")
    config: Config = step.config
    known: dict[str, Path] = {}
    if step.stage == "train":
        config = _settled(step)
    for name, value in config:
        if isinstance(value, Path):
            known[name] = value
        elif isinstance(value, tuple):
            known |= {
                f"{name}/{number}": Path(item) for number, item in enumerate(value) if isinstance(item, str | Path)
            }
    changes = artefact.outdated(place, step.stage, config, known)
    if changes is None:
        return NEW, ""
    return (AGAIN, "; ".join(changes[:_REASONS])) if changes else (DONE, "")


def _settled(step: Step) -> TrainConfig:
    """Return the settings of `train` as its record holds them: what it chooses itself, chosen."""
    from capsight.data.windows.windows import Windows
    from capsight.train.track.auto import choose
    from capsight.train.track.start import Start

    config = step.config
    assert isinstance(config, TrainConfig)
    if config.init:
        config = Start.from_model(config.init).shaped(config)
    windows = step.arguments[0]
    if config.auto and windows.is_dir():
        quiet = logging.getLogger("capsight.train")
        level = quiet.level
        quiet.setLevel(logging.ERROR)
        try:
            config = choose(config, Windows.open(windows))
        finally:
            quiet.setLevel(level)
    return config


def _seconds(step: Step, settings: Recipe, out: Path) -> float | None:
    """Return how long a stage takes about, from a short measurement; `None` where none was made."""
    if step.stage == "pretrain" and settings.pretrain:
        from capsight.run.speed import pretraining_seconds

        made = settings.pretrain
        return pretraining_seconds(
            made.model, made.tokenizer, settings.windows.length, [made.full_rank_phase, made.relora_phase]
        )
    if not settings.train:
        return None
    from capsight.run import speed

    if step.stage == "explain" and settings.explain:
        return speed.explain_seconds(settings.explain, settings.train, settings.windows.length)
    bases = _bases(settings)
    if bases is None:
        return None
    if step.stage == "train":
        settled = _settled(step)
        chooses = settled.auto and not step.arguments[0].is_dir()
        peaks = _peaks(settings.windows) if chooses or settled.crops.promoters else 0
        if peaks is None:
            return None
        if chooses:
            from capsight.train.track.auto import estimate

            settled = estimate(settled, peaks, bases)
        return speed.training_seconds(settled, bases, peaks + _promoters(settings.windows))
    if step.stage == "scan" and settings.scan:
        return speed.scan_seconds(settings.train, bases, settings.scan.precision)
    if step.result == SCAN_EVALUATION:
        return speed.scan_seconds(settings.train, _held_out(out, bases), "fp32")
    return None


def _bases(settings: Recipe) -> int | None:
    """Return about how many bases the genome has, from the size of its file; `None` where it is not here."""
    if settings.simulate:
        return settings.simulate.bases
    genome = settings.windows.genome
    try:
        if genome is None:
            return None
        files = [path for path in genome.iterdir() if path.is_file()] if genome.is_dir() else [genome]
        return round(sum(path.stat().st_size * _BASES_PER_BYTE.get(path.suffix, 1.0) for path in files))
    except OSError:
        return None


def _peaks(windows: WindowsConfig) -> int | None:
    """Return about how many peaks there are: the records of their file; `None` where it cannot be read before the run.

    The genome, which may have other contigs, is not opened: that would write its store.
    """
    if windows.peaks is None or passes(windows.peaks):
        return None
    try:
        return len(parse_peaks(windows.peaks, windows.peak_format))
    except InputError:
        return None


def _promoters(windows: WindowsConfig) -> int:
    """Return how many promoters there are as sequences, as far as their file can be read before the run."""
    if windows.promoters is None or passes(windows.promoters):
        return 0
    try:
        return len(read_promoters(windows.promoters, windows.promoter_weights).tss)
    except InputError:
        return 0


def _held_out(out: Path, bases: int) -> int:
    """Return the bases of the test fold; of all where the windows are not made yet, of which it is a part."""
    from capsight.data.windows.windows import Windows

    try:
        return int(Windows.open(out / "windows").stretches("test").sizes.sum())
    except InputError:
        return bases // 10
