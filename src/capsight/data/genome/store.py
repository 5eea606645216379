"""The files behind a genome: which they are, and the genome store that is built of them once.

A genome is a FASTA (plain or bgzip), a 2bit file, or a folder of FASTA files, read in the order of their names.
One byte per base, as in `data.genome.alphabet`. The store lies in ``<name>.capsight/`` beside the file or folder, or,
where that place cannot be written, below ``$CAPSIGHT_CACHE`` (default ``~/.cache/capsight``). It is rebuilt when
size or time of a file change. Its files are named by content and put in place by renaming, so processes that build
it at the same time cannot harm each other. The index has a checksum of every block of bases.
"""

import hashlib
import json
import logging
import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np

from capsight import artefact, output
from capsight.data.genome.alphabet import (
    KNOWN,
    STORED,
    Codes,
    Ints,
)
from capsight.data.io.cache import cache_folder
from capsight.data.io.fasta import SUFFIXES, fasta_pieces
from capsight.data.io.text import passes, sniff_format, unreadable
from capsight.data.io.twobit import read_twobit
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Of the store; raised where the same file may give other bases than before (2: blanks in FASTA are no bases), or the
#: index has more (3: checksums).
_FORMAT: Final = 3
#: Bases that share a checksum.
BLOCK: Final = 1 << 20
_INDEX: Final = "index.json"
#: What the files of a genome are called in a record, with ``/FILE`` where it is a folder.
_INPUT: Final = "genome"
#: Processes write under names of their own; threads of one process take turns.
_BUILDING: Final = threading.Lock()


class Store(NamedTuple):
    """A genome store: its file, the contigs in it, laid end to end, and the CRC-32 of every `BLOCK` of them."""

    bases: Path
    names: tuple[str, ...]
    lengths: tuple[int, ...]
    sha256: str
    sums: tuple[int, ...]


def base_store(path: Path) -> Store:
    """Return the genome store of a genome; build it on first use.

    Raises
    ------
    InputError
        If a file is missing, is no genome, is gzip but not bgzip, is damaged, or a contig is named twice.
    """
    state = _state(path)
    with _BUILDING:
        for folder in _places(path):
            if found := _read_index(folder, state):
                return _store(folder, found)
        folder = _writable_place(path)
        try:
            index = _build(path, folder, state)
        except InputError:
            with suppress(OSError):
                folder.rmdir()  # leaves no trace, unless something is in it
            raise
        return _store(folder, index)


def _store(folder: Path, index: dict[str, Any]) -> Store:
    """Return the store that an index describes."""
    names, lengths = tuple(index["names"]), tuple(index["lengths"])
    return Store(folder / _bases_name(index["sha256"]), names, lengths, index["sha256"], tuple(index["sums"]))


def genome_inputs(path: Path) -> dict[str, Path]:
    """Return the files of a genome, by the names that they have among the inputs of a record.

    Returns
    -------
    files
        ``{"genome": path}``, or for a folder ``{"genome/FILE": path, …}``, in the order of names.

    Raises
    ------
    InputError
        If there is nothing there, or no FASTA is in the folder; or if it comes through a pipe.
    """
    if passes(path):
        raise InputError(
            "comes through a pipe: bases are read from the genome in later stages too", where=path,
            remedy="write it to a file, and name that",
        )  # fmt: skip
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
    key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
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
        f"its genome store can be written neither beside it nor in {cache.parent}", where=path,
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
        whole = size == sum(index["lengths"]) > 0 and len(index["sums"]) == -(-size // BLOCK)
        return index if same and whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(path: Path, folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Write the store: bases first, then the index that names them."""
    files = genome_inputs(path)
    for file in files.values():
        if sniff_format(file) == "gzip":
            plain = file.name.removesuffix(".gz")
            raise InputError(
                "is gzip, which cannot be indexed: bgzip is needed", where=file,
                remedy=f"gunzip {file.name} && bgzip {plain}, or leave it unpacked",
            )  # fmt: skip
    sha256 = genome_checksum({name: artefact.sha256(file) for name, file in files.items()})
    bases = folder / _bases_name(sha256)
    try:
        with output.writing(bases) as partial:
            with partial.open("wb") as out:
                lengths, counts = _write_bases(files.values(), out)
            replaced = _check_letters(path, counts)
            sums = _block_sums(partial)
        index = {"format": _FORMAT, **state, "sha256": sha256, "names": list(lengths), "lengths": [*lengths.values()],
                 "sums": sums}  # fmt: skip
        with output.writing(folder / _INDEX) as partial:
            partial.write_text(json.dumps(index | {"replaced": replaced}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"its genome store cannot be written: {error.strerror}", where=folder) from None
    for old in folder.glob("bases.*.u8"):
        if old != bases:
            old.unlink(missing_ok=True)
    total = sum(lengths.values())
    logger.info("genome %s: %d contigs, %s bases stored in %s", path.name, len(lengths), f"{total:,}", folder)
    return index


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
                out.write(STORED[letters].tobytes())
    return lengths, counts


def _block_sums(bases: Path) -> list[int]:
    """Return the CRC-32 of every block of a file."""
    with bases.open("rb") as file:
        return [zlib.crc32(block) for block in iter(lambda: file.read(BLOCK), b"")]


def _contigs(file: Path) -> Iterator[tuple[str, Iterable[Codes]]]:
    """Yield the name of every contig of a FASTA or 2bit file, and its letters piece by piece."""
    if sniff_format(file) == "2bit":
        yield from read_twobit(file)
    else:
        for (_, name), pieces in groupby(fasta_pieces(file), key=lambda piece: piece[:2]):
            yield name, (np.frombuffer(piece.letters, dtype=np.uint8) for piece in pieces)


def _check_letters(path: Path, counts: Ints) -> dict[str, int]:
    """Return how often each letter that is not A, C, G, T or N occurs; it is stored as N, and said."""
    total = int(counts.sum())
    if not total:
        raise InputError("holds no bases", where=path)
    replaced: dict[str, int] = {}
    for byte in np.flatnonzero((counts > 0) & ~KNOWN):
        letter = chr(byte).upper()
        replaced[letter] = replaced.get(letter, 0) + int(counts[byte])
    if replaced.get("U", 0) > counts[[ord("T"), ord("t")]].sum():
        raise InputError("is not DNA: it has U in place of T", where=path, remedy="this is RNA: write T for U")
    if sum(replaced.values()) > total / 2:
        raise InputError("is not DNA: most of its letters are not A, C, G, T or N", where=path)
    if replaced:
        letters = ", ".join(f"{letter} {count:,}" for letter, count in sorted(replaced.items()))
        logger.warning("genome %s: letters other than A, C, G, T, N are read as N: %s", path.name, letters)
    return replaced
