"""`fetch`: assets by name, from a mirror or their public address, checked, into a cache that a user's projects share.

What there is stands in a table (`data.assets`), which a table of the user's own extends. A mirror that is a
folder is read in place. Each file is compared with the checksum that the table or its publisher states. Where neither
states one, the first fetch records the SHA-256, and every later one compares with it.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import filelock

from capsight import artefact, output
from capsight.config import FetchConfig
from capsight.data.assets import (
    ALGORITHMS,
    KINDS,
    MIRROR,
    RECORD,
    Asset,
    Checksum,
    choose,
    mirror,
    mirror_url,
    parse_checksum,
    read_table,
)
from capsight.data.fetch.download import RETRY, ask_size, discard, download, fetch_text
from capsight.data.io.cache import cache_folder
from capsight.errors import InputError

logger = logging.getLogger(__name__)

#: A line of `md5sum`: checksum, a blank, a blank or an asterisk, file name.
_LISTED: Final = re.compile(r"([0-9a-fA-F]{32,128})[ \t]+\*?(\S+)\s*")


class Fetched(NamedTuple):
    """What a fetch gave: the files, and chromosomes that would do for validation and test (or "").

    Attributes
    ----------
    assembly
        That of the first asset; where the table has none, the name.
    paths
        The files, by kind.
    validation, test
        Chromosomes, comma-separated.
    """

    name: str
    assembly: str
    paths: dict[str, Path]
    validation: str
    test: str

    @property
    def genome(self) -> Path | None:
        """The genome; None where there is none, or it was not asked for."""
        return self.paths.get("genome")

    @property
    def peaks(self) -> Path | None:
        """The peaks; None where there are none, or they were not asked for."""
        return self.paths.get("peaks")


class Place(NamedTuple):
    """Where a file is to be had, what it is called in the cache, and what its checksum must be."""

    url: str
    name: str
    checksum: str
    checksum_url: str = ""


class Located(NamedTuple):
    """Where an asset is: a file that is here already, or a place to fetch it from, or neither.

    Attributes
    ----------
    size
        Bytes to fetch, where known.
    problems
        Why places that were asked do not have it.
    """

    asset: Asset
    path: Path | None = None
    place: Place | None = None
    size: int | None = None
    problems: tuple[str, ...] = ()


def fetch(config: FetchConfig, out: Path | None = None) -> Fetched:
    """Fetch all assets of one name, such as the genome and the peaks of an assembly.

    Parameters
    ----------
    config
        Which name, from which table, into which cache. The mirror that `CAPSIGHT_MIRROR` names is asked first; a file
        of a mirror that is a folder is not copied. What the cache has already, unharmed, is not fetched again, and
        needs no network.
    out
        Folder in which copies of the files are wanted.

    Returns
    -------
    fetched
        Paths in `out`, if given, else in the cache or the mirror.

    Raises
    ------
    InputError
        If the table does not have the name, or not the kind that is asked for, or cannot be used; if an address cannot
        be reached, a file does not have the checksum that its publisher states (it is removed), or no public file has
        the bytes of the asset: with the source, and how it is made.
    """
    if out:
        output.check_writable(next(folder for folder in (out, *out.absolute().parents) if folder.exists()))
    table = read_table(config.table)
    assets = choose(table, config.name)
    _report_absent(table, config)
    cache = (config.cache or cache_folder()).absolute()
    paths: dict[str, Path] = {}
    for kind in KINDS:
        if (asset := assets.get(kind)) and config.only in (None, kind):
            found = locate(asset, cache)
            if not (found.path or found.place):
                raise InputError(_how_to_make(found), where=f"{asset.name} ({kind})", remedy=mirror_remedy([asset]))
            path = found.path or obtain(found, cache)
            if found.path:
                _report_terms(asset)
            paths[kind] = _bring(path, out, asset.short_name) if out else path
    genome = assets.get("genome")
    folds = (genome.validation, genome.test) if genome else ("", "")
    assembly = next(iter(assets.values())).assembly or config.name
    return Fetched(config.name, assembly, paths, *folds)


def _report_absent(table: list[Asset], config: FetchConfig) -> None:
    """Report that there are no peaks of this name, and which assets would do; refuse where others were asked for."""
    assets = choose(table, config.name)
    wanted = config.only or ("peaks" if "genome" in assets else None)
    if wanted and wanted not in assets:
        assembly = next(iter(assets.values())).assembly
        others = [asset.name for asset in table if asset.kind == wanted and assembly and asset.assembly == assembly]
        instead = f"there are {', '.join(others)}" if others else "bring your own"
        what = wanted if wanted in ("peaks", "promoters") else f"{wanted} files"
        absent = f"there are no public {what} for {config.name} in the table"
        if config.only:
            raise InputError(absent, remedy=instead)
        logger.info("fetch: %s: %s", absent, instead)


def _report_terms(asset: Asset) -> None:
    """Log licence and citation of an asset."""
    cite = f"; cite {asset.citation}" if asset.citation else ""
    logger.info("fetch: %s (%s): licence: %s%s", asset.name, asset.kind, asset.licence or "not stated", cite)


def _how_to_make(found: Located) -> str:
    """Return why an asset cannot be fetched, and where it comes from."""
    asset = found.asset
    asked = f" ({'; '.join(found.problems)})" if found.problems else ""
    made = f", made by: {asset.made_by}" if asset.made_by else ""
    return f"no public file has exactly these bytes{asked}; the data come from {asset.source or 'elsewhere'}{made}"


def mirror_remedy(assets: Sequence[Asset]) -> str:
    """Return what to do about assets that no public address has."""
    files = ", ".join(asset.mirrored for asset in assets)
    yours = "them and name them by their paths" if len(assets) > 1 else "it and name it by its path"
    return f"set {MIRROR} to a folder or an address that has {files}, or make {yours}"


def locate(asset: Asset, cache: Path) -> Located:
    """Find an asset: in a mirror that is a folder, in the cache, in a mirror on the web, at its public address.

    A mirror on the web is asked whether it has the file; the public address is not.

    Parameters
    ----------
    asset
        Which.
    cache
        The cache folder.

    Raises
    ------
    InputError
        If a file of a mirror folder does not have the checksum that the table states.
    """
    where, problems = mirror(), list[str]()
    if isinstance(where, Path):
        if (path := where / asset.mirrored).is_file():
            _check_mirrored(path, asset)
            logger.info("fetch: %s (%s) is in the mirror: %s", asset.name, asset.kind, path)
            return Located(asset, path)
        problems.append(f"{path} is not there")
    for place in _places(asset, where):
        path = cache / asset.name / place.name
        if path.is_file() and _intact(path, _read_record(path), place):
            logger.info("fetch: %s is in the cache, unharmed", path)
            return Located(asset, path)
        if place.url and place.url == asset.url:
            return Located(asset, place=place, problems=tuple(problems))
        if place.url:
            try:
                return Located(asset, place=place, size=ask_size(place.url))
            except InputError as error:
                logger.warning("fetch: the mirror does not have %s: %s", asset.name, error)
                problems.append(str(error))
    return Located(asset, problems=tuple(problems))


def _places(asset: Asset, where: Path | str | None) -> Iterator[Place]:
    """Yield where the file of an asset may come from, or may have come from earlier."""
    own = f"sha256:{asset.sha256}" if asset.sha256 else ""
    name = PurePosixPath(asset.mirrored).name
    own = own or (asset.checksum if name == asset.public_name else "")
    if isinstance(where, str):
        yield Place(mirror_url(where, asset), name, own)
    elif asset.sha256:  # what came from a mirror earlier
        yield Place("", name, own)
    if asset.url:
        yield Place(asset.url, asset.public_name, asset.checksum, asset.checksum_url)


def _check_mirrored(path: Path, asset: Asset) -> None:
    """Refuse a file of a mirror folder that is not what the table states."""
    stated = next(_places(asset, "")).checksum
    if not stated:
        return
    wanted = parse_checksum(stated, asset.name)
    if (found := _digest(path, wanted.algorithm)) != wanted.digest:
        raise InputError(
            f"{wanted.algorithm} is {found}, but the table states {wanted.digest} for {asset.name}", where=path,
            remedy="damaged? copy it again; if you made it yourself, name it by its path, or in a table of your own",
        )  # fmt: skip


def obtain(found: Located, cache: Path) -> Path:
    """Return the file of an asset in the cache, fetching it where it is not there or not whole."""
    asset, place = found.asset, found.place
    assert place is not None
    path = cache / asset.name / place.name
    with _lock(path):
        record = _read_record(path)
        if path.is_file() and _intact(path, record, place):
            logger.info("fetch: %s is in the cache, unharmed", path)
            return path
        if path.is_file():
            logger.warning("fetch: %s is not, or not any more, what was fetched from %s: again", path, place.url)
        expected = _published(place)
        partial = path.with_name(f"{path.name}.partial")
        download(place.url, partial, RETRY)
        earlier = record if record and record.url == place.url else None
        checked = _verify(partial, place, expected, earlier)
        with output.writing(_record_path(path)) as record_file:
            noted = checked._replace(asset=asset.name)._asdict()
            record_file.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
        discard(partial)
        logger.info("fetch: %s", path)
        _report_terms(asset)
    return path


@contextmanager
def _lock(path: Path) -> Iterator[None]:
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


def _published(place: Place) -> Checksum | None:
    """Return the checksum that table or publisher state, or None, and say so."""
    if place.checksum:
        return parse_checksum(place.checksum, place.url)
    if not place.checksum_url:
        return None
    text = fetch_text(place.checksum_url, RETRY)
    listed = [match.groups() for line in text.splitlines() if (match := _LISTED.fullmatch(line))]
    if not listed:
        raise InputError("is not a list of checksums", where=place.checksum_url)
    for digest, name in listed:
        if PurePosixPath(name).name == place.name and len(digest) in ALGORITHMS:
            return Checksum(ALGORITHMS[len(digest)], digest.lower(), place.checksum_url)
    logger.warning("fetch: %s does not list %s", place.checksum_url, place.name)
    return None


class _Checked(NamedTuple):
    """The record of a fetched file; `checked` is the published checksum, or "" where there is none."""

    url: str
    size: int
    sha256: str
    checked: str
    asset: str = ""


def _verify(partial: Path, place: Place, expected: Checksum | None, record: _Checked | None) -> _Checked:
    """Compare what came with the published checksum, or with that of the first fetch; remove what is wrong."""
    sha256 = artefact.sha256(partial)
    if expected:
        found = sha256 if expected.algorithm == "sha256" else _digest(partial, expected.algorithm)
        if found != expected.digest:
            discard(partial)
            raise InputError(
                f"{expected.algorithm} is {found}, but {expected.source} states {expected.digest}: removed",
                where=place.url, remedy="damaged on its way? give the same command again",
            )  # fmt: skip
    elif record and record.sha256 != sha256:
        discard(partial)
        raise InputError(
            f"is not what it was at the first fetch (sha256 {sha256}, was {record.sha256}): removed", where=place.url,
            remedy=f"if the publisher has renewed it, delete {_record_path(partial.with_suffix(''))} and fetch again",
        )  # fmt: skip
    else:
        what = "is as at the first fetch" if record else "recorded, to compare with on later fetches"
        logger.info("fetch: no checksum of %s is published: sha256 %s %s", place.name, sha256, what)
    checked = f"{expected.algorithm}:{expected.digest} ({expected.source})" if expected else ""
    return _Checked(place.url, partial.stat().st_size, sha256, checked)


def _intact(path: Path, record: _Checked | None, place: Place) -> bool:
    """Tell whether a file of the cache is what the table asks for, or else what was fetched from this place."""
    if place.checksum:
        wanted = parse_checksum(place.checksum, place.url)
        return _digest(path, wanted.algorithm) == wanted.digest
    if not record or record.url != place.url:
        return False
    return path.stat().st_size == record.size and artefact.sha256(path) == record.sha256


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.{RECORD}")


def _read_record(path: Path) -> _Checked | None:
    """Return the record of an earlier fetch."""
    try:
        return _Checked(**json.loads(_record_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _bring(cached: Path, out: Path, name: str) -> Path:
    """Copy a file of the cache or the mirror into a folder; return its path there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=out) from None
    path = out / name
    if path.is_file():
        if not path.samefile(cached) and artefact.sha256(path) != artefact.sha256(cached):
            raise InputError("exists and is another file: it will not be overwritten", where=path)
        return path
    with output.writing(path) as partial:
        shutil.copyfile(cached, partial)  # a link would let whoever edits the file change the cache, or the mirror
    return path
