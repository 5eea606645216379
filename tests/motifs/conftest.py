"""A simulated genome whose planted elements pose as attributions: no model is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from capsight.config import SimulateConfig, WindowsConfig
from capsight.data.attributions import Attributions
from capsight.data.genome.alphabet import encode
from capsight.data.io.meme import MotifSet, Pwm, write_meme
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.motifs.counts import Counts
from capsight.motifs.known.database import read_motif_db
from capsight.simulate import simulate

LENGTH = 256


class Planted(NamedTuple):
    attributions: Attributions
    simulation: Path


def random_codes(n: int, length: int, bases: int = 4) -> np.ndarray:
    """Return codes that are always the same."""
    return np.random.default_rng(1).integers(0, bases, (n, length), dtype=np.uint8)


def dense(counts: Counts) -> np.ndarray:
    """Return sparse counts as ``(sequences, kmers)``."""
    result = np.zeros((counts.sequences, counts.kmers), dtype=int)
    result[counts.sequence, counts.kmer] = counts.count
    return result


def meta(method: str = "ig") -> dict[str, object]:
    """Return what `explain` would say of its attributions."""
    return {
        "model_sha256": "m",
        "windows_sha256": "w",
        "fold": "test",
        "faithfulness": {method: {"score": 0.5}},
        "best_method": method,
        "window_length": LENGTH,
    }


def pretend(found: Windows, truth: pd.DataFrame, rng: np.random.Generator) -> Attributions:
    """Give a promoter's elements in its own window an attribution of 1, decoys 0.3, all with noise of 0.2.

    One window in twenty is called wrongly.
    """
    table = found.table
    scores = rng.normal(0, 0.2, (len(table), found.length))
    for chrom, rows in table.groupby("chrom"):
        here = truth[truth["chrom"] == chrom].sort_values("start")
        starts, ends = here["start"].to_numpy(), here["end"].to_numpy()
        for row in rows.itertuples():
            cap = row.start + LENGTH // 2 if row.strand == "+" else row.end - 1 - LENGTH // 2
            inside = slice(np.searchsorted(starts, row.start), np.searchsorted(ends, row.end, side="right"))
            for element in here[inside].itertuples():
                if element.strand == row.strand:
                    first, last = element.start - row.start, element.end - row.start
                    if row.strand == "-":
                        first, last = LENGTH - last, LENGTH - first
                    scores[row.Index, first:last] += 1.0 if element.cap_site == cap else 0.3
    wrong = rng.random(len(table)) < 0.05
    return Attributions(
        codes=found.codes(np.arange(len(table))),
        score=np.where((found.labels == 1) != wrong, 0.9, 0.1).astype(np.float32),
        label=found.labels.astype(np.int8),
        chrom=table["chrom"].to_numpy(str),
        strand=table["strand"].to_numpy(str),
        start=table["start"].to_numpy(np.int64),
        end=table["end"].to_numpy(np.int64),
        methods={"ig": scores.astype(np.float32)},
        meta=meta(),
    )


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Return all windows of a simulated genome with pretended attributions."""
    folder = tmp_path_factory.mktemp("planted")
    simulation = simulate(SimulateConfig(bases=3_000_000, seed=3), folder / "simulation")
    config = WindowsConfig(
        genome=simulation / "genome.fa",
        peaks=simulation / "peaks.bed",
        length=LENGTH,
        validation=("chr5",),
        test=("chr6",),
    )
    truth = pd.read_csv(simulation / "truth.tsv", sep="\t", na_values=["."])
    found = Windows.open(windows(config, folder / "windows"))
    return Planted(pretend(found, truth, np.random.default_rng(4)), simulation)


@pytest.fixture(scope="session")
def few() -> Attributions:
    """Return forty windows, half predicted positive; those hold TATAAAAG at -31 from the cap site."""
    rng = np.random.default_rng(6)
    n = 40
    codes = rng.integers(0, 4, (n, LENGTH), dtype=np.uint8)
    scores = rng.normal(0, 0.1, (n, LENGTH)).astype(np.float32)
    first = LENGTH // 2 - 31
    codes[: n // 2, first : first + 8] = ["ACGT".index(base) for base in "TATAAAAG"]
    scores[: n // 2, first : first + 8] += 1
    start = np.arange(n, dtype=np.int64) * 1_000
    return Attributions(
        codes=codes,
        score=np.repeat(np.array([0.8, 0.2], dtype=np.float32), n // 2),
        label=np.repeat(np.array([1, 0], dtype=np.int8), n // 2),
        chrom=np.full(n, "chrI"),
        strand=np.tile(["+", "-"], n // 2),
        start=start,
        end=start + LENGTH,
        methods={"ig": scores, "attention": np.abs(scores)},
        meta=meta(),
    )


def sharp(site: str, name: str = "m") -> Pwm:
    """Return a PWM that has seen one k-mer only."""
    return Pwm(name, f"{name}-like", np.eye(4)[encode(site)], 100.0)


@pytest.fixture(scope="session")
def fungi() -> MotifSet:
    return read_motif_db("JASPAR2022", "fungi")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "database.meme"
    write_meme(path, MotifSet((sharp("TATAAAGGCA", "TBP"), sharp("GGCCATCTTG", "YY1"), sharp("CACGTGACTC", "CBF1"))))
    return path


@pytest.fixture
def fasta(write_fasta: Callable[..., Path]) -> Path:
    return write_fasta({"a": "C" * 20 + "TATAAAGGCA" + "C" * 15, "b": "GT" * 12 + "CAAGATGGCC" + "GT"}, "seqlets.fa")
