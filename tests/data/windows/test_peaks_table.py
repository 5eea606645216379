"""The peaks beside windows: all that were given, sorted, and refused where they are damaged."""

import pyarrow.parquet as pq
import pytest

from capsight.config import WindowsConfig
from capsight.data import schema
from capsight.data.windows.peaks_table import PEAKS_FILE, read_windows_peaks
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import InputError

#: Chromosome, start, end, name, score, strand, thick; the first reaches over the end of its contig: no window is laid.
PEAKS = [
    ("chr3", 200, 220, "c", "7", "+", 203),
    ("chr2", 100, 130, "b", "2.5", "-", 128),
    ("chr1", 2, 9, "a", ".", "+", 3),
    ("chr1", 300, 310, "d", "1", "-", 301),
    ("chr1", 300, 310, "d", "1", "+", 301),
]


@pytest.fixture
def made(write_fasta, tmp_path) -> Windows:
    genome = write_fasta({f"chr{i}": "ACGGTTCATGCAAG"[i:] * 40 + "A" * i for i in (1, 2, 3)})
    lines = [f"{c}\t{s}\t{e}\t{n}\t{score}\t{d}\t{t}\t{t + 1}\t0\n" for c, s, e, n, score, d, t in PEAKS]
    (tmp_path / "peaks.bed").write_text("".join(lines))
    settings = {"length": 20, "validation": "chr2", "test": "chr3", "exclusion_bp": 5}
    return Windows.open(
        windows(WindowsConfig(genome=genome, peaks=tmp_path / "peaks.bed", **settings), tmp_path / "out")
    )


def test_every_peak_is_kept_also_without_a_window(made):
    peaks = read_windows_peaks(made.folder, made.genome)
    assert tuple(peaks.columns) == schema.PEAK_COLUMNS
    found = peaks.assign(score=peaks["score"].fillna(-1)).to_numpy().tolist()
    assert found == [
        ["chr1", 2, 9, "a", -1.0, "+", 3],
        ["chr1", 300, 310, "d", 1.0, "+", 301],
        ["chr1", 300, 310, "d", 1.0, "-", 301],
        ["chr2", 100, 130, "b", 2.5, "-", 128],
        ["chr3", 200, 220, "c", 7.0, "+", 203],
    ]
    assert 3 not in (made.table["start"] + 10).to_numpy()


def test_missing_and_damaged_peaks_are_refused(made):
    path = made.folder / PEAKS_FILE
    table = pq.read_table(path)
    for wrong in (
        table.slice(0, 0),
        table.set_column(1, "start", [[4] * len(table)]),
        table.set_column(2, "end", [[90_000] * len(table)]),
        table.set_column(5, "strand", [["."] * len(table)]),
        table.set_column(0, "chrom", [["chr9"] * len(table)]),
    ):
        pq.write_table(wrong, path)
        with pytest.raises(InputError, match=r"peaks.parquet: is not a table of peaks of this genome"):
            read_windows_peaks(made.folder, made.genome)
    path.write_bytes((made.folder / "windows.parquet").read_bytes())
    with pytest.raises(InputError, match=r"peaks.parquet: is not a table of peaks: "):
        read_windows_peaks(made.folder, made.genome)
    path.unlink()
    with pytest.raises(InputError, match=r"peaks.parquet: there is no such file.*make them again"):
        read_windows_peaks(made.folder, made.genome)
