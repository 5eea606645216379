"""`windows`: labelled windows of the genome and their folds; and `Windows`, to read them in later stages."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from capsight import artefact, output
from capsight.config import WindowsConfig
from capsight.config.yaml_files import load_yaml
from capsight.data import schema
from capsight.data.aliases import Aliases
from capsight.data.bases import Codes
from capsight.data.five_ends import check_named_once
from capsight.data.folds import EXCLUDE, Folds, can_be_left_out, leave_one_out, warn_of_small
from capsight.data.genome import Genome
from capsight.data.labelled import lay_labelled
from capsight.data.laying import REGIONS, Made, lay, not_excluded, summit_windows
from capsight.data.peaks import read_peaks
from capsight.data.places import Places, read_codes, shuffle_number
from capsight.data.promoters import read_promoters, write_promoters
from capsight.data.store import genome_checksum, genome_inputs, recorded_genome
from capsight.data.stretches import Stretches
from capsight.data.tags import CTSS, SUMMITS, counted_tags, summit_tags, write_tags
from capsight.data.text import given, readable
from capsight.data.windows_peaks import write_windows_peaks
from capsight.errors import InputError

logger = logging.getLogger(__name__)

WINDOWS_FILE: Final = "windows.parquet"
SUMMARY_FILE: Final = "summary.json"
SEQUENCES_FILE: Final = "sequences.fa"

_LABELS: Final = {1: "positive", 0: "negative"}
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
    either strand. Negatives are drawn by the strategies of `capsight.data.negatives`, fold by fold. Windows that
    leave the contig or hold N are dropped, and so are exact duplicates (either strand, any label): a positive
    stays before a negative, then the copy in test before that in validation before that in training.

    Labelled sequences are taken as they are, but a training sequence (or its reverse complement) that occurs
    in validation or test or earlier in training is dropped, and so is one of validation that occurs in test.
    Duplicates within validation or within test stay, so that published benchmarks remain comparable.

    ``five_ends.parquet`` holds the 5' ends of `config.ctss`, `ctss_plus` and `ctss_minus`, or else the summits of the
    peaks; ``peaks.parquet`` all peaks, also those without a window. Labelled sequences have neither.

    With `config.loco`, `out` gets one such folder for each chromosome that can be tested, named as it.
    """
    inputs = _inputs(config)
    if config.loco:
        return _leave_each_out(config, out)
    if artefact.is_done(out, "windows", config, inputs):
        logger.info("windows: %s is done already", out)
        return out
    with artefact.building(out, "windows", config, inputs) as folder:
        made = lay_labelled(inputs, folder) if config.train else _lay(config, folder)
        summary = _summarise(made)
        _write(made.table, summary, folder)
    _report(summary)
    Windows.open(out)  # builds the base store of labelled sequences here, and not in every training process
    return out


def _lay(config: WindowsConfig, folder: Path) -> Made:
    """Lay windows on a genome, and write the 5' ends and the peaks that go with them."""
    checked, genome, aliases, peaks = _laid_on(config)
    made = lay(checked, genome, peaks)
    counted = bool(config.ctss or config.ctss_plus)
    if counted:
        strands = config.ctss_plus, config.ctss_minus
        tags = counted_tags(config.ctss, genome, aliases, *strands, options=("--ctss-plus", "--ctss-minus"))
    else:
        tags = summit_tags(peaks, genome)
    told = write_tags(tags, genome, CTSS if counted else SUMMITS, folder)
    write_windows_peaks(peaks, genome, folder)
    remarks = {"five_ends": told}
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
    known = not_excluded(peaks, genome, Folds.of(genome, (), (), config.exclude), Counter())
    contig = summit_windows(genome, known, config.length, Counter()).contig
    tested = can_be_left_out(np.array(genome.names, dtype=object)[contig], genome.names)
    return [
        config.model_copy(update={"loco": False, "validation": (validation,), "test": (test,)})
        for validation, test in leave_one_out(tested)
    ]


def _inputs(config: WindowsConfig) -> dict[str, Path]:
    """Return the input files by name, as absolute paths: later stages may run in another folder."""
    named: Mapping[str, str | Path | None] = {
        "peaks": config.peaks, "aliases": config.aliases, "negatives_bed": config.negatives_bed,
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
        unstranded=config.unstranded, peak_format=config.peak_format, summit_offset=config.summit_offset,
    )  # fmt: skip
    named = (schema.VALIDATION, schema.TEST, EXCLUDE)
    config = config.model_copy(update={name: aliases.regions(getattr(config, name)) for name in named})
    return config, genome, aliases, peaks


def _summarise(made: Made) -> dict[str, Any]:
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
    with (folder / WINDOWS_FILE).open("wb") as file:
        pq.write_table(plain, file)
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
        if fold != schema.TRAIN:
            warn_of_small(fold, plus, minus)
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
    seed
        Seed of shuffled negatives.
    """

    folder: Path
    table: pd.DataFrame
    genome: Genome
    length: int
    seed: int = 0

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
        artefact.check_unchanged(folder)
        genome = Genome.open(genome_path)
        if genome.sha256 != sha256:
            raise InputError(
                f"is not the genome that {folder} was made from", where=genome_path,
                remedy="make the windows again, or put the genome back",
            )  # fmt: skip
        table = _read_table(folder / WINDOWS_FILE, genome)
        length = int(table[schema.END].iloc[0] - table[schema.START].iloc[0])
        return cls(folder, table, genome, length, record["seed"])

    def fold(self, name: str) -> Self:
        """Return the windows of one fold, in their order, rows renumbered.

        Raises
        ------
        InputError
            If it has none.
        """
        rows = self.table[self.table[schema.FOLD] == name]
        if not len(rows):
            raise InputError(
                f"the {name} fold has no windows", where=self.folder,
                remedy=f"make them anew, with chromosomes for {name} that have peaks",
            )  # fmt: skip
        return replace(self, table=rows.reset_index(drop=True))

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 where a window has a cap site in its middle, else 0; ``(n_windows,)``."""
        return self.table[schema.LABEL].to_numpy(np.int64)

    def stretches(self, fold: str) -> Stretches:
        """Return the stretches of a fold (on contigs where it has windows), or those that belong to none (`EXCLUDE`).

        Folds are whole contigs, unless the summary has regions.
        """
        regions = json.loads((self.folder / SUMMARY_FILE).read_text(encoding="utf-8")).get(REGIONS)
        if regions is not None:
            return Stretches.named(self.genome, regions[fold])
        chroms = self.table.loc[self.table[schema.FOLD] == fold, schema.CHROM].unique()
        return Stretches.whole(self.genome, self.genome.index(chroms))

    def codes(self, rows: NDArray[np.int64], shift: NDArray[np.int64] | None = None) -> Codes:
        """Return the bases of some windows, 5'→3' on their strand, ``(n_rows, length)``.

        Parameters
        ----------
        rows
            Row numbers.
        shift
            Bases by which each window is moved along its own 5'→3' direction, ``(n_rows,)``.
        """
        contig, start, minus, copy = self.places
        places = Places(contig[rows], start[rows], minus[rows], None if copy is None else copy[rows])
        return read_codes(self.genome, places, self.length, self.seed, shift)

    @cached_property
    def places(self) -> Places:
        """Where every window lies."""
        strand = (self.table[schema.STRAND] == "-").to_numpy(bool)
        contig, start = self.genome.index(self.table[schema.CHROM]), self.table[schema.START].to_numpy(np.int64)
        copy = shuffle_number(self.table[schema.SOURCE])
        return Places(contig, start, strand, copy if copy.any() else None)


def _read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a finished `windows` folder."""
    record = load_yaml(folder / artefact.RECORD) if (folder / artefact.RECORD).is_file() else {}
    outputs = record.get("outputs")
    if record.get("stage") != "windows" or not isinstance(outputs, dict) or WINDOWS_FILE not in outputs:
        what = "is not a folder of the windows stage" if folder.is_dir() else "there is no such folder"
        raise InputError(what, where=folder, remedy="make one with: capsight windows")
    if not isinstance(record.get("seed"), int) or record["seed"] < 0:
        raise InputError("does not say its seed", where=folder / artefact.RECORD, remedy="make the windows again")
    return record


def _read_table(path: Path, genome: Genome) -> pd.DataFrame:
    """Read the table of windows and check all that later stages rely on."""
    try:
        with path.open("rb") as file:  # pyarrow takes no path that is not UTF-8
            read = pq.read_table(file, columns=list(schema.WINDOW_COLUMNS))
        table: pd.DataFrame = read.select(list(schema.WINDOW_COLUMNS)).cast(_SCHEMA).to_pandas()
    except (pa.ArrowException, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"is not a table of windows: {reason}", where=path, remedy="make it again") from None
    lengths = (table[schema.END] - table[schema.START]).unique()
    faults = {
        "it holds no windows": not len(table),
        "a value is missing": bool(table.isna().to_numpy().any()),
        "its windows are not of one length": len(lengths) > 1 or (lengths <= 0).any(),
        "a label is neither 0 nor 1": not table[schema.LABEL].isin([0, 1]).all(),
        f"a fold is none of {', '.join(schema.FOLDS)}": not table[schema.FOLD].isin(schema.FOLDS).all(),
        "a strand is neither + nor -": not table[schema.STRAND].isin(["+", "-"]).all(),
        f"a contig is not in {genome.path.name}": (genome.index(table[schema.CHROM]) < 0).any(),
    }
    if fault := next((what for what, found in faults.items() if found), None):
        raise InputError(f"is not a table of windows: {fault}", where=path, remedy="make it again")
    return table


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
    except (KeyError, TypeError, AttributeError):
        raise InputError("does not say which genome it was made from", where=folder / artefact.RECORD) from None
    for path in paths:
        if path.exists():
            return path, sha256
    raise InputError(f"the genome of {folder} is not there any more", where=paths[0], remedy="put it back")
