"""Why a window is dropped: the words of every summary and log."""

from collections import Counter
from typing import Final

OFF_CONTIG: Final = "off the contig end"
WITH_N: Final = "N"
SURPLUS: Final = "surplus"
DUPLICATE: Final = "duplicate"

#: Windows dropped, by label and by reason.
Dropped = dict[int, Counter[str]]
