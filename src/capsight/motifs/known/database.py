"""Motif databases: JASPAR through pyjaspar, which carries its releases, or any file in MEME format."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from capsight.data.io.meme import BASES, MotifSet, Pwm, read_meme
from capsight.data.io.text import readable
from capsight.errors import InputError
from capsight.extras import need

logger = logging.getLogger(__name__)

_COLLECTION: Final = "CORE"
#: pyjaspar itself has no list of the taxonomic groups.
_TAXA: Final = (
    "SELECT DISTINCT val FROM MATRIX_ANNOTATION JOIN MATRIX USING (ID) WHERE tag = 'tax_group' AND collection = ?"
)


def read_motif_db(motif_db: str, taxon: str | None = None) -> MotifSet:
    """Return the PWMs of a JASPAR release (its CORE collection, latest versions), or of a MEME file.

    Nothing is fetched: pyjaspar carries the releases. JASPAR's background is uniform, as in its own MEME files.

    Parameters
    ----------
    motif_db
        Such as ``JASPAR2026``, or the path of a file in MEME format.
    taxon
        Keep one taxonomic group of JASPAR, such as ``fungi``; all if not given.

    Raises
    ------
    InputError
        If there is no such database or group, or the file cannot be used.
    """
    releases = jaspar_releases()
    if motif_db in releases:
        return _jaspar(motif_db, taxon)
    if not readable(Path(motif_db)).exists():
        raise InputError(f"motif_db {motif_db!r} is neither a file nor one of {', '.join(sorted(releases))}")
    if taxon is not None:
        raise InputError(f"taxon {taxon!r} chooses within JASPAR; a MEME file has no taxa", where=motif_db)
    return read_meme(Path(motif_db))


def jaspar_releases() -> tuple[str, ...]:
    """Return the names of the releases of JASPAR that pyjaspar brings."""
    need("pyjaspar")
    import pyjaspar

    return tuple(pyjaspar.jaspar_releases)


def motif_db_inputs(motif_db: str) -> dict[str, Path]:
    """Return the input that a record lists for a database: its file; nothing for a JASPAR release."""
    return {} if motif_db in jaspar_releases() else {"motif_db": Path(motif_db)}


def _jaspar(release: str, taxon: str | None) -> MotifSet:
    """Read one release; pyjaspar asks its database several times for every matrix, so this takes seconds."""
    from pyjaspar import jaspardb

    source = jaspardb(release=release)
    with closing(source.conn) as connection:
        taxa = sorted(name for (name,) in connection.execute(_TAXA, (_COLLECTION,)))
        if taxon is not None and taxon not in taxa:
            raise InputError(f"{release} has no taxon {taxon!r}: it has {', '.join(taxa)}")
        records = source.fetch_motifs(collection=_COLLECTION, tax_group=[taxon] if taxon else None)
    pwms = []
    for record in sorted(records, key=lambda record: str(record.matrix_id)):
        counts = np.array([record.counts[base] for base in BASES], dtype=np.float64).T
        totals = counts.sum(axis=1, keepdims=True)
        pwms.append(Pwm(record.matrix_id, record.name, counts / totals, float(round(totals.mean()))))
    logger.info("%s %s, %s: %d PWMs", release, _COLLECTION, taxon or "all taxa", len(pwms))
    return MotifSet(tuple(pwms))
