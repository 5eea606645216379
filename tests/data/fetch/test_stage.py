"""`fetch` against a server of our own on this machine: whatever can go wrong on the way, and what must come of it."""

import hashlib
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from capsight.config import FetchConfig
from capsight.data.assets import Asset, choose, read_table
from capsight.data.fetch import download as transport
from capsight.data.fetch import stage
from capsight.data.fetch.stage import fetch
from capsight.errors import InputError

from ...conftest import Done
from .web import Site

GENOME = np.random.default_rng(1).bytes(300_000)
PEAKS = b"chrI\t10\t20\tp\t9\t+\n"


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class World:
    """A site with an assembly called toy1, a table that names it, and a cache."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.cache, self.table = folder / "cache", folder / "table.tsv"
        self.genome = site.add("toy1/toy1.2bit", GENOME)
        self.peaks = site.add("toy1/toy1.peaks.bed.gz", PEAKS)
        self.sums = site.add("toy1/md5sum.txt", f"{'0' * 32}  other.2bit\n{md5(GENOME)}  toy1.2bit\n".encode())
        self.write_table()

    def write_table(self, checksum: str = "", sums: bool = True) -> None:
        address = self.site.url("toy1/md5sum.txt") if sums else ""
        self.table.write_text(
            "# mine\nname\tkind\turl\tchecksum_url\tchecksum\tvalidation\ttest\n"
            f"toy1\tgenome\t{self.site.url('toy1/toy1.2bit')}\t{address}\t{checksum}\tchrII\tchrIII\n"
            f"toy1\tpeaks\t{self.site.url('toy1/toy1.peaks.bed.gz')}\n"
        )

    def config(self, **more: object) -> FetchConfig:
        return FetchConfig(**{"name": "toy1", "cache": self.cache, "table": self.table} | more)  # type: ignore[arg-type]

    def cached(self) -> list[str]:
        """Return the names of files in the cache, locks aside."""
        return sorted(p.name for p in self.cache.rglob("*") if p.is_file() and p.suffix != ".lock")


def wait(monkeypatch: pytest.MonkeyPatch, timeout: float = 5, retries: int = 3) -> None:
    monkeypatch.setattr(stage, "RETRY", transport.RetryPolicy(timeout, retries))


@pytest.fixture
def world(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    wait(monkeypatch)
    return World(site, tmp_path)


def test_fetches_genome_and_peaks_with_their_records(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = fetch(world.config())
    assert found.genome == world.cache / "toy1" / "toy1.2bit"
    assert found.peaks == world.cache / "toy1" / "toy1.peaks.bed.gz"
    assert (found.validation, found.test) == ("chrII", "chrIII")
    assert found.genome.read_bytes() == GENOME
    assert found.peaks.read_bytes() == PEAKS
    record = json.loads((world.cache / "toy1" / "toy1.2bit.fetched.json").read_text())
    assert record == {
        "url": world.site.url("toy1/toy1.2bit"),
        "size": len(GENOME),
        "sha256": hashlib.sha256(GENOME).hexdigest(),
        "checked": f"md5:{md5(GENOME)} ({world.site.url('toy1/md5sum.txt')})",
        "asset": "toy1",
    }
    assert world.cached() == [
        "toy1.2bit", "toy1.2bit.fetched.json", "toy1.peaks.bed.gz", "toy1.peaks.bed.gz.fetched.json",
    ]  # fmt: skip
    said = [line for line in caplog.messages if "no checksum of" in line]
    assert said == [
        f"fetch: no checksum of toy1.peaks.bed.gz is published: sha256 {hashlib.sha256(PEAKS).hexdigest()} "
        "recorded, to compare with on later fetches"
    ]
    assert all(headers["accept-encoding"] == "identity" for _, headers in world.site.requests)


def test_what_is_in_the_cache_needs_no_network(world: World) -> None:
    fetch(world.config())
    world.site.requests.clear()
    world.site.pages.clear()
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert world.site.requests == []


def test_a_damaged_file_of_the_cache_is_fetched_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "capsight")
    found = fetch(world.config())
    found.genome.write_bytes(GENOME[:-1] + b"?")
    found.peaks.unlink()
    again = fetch(world.config())
    assert again.genome.read_bytes() == GENOME
    assert again.peaks.read_bytes() == PEAKS
    assert "is not, or not any more, what was fetched from" in caplog.text
    assert "sha256" not in caplog.text


def test_one_kind_alone(world: World) -> None:
    found = fetch(world.config(only="peaks"))
    assert found.genome is None
    assert world.cached() == ["toy1.peaks.bed.gz", "toy1.peaks.bed.gz.fetched.json"]
    assert {path for path, _ in world.site.requests} == {"toy1/toy1.peaks.bed.gz"}


def test_an_interrupted_download_goes_on_where_it_stopped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.genome.drops = [120_000, 100_000]
    assert fetch(world.config()).genome.read_bytes() == GENOME
    asked = [headers for path, headers in world.site.requests if path == "toy1/toy1.2bit"]
    assert [headers.get("range") for headers in asked] == [None, "bytes=120000-", "bytes=220000-"]
    assert [headers.get("if-range") for headers in asked] == [None, '"v1"', '"v1"']
    assert caplog.text.count("trying again") == 2
    assert ".partial" not in " ".join(world.cached())


def test_attempts_that_bring_something_are_not_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, retries=0)
    world.genome.drops = [30_000] * 9
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert len(world.site.ranges("toy1/toy1.2bit")) == 10


def test_the_next_call_continues_what_an_earlier_one_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, retries=0)
    world.genome.drops, world.genome.statuses = [120_000], [0, 503]
    with pytest.raises(InputError, match=r"HTTP 503.*the same command continues where this stopped"):
        fetch(world.config())
    wait(monkeypatch)
    assert world.cached() == ["toy1.2bit.partial", "toy1.2bit.partial.json"]
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert world.site.ranges("toy1/toy1.2bit") == [None, "bytes=120000-", "bytes=120000-"]


def test_a_whole_partial_file_is_only_checked(world: World) -> None:
    fetch(world.config())
    genome = world.cache / "toy1" / "toy1.2bit"
    genome.rename(genome.with_name("toy1.2bit.partial"))
    note = {"url": world.site.url("toy1/toy1.2bit"), "mark": '"v1"', "size": len(GENOME)}
    genome.with_name("toy1.2bit.partial.json").write_text(json.dumps(note))
    world.site.requests.clear()
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert [path for path, _ in world.site.requests] == ["toy1/md5sum.txt"]


@pytest.mark.parametrize("server", ["ignores ranges", "has no marks", "has a weak mark"])
def test_without_ranges_the_download_starts_again(world: World, server: str, caplog: pytest.LogCaptureFixture) -> None:
    world.genome.drops = [120_000]
    if server == "ignores ranges":
        world.genome.ranges = False
    else:
        world.genome.tag = None if server == "has no marks" else 'W/"v1"'
    with caplog.at_level(logging.INFO):
        assert fetch(world.config()).genome.read_bytes() == GENOME
    asked = "bytes=120000-" if server == "ignores ranges" else None
    assert world.site.ranges("toy1/toy1.2bit") == [None, asked]
    assert ("the server sends the whole file again" in caplog.text) == (asked is not None)


@pytest.mark.parametrize("span", ["bytes 0-299999/300000", "bytes 120000-299999/300001", "nonsense"])
def test_a_part_that_is_not_the_rest_is_refused(world: World, span: str) -> None:
    world.genome.drops, world.genome.span = [120_000], span
    assert fetch(world.config(only="genome")).genome.read_bytes() == GENOME
    assert world.site.ranges("toy1/toy1.2bit") == [None, "bytes=120000-", None]


def test_a_server_that_heeds_no_conditions_is_seen_through(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, retries=0)
    world.write_table(sums=False)
    world.genome.drops, world.genome.statuses, world.genome.heeds_conditions = [120_000], [0, 503], False
    with pytest.raises(InputError):
        fetch(world.config())
    wait(monkeypatch)
    world.genome.body, world.genome.tag = GENOME[::-1], '"v2"'
    assert fetch(world.config()).genome.read_bytes() == GENOME[::-1]


def test_a_file_that_changes_on_the_server_is_never_mixed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, retries=0)
    world.genome.drops, world.genome.statuses = [120_000], [0, 503]
    with pytest.raises(InputError):
        fetch(world.config())
    wait(monkeypatch)
    other = GENOME[::-1]
    world.genome.body, world.genome.tag = other, '"v2"'
    world.sums.body = f"{md5(other)}  toy1.2bit\n".encode()
    assert fetch(world.config()).genome.read_bytes() == other
    assert world.site.ranges("toy1/toy1.2bit")[-1] == "bytes=120000-"


def test_a_shorter_file_on_the_server_starts_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, retries=0)
    world.genome.drops, world.genome.statuses = [120_000], [0, 503]
    with pytest.raises(InputError):
        fetch(world.config())
    wait(monkeypatch)
    world.genome.body = GENOME[:1000]  # by the same mark: a server that is wrong
    world.sums.body = f"{md5(GENOME[:1000])}  toy1.2bit\n".encode()
    assert fetch(world.config()).genome.read_bytes() == GENOME[:1000]


@pytest.mark.parametrize("kind", ["published", "in the table"])
def test_a_corrupted_file_is_refused_and_removed(world: World, kind: str) -> None:
    if kind == "in the table":
        world.write_table(checksum=f"sha256:{hashlib.sha256(GENOME).hexdigest()}")
    world.genome.body = b"?" + GENOME[1:]
    states = "md5sum.txt states" if kind == "published" else "the table states"
    with pytest.raises(InputError, match=f"toy1.2bit: .* is .*, but .*{states} .*: removed .*give the same command"):
        fetch(world.config())
    assert world.cached() == []
    world.genome.body = GENOME
    assert fetch(world.config()).genome.read_bytes() == GENOME


def test_a_checksum_in_the_table_is_compared_with_the_cache_too(world: World) -> None:
    fetch(world.config())
    other = GENOME[::-1]
    world.genome.body, world.genome.tag = other, '"v2"'
    world.write_table(checksum=f"sha1:{hashlib.sha1(other, usedforsecurity=False).hexdigest()}")
    assert fetch(world.config()).genome.read_bytes() == other


def test_another_address_is_another_file(world: World) -> None:
    fetch(world.config(only="peaks"))
    world.site.add("mirror/toy1.peaks.bed.gz", PEAKS.upper())
    world.table.write_text(world.table.read_text().replace("toy1/toy1.peaks", "mirror/toy1.peaks"))
    assert fetch(world.config(only="peaks")).peaks.read_bytes() == PEAKS.upper()


def test_without_a_published_checksum_the_first_fetch_counts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    found = fetch(world.config(only="peaks"))
    found.peaks.unlink()
    world.peaks.body = PEAKS.upper()
    with pytest.raises(InputError, match="is not what it was at the first fetch") as error:
        fetch(world.config(only="peaks"))
    record = world.cache / "toy1" / "toy1.peaks.bed.gz.fetched.json"
    assert f"delete {record} and fetch again" in str(error.value)
    assert world.cached() == [record.name]
    world.peaks.body = PEAKS
    with caplog.at_level(logging.INFO):
        assert fetch(world.config(only="peaks")).peaks.read_bytes() == PEAKS
    assert "is as at the first fetch" in caplog.text
    found.peaks.unlink()
    record.unlink()
    world.peaks.body = PEAKS.upper()
    assert fetch(world.config(only="peaks")).peaks.read_bytes() == PEAKS.upper()


def test_a_list_that_lacks_the_file_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.sums.body = b"0123456789abcdef0123456789abcdef *other.fa.gz\n"
    fetch(world.config())
    assert f"{world.site.url('toy1/md5sum.txt')} does not list toy1.2bit" in caplog.text
    assert json.loads((world.cache / "toy1" / "toy1.2bit.fetched.json").read_text())["checked"] == ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"please come back later\n", "md5sum.txt: is not a list of checksums"),
        (b"\xff\xfe\x00", "md5sum.txt: is not a text file"),
        (bytes(5_000_000), "md5sum.txt: is larger than 4.19 MB: not a list of checksums"),
        (None, "md5sum.txt: the server answers HTTP 404 Not Found"),
    ],
    ids=["no checksums", "no text", "too large", "missing"],
)
def test_a_list_that_cannot_be_used_is_an_error(world: World, body: bytes | None, message: str) -> None:
    world.sums.body = body or b""
    if body is None:
        del world.site.pages["toy1/md5sum.txt"]
    with pytest.raises(InputError, match=message):
        fetch(world.config())
    assert world.cached() == []


def test_a_missing_file(world: World) -> None:
    del world.site.pages["toy1/toy1.2bit"]
    with pytest.raises(InputError, match=r"toy1\.2bit: the server answers HTTP 404 Not Found .*--table"):
        fetch(world.config())
    assert world.cached() == []
    assert len(world.site.ranges("toy1/toy1.2bit")) == 1  # not tried again


def test_a_web_page_is_no_file(world: World) -> None:
    world.peaks.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(InputError, match="answers with a web page instead of a file"):
        fetch(world.config(only="peaks"))
    assert world.cached() == []


def test_transient_errors_are_tried_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.genome.statuses = [503, 429, 500]
    world.genome.headers["Retry-After"] = "1"
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert [line.split(": ")[1] for line in caplog.messages if "trying again" in line] == [
        "HTTP 503 Service Unavailable", "HTTP 429 Too Many Requests", "HTTP 500 Internal Server Error",
    ]  # fmt: skip


def test_a_stalled_server_is_left_and_asked_again(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait(monkeypatch, timeout=0.3)
    world.genome.drops, world.genome.stall = [120_000], True
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert world.site.ranges("toy1/toy1.2bit") == [None, "bytes=120000-"]
    assert "timed out" in caplog.text


@pytest.mark.pipeline
def test_a_slow_server_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, timeout=0.5)
    world.genome.pause = 0.15
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert world.site.ranges("toy1/toy1.2bit") == [None]


def test_no_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wait(monkeypatch, retries=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world.table.write_text(f"name\tkind\turl\ntoy1\tpeaks\thttp://127.0.0.1:{port}/p.bed\n")
    with pytest.raises(InputError, match=r"p\.bed: cannot be fetched: .*refused.* \(check the network"):
        fetch(world.config())


def test_a_full_disk_is_said_before_anything_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(world.folder)._replace(free=200_000)
    monkeypatch.setattr(transport.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"needs 300 kB and 200 kB are free .*--cache"):
        fetch(world.config())
    assert world.cached() == []


def test_a_cache_that_cannot_be_written(world: World) -> None:
    world.cache.write_text("a file")
    with pytest.raises(InputError, match=r"the cache cannot be written: .* --cache"):
        fetch(world.config())


def test_the_cache_is_where_the_environment_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSIGHT_CACHE", str(world.folder / "mine"))
    assert fetch(world.config(cache=None)).genome == world.folder / "mine" / "toy1" / "toy1.2bit"


def test_proxies_of_the_environment_are_used_and_their_exceptions_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table.write_text("name\tkind\turl\ntoy1\tpeaks\thttp://capsight.invalid/toy1/toy1.peaks.bed.gz\n")
    monkeypatch.setenv("HTTP_PROXY", world.site.address)
    assert fetch(world.config(only="peaks")).peaks.read_bytes() == PEAKS
    assert world.site.requests[0][1]["host"] == "capsight.invalid"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    world.write_table()
    assert fetch(world.config(only="genome")).genome.read_bytes() == GENOME


def test_output_folder_holds_copies(world: World) -> None:
    out = world.folder / "deep" / "data"
    found = fetch(world.config(), out)
    assert found.genome == out / "toy1.2bit"
    assert found.genome.read_bytes() == GENOME
    assert not found.genome.samefile(world.cache / "toy1" / "toy1.2bit")  # so that it may be edited
    assert fetch(world.config(), out) == found
    found.genome.write_bytes(b"somebody's own")
    with pytest.raises(InputError, match="exists and is another file: it will not be overwritten"):
        fetch(world.config(), out)
    assert found.genome.read_bytes() == b"somebody's own"


def start(world: World, *more: str) -> "subprocess.Popen[str]":
    # a job in the background of a script has Ctrl-C switched off, and so would its children
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", code + "from capsight.cli import main; main()", "fetch", "toy1", *more]
    command += ["--cache", str(world.cache), "--table", str(world.table)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.pipeline
def test_two_processes_fetch_once(world: World) -> None:
    world.genome.drops, world.genome.stall = [120_000], True
    first = start(world, "--only", "genome")
    wait_for(world.cache / "toy1" / "toy1.2bit.partial")
    second = start(world, "--only", "genome")
    assert second.stderr is not None
    assert second.stderr.readline() == "fetch: another process is fetching toy1.2bit: waiting for it\n"
    world.site.released.set()
    answers = [child.communicate(timeout=60) for child in (first, second)]
    assert [child.returncode for child in (first, second)] == [0, 0], answers
    assert "is in the cache, unharmed" in answers[1][1]
    assert world.site.ranges("toy1/toy1.2bit") == [None, "bytes=120000-"]
    assert (world.cache / "toy1" / "toy1.2bit").read_bytes() == GENOME


def wait_for(path: Path) -> None:
    """Wait until a file has content."""
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size > 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_command_says_what_to_type_next(world: World, capsight: Callable[..., Done]) -> None:
    code, out, err = capsight("fetch", "toy1", "--cache", world.cache, "--table", world.table)
    assert code == 0, err
    genome, peaks = world.cache / "toy1" / "toy1.2bit", world.cache / "toy1" / "toy1.peaks.bed.gz"
    assert out == (
        f"genome\t{genome}\npeaks\t{peaks}\n\nNext, make windows:\n  capsight windows --genome {genome} "
        f"--peaks {peaks} --validation chrII --test chrIII -o windows\n"
    )
    assert "%" not in err  # no bar where nobody watches


def test_ctrl_c_keeps_what_came_and_the_same_command_continues(world: World) -> None:
    world.genome.drops, world.genome.stall = [120_000], True
    child = start(world, "--only", "genome")
    partial = world.cache / "toy1" / "toy1.2bit.partial"
    wait_for(partial)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert err.strip().splitlines()[-1] == "interrupted: the same command continues where this stopped"
    kept = partial.stat().st_size
    assert kept > 0
    assert fetch(world.config()).genome.read_bytes() == GENOME
    assert world.site.ranges("toy1/toy1.2bit")[-1] == f"bytes={kept}-"


def test_an_assembly_without_peaks_says_so(
    world: World, caplog: pytest.LogCaptureFixture, capsight: Callable[..., Done]
) -> None:
    lines = world.table.read_text().splitlines(keepends=True)
    world.table.write_text("".join(line for line in lines if "peaks" not in line))
    with caplog.at_level(logging.INFO):
        assert fetch(world.config()).peaks is None
    assert "there are no public peaks for toy1 in the table: bring your own" in caplog.text
    done = capsight("fetch", "toy1", "--cache", world.cache, "--table", world.table)
    assert "--peaks PEAKS.bed" in done.out
    with pytest.raises(InputError, match="there are no public peaks for toy1 in the table"):
        fetch(world.config(only="peaks"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("toy2", "toy1"), ("HG19", "hg19"), ("GRCh38", "hg38"), ("grcm38", "mm10"), ("saccer3", "sacCer3")],
)
def test_an_unknown_assembly_is_offered_the_nearest(world: World, name: str, hint: str) -> None:
    message = f"{name!r} is not in the table of assets .did you mean '{hint}'. capsight fetch --list shows all"
    with pytest.raises(InputError, match=message):
        fetch(world.config(name=name))
    assert not world.cache.exists()


def test_the_packaged_table_has_what_is_promised() -> None:
    table = read_table()
    for name in ("hg19", "hg38", "mm9", "mm10"):
        assert set(choose(table, name)) == {"genome", "peaks"}
    assert set(choose(table, "sacCer3")) == {"genome"}
    for asset in table:
        assert asset.licence
        assert asset.citation
        assert asset.origin.startswith("https://")
        assert bool(asset.sha256) == bool(asset.size) == bool(asset.file)
        assert asset.url or (asset.file and asset.made_by)
        if asset.url and asset.kind == "genome":
            assert asset.public_name == f"{asset.assembly}.2bit"
            assert asset.checksum_url == asset.url.replace(asset.public_name, "md5sum.txt")
    assert choose(table, "hg19")["peaks"].public_name == "hg19.cage_peak_phase1and2combined_coord.bed.gz"


def test_a_table_of_ones_own_extends_and_replaces(tmp_path: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text("kind\tname\turl\r\n\r\ngenome\thg19\thttps://mirror.org/a/hg19%2Bx.fa.gz\r\n")
    table = read_table(own)
    assert choose(table, "hg19")["genome"] == Asset(
        "hg19", "genome", url="https://mirror.org/a/hg19%2Bx.fa.gz"
    )  # fmt: skip
    assert choose(table, "hg19")["genome"].public_name == "hg19+x.fa.gz"
    assert choose(table, "hg19")["peaks"] == choose(read_table(), "hg19")["peaks"]


HEAD = "name\tkind\turl\tchecksum\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.tsv: has no column 'name'"),
        ("name\tkind\tulr\n", r"t\.tsv: unknown column 'ulr' \(did you mean 'url'\?\)"),
        (
            HEAD + "a\tgenes\thttp://x.org/f\n",
            r"t\.tsv:2: kind 'genes' is none of genome, peaks, ctss, promoters, labelled",
        ),
        ("name\tkind\n\tgenome\n", r"t\.tsv:2: has no name"),
        ("name\tkind\tsource\na\tctss\thttps://x.org\n", r"t\.tsv:2: has neither url nor file"),
        ("name\tkind\tfile\na\tctss\t../secret\n", r"t\.tsv:2: '\.\./secret' is not a path below a mirror"),
        ("name\tkind\tfile\na\tctss\t/etc/passwd\n", r"t\.tsv:2: '/etc/passwd' is not a path below a mirror"),
        ("name\tkind\tfile\tsha256\na\tctss\tf.bed\tabc\n", r"t\.tsv:2: checksum 'sha256:abc' is not of the form"),
        ("name\tkind\tfile\tsize\na\tctss\tf.bed\t1 MB\n", r"t\.tsv:2: size '1 MB' is no number of bytes"),
        (HEAD + "#\na/b\tgenome\thttp://x.org/f\n", r"t\.tsv:3: 'a/b' is no name"),
        (HEAD + "..\tgenome\thttp://x.org/f\n", r"t\.tsv:2: '\.\.' is no name"),
        (HEAD + "a\tgenome\tfile:///etc/passwd\n", r"t\.tsv:2: 'file:///etc/passwd' is not an address"),
        (HEAD + "a\tgenome\thttp://x.org/\n", r"t\.tsv:2: 'http://x.org/' does not end in the name of a file"),
        (HEAD + "a\tgenome\thttp://x.org/%2e%2e\n", r"t\.tsv:2: .* does not end in the name of a file"),
        (HEAD + "a\tgenome\thttp://x.org/..%2Ff\n", r"t\.tsv:2: .* does not end in the name of a file"),
        (HEAD + "a\tgenome\thttp://x.org/f\tmd5:12\n", r"t\.tsv:2: checksum 'md5:12' is not of the form"),
        (HEAD + "a\tgenome\n", r"t\.tsv:2: has neither url nor file"),
        (HEAD + "a\tgenome\thttp://x.org/f\t\t\n", r"t\.tsv:2: 5 columns, but the header has 4"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.tsv")


def test_a_place_that_cannot_be_written_is_noticed_before_the_download(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file, and no folder can be made in it"):
            fetch(world.config(), out)
    assert world.cached() == []
    assert not world.site.requests
