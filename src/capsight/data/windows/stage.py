"""`windows`: labelled windows of the genome and their folds; `data.windows.windows` reads them."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capsight import artefact, output
from capsight.config import WindowsConfig
from capsight.data import schema
from capsight.data.ctss.reader import check_named_once
from capsight.data.ctss.table import CTSS, SUMMITS, ctss_from_summits, read_counted_ctss, write_ctss_table
from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genome import Genome
from capsight.data.genome.store import genome_inputs
from capsight.data.genome.stretches import Stretches
from capsight.data.io.text import given, readable
from capsight.data.peaks.promoters import read_promoters, write_promoters
from capsight.data.peaks.reader import read_peaks
from capsight.data.windows.build import WindowSet, build_windows, not_excluded, summit_windows
from capsight.data.windows.folds import EXCLUDE, Folds, can_be_left_out, leave_one_out, warn_of_small
from capsight.data.windows.labelled import build_labelled_windows
from capsight.data.windows.peaks_table import write_windows_peaks
from capsight.data.windows.windows import SUMMARY_FILE, WINDOWS_FILE, WINDOWS_SCHEMA, Windows
from capsight.errors import InputError

logger = logging.getLogger(__name__)

_LABELS: Final = {1: "positive", 0: "negative"}


def windows(config: WindowsConfig, out: Path) -> Path:
    """Lay windows, label them, assign folds, and write them with the 5' ends and peaks behind them.

    Parameters
    ----------
    config
        Genome and peaks, with a protocol; or labelled sequences, which become windows of the length of the
        longest (`config.length` is then not used), shorter ones centred between N; they are written to
        ``sequences.fa``.
    out
        Folder to write.

    Raises
    ------
    InputError
        If a file cannot be used, or a fold has no positives.

    Notes
    -----
    Protocol ``capsight``: the summit of each peak stands at index length / 2 of its window read 5'→3', on
    either strand. Negatives are drawn by the strategies of `data.windows.negatives`, fold by fold. Windows that
    leave the contig or hold N are dropped, and so are exact duplicates (either strand, any label): a positive
    stays before a negative, then the copy in test before that in validation before that in training.

    Labelled sequences are taken as they are, but a training sequence (or its reverse complement) that occurs
    in validation or test or earlier in training is dropped, and so is one of validation that occurs in test.
    Duplicates within validation or within test stay, so that published benchmarks remain comparable.

    ``ctss.parquet`` holds the 5' ends of `config.ctss`, `ctss_plus` and `ctss_minus`, or else the summits of the
    peaks; ``peaks.parquet`` all peaks, also those without a window. Labelled sequences have neither.

    With `config.leave_one_chromosome_out`, `out` gets one such folder for each chromosome that can be tested, named
    as it.
    """
    inputs = _inputs(config)
    if config.leave_one_chromosome_out:
        return _leave_each_out(config, out)
    if artefact.is_done(out, "windows", config, inputs):
        logger.info("windows: %s is done already", out)
        return out
    with artefact.atomic_dir(out, "windows", config, inputs) as folder:
        made = build_labelled_windows(inputs, folder) if config.train else _build(config, folder)
        summary = _summarise(made)
        columns = made.table[list(schema.WINDOW_COLUMNS)]
        plain = pa.Table.from_pandas(columns, schema=WINDOWS_SCHEMA, preserve_index=False)
        with (folder / WINDOWS_FILE).open("wb") as file:
            pq.write_table(plain.replace_schema_metadata(None), file)  # so the same content gives the same bytes
        (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    _report(summary)
    Windows.open(out)  # builds the genome store of labelled sequences here, and not in every training process
    return out


def _build(config: WindowsConfig, folder: Path) -> WindowSet:
    """Lay windows on a genome, and write the 5' ends and the peaks that go with them."""
    checked, genome, aliases, peaks = _laid_on(config)
    made = build_windows(checked, genome, peaks)
    counted = bool(config.ctss or config.ctss_plus)
    if counted:
        strands = config.ctss_plus, config.ctss_minus
        tags = read_counted_ctss(config.ctss, genome, aliases, *strands, options=("--ctss-plus", "--ctss-minus"))
    else:
        tags = ctss_from_summits(peaks, genome)
    told = write_ctss_table(tags, genome, CTSS if counted else SUMMITS, folder)
    write_windows_peaks(peaks, genome, folder)
    remarks = {"ctss": told}
    if config.promoters:
        held_out = Stretches.named(genome, (*checked.validation, *checked.test, *checked.exclude))
        promoters = read_promoters(config.promoters, config.promoter_weights)
        remarks["promoters"] = write_promoters(promoters, held_out, folder)
    return made._replace(remarks=made.remarks | remarks)


def _leave_each_out(config: WindowsConfig, out: Path) -> Path:
    """Make one folder of windows for every chromosome that can be tested."""
    output.check_folder(out, _inputs(config).values())
    if (out / artefact.RECORD).exists():
        raise InputError("is a single result", where=out, remedy="name another folder for leave-one-chromosome-out")
    for one in leaving_one_out(config):
        logger.info("windows: %s left out, validated on %s", one.test[0], one.validation[0])
        windows(one, out / output.folder_name(one.test[0]))
    return out


def leaving_one_out(config: WindowsConfig) -> list[WindowsConfig]:
    """Return settings for every chromosome that can be tested, with the one before it as validation.

    Raises
    ------
    InputError
        If a file cannot be used, or fewer than three chromosomes can be tested.
    """
    _inputs(config)
    config, genome, _, peaks = _laid_on(config)
    known = not_excluded(peaks, genome, Folds.from_names(genome, (), (), config.exclude), Counter())
    contig = summit_windows(genome, known, config.length, Counter()).contig
    tested = can_be_left_out(np.array(genome.names, dtype=object)[contig], genome.names)
    return [
        config.model_copy(update={"leave_one_chromosome_out": False, "validation": (validation,), "test": (test,)})
        for validation, test in leave_one_out(tested)
    ]


def _inputs(config: WindowsConfig) -> dict[str, Path]:
    """Return the input files by name, as absolute paths: later stages may run in another folder."""
    named: Mapping[str, str | Path | None] = {
        "peaks": config.peaks, "aliases": config.aliases, "negatives_file": config.negatives_file,
        "promoters": config.promoters,
    }  # fmt: skip
    if config.genome:
        named = {**genome_inputs(config.genome), **named}
    if config.train:
        files = zip((schema.VALIDATION, schema.TEST), (config.validation, config.test), strict=True)
        named = {schema.TRAIN: config.train} | {fold: chosen[0] for fold, chosen in files if chosen}
    counts = {"ctss": config.ctss, "ctss_plus": config.ctss_plus, "ctss_minus": config.ctss_minus}
    numbered = {f"{kind}/{n}": path for kind, paths in counts.items() for n, path in enumerate(paths, start=1)}
    named = {**named, **numbered}
    paths = {name: given(Path(path)).absolute() for name, path in named.items() if path is not None}
    for path in paths.values():
        if not readable(path).is_file():
            what = "is a folder: name a file" if path.is_dir() else "there is no such file"
            raise InputError(what, where=path)
    check_named_once([Path(path) for path in numbered.values()])
    return paths


def _laid_on(config: WindowsConfig) -> tuple[WindowsConfig, Genome, Aliases, pd.DataFrame]:
    """Open what windows are laid on; return the config too, its folds with the genome's names."""
    assert config.genome is not None
    assert config.peaks is not None
    genome = Genome.open(config.genome)
    aliases = Aliases.read(config.aliases, genome) if config.aliases else Aliases()
    peaks = read_peaks(
        config.peaks, genome, aliases,
        assume_plus_strand=config.assume_plus_strand, peak_format=config.peak_format,
        summit_offset=config.summit_offset,
    )  # fmt: skip
    named = (schema.VALIDATION, schema.TEST, EXCLUDE)
    config = config.model_copy(update={name: aliases.regions(getattr(config, name)) for name in named})
    return config, genome, aliases, peaks


def _summarise(made: WindowSet) -> dict[str, Any]:
    """Return the content of the summary."""
    table = made.table
    tally = table.groupby([schema.FOLD, schema.LABEL]).size().to_dict()
    counts = {
        fold: {name: int(tally.get((fold, label), 0)) for label, name in _LABELS.items()} for fold in schema.FOLDS
    }
    dropped = {name: dict(sorted(made.dropped[label].items())) for label, name in _LABELS.items()}
    length = int(table[schema.END].iloc[0] - table[schema.START].iloc[0])
    return {"length": length, "folds": counts, "dropped": dropped, **made.remarks}


def _report(summary: Mapping[str, Any]) -> None:
    """Say what was made, fold by fold, and what was dropped."""
    wanted = summary.get("negatives_wanted", {})
    for fold, counts in summary["folds"].items():
        if not any(counts.values()):
            continue
        plus, minus = counts["positive"], counts["negative"]
        logger.info("windows: %-10s %7d positives %7d negatives", fold, plus, minus)
        if counts["negative"] < wanted.get(fold, 0):
            short = wanted[fold] - counts["negative"]
            logger.info("windows: %s: %d negatives fewer than the %d wanted", fold, short, wanted[fold])
        if fold != schema.TRAIN:
            warn_of_small(fold, plus, minus)
    for name, reasons in summary["dropped"].items():
        if told := ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count):
            logger.info("windows: %ss dropped: %s", name, told)
