"""The example loci of a run: pictures of a few places of the test chromosomes, chosen by rule and not by looks."""

import csv
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from capsight import artefact
from capsight.config import ExamplesConfig
from capsight.data import schema
from capsight.data.attributions import MODEL_SHA256, Attributions
from capsight.data.ctss.ctss import Ctss
from capsight.data.ctss.table import CTSS, CTSS_FILE, ctss_from_summits, place_numbers, read_ctss_table
from capsight.data.genome.alphabet import LETTERS, Ints
from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import Span
from capsight.data.windows.peaks_table import read_windows_peaks
from capsight.data.windows.windows import SUMMARY_FILE, Windows
from capsight.explain.place import BEFORE, BEHIND
from capsight.plot.drawing import draw_locus
from capsight.plot.locus import Floats, Locus, Logo, Tss
from capsight.plot.plot import scanned
from capsight.progress import progress

logger = logging.getLogger(__name__)

EXAMPLES_FILE: Final = "examples.json"
#: Bases on either side of the middle of a picture.
_REACH: Final = 400
#: A call so near to a summit, on its strand, has found it; 5' ends so near to a call support it.
_NEAR: Final = 50
#: Peaks of the fold that are shown, by the share of peaks with fewer 5' ends.
_QUANTILES: Final = {"strong": 0.9, "median": 0.5, "weak": 0.1}
#: Of these, one with a logo is preferred; the weak one is what it is.
_EXPLAINED: Final = ("strong", "median")


class _Example(NamedTuple):
    """A place to show."""

    name: str
    contig: int
    position: int
    minus: int
    what: str


def loci(config: ExamplesConfig, windows: Path, scan: Path, out: Path, attributions: Path | None = None) -> Path:
    """Draw example loci: a strong, a median and a weak peak, the strongest missed peak, the most probable false call.

    Parameters
    ----------
    config
        Fold whose chromosomes are shown.
    windows
        Folder of the `windows` stage: genome, peaks, 5' ends.
    scan
        Folder of the `scan` stage.
    out
        Folder to write: an SVG file for each place, and ``examples.json``, which says what each shows.
    attributions
        File of the `explain` stage: its peaks are preferred, and a logo shows which bases matter.
    """
    explained = attributions if attributions and attributions.is_file() else None
    inputs = {"windows": windows, "scan": scan} | ({"attributions": explained} if explained else {})
    if artefact.is_done(out, "loci", config, inputs):
        logger.info("loci: %s is done already", out)
        return out
    with artefact.atomic_dir(out, "loci", config, inputs) as folder:
        data = Windows.open(windows)
        scores = _attributions(explained, scan)
        chosen = list(_choose(data, config.fold, scan, scores))
        told = []
        with progress("loci", len(chosen), " pictures") as bar:
            for example in chosen:
                locus = _locus(data, example, scan, scores)
                draw_locus(locus, folder / f"{example.name}.svg", "svg")
                told.append({"file": f"{example.name}.svg", "place": locus.name, "what": example.what,
                             "explained": locus.logo is not None, "calls": len(locus.tss)})  # fmt: skip
                bar.update()
        (folder / EXAMPLES_FILE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return out


def _attributions(path: Path | None, scan: Path) -> Attributions | None:
    """Read the attributions, where they are of the model that scanned."""
    if path is None:
        return None
    found = Attributions.read(path)
    model = artefact.read_record(scan / artefact.RECORD)["inputs"].get("model", {}).get("sha256")
    return found if found.meta[MODEL_SHA256] == model else None


def _choose(data: Windows, fold: str, scan: Path, scores: Attributions | None) -> Iterator[_Example]:
    """Choose the places, each by its rule."""
    genome, stretches = data.genome, data.stretches(fold)
    summits = ctss_from_summits(read_windows_peaks(data.folder, genome), genome)
    summits = summits.where(stretches.find(summits.contig, summits.position) >= 0)
    tags = _observed(data)
    calls = _calls(scan, genome)
    calls = calls[stretches.find(calls["contig"].to_numpy(), calls["position"].to_numpy()) >= 0]
    strength = _sum_near(tags, genome, summits.contig, summits.position, summits.minus)
    numbers = place_numbers(genome, summits.contig, summits.minus, summits.position)
    called = np.sort(place_numbers(genome, *(calls[name].to_numpy() for name in ("contig", "minus", "position"))))
    found = _nearest(called, numbers) <= _NEAR
    source = json.loads((data.folder / SUMMARY_FILE).read_text(encoding="utf-8"))["ctss"]["source"]
    counted = "observed 5' ends" if source == CTSS else "peaks"
    explained = np.zeros(0, np.int64) if scores is None else _explained_numbers(scores, genome)[scores.positive]
    pool = np.flatnonzero(np.isin(numbers, explained))
    order = np.argsort(strength, kind="stable")
    for name, quantile in _QUANTILES.items():
        rank = int(quantile * (len(order) - 1))
        row = int(order[rank])
        if name in _EXPLAINED:  # one of about the same strength that has a logo, where there is any
            near = order[max(rank - len(order) // 20, 0) : rank + len(order) // 20 + 1]
            near = near[np.isin(near, pool)]
            row = int(near[np.argmin(abs(strength[near] - strength[row]))]) if len(near) else row
        what = (
            f"A {name} peak of the {fold} fold: {strength[row]:,.0f} {counted} within {_NEAR} bases, more than about "
            f"{quantile:.0%} of the peaks have. {'It is called.' if found[row] else 'It is not called.'}"
        )
        yield _Example(name, int(summits.contig[row]), int(summits.position[row]), int(summits.minus[row]), what)
    if len(missed := np.flatnonzero(~found)):
        row = int(missed[np.argmax(strength[missed])])
        what = (
            f"The strongest peak that is not called ({strength[row]:,.0f} {counted}); {len(missed):,} of "
            f"{len(found):,} peaks of the fold are not."
        )
        yield _Example("missed", int(summits.contig[row]), int(summits.position[row]), int(summits.minus[row]), what)
    contig, position, minus = (calls[name].to_numpy() for name in ("contig", "position", "minus"))
    false = np.flatnonzero(_sum_near(tags, genome, contig, position, minus) == 0)
    if len(false):
        row = int(false[np.argmax(calls["probability"].to_numpy()[false])])
        what = (f"The most probable call without {counted} within {_NEAR} bases (probability "
                f"{calls['probability'].iloc[row]:.2f}); {len(false):,} of {len(calls):,} calls of the fold have "
                f"none.")  # fmt: skip
        yield _Example("unsupported", int(contig[row]), int(position[row]), int(minus[row]), what)


def _observed(data: Windows) -> Ctss:
    """Return the observed 5' ends; the summits of peaks where none were counted."""
    return read_ctss_table(data.folder / CTSS_FILE, data.genome)


def _calls(scan: Path, genome: Genome) -> pd.DataFrame:
    """Read the TSSs of a scan: contig, position, minus, probability."""
    columns = (schema.CHROM, schema.START, schema.END, schema.NAME, schema.SCORE, schema.STRAND, "position")
    table = pd.read_csv(
        scan / "tss.bed", sep="\t", names=columns, usecols=range(len(columns)), quoting=csv.QUOTE_NONE,
        dtype={schema.CHROM: str, schema.NAME: str}, keep_default_na=False,
    )  # fmt: skip
    return pd.DataFrame(
        {
            "contig": genome.index(table[schema.CHROM]),
            "position": table["position"].to_numpy(np.int64),
            "minus": (table[schema.STRAND] == "-").to_numpy(np.int64),
            "probability": table[schema.SCORE].to_numpy(float) / 1000,
        }
    )


def _sum_near(tags: Ctss, genome: Genome, contig: Ints, position: Ints, minus: Ints) -> Floats:
    """Return the 5' ends within `_NEAR` bases of each place, on its strand."""
    numbers = place_numbers(genome, tags.contig, tags.minus, tags.position)
    sums = np.concatenate([[0.0], np.cumsum(tags.counts)])
    lowest = place_numbers(genome, contig, minus, np.maximum(position - _NEAR, 0))
    highest = place_numbers(genome, contig, minus, np.minimum(position + _NEAR, genome.lengths[contig] - 1))
    return sums[np.searchsorted(numbers, highest, side="right")] - sums[np.searchsorted(numbers, lowest)]


def _nearest(sorted_numbers: Ints, numbers: Ints) -> Ints:
    """Return how far each number is from the nearest of some sorted ones."""
    if not len(sorted_numbers):
        return np.full(len(numbers), np.iinfo(np.int64).max)
    after = np.searchsorted(sorted_numbers, numbers).clip(max=len(sorted_numbers) - 1)
    before = (after - 1).clip(min=0)
    return np.minimum(abs(sorted_numbers[after] - numbers), abs(sorted_numbers[before] - numbers))


def _explained_numbers(scores: Attributions, genome: Genome) -> Ints:
    """Return the place of the cap site of each explained window; -1 on contigs that the genome lacks."""
    minus = (scores.strand == "-").astype(np.int64)
    contig = genome.index(pd.Series(scores.chrom))
    position = np.where(minus == 1, scores.end - 1 - scores.cap, scores.start + scores.cap)
    return np.where(contig >= 0, place_numbers(genome, contig, minus, position), -1)


def _locus(data: Windows, example: _Example, scan: Path, scores: Attributions | None) -> Locus:
    """Collect what a picture shows."""
    genome = data.genome
    start = max(example.position - _REACH, 0)
    end = min(example.position + _REACH + 1, int(genome.lengths[example.contig]))
    span = Span(genome.names[example.contig], example.contig, start, end)
    expected, tss, _ = scanned(scan, genome, span)
    observed = np.zeros((2, end - start))
    tags = _observed(data)
    rows = np.flatnonzero((tags.contig == example.contig) & (tags.position >= start) & (tags.position < end))
    observed[tags.minus[rows], tags.position[rows] - start] = tags.counts[rows]
    logo = _logo(scores, genome, example) if scores is not None else None
    return Locus(span.chrom, start, end, expected, tss, observed=observed, logo=logo)


def _logo(scores: Attributions, genome: Genome, example: _Example) -> Logo | None:
    """Return the most faithful attributions around the cap site of a place, where it was explained."""
    place = [np.array([value]) for value in (example.contig, example.minus, example.position)]
    rows = np.flatnonzero(_explained_numbers(scores, genome) == place_numbers(genome, *place)[0])
    if not len(rows):
        return None
    method = scores.best_method or next(iter(scores.methods))
    first, last = max(scores.cap - BEFORE, 0), min(scores.cap + BEHIND + 1, scores.length)
    letters = "".join(LETTERS[code] for code in scores.codes[rows[0], first:last])
    tss = Tss(example.position, "+-"[example.minus], 0.0)
    return Logo(tss, first - scores.cap, letters, scores.methods[method][rows[0], first:last], method)
