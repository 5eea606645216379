"""`windows`: labelled windows of the genome and their folds; and `Windows`, to read them in later stages."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from capsight import artefact
from capsight.config import WindowsConfig, load_yaml
from capsight.data import schema
from capsight.data.aliases import Aliases
from capsight.data.folds import assign_folds, check_chromosomes, check_positives
from capsight.data.genome import (
    SOFT_MASK,
    Codes,
    Genome,
    Ints,
    Mask,
    encode,
    genome_checksum,
    genome_inputs,
    recorded_genome,
    reverse_complement,
)
from capsight.data.haldar2026 import DUPLICATE, OFF_CONTIG, WITH_N, Dropped, haldar2026
from capsight.data.negatives import Places, matched, spread
from capsight.data.peaks import PeakIndex, read_peaks
from capsight.data.sequences import Labelled, read_labelled, sequence_store
from capsight.errors import InputError

logger = logging.getLogger(__name__)

WINDOWS_FILE: Final = "windows.parquet"
SUMMARY_FILE: Final = "summary.json"
SEQUENCES_FILE: Final = "sequences.fa"

#: Values of the source column, beside the names of files of labelled sequences.
PEAK: Final = "peak"
MATCHED: Final = "matched"
HALDAR2026: Final = "haldar2026"

_LABELS: Final = {1: "positive", 0: "negative"}
_ROWS_AT_ONCE: Final = 1 << 14
_SCHEMA: Final = pa.schema(
    [
        (schema.CHROM, pa.string()),
        (schema.START, pa.int64()),
        (schema.END, pa.int64()),
        (schema.STRAND, pa.string()),
        (schema.LABEL, pa.int8()),
        (schema.FOLD, pa.string()),
        (schema.SOURCE, pa.string()),
        (schema.GC, pa.float32()),
        (schema.REPEAT, pa.float32()),
        (schema.DISTANCE, pa.int64()),
    ]
)


class _Made(NamedTuple):
    """What the stage writes: the table, and what the summary adds to its counts."""

    table: pd.DataFrame
    dropped: Dropped
    remarks: dict[str, Any]


def windows(config: WindowsConfig, out: Path) -> Path:
    """Lay windows, label them, assign folds, and write ``windows.parquet`` and ``summary.json``.

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
    either strand. Negatives are `capsight.data.negatives.matched`, from the contigs of the fold that have
    peaks (nobody may have looked for cap sites on the others). Windows that leave the contig or hold N are
    dropped, and so are exact duplicates (either strand, any label): the copy in test stays before that in
    validation before that in training, and a positive before a negative.

    Labelled sequences are taken as they are, but a training sequence (or its reverse complement) that occurs
    in validation or test or earlier in training is dropped, and so is one of validation that occurs in test.
    Duplicates within validation or within test stay, so that published benchmarks remain comparable.
    """
    inputs = _inputs(config)
    if artefact.is_done(out, "windows", config, inputs):
        logger.info("windows: %s is done already", out)
        return out
    with artefact.building(out, "windows", config, inputs) as folder:
        made = _from_sequences(inputs, folder) if config.train else _from_genome(config)
        summary = _summarise(made)
        _write(made.table, summary, folder)
    _report(summary)
    Windows.open(out)  # builds the base store of labelled sequences here, and not in every training process
    return out


def _inputs(config: WindowsConfig) -> dict[str, Path]:
    """Return the input files by name, as absolute paths: later stages may run in another folder."""
    named: Mapping[str, str | Path | None] = {"peaks": config.peaks, "aliases": config.aliases}
    if config.genome:
        named = {**genome_inputs(config.genome), **named}
    if config.train:
        files = zip((schema.VALIDATION, schema.TEST), (config.validation, config.test), strict=True)
        named = {schema.TRAIN: config.train} | {fold: chosen[0] for fold, chosen in files if chosen}
    paths = {name: Path(path).absolute() for name, path in named.items() if path is not None}
    for path in paths.values():
        if not path.is_file():
            what = "is a folder: name a file" if path.is_dir() else "there is no such file"
            raise InputError(what, where=path)
    return paths


def _from_genome(config: WindowsConfig) -> _Made:
    """Lay windows on a genome by the protocol of the config."""
    assert config.genome is not None
    assert config.peaks is not None
    genome = Genome.open(config.genome)
    aliases = Aliases.read(config.aliases, genome) if config.aliases else Aliases()
    peaks = read_peaks(config.peaks, genome, aliases, unstranded=config.unstranded)
    config = config.model_copy(update={fold: aliases.names(getattr(config, fold)) for fold in schema.FOLDS[1:]})
    check_chromosomes(genome, config.validation, config.test)
    lay = _lay_haldar2026 if config.protocol == "haldar2026" else _lay_capsight
    laid, dropped, remarks = lay(config, genome, peaks)
    contig, start = laid["contig"].to_numpy(), laid[schema.START].to_numpy()
    gc, repeat, _ = genome.composition(contig, start, config.length)
    distance = PeakIndex.of(peaks, genome).distance(contig, start, config.length)
    table = laid.assign(
        **{
            schema.CHROM: np.array(genome.names, dtype=object)[contig],
            schema.END: start + config.length,
            schema.STRAND: np.where(laid["minus"], "-", "+"),
            schema.GC: gc,
            schema.REPEAT: repeat,
            schema.DISTANCE: distance,
        }
    )
    return _Made(_in_order(table), dropped, remarks)


def _lay_haldar2026(config: WindowsConfig, genome: Genome, peaks: pd.DataFrame) -> _Made:
    """Lay windows by the paper's protocol; folds by chromosome, as everywhere."""
    laid = haldar2026(genome, peaks, config.length, np.random.default_rng(config.seed))
    table = _laid(genome, Places(laid.contig, laid.start, np.zeros(len(laid.start), bool)), laid.label, config)
    table[schema.SOURCE] = np.where(laid.label == 1, PEAK, HALDAR2026)
    check_positives(table.loc[laid.label == 1, schema.FOLD].to_numpy(), config.validation, config.test)
    return _Made(table, laid.dropped, {"protocol": config.protocol})


def _lay_capsight(config: WindowsConfig, genome: Genome, peaks: pd.DataFrame) -> _Made:
    """Lay summit-centred positives, and negatives matched to them fold by fold."""
    dropped: Dropped = {1: Counter(), 0: Counter()}
    places = summit_windows(genome, peaks, config.length, dropped[1])
    positives = _laid(genome, places, np.ones(len(places.start), np.int64), config).assign(source=PEAK)
    positives = _distinct(genome, positives, config.length, dropped)
    check_positives(positives[schema.FOLD].to_numpy(), config.validation, config.test)
    excluded = PeakIndex.of(peaks, genome, config.exclusion)
    contigs = np.unique(genome.index(peaks[schema.CHROM]))
    folds = assign_folds([genome.names[c] for c in contigs], config.validation, config.test)
    parts, wanted = [positives], {}
    for number, fold in enumerate(schema.FOLDS):
        like = positives[positives[schema.FOLD] == fold]
        gc = genome.composition(like["contig"].to_numpy(), like[schema.START].to_numpy(), config.length).gc
        wanted[fold] = round(len(like) * config.ratio)
        rng = np.random.default_rng([config.seed, number])
        drawn = matched(genome, excluded, contigs[folds == fold], spread(gc, wanted[fold]), config.length, rng)
        parts.append(_laid(genome, drawn, np.zeros(len(drawn.start), np.int64), config).assign(source=MATCHED))
    table = _distinct(genome, pd.concat(parts, ignore_index=True), config.length, dropped)
    return _Made(table, dropped, {"protocol": config.protocol, "negatives_wanted": wanted})


def summit_windows(genome: Genome, peaks: pd.DataFrame, length: int, dropped: Counter[str]) -> Places:
    """Return the window of each peak, summit at index length / 2 when read 5'→3'; count what is dropped."""
    contig = genome.index(peaks[schema.CHROM])
    minus = (peaks[schema.STRAND] == "-").to_numpy()
    start = peaks[schema.SUMMIT].to_numpy(np.int64) - length // 2 + minus
    inside = (start >= 0) & (start + length <= genome.lengths[contig])
    known = genome.composition(contig, start, length).unknown == 0
    dropped[OFF_CONTIG] += int((~inside).sum())
    dropped[WITH_N] += int((inside & ~known).sum())
    kept = inside & known
    return Places(contig[kept], start[kept], minus[kept])


def _laid(genome: Genome, places: Places, label: Ints, config: WindowsConfig) -> pd.DataFrame:
    """Return places as a table with label and fold."""
    chroms = np.array(genome.names, dtype=object)[places.contig]
    return pd.DataFrame(
        {
            "contig": places.contig,
            schema.START: places.start,
            "minus": places.minus,
            schema.LABEL: label,
            schema.FOLD: assign_folds(chroms, config.validation, config.test),
        }
    )


def _distinct(genome: Genome, table: pd.DataFrame, length: int, dropped: Dropped) -> pd.DataFrame:
    """Drop windows whose bases, on either strand, another window that goes first has too; count them."""
    keys: list[bytes] = []
    for i in range(0, len(table), _ROWS_AT_ONCE):
        rows = table.iloc[i : i + _ROWS_AT_ONCE]
        plus = np.zeros(len(rows), dtype=bool)
        codes = genome.fetch(rows["contig"].to_numpy(), rows[schema.START].to_numpy(), length, plus)
        keys += [_digest(row, other) for row, other in zip(codes, reverse_complement(codes), strict=True)]
    return table[_count_copies(table, _first_copies(keys, table), dropped)].reset_index(drop=True)


def _digest(codes: Codes, other: Codes) -> bytes:
    """Return a short key of a double-stranded sequence, the same from either strand."""
    return hashlib.blake2b(min(codes.tobytes(), other.tobytes()), digest_size=16).digest()


def _first_copies(keys: list[bytes], table: pd.DataFrame) -> Mask:
    """Tell which rows go first among those of the same key: test, validation, train; then positives."""
    rank = table[schema.FOLD].map({schema.TEST: 0, schema.VALIDATION: 1, schema.TRAIN: 2}).to_numpy()
    order = np.lexsort((-table[schema.LABEL].to_numpy(), rank))
    first = np.empty(len(table), dtype=bool)
    first[order] = ~pd.Series(keys, dtype=object).iloc[order].duplicated().to_numpy()
    return first


def _count_copies(table: pd.DataFrame, kept: Mask, dropped: Dropped) -> Mask:
    """Count the duplicates among what is not kept, by label; return `kept`."""
    for label in _LABELS:
        dropped[label][DUPLICATE] += int((~kept & (table[schema.LABEL] == label).to_numpy()).sum())
    return kept


def _from_sequences(inputs: Mapping[str, Path], folder: Path) -> _Made:
    """Turn files of labelled sequences into windows on contigs of their own."""
    files = {fold: read_labelled(path) for fold, path in inputs.items()}
    length = max(len(sequence) for labelled in files.values() for sequence in labelled.sequences)
    table = pd.concat([_as_windows(fold, files[fold], inputs[fold].name, length) for fold in files], ignore_index=True)
    dropped: Dropped = {1: Counter(), 0: Counter()}
    codes = [encode(sequence) for labelled in files.values() for sequence in labelled.sequences]
    keys = [_digest(row, reverse_complement(row)) for row in codes]
    kept = _count_copies(table, _first_copies(keys, table) | _within_evaluation(keys, table), dropped)
    sizes = np.array([len(row) for row in codes])
    sequences = (sequence for labelled in files.values() for sequence in labelled.sequences)
    records = zip(table[schema.CHROM], sequences, kept, strict=True)
    sequence_store(((name, sequence) for name, sequence, keep in records if keep), folder)
    if padded := int((sizes[kept] < length).sum()):
        logger.info("windows: %d of %d sequences are shorter than %d and padded with N", padded, kept.sum(), length)
    return _Made(table[kept].reset_index(drop=True), dropped, {"padded": padded})


def _as_windows(fold: str, labelled: Labelled, source: str, length: int) -> pd.DataFrame:
    """Return one file of labelled sequences as a table of windows, each centred on its sequence."""
    sizes = np.array([len(sequence) for sequence in labelled.sequences])
    stored = encode("".join(labelled.sequences), soft_mask=True)
    codes = stored & ~np.uint8(SOFT_MASK)
    first = np.cumsum(sizes) - sizes
    gc, known, repeat = (
        np.add.reduceat(hit, first, dtype=np.int64)
        for hit in ((codes == 1) | (codes == 2), codes < 4, (stored & SOFT_MASK) > 0)
    )
    start = -((length - sizes) // 2)
    return pd.DataFrame(
        {
            schema.CHROM: [f"{fold}:{name}" for name in labelled.names],
            schema.START: start,
            schema.END: start + length,
            schema.STRAND: "+",
            schema.LABEL: labelled.labels,
            schema.FOLD: fold,
            schema.SOURCE: source,
            schema.GC: gc / np.maximum(known, 1),
            schema.REPEAT: repeat / sizes,
            schema.DISTANCE: -1,
        }
    )


def _within_evaluation(keys: list[bytes], table: pd.DataFrame) -> Mask:
    """Tell which rows of validation and test have no copy in a fold that goes first."""
    in_test = set(pd.Series(keys, dtype=object)[(table[schema.FOLD] == schema.TEST).to_numpy()])
    fold = table[schema.FOLD].to_numpy()
    held = np.array([key in in_test for key in keys])
    return (fold == schema.TEST) | ((fold == schema.VALIDATION) & ~held)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by fold, then by place."""
    rank = table[schema.FOLD].map({fold: i for i, fold in enumerate(schema.FOLDS)})
    keys = (table[schema.LABEL], table["minus"], table[schema.START], table["contig"], rank)
    return table.iloc[np.lexsort([key.to_numpy() for key in keys])].reset_index(drop=True)


def _summarise(made: _Made) -> dict[str, Any]:
    """Return the content of the summary."""
    table = made.table
    tally = table.groupby([schema.FOLD, schema.LABEL]).size().to_dict()
    counts = {
        fold: {name: int(tally.get((fold, label), 0)) for label, name in _LABELS.items()} for fold in schema.FOLDS
    }
    dropped = {name: dict(sorted(made.dropped[label].items())) for label, name in _LABELS.items()}
    length = int(table[schema.END].iloc[0] - table[schema.START].iloc[0])
    return {"length": length, "folds": counts, "dropped": dropped, **made.remarks}


def _write(table: pd.DataFrame, summary: Mapping[str, Any], folder: Path) -> None:
    """Write table and summary; the same content gives the same bytes."""
    columns = table[list(schema.WINDOW_COLUMNS)]
    plain = pa.Table.from_pandas(columns, schema=_SCHEMA, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(plain, folder / WINDOWS_FILE)
    (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


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
    for name, reasons in summary["dropped"].items():
        if told := ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count):
            logger.info("windows: %ss dropped: %s", name, told)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows and the genome that their bases come from.

    Attributes
    ----------
    folder
        Where they lie.
    table
        One row per window, columns `schema.WINDOW_COLUMNS`.
    genome
        The genome, or the labelled sequences as contigs.
    length
        Bases per window.
    """

    folder: Path
    table: pd.DataFrame
    genome: Genome
    length: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the folder of the `windows` stage, or the ``windows.parquet`` in it.

        Raises
        ------
        InputError
            If it is not one, was changed since, or its genome is gone or is another.
        """
        folder = path.parent if path.name == WINDOWS_FILE else path
        record = _read_record(folder)
        genome_path, sha256 = _find_genome(folder, record)
        if artefact.sha256(folder / WINDOWS_FILE) != record["outputs"][WINDOWS_FILE]:
            raise InputError("was changed after it was made", where=folder / WINDOWS_FILE, remedy="make it again")
        genome = Genome.open(genome_path)
        if genome.sha256 != sha256:
            raise InputError(
                f"is not the genome that {folder} was made from", where=genome_path,
                remedy="make the windows again, or put the genome back",
            )  # fmt: skip
        table = pd.read_parquet(folder / WINDOWS_FILE)
        length = int(table[schema.END].iloc[0] - table[schema.START].iloc[0]) if len(table) else 0
        return cls(folder, table, genome, length)

    def fold(self, name: str) -> Self:
        """Return the windows of one fold, rows renumbered.

        Raises
        ------
        InputError
            If it has none.
        """
        rows = self.table[self.table[schema.FOLD] == name]
        if not len(rows):
            raise InputError(f"the {name} fold has no windows", where=self.folder)
        return replace(self, table=rows.reset_index(drop=True))

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 where a window has a cap site in its middle, else 0; ``(n_windows,)``."""
        return self.table[schema.LABEL].to_numpy(np.int64)

    def training_contigs(self) -> Ints:
        """Return the numbers of the contigs that have training windows."""
        chroms = self.table.loc[self.table[schema.FOLD] == schema.TRAIN, schema.CHROM].unique()
        return np.sort(self.genome.index(chroms))

    def codes(self, rows: NDArray[np.int64], shift: NDArray[np.int64] | None = None) -> Codes:
        """Return the bases of some windows, 5'→3' on their strand, ``(n_rows, length)``.

        Parameters
        ----------
        rows
            Row numbers.
        shift
            Bases by which each window is moved along its own 5'→3' direction, ``(n_rows,)``.
        """
        places = self._places
        start, minus = places.start[rows], places.minus[rows]
        if shift is not None:
            start = start + np.where(minus, -shift, shift)
        return self.genome.fetch(places.contig[rows], start, self.length, minus)

    @cached_property
    def _places(self) -> Places:
        strand = (self.table[schema.STRAND] == "-").to_numpy(bool)
        return Places(self.genome.index(self.table[schema.CHROM]), self.table[schema.START].to_numpy(np.int64), strand)


def _read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a finished `windows` folder."""
    record = load_yaml(folder / artefact.RECORD) if (folder / artefact.RECORD).is_file() else {}
    if record.get("stage") != "windows" or WINDOWS_FILE not in (record.get("outputs") or {}):
        what = "is not a folder of the windows stage" if folder.is_dir() else "there is no such folder"
        raise InputError(what, where=folder, remedy="make one with: capsight windows")
    return record


def _find_genome(folder: Path, record: Mapping[str, Any]) -> tuple[Path, str]:
    """Return path and checksum of the genome behind the windows.

    A run that was moved with its genome is found too: by the path as it was given, from the current folder,
    or by the end of its path from the run folder (``simulation/genome.fa``).
    """
    if SEQUENCES_FILE in record["outputs"]:
        return folder / SEQUENCES_FILE, record["outputs"][SEQUENCES_FILE]
    try:
        recorded = recorded_genome(record["inputs"])
        in_run = folder.absolute().parent / Path(*recorded.parts[-2:])
        paths = [recorded, Path(record["config"]["genome"]), in_run]
        sha256 = genome_checksum({name: given["sha256"] for name, given in record["inputs"].items()})
    except (KeyError, TypeError):
        raise InputError("does not say which genome it was made from", where=folder / artefact.RECORD) from None
    for path in paths:
        if path.exists():
            return path, sha256
    raise InputError(f"the genome of {folder} is not there any more", where=paths[0], remedy="put it back")
