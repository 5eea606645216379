"""The grammar of simulated promoters: their elements, and where these stand.

Promoters (`PROMOTERS`) lie on both strands; `ELEMENTS` tells where their elements start. Literature counts
the cap site as +1, with no zero; files and code here count it as 0, so downstream positions are one lower:

* ``tata``: a TATA box [1]_ starting at -31 and an initiator, YYANWYY with C before the A [2]_ [3]_, starting
  at -2. Sharp initiation.
* ``dpe``: an initiator without a TATA box, and a downstream promoter element, RGWYVT [4]_, starting at +28
  from the initiator's A (offset 27). Sharp.
* ``cpg``: a GC box (Sp1) [5]_ starting at -55, give or take two bases, a BREu, SSRCGCC [6]_, at -38, and a
  weak initiator, hardly more than pyrimidine-purine. Broad initiation, in a CpG island.

References
----------
.. [1] Bucher, P. (1990) J. Mol. Biol. 212, 563-578.
.. [2] Smale, S. T. and Baltimore, D. (1989) Cell 57, 103-113.
.. [3] Vo Ngoc, L. et al. (2017) Genes Dev. 31, 6-11 (human initiator BBCABW).
.. [4] Burke, T. W. and Kadonaga, J. T. (1996) Genes Dev. 10, 711-724.
.. [5] Briggs, M. R. et al. (1986) Science 234, 47-52.
.. [6] Lagrange, T. et al. (1998) Genes Dev. 12, 34-44.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]


class Element(NamedTuple):
    """A promoter element: probabilities (width, 4) in ACGT order, and where it stands in a promoter."""

    pwm: Floats
    offset: int
    """Of its first base (5' to 3') from the cap site, which is 0."""
    jitter: int
    """How far the offset varies, in bases, either way."""


class Promoter(NamedTuple):
    """A class of promoters: its elements, the initiator among them, and how it initiates."""

    elements: tuple[str, ...]
    initiator: str
    share: float
    broad: bool


def _pwm(*percent: tuple[int, int, int, int]) -> Floats:
    """Make a read-only PWM from percentages, one (A, C, G, T) for each position."""
    pwm = np.array(percent, dtype=np.float64) / 100
    pwm.setflags(write=False)
    return pwm


_Y = (3, 52, 3, 42)
_A = (94, 2, 2, 2)
_T = (3, 3, 2, 92)
_G = (3, 2, 92, 3)
_C = (2, 92, 3, 3)
_S = (4, 46, 46, 4)
_R = (46, 4, 46, 4)
_WEAK_G = (16, 4, 70, 10)
_WEAK_Y = (17, 34, 18, 31)
_ANY = (24, 26, 27, 23)

#: Every planted element, by name.
ELEMENTS: Final[dict[str, Element]] = {
    "TATA": Element(_pwm(_T, _A, _T, _A, (66, 1, 1, 32), _A, (66, 3, 5, 26), _R), -31, 0),
    "Inr": Element(_pwm(_Y, (2, 78, 3, 17), _A, (12, 28, 36, 24), (34, 3, 3, 60), _Y, _Y), -2, 0),
    "DPE": Element(_pwm((40, 3, 54, 3), _G, (58, 2, 2, 38), (3, 62, 3, 32), (30, 28, 38, 4), _T), 27, 0),
    "GCbox": Element(_pwm(_WEAK_G, _WEAK_G, _G, _G, _C, _G, _G, _WEAK_G, _WEAK_G, (5, 62, 5, 28)), -55, 2),
    "BREu": Element(_pwm(_S, _S, _R, _C, _G, _C, _C), -38, 0),
    "InrWeak": Element(_pwm(_WEAK_Y, (4, 62, 6, 28), (58, 3, 36, 3), _ANY, (30, 16, 20, 34), _WEAK_Y, _WEAK_Y), -2, 0),
}

#: Every class of promoters; the shares add up to one.
PROMOTERS: Final[dict[str, Promoter]] = {
    "tata": Promoter(("TATA", "Inr"), "Inr", 0.35, broad=False),
    "dpe": Promoter(("Inr", "DPE"), "Inr", 0.30, broad=False),
    "cpg": Promoter(("GCbox", "BREu", "InrWeak"), "InrWeak", 0.35, broad=True),
}


def widths(names: Names) -> Ints:
    """Look up the width of each named element."""
    widths = {name: len(element.pwm) for name, element in ELEMENTS.items()}
    return np.array([widths[name] for name in names], dtype=np.int64)
