"""`Attributions`: the file between `explain` and `motifs`, one score per base, window and method."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from capsight.data import schema
from capsight.data.io.text import readable
from capsight.data.naming import region_name
from capsight.errors import InputError
from capsight.output import writing

logger = logging.getLogger(__name__)

Codes = NDArray[np.uint8]
Scores = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Windows that score this or more are predicted positives, unless `Attributions.meta` has another `POSITIVE_FROM`.
THRESHOLD: Final = schema.THRESHOLD

CODES: Final = "codes"
ISM_FULL: Final = "ism_full"
SPANS_WIDTH: Final = "spans_width"
META: Final = "meta"
#: Arrays with one score per base are stored as ``method/NAME``.
METHOD_PREFIX: Final = "method/"

#: Keys of `Attributions.meta`.
MODEL_SHA256: Final = "model_sha256"
WINDOWS_SHA256: Final = "windows_sha256"
FOLD: Final = "fold"
POSITIVE_FROM: Final = "positive_from"
FAITHFULNESS: Final = "faithfulness"
BEST_METHOD: Final = "best_method"
WINDOW_LENGTH: Final = "window_length"
META_KEYS: Final = (MODEL_SHA256, WINDOWS_SHA256, FOLD, FAITHFULNESS, BEST_METHOD, WINDOW_LENGTH)

#: One value per window, and the type each is stored in.
_PER_WINDOW: Final = {
    schema.SCORE: np.float32,
    schema.LABEL: np.int8,
    schema.CHROM: np.str_,
    schema.STRAND: np.str_,
    schema.START: np.int64,
    schema.END: np.int64,
}


@dataclass(frozen=True, eq=False)
class Attributions:
    """Windows, what the model thought of them, and which bases made it think so.

    Attributes
    ----------
    codes
        ``(n, length)`` base codes 5'→3' (A, C, G, T, N = 0…4). The cap site is at index length // 2.
    score
        ``(n,)`` probability of a cap site.
    label
        ``(n,)`` 1 where the window has a cap site, 0 where not, -1 where nobody knows.
    chrom, strand, start, end
        ``(n,)`` where each window lies: 0-based half-open; `start` is negative where it begins before its contig.
    methods
        One ``(n, length)`` array of attributions per method.
    meta
        Checksums of model and windows (or regions or sequences), fold, faithfulness, best method (`META_KEYS`).
    spans_width
        Bases per token: what the attributions resolve.
    ism_full
        ``(n, 4, length)`` in-silico mutagenesis: the score with each base at each place, on any scale that
        does not depend on the base; `None` if it was not made.
    """

    codes: Codes
    score: Scores
    label: NDArray[np.int8]
    chrom: NDArray[np.str_]
    strand: NDArray[np.str_]
    start: Ints
    end: Ints
    methods: Mapping[str, Scores]
    meta: Mapping[str, Any] = field(default_factory=dict)
    spans_width: int = 1
    ism_full: Scores | None = None

    @property
    def length(self) -> int:
        """Bases per window."""
        return int(self.codes.shape[1])

    @property
    def cap(self) -> int:
        """Index of the cap site in every window."""
        return self.length // 2

    @cached_property
    def positive(self) -> Mask:
        """True for predicted positives, ``(n,)``."""
        return self.score >= self.meta.get(POSITIVE_FROM, THRESHOLD)

    @property
    def best_method(self) -> str | None:
        """The most faithful method, as `explain` measured it."""
        return self.meta.get(BEST_METHOD)

    def names(self) -> list[str]:
        """Return a name for each window, as `region_name` spells it."""
        places = zip(self.chrom, self.start, self.end, self.strand, strict=True)
        return [region_name(str(chrom), int(start), int(end), str(strand)) for chrom, start, end, strand in places]

    def subset(self, chosen: Mask) -> Self:
        """Return some of the windows, ``(n,)``."""
        return replace(
            self,
            codes=self.codes[chosen],
            methods={name: scores[chosen] for name, scores in self.methods.items()},
            ism_full=None if self.ism_full is None else self.ism_full[chosen],
            **{name: getattr(self, name)[chosen] for name in _PER_WINDOW},
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check the file that `explain` wrote.

        Raises
        ------
        InputError
            If it cannot be read, or an array is missing, of another shape, or holds what it must not.
        """
        arrays = _load(path)
        needed = [CODES, *_PER_WINDOW, META]
        if missing := [name for name in needed if name not in arrays]:
            raise _broken(path, f"array {missing[0]!r} is missing")
        methods = {n.removeprefix(METHOD_PREFIX): a for n, a in arrays.items() if n.startswith(METHOD_PREFIX)}
        width = arrays.get(SPANS_WIDTH, np.array(1))
        if width.shape != () or width.dtype.kind not in "iu" or width < 1:
            raise _broken(path, f"{SPANS_WIDTH} is not a positive whole number")
        result = cls(
            codes=arrays[CODES],
            methods=methods,
            meta=_read_meta(path, arrays[META]),
            spans_width=int(width),
            ism_full=arrays.get(ISM_FULL),
            **{name: arrays[name] for name in _PER_WINDOW},
        )
        result.check(path)
        return result

    def write(self, path: Path) -> Path:
        """Write the file, checked first; the same content gives the same bytes."""
        self.check(path)
        arrays: dict[str, Any] = {CODES: self.codes} | {name: getattr(self, name) for name in _PER_WINDOW}
        arrays |= {f"{METHOD_PREFIX}{name}": values for name, values in self.methods.items()}
        arrays[SPANS_WIDTH] = np.array(self.spans_width)
        arrays[META] = np.array(json.dumps(self.meta, sort_keys=True, allow_nan=False))
        if self.ism_full is not None:
            arrays[ISM_FULL] = self.ism_full
        with writing(path) as partial, partial.open("wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, **arrays)
        return path

    def check(self, where: object) -> None:
        """Refuse what later steps could not trust.

        Raises
        ------
        InputError
            Naming the first array that is wrong.
        """
        if self.codes.ndim != 2 or 0 in self.codes.shape or self.codes.dtype != np.uint8 or self.codes.max() > 4:
            raise _broken(where, "codes are not bases (uint8, 0 to 4, one row per window)")
        n, length = self.codes.shape
        for name, kind in _PER_WINDOW.items():
            values = getattr(self, name)
            if values.shape != (n,) or not np.issubdtype(values.dtype, kind):
                raise _broken(where, f"{name} is not one {np.dtype(kind).name} for each of {n} windows")
        if not self.methods:
            raise _broken(where, "it holds the attributions of no method")
        for name, values in self.methods.items():
            _check_scores(where, f"{METHOD_PREFIX}{name}", values, (n, length))
        if self.ism_full is not None:
            _check_scores(where, ISM_FULL, self.ism_full, (n, 4, length))
        self._check_values(where)

    def _check_values(self, where: object) -> None:
        """Check what the values say."""
        if not ((self.score >= 0) & (self.score <= 1)).all():
            raise _broken(where, "a score is no probability")
        if not np.isin(self.strand, ["+", "-"]).all():
            raise _broken(where, "a strand is neither + nor -")
        if not (self.end - self.start == self.length).all():
            raise _broken(where, f"a window is not {self.length} bases long")
        if self.meta.get(WINDOW_LENGTH, self.length) != self.length:
            raise _broken(where, f"{WINDOW_LENGTH} is {self.meta[WINDOW_LENGTH]}, and windows have {self.length} bases")
        threshold = self.meta.get(POSITIVE_FROM, THRESHOLD)
        if not isinstance(threshold, float) or not 0 <= threshold <= 1:
            raise _broken(where, f"{POSITIVE_FROM}, {threshold!r}, is no probability")
        if self.best_method is not None and self.best_method not in self.methods:
            raise _broken(where, f"the best method, {self.best_method!r}, is not among {', '.join(self.methods)}")


def _broken(where: object, what: str) -> InputError:
    return InputError(f"is not a file of attributions: {what}", where=where, remedy="make one with: capsight explain")


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an NPZ file, never a pickle."""
    if not readable(path).is_file():
        raise InputError("is a folder: name a file" if path.is_dir() else "there is no such file", where=path)
    try:
        with readable(path).open("rb") as handle:
            archive = np.load(handle, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise _broken(path, "it holds one array, not several")
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or 'it is cut short'}", where=path) from None
    except InputError:
        raise
    except Exception:  # a damaged header makes NumPy raise whatever zipfile, zlib, ast and tokenize do
        raise _broken(path, "it is no NPZ archive of plain arrays, or is damaged") from None
    if strange := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise _broken(path, f"{strange[0]} is no array")
    return arrays


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which are no JSON, and no statistic of explain's."""
    raise ValueError(name)


def _read_meta(path: Path, stored: NDArray[Any]) -> dict[str, Any]:
    """Parse the JSON that says where the attributions come from."""
    try:
        meta = json.loads(str(stored), parse_constant=_refuse_constant)
    except ValueError:
        meta = None
    if not isinstance(meta, dict):
        raise _broken(path, "meta is not JSON")
    if missing := [key for key in META_KEYS if key not in meta]:
        raise _broken(path, f"meta has no {missing[0]!r}")
    return meta


def _check_scores(where: object, name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise _broken(where, f"{name} is {values.dtype} {values.shape}, not float32 {shape}")
    if not np.isfinite(values).all():
        raise _broken(where, f"{name} holds values that are not finite")
