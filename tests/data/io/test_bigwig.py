"""bigWig files, whole and damaged, in and out."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pybigtools
import pytest

from capsight.data.io import bigwig
from capsight.data.io.bigwig import BigWig, Values, write_bigwig
from capsight.errors import InputError

LENGTHS = {"HLA:01": 700, "chr10": 90_000, "chr2": 40}


def blocks(chrom: str, seed: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield values of about a third of the bases of a contig, in blocks of 1,000 positions; chr2 has none."""
    draw = np.random.default_rng(seed)
    for start in range(0, LENGTHS[chrom] if chrom != "chr2" else 0, 1000):
        positions = start + np.flatnonzero(draw.random(min(1000, LENGTHS[chrom] - start)) < 0.3)
        yield positions, draw.random(len(positions), np.float32).astype(np.float64)


def written(path: Path) -> Path:
    write_bigwig([Values(chrom, length, blocks(chrom)) for chrom, length in LENGTHS.items()], path)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with BigWig(written(tmp_path / "a.bw")) as found:
        assert list(found.chroms.items()) == list(LENGTHS.items())
        for chrom in ("HLA:01", "chr10"):
            expected = np.full(LENGTHS[chrom], np.nan)
            for positions, values in blocks(chrom):
                expected[positions] = values
            np.testing.assert_array_equal(found.values(chrom, 0, LENGTHS[chrom]), expected)
        start, end, value = found.intervals("chr10", 20_000, 20_500)
        expected = expected[20_000:20_500]
        np.testing.assert_array_equal(start, 20_000 + np.flatnonzero(np.isfinite(expected)))
        np.testing.assert_array_equal(end, start + 1)
        np.testing.assert_array_equal(value, expected[np.isfinite(expected)])


def test_a_contig_without_values_is_listed(tmp_path: Path) -> None:
    with BigWig(written(tmp_path / "a.bw")) as found:
        assert [column.tolist() for column in found.intervals("chr2", 0, 40)] == [[0], [1], [0.0]]
    write_bigwig([Values("chr2", 40, ())], tmp_path / "b.bw")
    with BigWig(tmp_path / "b.bw") as found:
        assert (found.chroms, found.n_bases()) == ({"chr2": 40}, 1)


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    assert len({written(tmp_path / f"{i}.bw").read_bytes() for i in range(5)}) == 1


def test_intervals_are_cut_off_at_the_border(tmp_path: Path) -> None:
    pybigtools.open(str(tmp_path / "a.bw"), "w").write({"chr1": 100}, iter([("chr1", 10, 30, 2.0)]))
    with BigWig(tmp_path / "a.bw") as found:
        assert [column.tolist() for column in found.intervals("chr1", 15, 20)] == [[15], [20], [2.0]]
        assert [column.tolist() for column in found.intervals("chr1", 40, 50)] == [[], [], []]


def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xfc.bw")
    try:
        written(tmp_path / "a.bw").rename(odd)
    except OSError:
        pytest.skip("the file system takes no such name")
    with BigWig(odd) as found:
        assert found.chroms == LENGTHS


@pytest.mark.parametrize("kind", ["cut", "changed", "changed at the front"])
def test_damaged_files_are_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    whole = written(tmp_path / "a.bw").read_bytes()
    with BigWig(tmp_path / "a.bw") as found:
        values = [found.values(chrom, 0, length) for chrom, length in LENGTHS.items()]
    draw, path, messages = random.Random(3), tmp_path / "bad.bw", []
    for _ in range(60):
        damaged = bytearray(whole)
        if kind == "cut":
            damaged = damaged[: draw.randrange(len(whole))]
        for _ in range(0 if kind == "cut" else 3):
            damaged[draw.randrange(500 if kind == "changed at the front" else len(whole))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            with BigWig(path) as found:
                for (chrom, length), expected in zip(LENGTHS.items(), values, strict=True):
                    np.testing.assert_array_equal(found.values(chrom, 0, length), expected)
                    found.intervals(chrom, 0, length)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert set(messages) == {f"{path}: is truncated or damaged (fetch it again)"}
    assert capfd.readouterr().err == ""


def test_a_file_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.bw: there is no such file"):
        BigWig(tmp_path / "none.bw")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError("mine")])
def test_what_goes_wrong_in_the_middle_is_not_swallowed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def failing() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.arange(3), np.ones(3)
        raise error

    with pytest.raises(type(error) if isinstance(error, Exception) else KeyboardInterrupt):
        write_bigwig([Values("chr1", 10, failing())], tmp_path / "a.bw")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "contigs",
    [
        [Values("chr1", 10, [(np.array([3, 3]), np.ones(2))])],
        [Values("chr1", 10, [(np.array([10]), np.ones(1))])],
        [],
    ],
    ids=["twice", "beyond", "nothing"],
)
def test_a_file_that_is_not_whole_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], contigs: list[Values]
) -> None:
    with pytest.raises(OSError, match="was not written whole"):
        write_bigwig(contigs, tmp_path / "a.bw")
    assert capfd.readouterr().err == ""


def test_values_that_are_lost_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BigWig, "n_bases", lambda self: 7)
    with pytest.raises(OSError, match="was not written whole"):
        written(tmp_path / "a.bw")


def test_a_disk_that_is_full_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A limit on the size of files stands for the disk: writing fails in the middle, in a thread of the library."""
    import resource
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(InputError, match=r"a\.bw: the file would be larger than its file system"):
            written(tmp_path / "a.bw")
        with pytest.MonkeyPatch.context() as patch:
            for why, error in (("no space is left on the disk", InputError), (None, OSError)):
                patch.setattr(bigwig.output, "why_cut", lambda path, why=why: why)
                with pytest.raises(error, match=why or "was not written whole"):
                    written(tmp_path / "b.bw")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert capfd.readouterr().err == ""


def test_standard_error_is_given_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "a.bw")
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"
