"""Tables in the style of the MEME suite."""

import csv
from pathlib import Path

import pandas as pd


def write_suite_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as the MEME suite does: three digits of probabilities, six of all other numbers, no quotes."""
    forms = {name: ".3g" if name.endswith("-value") else ".6g" for name in table.select_dtypes("float").columns}
    text = table.assign(**{name: table[name].map(("{:" + form + "}").format) for name, form in forms.items()})
    text.to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE, lineterminator="\n")
