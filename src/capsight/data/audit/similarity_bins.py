"""How similar windows are to the training fold, as an audit found it: groups to measure a model on."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from capsight import artefact
from capsight.config.yaml_files import load_yaml
from capsight.data import schema
from capsight.data.audit.similarity import IDENTITY
from capsight.data.windows.windows import Windows
from capsight.errors import InputError

SIMILARITY_FILE: Final = "similarity.parquet"

#: Groups by identity with the nearest training window, and the identity from which on each begins.
NO_RELATIVE: Final = "none"
IDENTITY_BINS: Final = {"below 0.8": 0.0, "0.8 to 0.9": 0.8, "0.9 and more": 0.9}


def similarity_bins(audit: Path, data: Windows) -> NDArray[np.str_]:
    """Return the group of every window of a fold, ``(n_windows,)``: `NO_RELATIVE`, or one of `IDENTITY_BINS`.

    Parameters
    ----------
    audit
        Folder of the `audit` stage.
    data
        One fold of the windows that were audited, validation or test.

    Raises
    ------
    InputError
        If the folder is no audit, is one of other windows, or has no results for this fold.
    """
    table = _read(audit, data)
    fold = str(data.table[schema.FOLD].iloc[0])
    identity = table.loc[table[schema.FOLD] == fold, IDENTITY].to_numpy(np.float64)
    if len(identity) != len(data.table):
        remedy = "only validation and test are compared with training"
        raise InputError(f"has no results for the {fold} fold", where=audit, remedy=remedy)
    which = np.searchsorted(list(IDENTITY_BINS.values()), identity, side="right") - 1
    return np.where(
        np.isnan(identity), NO_RELATIVE, np.array(list(IDENTITY_BINS))[np.minimum(which, len(IDENTITY_BINS) - 1)]
    )


def _read(audit: Path, data: Windows) -> pd.DataFrame:
    """Read what an audit says of these windows."""
    record = load_yaml(audit / artefact.RECORD) if (audit / artefact.RECORD).is_file() else {}
    if record.get("stage") != "audit":
        what = "is not a folder of the audit stage" if audit.is_dir() else "there is no such folder"
        raise InputError(what, where=audit, remedy=f"make one with: capsight audit {data.folder}")
    try:
        audited = record["inputs"]["windows"]["sha256"]
        table = pd.read_parquet(audit / SIMILARITY_FILE, columns=[schema.FOLD, IDENTITY])
    except (OSError, KeyError, TypeError, pa.ArrowException):
        raise InputError(
            f"{SIMILARITY_FILE} or the record is missing or damaged", where=audit, remedy="audit again"
        ) from None
    if audited != artefact.sha256(data.folder):
        raise InputError(f"is an audit of other windows than {data.folder}", where=audit, remedy="audit these")
    return table
