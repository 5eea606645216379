"""q-values: those of Benjamini and Hochberg (1995), by SciPy, and for tests that cannot be sure, of Gilbert (2005)."""

import numpy as np
from scipy.stats import false_discovery_control

from capsight.data.genome.alphabet import Floats


def q_values(p: Floats, *, tests: int | None = None, least: Floats | None = None) -> Floats:
    """Return the q-value of each p-value.

    Parameters
    ----------
    p
        p-values, ``(n,)``.
    tests
        How many tests were made, where `p` are the smallest of them; the true q-values are then at most these.
    least
        The smallest p-value that each test could have reached, given its margins, ``(n,)``.

    Notes
    -----
    Benjamini and Hochberg bound the p-values below t that chance would give by t times the number of tests. A
    test that cannot reach t gives none, so with `least` t is multiplied by the number of those that can (Tarone 1990;
    Gilbert 2005). Nothing is left out: all tests are ranked, and with `least` of 0 the result is that of Benjamini and
    Hochberg.
    """
    if not len(p):
        return p
    if least is None:
        return np.minimum(false_discovery_control(p) * ((tests or len(p)) / len(p)), 1.0)
    order = np.argsort(p, kind="stable")
    able = np.searchsorted(np.sort(least), p[order] * (1 + 1e-9), side="right")
    ratio = p[order] * able / np.arange(1, len(p) + 1)
    result = np.empty_like(ratio)
    result[order] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
    return result
