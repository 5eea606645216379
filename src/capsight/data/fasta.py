"""Sequences from FASTA files, one record at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pysam

from capsight.data.text import kind_of, open_text
from capsight.errors import InputError

#: Ends of the names of FASTA files in a folder.
SUFFIXES: Final = tuple(f"{kind}{packed}" for kind in (".fa", ".fasta", ".fna") for packed in ("", ".gz", ".bgz"))

_BYTES_AT_ONCE: Final = 1 << 24
#: The empty block that ends every whole bgzip file (SAM specification, section 4.1.2).
_BGZIP_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def read_fasta(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and sequence of every record of a FASTA (plain, gzip or bgzip).

    Raises
    ------
    InputError
        If the file is missing, is no FASTA, or is damaged.
    """
    _check_fasta(path)
    level = pysam.set_verbosity(0)  # htslib would write its own lines to stderr
    try:
        with pysam.FastxFile(str(path), persist=False) as reader:
            for record in reader:
                if record.quality is not None:
                    raise InputError(f"record {record.name!r} has qualities: FASTQ, not FASTA", where=path)
                if not record.name:
                    raise InputError("a record has no name", where=path)
                yield record.name, record.sequence or ""
    except ValueError:
        raise InputError("is truncated or damaged", where=path, remedy="fetch or compress it again") from None
    finally:
        pysam.set_verbosity(level)


def _check_fasta(path: Path) -> None:
    """Refuse what does not begin like a FASTA, and a bgzip file that lost its end."""
    with open_text(path) as handle:
        first = next((line for line in handle if line.strip()), "").strip()
    if not first:
        raise InputError("is empty", where=path)
    if not first.startswith(">"):
        raise InputError(f"is not FASTA: it begins with {first[:30]!r} and not with '>'", where=path)
    kind = kind_of(path)
    with path.open("rb") as raw:
        # htslib ends a record at a NUL, in silence; a crash of a disk or of a download leaves them.
        if kind == "text" and any(b"\x00" in piece for piece in iter(lambda: raw.read(_BYTES_AT_ONCE), b"")):
            raise InputError("has NUL bytes: it is damaged", where=path, remedy="fetch it again")
        if kind == "bgzip":
            raw.seek(max(0, path.stat().st_size - len(_BGZIP_END)))
            if raw.read() != _BGZIP_END:
                raise InputError("is truncated or damaged", where=path, remedy="fetch or compress it again")
