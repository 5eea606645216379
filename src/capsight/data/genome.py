"""The genome as a memory-mapped array of bases, built once from its files and shared by every process.

A genome is a FASTA (plain or bgzip), a 2bit file, or a folder of FASTA files, read in the order of their names.
One byte per base: codes 0, 1, 2, 3 for A, C, G, T and 4 for N, plus `SOFT_MASK` where the file is lower case
(repeats). The store lies in ``<name>.capsight/`` beside the file or folder, or, where that place cannot be
written, below ``$CAPSIGHT_CACHE`` (default ``~/.cache/capsight``). It is rebuilt when size or time of a file
change. Its files are named by content and put in place by renaming, so processes that build it at the same time
cannot harm each other.
"""

import hashlib
import json
import logging
import mmap
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from capsight import artefact
from capsight.data.cache import cache_folder
from capsight.data.fasta import SUFFIXES, read_fasta
from capsight.data.text import kind_of, unreadable
from capsight.data.twobit import read_twobit
from capsight.errors import InputError

logger = logging.getLogger(__name__)

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

LETTERS: Final = "ACGTN"
N_CODE: Final = 4
#: Set in a stored byte whose letter was lower case.
SOFT_MASK: Final = 8

_CODE_BITS: Final = 7
_FORMAT: Final = 1
_INDEX: Final = "index.json"
#: What the files of a genome are called in a record, with ``/FILE`` where it is a folder.
_INPUT: Final = "genome"
#: Letters encoded, or rows gathered, at a time: bounds the memory that intermediate results take.
_LETTERS_AT_ONCE: Final = 1 << 24
_ROWS_AT_ONCE: Final = 1 << 14
#: Rows after which the genome is unmapped: each maps the page that it lies on, which may be one of 2 MB.
_ROWS_MAPPED: Final = 1 << 12
#: Processes write under names of their own; threads of one process take turns.
_BUILDING: Final = threading.Lock()


def _stored_codes() -> Codes:
    """Return the stored byte of every letter, ``(256,)``."""
    table = np.full(256, N_CODE, dtype=np.uint8)
    for code, letter in enumerate("ACGT"):
        table[ord(letter)] = table[ord(letter.lower())] = code
    table[ord("a") : ord("z") + 1] |= SOFT_MASK
    return table


_STORED: Final = _stored_codes()
_COMPLEMENT: Final = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)
#: For `bytes.translate`; what is no code becomes no ASCII, and so an error.
_LETTERS_OF_CODES: Final = LETTERS.encode().ljust(256, b"\xff")
_KNOWN: Final = np.isin(np.arange(256), np.frombuffer(b"ACGTNacgtn", dtype=np.uint8))


def encode(sequence: str, *, soft_mask: bool = False) -> Codes:
    """Return the codes ``(length,)`` of a sequence in upper or lower case; any letter but A, C, G, T is N.

    With `soft_mask`, the codes of lower-case letters carry the `SOFT_MASK` bit.
    """
    stored = _STORED[np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]
    return stored if soft_mask else stored & np.uint8(_CODE_BITS)


def decode(codes: Codes) -> list[str]:
    """Return the sequences of codes ``(n_windows, length)``."""
    text, length = codes.tobytes().translate(_LETTERS_OF_CODES).decode("ascii"), codes.shape[1]
    return [text[i * length : (i + 1) * length] for i in range(len(codes))]


def reverse_complement(codes: Codes) -> Codes:
    """Return the codes ``(..., length)`` of the other strand, 5'→3'."""
    return _COMPLEMENT[codes[..., ::-1]]


class Composition(NamedTuple):
    """What windows are made of, each ``(n_windows,)``.

    Attributes
    ----------
    gc
        Share of G and C among the known bases (0 where none is known).
    repeat
        Share of soft-masked positions.
    unknown
        Number of N, positions outside the contig included.
    """

    gc: NDArray[np.float64]
    repeat: NDArray[np.float64]
    unknown: Ints


def composition(stored: Codes) -> Composition:
    """Measure stored bytes ``(n_windows, length)``: codes, with or without the `SOFT_MASK` bit."""
    codes = stored & _CODE_BITS
    unknown = np.count_nonzero(codes == N_CODE, axis=1)
    gc = np.count_nonzero((codes == 1) | (codes == 2), axis=1)
    repeat = np.count_nonzero(stored & SOFT_MASK, axis=1)
    length = stored.shape[1]
    return Composition(gc / np.maximum(length - unknown, 1), repeat / max(length, 1), unknown)


@dataclass(frozen=True, eq=False)
class Genome:
    """A memory-mapped genome. Positions are 0-based; contigs are numbered in the order of the file.

    Attributes
    ----------
    path
        The file or folder.
    names, lengths
        Of every contig; lengths in bases, ``(n_contigs,)``.
    sha256
        Checksum of the file; of a folder, that of its files' names and checksums.
    bases
        Stored bytes of all contigs, one after the other; do not write.
    """

    path: Path
    names: tuple[str, ...]
    lengths: Ints
    sha256: str
    bases: Codes

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store of a FASTA (plain or bgzip), a 2bit file or a folder of FASTA files; build it on first use.

        Raises
        ------
        InputError
            If a file is missing, is no genome, is gzip but not bgzip, is damaged, or a contig is named twice.
        """
        state = _state(path)
        with _BUILDING:
            for folder in _places(path):
                if found := _read_index(folder, state):
                    return cls._map(path, folder, found)
            folder = _writable_place(path)
            try:
                index = _build(path, folder, state)
            except InputError:
                with suppress(OSError):
                    folder.rmdir()  # leaves no trace, unless something is in it
                raise
            return cls._map(path, folder, index)

    @classmethod
    def _map(cls, path: Path, folder: Path, index: dict[str, Any]) -> Self:
        """Map the bases that `index` describes."""
        bases = np.asarray(np.memmap(folder / _bases_name(index["sha256"]), dtype=np.uint8, mode="r"))
        return cls(path, tuple(index["names"]), np.array(index["lengths"], np.int64), index["sha256"], bases)

    @cached_property
    def offsets(self) -> Ints:
        """Where each contig begins in `bases`, ``(n_contigs,)``."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def _lookup(self) -> pd.Index:
        return pd.Index(self.names)

    def index(self, names: ArrayLike) -> Ints:
        """Return the number of each named contig, -1 for unknown names."""
        return np.asarray(self._lookup.get_indexer(pd.Index(np.asarray(names, dtype=object))), dtype=np.int64)

    def fetch(self, contig: Ints, start: Ints, length: int, minus: Mask) -> Codes:
        """Gather windows, 5'→3' on their strand.

        Parameters
        ----------
        contig, start
            Contig number and leftmost position of each window, ``(n_windows,)``.
        length
            Bases per window.
        minus
            Windows to be read from the minus strand, ``(n_windows,)``.

        Returns
        -------
        codes
            ``(n_windows, length)``, 0 to 4; positions outside the contig are N.
        """
        codes = self._gather(contig, start, length)
        codes &= _CODE_BITS
        codes[minus] = reverse_complement(codes[minus])
        return codes

    def masked(self, contig: Ints, start: Ints, length: int) -> Mask:
        """Tell which positions of plus-strand windows are soft-masked, ``(n_windows, length)``."""
        return (self._gather(contig, start, length) & SOFT_MASK) > 0

    def composition(self, contig: Ints, start: Ints, length: int) -> Composition:
        """Measure windows, a bounded number at a time and in the order of the genome: neighbours share pages."""
        order = np.argsort(self.offsets[contig] + start)
        found = Composition(np.zeros(len(order)), np.zeros(len(order)), np.zeros(len(order), np.int64))
        for i in range(0, len(order), _ROWS_AT_ONCE):
            rows = order[i : i + _ROWS_AT_ONCE]
            for column, part in zip(found, composition(self._gather(contig[rows], start[rows], length)), strict=True):
                column[rows] = part
        return found

    def contig(self, number: int) -> Codes:
        """Return a copy of the codes 0 to 4 of a whole contig, plus strand, without the soft mask."""
        first = self.offsets[number]
        return self.bases[first : first + self.lengths[number]] & np.uint8(_CODE_BITS)

    def _gather(self, contig: Ints, start: Ints, length: int) -> Codes:
        """Return stored bytes of plus-strand windows, ``(n_windows, length)``, as a fresh array."""
        contig, start = np.asarray(contig, dtype=np.int64), np.asarray(start, dtype=np.int64)
        if len(start) < _ROWS_MAPPED:
            return self._copy(contig, start, length)
        codes = np.empty((len(start), length), dtype=np.uint8)
        order = np.argsort(self.offsets[contig] + start)  # neighbours share pages
        for i in range(0, len(start), _ROWS_MAPPED):
            rows = order[i : i + _ROWS_MAPPED]
            codes[rows] = self._copy(contig[rows], start[rows], length)
            self._let_go()
        return codes

    def _let_go(self) -> None:
        """Unmap what was read: it stays in the page cache, but is no longer counted as memory of this process."""
        mapped = getattr(self.bases.base, "_mmap", None)
        if isinstance(mapped, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)

    def _copy(self, contig: Ints, start: Ints, length: int) -> Codes:
        """Do the work of `_gather`, for any number of rows at once."""
        if len(contig) and contig.min() < 0:
            raise ValueError("contig -1: an unknown contig cannot be read")
        size, first = self.lengths[contig], self.offsets[contig]
        inside = (start >= 0) & (start + length <= size)
        if inside.all() and len(start):
            return sliding_window_view(self.bases, length)[first + start]
        codes = np.full((len(start), length), N_CODE, dtype=np.uint8)
        if inside.any():
            codes[inside] = sliding_window_view(self.bases, length)[(first + start)[inside]]
        begin, stop = np.maximum(start, 0), np.minimum(start + length, size)
        for i in np.flatnonzero(~inside & (begin < stop)):
            part = self.bases[first[i] + begin[i] : first[i] + stop[i]]
            codes[i, begin[i] - start[i] : stop[i] - start[i]] = part
        return codes


def namesake(name: str, names: Collection[str]) -> str | None:
    """Return the contig that `name` would be called among `names` by another convention (chrI/I, chrM/MT)."""

    def key(text: str) -> str:
        plain = text.lower().removeprefix("chr")
        return "mt" if plain in ("m", "mt", "mito", "mitochondrion") else plain

    return {key(other): other for other in names}.get(key(name))


def genome_inputs(path: Path) -> dict[str, Path]:
    """Return the files of a genome, by the names that they have among the inputs of a record.

    Returns
    -------
    files
        ``{"genome": path}``, or for a folder ``{"genome/FILE": path, …}``, in the order of names.

    Raises
    ------
    InputError
        If there is nothing there, or no FASTA is in the folder.
    """
    if not path.is_dir():
        return {_INPUT: path}
    try:
        files = sorted(file for file in path.iterdir() if file.name.lower().endswith(SUFFIXES) and file.is_file())
    except OSError as error:
        raise unreadable(path, error) from None
    if not files:
        raise InputError(
            "is a folder without FASTA files", where=path,
            remedy="their names end in .fa, .fasta or .fna, or these with .gz or .bgz",
        )  # fmt: skip
    return {f"{_INPUT}/{file.name}": file for file in files}


def genome_checksum(inputs: Mapping[str, str]) -> str:
    """Return the `Genome.sha256` of a genome whose files (named as by `genome_inputs`) have these checksums."""
    if _INPUT in inputs:
        return inputs[_INPUT]
    files = {name: digest for name, digest in inputs.items() if name.startswith(f"{_INPUT}/")}
    return hashlib.sha256("".join(f"{d}  {n}\n" for n, d in sorted(files.items())).encode()).hexdigest()


def recorded_genome(inputs: Mapping[str, Mapping[str, str]]) -> Path:
    """Return the path of the genome among the inputs of a record: the file, or the folder of files.

    Raises
    ------
    KeyError
        If it is not among them.
    """
    if _INPUT in inputs:
        return Path(inputs[_INPUT]["path"])
    files = [given["path"] for name, given in inputs.items() if name.startswith(f"{_INPUT}/")]
    if not files:
        raise KeyError(_INPUT)
    return Path(files[0]).parent


def _state(path: Path) -> dict[str, Any]:
    """Return size and time of the files of a genome, by which changed ones are known."""
    states = {}
    for name, file in genome_inputs(path).items():
        try:
            stat = file.stat()
        except OSError as error:
            raise unreadable(file, error) from None
        states[name] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    return states.get(_INPUT, {"files": states})


def _places(path: Path) -> tuple[Path, Path]:
    """Return where the store of a FASTA may lie: beside it, or in the cache."""
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return path.with_name(f"{path.name}.capsight"), cache_folder() / key


def _writable_place(path: Path) -> Path:
    """Return the first of the two places that can be written; it exists afterwards.

    A folder whose permissions let nobody write is left alone even where the user (root) could.
    """
    beside, cache = _places(path)
    for folder in (beside, cache):
        try:
            base = folder if folder.exists() else folder.parent
            if folder == beside and not (base.stat().st_mode & 0o222 and os.access(base, os.W_OK)):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise InputError(
        f"its base store can be written neither beside it nor in {cache.parent}", where=path,
        remedy="set CAPSIGHT_CACHE to a folder that can be written",
    )  # fmt: skip


def _bases_name(sha256: str) -> str:
    return f"bases.{sha256[:16]}.u8"


def _read_index(folder: Path, state: dict[str, int]) -> dict[str, Any] | None:
    """Return the index of a store, or nothing where it is absent, damaged or out of date."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        size = (folder / _bases_name(index["sha256"])).stat().st_size
        same = index["format"] == _FORMAT and {key: index[key] for key in state} == state
        return index if same and size == sum(index["lengths"]) > 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(path: Path, folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Write the store: bases first, then the index that names them."""
    files = genome_inputs(path)
    for file in files.values():
        _check_packing(file)
    sha256 = genome_checksum({name: artefact.sha256(file) for name, file in files.items()})
    bases = folder / _bases_name(sha256)
    try:
        with artefact.writing(bases) as partial, partial.open("wb") as out:
            lengths, counts = _write_bases(files.values(), out)
            replaced = _check_letters(path, counts)
        index = {"format": _FORMAT, **state, "sha256": sha256, "names": list(lengths), "lengths": [*lengths.values()]}
        with artefact.writing(folder / _INDEX) as partial:
            partial.write_text(json.dumps(index | {"replaced": replaced}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"its base store cannot be written: {error.strerror}", where=folder) from None
    for old in folder.glob("bases.*.u8"):
        if old != bases:
            old.unlink(missing_ok=True)
    total = sum(lengths.values())
    logger.info("genome %s: %d contigs, %s bases stored in %s", path.name, len(lengths), f"{total:,}", folder)
    return index


def _check_packing(file: Path) -> None:
    """Refuse gzip: only bgzip can be indexed, here and by samtools."""
    if kind_of(file) == "gzip":
        plain = file.name.removesuffix(".gz")
        raise InputError(
            "is gzip, which cannot be indexed: bgzip is needed", where=file,
            remedy=f"gunzip {file.name} && bgzip {plain}, or leave it unpacked",
        )  # fmt: skip


def _write_bases(files: Iterable[Path], out: IO[bytes]) -> tuple[dict[str, int], Ints]:
    """Write the stored bytes of all contigs; return their lengths, and how often each letter occurs, ``(256,)``."""
    lengths: dict[str, int] = {}
    counts = np.zeros(256, dtype=np.int64)
    for file in files:
        for name, pieces in _contigs(file):
            if name in lengths:
                raise InputError(f"contig {name!r} occurs more than once", where=file)
            lengths[name] = 0
            for letters in pieces:
                lengths[name] += len(letters)
                counts += np.bincount(letters, minlength=256)
                out.write(_STORED[letters].tobytes())
    return lengths, counts


def _contigs(file: Path) -> Iterator[tuple[str, Iterable[Codes]]]:
    """Yield the name of every contig of a FASTA or 2bit file, and its letters piece by piece."""
    if kind_of(file) == "2bit":
        yield from read_twobit(file)
    else:
        for name, sequence in read_fasta(file):
            yield (
                name,
                (
                    np.frombuffer(sequence[i : i + _LETTERS_AT_ONCE].encode("ascii", "replace"), dtype=np.uint8)
                    for i in range(0, len(sequence), _LETTERS_AT_ONCE)
                ),
            )


def _check_letters(path: Path, counts: Ints) -> dict[str, int]:
    """Return how often each letter that is not A, C, G, T or N occurs; it is stored as N, and said."""
    total = int(counts.sum())
    if not total:
        raise InputError("holds no bases", where=path)
    replaced: dict[str, int] = {}
    for byte in np.flatnonzero((counts > 0) & ~_KNOWN):
        letter = chr(byte).upper()
        replaced[letter] = replaced.get(letter, 0) + int(counts[byte])
    if sum(replaced.values()) > total / 2:
        raise InputError("is not DNA: most of its letters are not A, C, G, T or N", where=path)
    if replaced:
        letters = ", ".join(f"{letter} {count:,}" for letter, count in sorted(replaced.items()))
        logger.warning("genome %s: letters other than A, C, G, T, N are read as N: %s", path.name, letters)
    return replaced
