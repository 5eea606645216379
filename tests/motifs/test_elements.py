import re
from pathlib import Path

import numpy as np
import pytest

from capsight.data.attributions import Attributions
from capsight.errors import InputError
from capsight.motifs.elements import (
    ELEMENT_COLUMNS,
    IUPAC,
    Element,
    compare_elements,
    matches,
    read_elements,
)
from capsight.motifs.seqlets import find_seqlets

from .conftest import Planted

HEADER = "element\tpattern\toffset\tsource\n"


def test_packaged_elements_say_where_they_come_from() -> None:
    elements = {element.name: element for element in read_elements()}
    assert all(element.source for element in elements.values())
    assert elements["TATA"].offset == -31
    assert elements["DPE"][1:3] == ("RGWYVT", 27)
    assert elements["GC-box"].offset is None
    assert sum(name.startswith("Inr") for name in elements) == 3


def test_elements_of_the_user_are_added(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(f'{HEADER}ETS\tccggaagt\t.\tWei "2010"\n\nYY1\tAANATGGC\t1\t.\n')
    ets, yy1 = read_elements(path)[-2:]
    assert ets == Element("ETS", "CCGGAAGT", None, 'Wei "2010"')
    assert yy1 == Element("YY1", "AANATGGC", 1, ".")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tpattern\n", "mine.tsv:1: the columns are not element, pattern, offset, source"),
        (f"{HEADER}E\tACGU\t1\ts\n", "mine.tsv:2: pattern 'ACGU' of 'E' is not of IUPAC letters"),
        (f"{HEADER}E\tACGT\tnear\ts\n", "mine.tsv:2: offset 'near' of 'E' is neither a whole number nor '.'"),
        (f"{HEADER}E\tACGT\n", "mine.tsv:2: 2 fields, not 4"),
        (f"{HEADER}TATA\tTATA\t1\ts\n", "mine.tsv:2: element 'TATA' occurs twice"),
    ],
)
def test_what_is_no_table_of_elements(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.tsv").write_text(text)
    with pytest.raises(InputError) as error:
        read_elements(tmp_path / "mine.tsv")
    assert message in str(error.value)


def test_matches_are_those_of_the_regular_expression() -> None:
    codes = np.random.default_rng(0).integers(0, 5, (50, 80), dtype=np.uint8)
    for pattern in ("TATAWDR", "YYANWYY", "SSRCGCC", "YR", "N"):
        expression = re.compile("(?=" + "".join(f"[{IUPAC[letter]}]" for letter in pattern) + ")")
        found = matches(codes, pattern)
        for row, window in enumerate(codes):
            text = "".join("ACGTN"[code] for code in window)
            assert np.flatnonzero(found[row]).tolist() == [m.start() for m in expression.finditer(text)]


def test_the_expected_place_is_counted_to_the_base(few: Attributions) -> None:
    seqlets = find_seqlets(few.methods["ig"], 1, 10, 10, 7)
    elements = [Element(str(offset), "TATAAAAG", offset, "") for offset in (-31, -29, -28)]
    table = compare_elements(few, seqlets, elements, seed=1).set_index(["element", "scope"])
    assert table["positive_matches"].xs("expected ± 2", level=1).to_dict() == {"-31": 20, "-29": 20, "-28": 0}
    row = table.loc[("-31", "seqlets")]
    assert (row["positive_rate"], row["negative_rate"], row["positives"], row["negatives"]) == (1, 0, 20, 20)
    assert row["q"] < 1e-9
    assert table.loc[("-28", "expected ± 2"), "p"] == 1


def test_planted_elements_stand_where_they_should(planted: Planted) -> None:
    data = planted.attributions
    seqlets = find_seqlets(data.methods["ig"], 3, 10, 10, 7)
    table = compare_elements(data, seqlets, read_elements(), seed=1)
    assert list(table.columns) == list(ELEMENT_COLUMNS)
    expected = table[table["scope"] == "expected ± 2"].set_index("element")
    for name in ("TATA", "Inr", "DPE", "BREu"):
        assert expected.loc[name, "positive_rate"] > 2 * expected.loc[name, "negative_rate"], name
        assert max(expected.loc[name, "q"], expected.loc[name, "background_q"]) < 1e-6, name
    assert expected.loc["MTE", "q"] > 0.05
