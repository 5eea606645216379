"""The table of assets: genomes, peaks, counts and sequences by name. ``assets.tsv`` says what its columns mean.

An asset is found in a mirror (`CAPSIGHT_MIRROR`, a folder or an address), in the cache, or at its public address. Where
no public file has the bytes of ours, the table says where the data come from and how they were made.
"""

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, get_args
from urllib.parse import quote, unquote, urlsplit

from capsight.config import AssetKind
from capsight.data.io.text import readable
from capsight.errors import InputError

TABLE: Final = Path(__file__).with_name("assets.tsv")
KINDS: Final[tuple[AssetKind, ...]] = get_args(AssetKind)
#: The environment: a folder or an address that is asked first, and a table of the user's own.
MIRROR: Final = "CAPSIGHT_MIRROR"
OWN_TABLE: Final = "CAPSIGHT_ASSETS"
#: Beside every fetched file, in its name: where it came from, and its checksum.
RECORD: Final = "fetched.json"
_COLUMNS: Final = (
    "name", "kind", "species", "assembly", "url", "checksum_url", "checksum", "file", "sha256", "size", "source",
    "made_by", "licence", "citation", "also", "validation", "test",
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
#: The end of a file's name that says its format, such as ``.bed.gz``.
_ENDING: Final = re.compile(r"(\.[A-Za-z0-9]+)?(\.b?gz)?$")
#: Checksums by their number of hexadecimal digits.
ALGORITHMS: Final = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


class Checksum(NamedTuple):
    """The checksum of a file: algorithm, lower-case hexadecimal digits, and who states it."""

    algorithm: str
    digest: str
    source: str


@dataclass(frozen=True)
class Asset:
    """One row of the table; empty strings where it says nothing."""

    name: str
    kind: str
    species: str = ""
    assembly: str = ""
    url: str = ""
    checksum_url: str = ""
    checksum: str = ""
    file: str = ""
    sha256: str = ""
    size: str = ""
    source: str = ""
    made_by: str = ""
    licence: str = ""
    citation: str = ""
    also: str = ""
    validation: str = ""
    test: str = ""

    @property
    def public_name(self) -> str:
        """The name of the file at the public address, as the publisher gave it; "" where there is none."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)

    @property
    def mirrored(self) -> str:
        """The path of the file below a mirror."""
        return self.file or f"{self.name}/{self.public_name}"

    @property
    def short_name(self) -> str:
        """The name that the file gets in a folder of the user's, where files of several assets may meet."""
        return self.public_name or f"{self.name}{_ENDING.search(self.file)[0]}"  # type: ignore[index]

    @property
    def origin(self) -> str:
        """Where the data come from: the public file, or the place that ours was made from."""
        return self.url or self.source


def read_table(extension: Path | None = None) -> list[Asset]:
    """Return the rows of the table; those of a table of the user's own replace ours of the same name and kind.

    Parameters
    ----------
    extension
        That table; default the one that the variable `CAPSIGHT_ASSETS` names, if any.

    Raises
    ------
    InputError
        Naming file and line, if a row cannot be used.
    """
    own = extension or (Path(os.environ[OWN_TABLE]) if os.environ.get(OWN_TABLE) else None)
    rows = {(asset.name, asset.kind): asset for asset in _read_rows(TABLE)}
    if own:
        rows |= {(asset.name, asset.kind): asset for asset in _read_rows(own)}
    return list(rows.values())


def choose(table: list[Asset], name: str) -> dict[str, Asset]:
    """Return the assets of a name, by kind.

    Raises
    ------
    InputError
        If there are none; the nearest name is offered.
    """
    if found := {asset.kind: asset for asset in table if asset.name == name}:
        return found
    near = nearest(table, name)
    meant = f"did you mean {near!r}? " if near else ""
    raise InputError(
        f"{name!r} is not in the table of assets",
        remedy=f"{meant}capsight fetch --list shows all; others by a table of your own: --table",
    )


def nearest(table: list[Asset], name: str, cutoff: float = 0.6) -> str | None:
    """Return the asset that a misspelt name, or another name of an assembly, may mean."""
    names = {known.lower(): a.name for a in table for known in (a.name, *filter(None, a.also.split(",")))}
    near = get_close_matches(name.lower(), names, n=1, cutoff=cutoff)
    return names[near[0]] if near else None


def mirror() -> Path | str | None:
    """Return the mirror that the environment names: a folder, an address, or None.

    Raises
    ------
    InputError
        If it is neither.
    """
    text = os.environ.get(MIRROR, "").strip()
    if urlsplit(text).scheme in ("http", "https"):
        return text.rstrip("/")
    if text and not Path(text).is_dir():
        raise InputError(f"{text!r} is neither a folder nor an address", where=MIRROR, remedy="or unset it")
    return Path(os.path.abspath(text)) if text else None


def mirror_url(address: str, asset: Asset) -> str:
    """Return where a mirror on the web has the file of an asset."""
    return f"{address}/{quote(asset.mirrored)}"


def where_from(asset: Asset) -> str:
    """Return where an asset would come from, without asking anybody: mirror, the host of its address, or nowhere."""
    place = mirror()
    if isinstance(place, Path) and (place / asset.mirrored).is_file():
        return "mirror"
    hosts = [urlsplit(url).netloc for url in (place if isinstance(place, str) else "", asset.url) if url]
    return " or ".join(hosts) or "to be made"


def known_source(path: Path) -> dict[str, str]:
    """Return what the record of an artefact says of an input that is an asset: its name, and where it came from.

    A file of the cache says so beside itself; one of a mirror folder is told by its place there.
    """
    try:
        record = json.loads(path.with_name(f"{path.name}.{RECORD}").read_text(encoding="utf-8"))
        return {"asset": record["asset"], "source": record["url"]}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    text = os.environ.get(MIRROR, "")
    folder = Path(os.path.abspath(text)) if text and "://" not in text else None
    place = Path(os.path.abspath(path))
    if folder and place.is_relative_to(folder):
        inside = place.relative_to(folder).as_posix()
        for asset in read_table():
            if asset.mirrored == inside:
                return {"asset": asset.name, "source": f"{MIRROR}/{inside}"}
    return {}


def _read_rows(path: Path) -> Iterator[Asset]:
    """Read a table: a header, then one file per line."""
    try:
        lines = readable(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from None
    except UnicodeDecodeError:
        raise InputError("is not a text file", where=path) from None
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    rows = csv.reader((line for _, line in numbered), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = [name.strip() for name in next(rows, [])]
    for name in header:
        if name not in _COLUMNS:
            near = get_close_matches(name, _COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"columns are {', '.join(_COLUMNS)}"
            raise InputError(f"unknown column {name!r}", where=path, remedy=hint)
    if missing := [name for name in ("name", "kind") if name not in header]:
        raise InputError(f"has no column {missing[0]!r}", where=path, remedy="a tab-separated header comes first")
    lines_of: dict[tuple[str, str], int] = {}
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        where = f"{path}:{number}"
        values = [value.strip() for value in row]
        if len(values) > len(header):
            raise InputError(f"{len(values)} columns, but the header has {len(header)}", where=where)
        given = dict(zip(header, values, strict=False))
        for name in ("name", "kind"):
            if not given.get(name):
                raise InputError(f"has no {name}", where=where)
        asset = Asset(**given)
        _check_asset(asset, where)
        if first := lines_of.get((asset.name, asset.kind)):
            raise InputError(
                f"{asset.name} ({asset.kind}) is in line {first} too", where=where, remedy="remove one, or rename it"
            )
        lines_of[asset.name, asset.kind] = number
        yield asset


def _check_asset(asset: Asset, where: str) -> None:
    """Refuse a row that cannot be used, or that would read or write outside of mirror and cache."""
    if not _NAME.fullmatch(asset.name):
        raise InputError(f"{asset.name!r} is no name", where=where, remedy="letters, digits, . _ + -")
    if asset.kind not in KINDS:
        raise InputError(f"kind {asset.kind!r} is none of {', '.join(KINDS)}", where=where)
    if not (asset.url or asset.file):
        raise InputError("has neither url nor file", where=where)
    for url in filter(None, (asset.url, asset.checksum_url)):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise InputError(f"{url!r} is not an address", where=where, remedy="it begins with https:// or http://")
    if asset.url and not _NAME.fullmatch(asset.public_name):
        raise InputError(f"{asset.url!r} does not end in the name of a file", where=where)
    if asset.file and not all(_NAME.fullmatch(part) for part in asset.file.split("/")):
        raise InputError(
            f"{asset.file!r} is not a path below a mirror", where=where, remedy="such as yeast/genome.fa.gz"
        )
    if asset.size and not asset.size.isdecimal():
        raise InputError(f"size {asset.size!r} is no number of bytes", where=where)
    if asset.sha256:
        parse_checksum(f"sha256:{asset.sha256}", where)
    if asset.checksum:
        parse_checksum(asset.checksum, where)


def parse_checksum(text: str, where: str) -> Checksum:
    """Read ``algorithm:hex``."""
    algorithm, _, digest = text.lower().partition(":")
    if ALGORITHMS.get(len(digest)) != algorithm or not re.fullmatch("[0-9a-f]+", digest):
        raise InputError(
            f"checksum {text!r} is not of the form algorithm:hex", where=where,
            remedy=f"algorithms are {', '.join(ALGORITHMS.values())}",
        )  # fmt: skip
    return Checksum(algorithm, digest, "the table")
