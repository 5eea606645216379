"""`fetch`: public genomes and peaks by name, checked, into a cache that all projects of a user share.

What there is to fetch stands in a table (`capsight.data.assemblies`), which a table of the user's own extends.
Each file is compared with the checksum that its publisher states. Where the publisher states none, the first
fetch records the SHA-256, and every later one compares with it.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import filelock

from capsight import artefact, output
from capsight.config import FetchConfig
from capsight.data.assemblies import ALGORITHMS, KINDS, Checksum, Source, choose, parse_checksum, read_table
from capsight.data.cache import cache_folder
from capsight.data.download import Patience, discard, download, fetch_text
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: Beside every fetched file: where it came from, and its checksum.
RECORD: Final = "fetched.json"

#: A line of `md5sum`: checksum, a blank, a blank or an asterisk, file name.
_LISTED: Final = re.compile(r"([0-9a-fA-F]{32,128})[ \t]+\*?(\S+)\s*")


class Fetched(NamedTuple):
    """What a fetch gave: the files, and chromosomes that would do for validation and test (or "").

    Attributes
    ----------
    genome, peaks
        Paths; None where there is no such file, or it was not asked for.
    validation, test
        Chromosomes, comma-separated.
    """

    assembly: str
    genome: Path | None
    peaks: Path | None
    validation: str
    test: str


def fetch(config: FetchConfig, out: Path | None = None) -> Fetched:
    """Fetch the genome and the peaks of an assembly.

    Parameters
    ----------
    config
        Which assembly, from which table, into which cache. What the cache has already, unharmed, is not fetched
        again, and needs no network.
    out
        Folder in which the files are wanted as well: as hard links to those in the cache, or copies where the
        file system has no links.

    Returns
    -------
    fetched
        Paths in `out`, if given, else in the cache.

    Raises
    ------
    InputError
        If the table does not have the assembly or cannot be used, an address cannot be reached, or a file does
        not have the checksum that its publisher states (it is removed).
    """
    if out:
        output.check_writable(next(folder for folder in (out, *out.absolute().parents) if folder.exists()))
    sources = choose(read_table(config.table), config.assembly)
    wanted = [kind for kind in KINDS if config.only in (None, kind)]
    for kind in wanted:
        if kind not in sources:
            name = next(iter(sources.values())).assembly
            logger.info("fetch: there are no public %s for %s in the table: bring your own", kind, name)
    paths: dict[str, Path] = {}
    for kind in wanted:
        if source := sources.get(kind):
            folder = (config.cache or cache_folder()).absolute() / source.assembly
            cached = _obtain(source, folder, Patience(config.timeout, config.retries))
            paths[kind] = _bring(cached, out) if out else cached
    genome = sources.get("genome")
    folds = (genome.validation, genome.test) if genome else ("", "")
    return Fetched(config.assembly, paths.get("genome"), paths.get("peaks"), *folds)


def _obtain(source: Source, folder: Path, patience: Patience) -> Path:
    """Return the file of a source in the cache, fetching it where it is not there or not whole."""
    path = folder / source.file
    with _alone(path):
        record = _read_record(path, source.url)
        if path.is_file() and _intact(path, record, source):
            logger.info("fetch: %s is in the cache, unharmed", path)
            return path
        if path.is_file():
            logger.warning("fetch: %s is not, or not any more, what was fetched from %s: again", path, source.url)
        expected = _published(source, patience)
        partial = path.with_name(f"{path.name}.partial")
        download(source.url, partial, patience)
        checked = _verify(partial, source, expected, record)
        _write_record(path, checked)
        partial.replace(path)
        discard(partial)
        logger.info("fetch: %s", path)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold other processes (and threads) off a file of the cache; whoever comes second waits."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.info("fetch: another process is fetching %s: waiting for it", path.name)
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"the cache cannot be written: {error.strerror}", where=path.parent,
            remedy="name another place: --cache",
        ) from None  # fmt: skip
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=path) from None
    finally:
        lock.release()


def _published(source: Source, patience: Patience) -> Checksum | None:
    """Return the checksum that table or publisher state, or None, and say so."""
    if source.checksum:
        return parse_checksum(source.checksum, source.url)
    if not source.checksum_url:
        return None
    text = fetch_text(source.checksum_url, patience)
    listed = [match.groups() for line in text.splitlines() if (match := _LISTED.fullmatch(line))]
    if not listed:
        raise InputError("is not a list of checksums", where=source.checksum_url)
    for digest, name in listed:
        if PurePosixPath(name).name == source.file and len(digest) in ALGORITHMS:
            return Checksum(ALGORITHMS[len(digest)], digest.lower(), source.checksum_url)
    logger.warning("fetch: %s does not list %s", source.checksum_url, source.file)
    return None


class _Checked(NamedTuple):
    """The record of a fetched file; `checked` is the published checksum, or "" where there is none."""

    url: str
    size: int
    sha256: str
    checked: str


def _verify(partial: Path, source: Source, expected: Checksum | None, record: _Checked | None) -> _Checked:
    """Compare what came with the published checksum, or with that of the first fetch; remove what is wrong."""
    sha256 = artefact.sha256(partial)
    if expected:
        found = sha256 if expected.algorithm == "sha256" else _digest(partial, expected.algorithm)
        if found != expected.digest:
            discard(partial)
            raise InputError(
                f"{expected.algorithm} is {found}, but {expected.source} states {expected.digest}: removed",
                where=source.url, remedy="damaged on its way? give the same command again",
            )  # fmt: skip
    elif record and record.sha256 != sha256:
        discard(partial)
        raise InputError(
            f"is not what it was at the first fetch (sha256 {sha256}, was {record.sha256}): removed", where=source.url,
            remedy=f"if the publisher has renewed it, delete {_record_path(partial.with_suffix(''))} and fetch again",
        )  # fmt: skip
    else:
        what = "is as at the first fetch" if record else "recorded, to compare with on later fetches"
        logger.info("fetch: no checksum of %s is published: sha256 %s %s", source.file, sha256, what)
    checked = f"{expected.algorithm}:{expected.digest} ({expected.source})" if expected else ""
    return _Checked(source.url, partial.stat().st_size, sha256, checked)


def _intact(path: Path, record: _Checked | None, source: Source) -> bool:
    """Tell whether a file of the cache is what was fetched, and what the table asks for."""
    if not record or path.stat().st_size != record.size or artefact.sha256(path) != record.sha256:
        return False
    if not source.checksum:
        return True
    wanted = parse_checksum(source.checksum, source.url)
    return _digest(path, wanted.algorithm) == wanted.digest


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.{RECORD}")


def _write_record(path: Path, checked: _Checked) -> None:
    with output.writing(_record_path(path)) as partial:
        partial.write_text(json.dumps(checked._asdict(), indent=1) + "\n", encoding="utf-8")


def _read_record(path: Path, url: str) -> _Checked | None:
    """Return the record of an earlier fetch from the same address."""
    try:
        record = _Checked(**json.loads(_record_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return record if record.url == url else None


def _bring(cached: Path, out: Path) -> Path:
    """Make a file of the cache stand in a folder too; return its path there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=out) from None
    path = out / cached.name
    if path.is_file():
        if not path.samefile(cached) and artefact.sha256(path) != artefact.sha256(cached):
            raise InputError("exists and is another file: it will not be overwritten", where=path)
        return path
    with output.writing(path) as partial:
        try:
            os.link(cached, partial)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(cached, partial)
    return path
