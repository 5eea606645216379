"""How places are spelt, and that a region which is spelt so is read back as the same."""

from pathlib import Path

import pandas as pd
import pytest

from capsight.data.genome.genome import Genome
from capsight.data.genome.stretches import read_span
from capsight.data.naming import peak_name, region_name, region_names


def test_names_count_from_one_with_both_ends_included() -> None:
    assert region_name("chrI", 100, 612) == "chrI:101-612"
    assert region_name("chrI", 100, 612, "-") == "chrI:101-612:-"
    assert region_name("chrI", 0, 1, ".") == "chrI:1-1"
    table = pd.DataFrame({"chrom": ["a", "b"], "start": [0, 7], "end": [5, 9], "strand": ["+", "."]})
    assert region_names(table) == ["a:1-5:+", "b:8-9"]
    assert peak_name("chrI", 100, 612, "+") == "chrI:100..612,+"


@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 40), (39, 40)])
def test_a_name_is_read_back(tmp_path: Path, start: int, end: int) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">chrI:x\n" + "ACGT" * 10 + "\n")
    genome = Genome.open(path)
    assert read_span(genome, region_name("chrI:x", start, end))[2:] == (start, end)
