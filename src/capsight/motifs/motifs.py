"""`motifs`: what the bases behind the predictions have in common, tested."""

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from capsight import artefact
from capsight.config import MotifsConfig
from capsight.data.attributions import FAITHFULNESS, MODEL_SHA256, WINDOWS_SHA256, Attributions, Mask
from capsight.data.genome.alphabet import decode
from capsight.data.io.meme import MotifSet, write_meme
from capsight.data.sequence.kmers import encode_kmers, string_to_kmer
from capsight.data.sequence.nonredundant import SHARED, independent
from capsight.errors import InputError, NoPredictedPositives
from capsight.extras import need
from capsight.motifs import discover, kmers, motif_sites
from capsight.motifs.counts import starts_inside
from capsight.motifs.elements import compare_elements, read_elements
from capsight.motifs.seqlets import NONE, Seqlets, default_flank, find_seqlets
from capsight.progress import progress
from capsight.shipped import find_model

logger = logging.getLogger(__name__)

#: Peaks of one window are more than this many bases apart.
MIN_PEAK_DISTANCE: Final = 10
#: Attributions are averaged over this many bases (odd) to find peaks.
SMOOTHING_BP: Final = 7
#: k-mers with a q-value below this are called.
Q_THRESHOLD: Final = 0.05
#: Called k-mers, best first, whose seqlets are written as FASTA.
N_FASTA: Final = 50
KMERS_FILE: Final = "motifs.tsv"
AGGREGATE_FILE: Final = "aggregate.tsv"
POSITIONS_FILE: Final = "positions.tsv"
ELEMENTS_FILE: Final = "elements.tsv"
DE_NOVO_FILE: Final = "de_novo.tsv"
MEME_FILE: Final = "motifs.meme"
SUMMARY_FILE: Final = "summary.json"
SEQLETS_FOLDER: Final = "seqlets"
FIGURES_FOLDER: Final = "figures"
LOGOS_FOLDER: Final = "logos"
POSITIVES_FASTA: Final = f"{SEQLETS_FOLDER}/{kmers.POSITIVES}.fa"
NEGATIVES_FASTA: Final = f"{SEQLETS_FOLDER}/{kmers.NEGATIVES}.fa"

#: k-mers in the pictures, and whose profile is in `positions.tsv`.
DRAWN: Final = 20
PROFILED: Final = 200


class _Read(NamedTuple):
    """Attributions, whose they are, and the seqlets in them."""

    data: Attributions
    method: str
    seqlets: Seqlets
    alike: int
    """Windows left out, for sharing DNA with one of these."""


def motifs(
    config: MotifsConfig, attributions: Path, out: Path, model: Path | None = None, windows: Path | None = None
) -> Path:
    """Find what predicted positives have in common: k-mers, known elements and de novo motifs.

    Parameters
    ----------
    config
        Whose attributions, which k-mers, which further elements.
    attributions
        File of the `explain` stage.
    out
        Folder to write: ``motifs.tsv`` (k-mers), ``positions.tsv``, ``elements.tsv``, ``de_novo.tsv``,
        ``motifs.meme``, ``aggregate.tsv``, ``summary.json``, ``seqlets/``, ``figures/``, ``logos/``.
    model, windows
        What the attributions should be of: refused if they are of others. Nothing else is read from them.

    Raises
    ------
    InputError
        If the attributions cannot be used, are of another model or of other windows, lack the method that was
        asked for, or no window (or every window) is predicted positive.
    """
    inputs = {"attributions": attributions}
    if config.elements:
        inputs["elements"] = config.elements
    known = read_elements(config.elements)
    explained = Attributions.read(attributions)
    model = None if model is None else find_model(model)
    _check_origin(explained, attributions, {MODEL_SHA256: model, WINDOWS_SHA256: windows})
    if artefact.is_done(out, "motifs", config, inputs):
        logger.info("motifs: %s is done already", out)
        return out
    method = _choose_method(explained, config.method, attributions)
    data = _independent(explained)
    _check_both(data, attributions, len(explained.score) - len(data.score))
    flank = default_flank(data.spans_width) if config.flank is None else config.flank
    seqlets = find_seqlets(data.methods[method], config.max_seqlets_per_window, flank, MIN_PEAK_DISTANCE, SMOOTHING_BP)
    if 2 * flank + 1 < config.k:
        logger.warning(
            "motifs: no %d-mer fits into a seqlet of %d bases: give a larger flank or a smaller k", config.k,
            2 * flank + 1,
        )  # fmt: skip
    read = _Read(data, method, seqlets, len(explained.score) - len(data.score))
    if config.de_novo:
        need("modiscolite")
    with artefact.atomic_dir(out, "motifs", config, inputs) as folder, progress("motifs", 4, " parts") as bar:
        for name in (SEQLETS_FOLDER, FIGURES_FOLDER, LOGOS_FOLDER):
            (folder / name).mkdir(exist_ok=True)
        counted = kmers.count_kmers(data.codes, seqlets.mask(), config.k)
        table = kmers.compare_kmers(counted, data.positive, config.k)
        profiles = _write_kmers(config, read, table, folder)
        _write(kmers.aggregate_tests(counted, data.positive), folder / AGGREGATE_FILE)
        bar.update()
        elements = compare_elements(data, seqlets, known, config.seed)
        _write(elements, folder / ELEMENTS_FILE)
        bar.update()
        found = discover.discover(data, method) if config.de_novo else []
        profiles += _write_de_novo(found, data, folder)
        bar.update()
        none = pd.DataFrame(columns=list(motif_sites.POSITION_COLUMNS))
        _write(pd.concat(profiles, ignore_index=True) if profiles else none, folder / POSITIONS_FILE)
        _write_summary(config, read, table, len(found), folder)
        names = {motif.pwm.id: f"{motif.pwm.id} {motif.pwm.name}" for motif in found}
        _draw_tables(config, data, table, elements, folder / FIGURES_FOLDER)
        _draw_positions(profiles, names, data, folder / FIGURES_FOLDER)
        bar.update()
    _report(config, table, found)
    return out


def _choose_method(data: Attributions, wanted: str | None, where: Path) -> str:
    """Return the method that was asked for, else the most faithful one; say which."""
    if wanted is not None and wanted not in data.methods:
        raise InputError(f"has no attributions of {wanted!r}, only of {', '.join(data.methods)}", where=where)
    method = wanted or data.best_method
    if method is None:
        raise InputError("does not say which method is most faithful", where=where, remedy="choose one with --method")
    trust = data.meta.get(FAITHFULNESS, {}).get(method, {})
    score = f", faithfulness {trust['score']:.3f}" if isinstance(trust, dict) and "score" in trust else ""
    reason = "as asked" if wanted else "the most faithful on this model"
    logger.info("motifs: reading the attributions of %s (%s%s)", method, reason, score)
    return method


def _check_origin(data: Attributions, where: Path, expected: Mapping[str, Path | None]) -> None:
    """Refuse attributions of another model, or of other windows, than the given ones."""
    for key, path in expected.items():
        if path is not None and data.meta[key] != artefact.sha256(path):
            what = "another model" if key == MODEL_SHA256 else "other windows"
            raise InputError(
                f"are attributions of {what} than {path} (their checksums differ)", where=where,
                remedy="run capsight explain again",
            )  # fmt: skip


def _independent(data: Attributions) -> Attributions:
    """Keep windows that have no DNA in common, in genome order; say how many do."""
    kept = independent(list(data.codes), np.lexsort((data.start, data.chrom)))
    if alike := int((~kept).sum()):
        logger.info("motifs: %d of %d windows share %d bases or more with another and are left out",
                    alike, len(kept), SHARED)  # fmt: skip
    return data.subset(kept)


def _check_both(data: Attributions, where: Path, alike: int) -> None:
    """Refuse attributions that leave nothing to compare; `alike` windows were left out before."""
    which = "that share no DNA with another " if alike else ""
    for predicted, name in ((data.positive, "positive"), (~data.positive, "negative")):
        if not predicted.any():
            raise NoPredictedPositives(
                f"none of its {len(data.score)} windows {which}is predicted {name}: there is nothing to compare",
                where=where, remedy="explain more windows, or train a better model",
            )  # fmt: skip
    logger.info("motifs: %d predicted positives, %d negatives", data.positive.sum(), (~data.positive).sum())


def _write_kmers(config: MotifsConfig, read: _Read, table: pd.DataFrame, folder: Path) -> list[pd.DataFrame]:
    """Write k-mers with their places, and the seqlets that carry the called ones; return their profiles."""
    data, seqlets = read.data, read.seqlets
    called = table[table[kmers.Q] < Q_THRESHOLD]
    sites = _find(config, read, list(called[kmers.KMER]))
    where = [sites[name].subset(data.positive) for name in called[kmers.KMER]]
    mode = [site.mode(data.cap) if len(site) else None for site in where]
    median = [float(np.median(site.start - data.cap)) if len(site) else None for site in where]
    table = table.assign(**{discover.MODE_OFFSET: pd.Series(mode, called.index, dtype="Int64"),
                            discover.MEDIAN_OFFSET: pd.Series(median, called.index, dtype="Float64")})  # fmt: skip
    _write(table, folder / KMERS_FILE)
    fasta = folder / SEQLETS_FOLDER
    rising = called[called[kmers.ENRICHED_IN] == kmers.POSITIVES]
    for name in rising[kmers.KMER].iloc[:N_FASTA]:
        _write_fasta(fasta / f"{name}.fa", data, seqlets, _carrying(sites[name].subset(data.positive), seqlets))
    for side, chosen in ((kmers.POSITIVES, data.positive), (kmers.NEGATIVES, ~data.positive)):
        _write_fasta(fasta / f"{side}.fa", data, seqlets, (seqlets.peaks != NONE) & chosen[:, None])
    names = rising[kmers.KMER].iloc[:PROFILED]
    return [motif_sites.profile(name, motif_sites.KMER, sites[name], data.positive, data.cap) for name in names]


def _find(config: MotifsConfig, read: _Read, names: Sequence[str]) -> dict[str, motif_sites.Sites]:
    """Find every occurrence of some k-mers that lies wholly in seqlets."""
    encoded = encode_kmers(read.data.codes, config.k)
    encoded[~starts_inside(read.seqlets.mask(), config.k)] = -1
    window, start = np.nonzero(encoded >= 0)
    kmer = encoded[window, start]
    order = np.argsort(kmer, kind="stable")
    numbers = np.array([string_to_kmer(name) for name in names], dtype=np.int64)
    first = np.searchsorted(kmer[order], numbers, side="left")
    last = np.searchsorted(kmer[order], numbers, side="right")
    return {
        name: motif_sites.Sites(window[order[i:j]], start[order[i:j]], config.k)
        for name, i, j in zip(names, first, last, strict=True)
    }


def _carrying(sites: motif_sites.Sites, seqlets: Seqlets) -> Mask:
    """Tell which seqlets hold any of the sites, ``(n, max_seqlets_per_window)``."""
    peak = seqlets.peaks[sites.window]
    held = (sites.start[:, None] >= peak - seqlets.flank) & (
        sites.start[:, None] + sites.width <= peak + seqlets.flank + 1
    )
    carrying = np.zeros(seqlets.peaks.shape, dtype=bool)
    np.logical_or.at(carrying, sites.window, held & (peak != NONE))
    return carrying


def _write_fasta(path: Path, data: Attributions, seqlets: Seqlets, chosen: Mask) -> None:
    """Write seqlets, each named by its window and the offset of its peak from the cap site."""
    names = data.names()
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        for window, rank in np.argwhere(chosen):
            first, last = seqlets.bounds(window, rank)
            offset = seqlets.peaks[window, rank] - data.cap
            sequence = decode(data.codes[window : window + 1, first:last])[0]
            handle.write(f">{names[window]}@{offset:+d}\n{sequence}\n")


def _write_de_novo(found: Sequence[discover.Motif], data: Attributions, folder: Path) -> list[pd.DataFrame]:
    """Write de novo motifs, their table and logos; return their profiles."""
    from capsight.report.motif_figures import draw_logo

    background = discover.background(data.codes)
    write_meme(folder / MEME_FILE, MotifSet(tuple(motif.pwm for motif in found), background))
    _write(discover.tabulate(found, data.cap), folder / DE_NOVO_FILE)
    for motif in found:
        title = f"{motif.pwm.id} {motif.pwm.name}, {len(motif.sites)} sites"
        draw_logo(motif.pwm.probabilities, background, title, folder / LOGOS_FOLDER / f"{motif.pwm.id}.png")
    return [motif_sites.profile(m.pwm.id, motif_sites.DE_NOVO, m.sites, data.positive, data.cap) for m in found]


def _draw_tables(
    config: MotifsConfig, data: Attributions, table: pd.DataFrame, elements: pd.DataFrame, folder: Path
) -> None:
    """Draw k-mers and elements; where nothing is called, the best k-mers are shown all the same."""
    from capsight.report import motif_figures as figures

    positives = int(data.positive.sum())
    best = table[table[kmers.ENRICHED_IN] == kmers.POSITIVES].iloc[:DRAWN]
    figures.draw_frequencies(best, positives, len(data.score) - positives, folder / "frequencies.png")
    figures.draw_volcano(table, Q_THRESHOLD, folder / "volcano.png")
    figures.draw_elements(elements, folder / "elements.png")


def _draw_positions(
    profiles: Sequence[pd.DataFrame], names: Mapping[str, str], data: Attributions, folder: Path
) -> None:
    """Draw the positions of the top motifs of either kind together."""
    from capsight.report.motif_figures import draw_positions

    shown = []
    for kind in (motif_sites.DE_NOVO, motif_sites.KMER):
        of_kind = [rows for rows in profiles if len(rows) and rows[motif_sites.KIND].iloc[0] == kind]
        shown += [(str(rows[motif_sites.MOTIF].iloc[0]), rows) for rows in of_kind[:DRAWN]]
    if shown:
        labelled = [(names.get(name, name), rows) for name, rows in shown]
        draw_positions(labelled, int(data.positive.sum()), data.length, folder / "positions.png")


def _write_summary(config: MotifsConfig, read: _Read, table: pd.DataFrame, found: int, folder: Path) -> None:
    """Write what was read and how much came of it."""
    data = read.data
    called = table[table[kmers.Q] < Q_THRESHOLD]
    rising = int((called[kmers.ENRICHED_IN] == kmers.POSITIVES).sum())
    summary: dict[str, Any] = {
        "method": read.method,
        "best_method": data.best_method,
        "n_positive": int(data.positive.sum()),
        "n_negative": int((~data.positive).sum()),
        "n_redundant": read.alike,
        "window_length": data.length,
        "flank": read.seqlets.flank,
        "seqlets": int((read.seqlets.peaks != NONE).sum()),
        "k": config.k,
        "kmers_tested": 4**config.k,
        "kmers_in_seqlets": len(table),
        "kmers_called": len(called),
        "kmers_called_in_positives": rising,
        "de_novo": found,
        "attributions": {key: value for key, value in data.meta.items() if not isinstance(value, list)},
    }
    (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write a table, separated by tabs; six digits are more than the data can say."""
    table.to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE, float_format="%.6g", lineterminator="\n")


def _report(config: MotifsConfig, table: pd.DataFrame, found: Sequence[discover.Motif]) -> None:
    """Say what came of it."""
    called = table[table[kmers.Q] < Q_THRESHOLD]
    rising = int((called[kmers.ENRICHED_IN] == kmers.POSITIVES).sum())
    logger.info(
        "motifs: %d of %d %d-mers called at q < %g, %d of them more frequent in predicted positives",
        len(called), 4**config.k, config.k, Q_THRESHOLD, rising,
    )  # fmt: skip
    if config.de_novo:
        logger.info("motifs: %d de novo: %s", len(found), ", ".join(motif.pwm.name for motif in found) or "none")
