"""The cluster bootstrap: observations that depend on each other, such as windows that overlap, are drawn together."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

import numpy as np
import pandas as pd

from capsight.data import schema
from capsight.data.genome.alphabet import Floats, Ints


class OverlapClusters:
    """Groups of windows, and draws of whole groups (a cluster bootstrap: Davison and Hinkley 1997, section 3.8).

    Parameters
    ----------
    number
        ``(n_windows,)`` number of each window's group, from 0 on, none left out.
    """

    def __init__(self, number: Ints) -> None:
        self.number = number
        self.size = np.bincount(number)
        self._rows = np.argsort(number, kind="stable")
        self._first = np.cumsum(self.size) - self.size

    @classmethod
    def single(cls, n: int) -> Self:
        """Return `n` windows that have nothing to do with one another."""
        return cls(np.arange(n))

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Self:
        """Group windows that overlap, directly or through others, on either strand.

        Parameters
        ----------
        table
            One row per window: contig, start and end, 0-based half-open.
        """
        contig = pd.factorize(table[schema.CHROM])[0]
        start, end = (table[name].to_numpy(np.int64) for name in (schema.START, schema.END))
        order = np.lexsort((start, contig))
        reach = pd.Series(end[order]).groupby(contig[order]).cummax().to_numpy()
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(contig[order]) > 0) | (start[order][1:] >= reach[:-1])
        number = np.empty(len(order), dtype=np.int64)
        number[order] = np.cumsum(new) - 1
        return cls(pd.factorize(number)[0])

    def __len__(self) -> int:
        return len(self.size)

    def draw(self, rng: np.random.Generator) -> Ints:
        """Draw as many groups as there are, with replacement; return the rows of their windows."""
        drawn = rng.integers(0, len(self), len(self))
        size = self.size[drawn]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return self._rows[np.repeat(self._first[drawn], size) + within]

    def draws(self, n: int, rng: np.random.Generator) -> Iterator[Ints]:
        """Yield the rows of `n` draws (`draw`)."""
        for _ in range(n):
            yield self.draw(rng)

    def draw_times(self, draws: int, rng: np.random.Generator) -> Ints:
        """Return how often each window is drawn, in each of many draws: ``(draws, n_windows)``."""
        n = len(self)
        return rng.multinomial(n, np.full(n, 1 / n), draws)[:, self.number]


def interval(drawn: Floats) -> list[float] | None:
    """Return the middle 95 % of what was drawn and is defined (no NaN); `None` of nothing."""
    drawn = drawn[~np.isnan(drawn)]
    return [float(q) for q in np.quantile(drawn, [0.025, 0.975])] if len(drawn) else None


def intervals(
    values: Mapping[str, float | None], draws: Iterable[Mapping[str, float | None]]
) -> dict[str, list[float] | None]:
    """Return the 95 % percentile interval of every figure; `None` of a figure that is undefined (`None` or NaN).

    Parameters
    ----------
    values
        The figures of the observations as they are.
    draws
        The same figures of each draw.
    """
    drawn = np.array([[draw[name] for name in values] for draw in draws], dtype=np.float64)
    measured = np.array(list(values.values()), dtype=np.float64)
    return {name: None if np.isnan(measured[i]) else interval(drawn[:, i]) for i, name in enumerate(values)}
