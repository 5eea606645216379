"""Assets from a mirror, the cache and their address; and what the table says of the shared real data."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsight.config import FetchConfig
from capsight.data.assets import KINDS, MIRROR, OWN_TABLE, Asset, known_source, read_table
from capsight.data.fetch import stage
from capsight.data.fetch.download import RetryPolicy
from capsight.data.fetch.stage import Fetched, fetch
from capsight.errors import InputError

from ..conftest import REAL, Done
from .fetch.web import Site

OURS = b"chrI\t4\t5\t.\t7\t+\n" * 200
PUBLIC = b"chrI\t4\t5\t.\t7\t-\n" * 300


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Shelf:
    """A table with `both` (a public file, and ours in a mirror), `ours` (no public file) and `plain` (public alone)."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.cache, self.table, self.mirror = folder / "cache", folder / "own.tsv", folder / "mirror"
        site.add("public/both.bed", PUBLIC)
        site.add("public/plain.bed", PUBLIC)
        rows = [
            {"name": "both", "kind": "ctss", "url": site.url("public/both.bed"), "file": "a/both.ours.bed.gz"},
            {"name": "ours", "kind": "ctss", "file": "a/ours.bed", "source": "https://x.org/acc", "made_by": "sum.sh"},
        ]
        for row in rows:
            row |= {"sha256": sha(OURS), "size": str(len(OURS)), "licence": "CC0", "citation": "Toy 2026"}
        rows.append({"name": "plain", "kind": "ctss", "url": site.url("public/plain.bed")})
        columns = list(rows[1] | rows[0])
        lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
        self.table.write_text("".join("\t".join(line) + "\n" for line in lines))

    def fill_mirror(self, body: bytes = OURS) -> None:
        (self.mirror / "a").mkdir(parents=True)
        for name in ("both.ours.bed.gz", "ours.bed"):
            (self.mirror / "a" / name).write_bytes(body)
            self.site.add(f"mirror/a/{name}", body)

    def fetch(self, name: str, out: Path | None = None) -> Path:
        config = FetchConfig(name=name, cache=self.cache)
        found: Fetched = fetch(config, out)
        return found.paths["ctss"]


@pytest.fixture
def shelf(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf(site, tmp_path)
    monkeypatch.setenv(OWN_TABLE, str(shelf.table))
    monkeypatch.setattr(stage, "RETRY", RetryPolicy(timeout=5, retries=0))
    return shelf


@pytest.mark.parametrize("name", ["both", "ours"])
def test_a_mirror_folder_is_read_in_place(
    shelf: Shelf, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.fill_mirror()
    monkeypatch.chdir(shelf.folder)
    monkeypatch.setenv(MIRROR, "mirror")
    with caplog.at_level(logging.INFO, "capsight"):
        path = shelf.fetch(name)
    assert path == shelf.mirror / "a" / ("both.ours.bed.gz" if name == "both" else "ours.bed")
    assert not shelf.cache.exists()
    assert not shelf.site.requests
    assert not shelf.site.heads
    assert f"{name} (ctss): licence: CC0; cite Toy 2026" in caplog.text
    assert known_source(path) == {"asset": name, "source": f"CAPSIGHT_MIRROR/a/{path.name}"}


def test_what_a_mirror_lacks_comes_from_the_public_address(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.mirror.mkdir()
    monkeypatch.setenv(MIRROR, str(shelf.mirror))
    path = shelf.fetch("both")
    assert path == shelf.cache / "both" / "both.bed"
    assert path.read_bytes() == PUBLIC
    assert known_source(path) == {"asset": "both", "source": shelf.site.url("public/both.bed")}
    (shelf.mirror / "plain").mkdir()
    (shelf.mirror / "plain" / "plain.bed").write_bytes(OURS)  # where the table names no file: NAME/FILE
    assert shelf.fetch("plain") == shelf.mirror / "plain" / "plain.bed"


@pytest.mark.parametrize("kind", ["folder", "address"])
def test_a_damaged_file_of_a_mirror_is_refused(shelf: Shelf, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.fill_mirror(OURS[:-1])
    monkeypatch.setenv(MIRROR, str(shelf.mirror) if kind == "folder" else shelf.site.url("mirror/"))
    where = str(shelf.mirror / "a" / "ours.bed") if kind == "folder" else shelf.site.url("mirror/a/ours.bed")
    with pytest.raises(InputError, match=f"{where}: sha256 is {sha(OURS[:-1])}, but the table states {sha(OURS)}"):
        shelf.fetch("ours")
    assert not [path for path in shelf.cache.rglob("*") if path.suffix != ".lock" and path.is_file()]
    assert all(path.read_bytes() == OURS[:-1] for path in (shelf.mirror / "a").iterdir())


@pytest.mark.parametrize("kind", ["none", "empty folder", "address without it", "nobody there"])
def test_an_asset_without_a_public_file_says_what_to_do(
    shelf: Shelf, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.mirror.mkdir()
    places = {"empty folder": str(shelf.mirror), "address without it": shelf.site.url("none"),
              "nobody there": "http://127.0.0.1:9/mirror"}  # fmt: skip
    if kind in places:
        monkeypatch.setenv(MIRROR, places[kind])
    with pytest.raises(InputError) as error:
        shelf.fetch("ours")
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("ours (ctss): no public file has exactly these bytes")
    assert "the data come from https://x.org/acc, made by: sum.sh" in text
    assert "set CAPSIGHT_MIRROR to a folder or an address that has a/ours.bed, or make it" in text
    asked = {
        "none": "bytes; ",
        "empty folder": f"{shelf.mirror}/a/ours.bed is not there",
        "address without it": "none/a/ours.bed: the server answers HTTP 404",
        "nobody there": "cannot be reached",
    }
    assert asked[kind] in text
    assert not shelf.cache.exists()


def test_a_name_that_a_table_has_twice_is_refused_once_per_kind_is_not(tmp_path: Path) -> None:
    table = tmp_path / "own.tsv"
    rows = ["name\tkind\turl", "toy\tgenome\thttp://x/a.fa", "# a comment", "toy\tpeaks\thttp://x/a.bed"]
    table.write_text("\n".join(rows))
    assert {asset.kind for asset in read_table(table) if asset.name == "toy"} == {"genome", "peaks"}
    table.write_text("\n".join([*rows, "toy\tgenome\thttp://x/b.fa"]))
    with pytest.raises(InputError, match=r"own\.tsv:5: toy \(genome\) is in line 2 too"):
        read_table(table)


@pytest.mark.parametrize("head", [200, 501])
def test_a_mirror_on_the_web_is_asked_first_and_its_file_kept(
    shelf: Shelf, head: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill_mirror()
    shelf.site.pages["mirror/a/both.ours.bed.gz"].head_status = head
    monkeypatch.setenv(MIRROR, shelf.site.url("mirror"))
    path = shelf.fetch("both")
    assert path == shelf.cache / "both" / "both.ours.bed.gz"
    assert path.read_bytes() == OURS
    assert [asked for asked, _ in shelf.site.requests] == ["mirror/a/both.ours.bed.gz"]
    record = json.loads(path.with_name("both.ours.bed.gz.fetched.json").read_text())
    assert record["asset"] == "both"
    assert record["url"] == shelf.site.url("mirror/a/both.ours.bed.gz")
    assert record["checked"] == f"sha256:{sha(OURS)} (the table)"
    monkeypatch.delenv(MIRROR)
    shelf.site.pages.clear()
    assert shelf.fetch("both") == path  # what came from a mirror once is as good without it


def test_a_mirror_on_the_web_without_the_file_is_passed_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(MIRROR, shelf.site.url("mirror"))
    assert shelf.fetch("both").read_bytes() == PUBLIC
    assert shelf.site.heads == ["mirror/a/both.ours.bed.gz"]
    assert "the mirror does not have both" in caplog.text


def test_a_mirror_that_is_no_mirror(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (str(shelf.table), "ftp://x.org/data", "nowhere"):
        monkeypatch.setenv(MIRROR, text)
        with pytest.raises(InputError, match=r"CAPSIGHT_MIRROR: .* is neither a folder nor an address"):
            shelf.fetch("both")


def test_files_in_a_folder_of_ones_own_do_not_meet(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.fill_mirror()
    monkeypatch.setenv(MIRROR, str(shelf.mirror))
    out = shelf.folder / "mine"
    assert shelf.fetch("ours", out) == out / "ours.bed"
    assert shelf.fetch("both", out) == out / "both.bed"
    names = {Asset(f"gue-{part}", "labelled", file=f"gue/{part}/train.csv.gz").short_name for part in "ab"}
    assert names == {"gue-a.csv.gz", "gue-b.csv.gz"}


def test_several_names_and_the_list(
    shelf: Shelf, capsight: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill_mirror()
    monkeypatch.setenv(MIRROR, str(shelf.mirror))
    done = capsight("fetch", "ours", "both", "--cache", shelf.cache)
    assert done.code == 0, done.err
    assert done.out == "".join(f"ctss\t{shelf.mirror}/a/{name}\n" for name in ("ours.bed", "both.ours.bed.gz"))
    monkeypatch.delenv(MIRROR)
    done = capsight("fetch", "plain", "theirs", "--cache", shelf.cache)
    assert done.code == 2
    assert done.err == (
        "error: 'theirs' is not in the table of assets (capsight fetch --list shows all; others by a table of your "
        "own: --table)\n"
    )
    assert not shelf.cache.exists()  # nothing is fetched before all names are known
    lines = capsight("fetch", "--list").out.splitlines()
    listed = {line.split()[0]: line.split()[1:4] for line in lines[1:]}
    host = shelf.site.address.removeprefix("http://")
    assert listed["sacCer3"][0] == "genome"
    assert listed["plain"] == ["ctss", ".", host]
    assert "to be made" in next(line for line in lines if line.startswith("ours "))
    monkeypatch.setenv(MIRROR, str(shelf.mirror))
    inside = capsight("fetch", "--list").out.splitlines()
    assert next(line for line in inside if line.startswith("ours ")).split()[1:5] == ["ctss", "3", "kB", "mirror"]
    assert capsight("fetch").code == 2


def real_assets() -> list[Any]:
    return [pytest.param(asset, id=f"{asset.name} {asset.kind}") for asset in read_table() if asset.file]


AGREED = {
    "genome": ["sacCer3", "ASM294v2", "Pf3D7", "TAIR10-chr1", "hg19mini", "hg19", "hg38", "mm9", "mm10"],
    "peaks": ["stripeseq-ypd-peaks", "epdnew-yeast", "epdnew-pombe", "epdnew-falciparum", "epdnew-arabidopsis",
              "fantom5-hg19mini", "epdnew-hg19mini", "hg19", "hg38", "mm9", "mm10"],
    "ctss": ["stripeseq-ypd", "grocap-hg19mini-chr22"],
    "promoters": ["human-promoters"],
    "labelled": [f"gue-{data}-{part}" for data in ("core_all", "core_notata", "core_tata", "300_tata")
                 for part in ("train", "dev")],
}  # fmt: skip


def test_the_table_has_what_recipes_name() -> None:
    there = {kind: {asset.name for asset in read_table() if asset.kind == kind} for kind in KINDS}
    assert there == {kind: set(names) for kind, names in AGREED.items()}


@pytest.mark.real
@pytest.mark.parametrize("asset", real_assets())
def test_the_table_knows_the_shared_data_byte_by_byte(asset: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL.is_dir():
        pytest.skip("the shared real data are not here")
    monkeypatch.setenv(MIRROR, str(REAL))
    path = REAL / asset.file
    assert (path.stat().st_size, sha(path.read_bytes())) == (int(asset.size), asset.sha256)
    found = fetch(FetchConfig.model_validate({"name": asset.name, "only": asset.kind}))
    assert found.paths[asset.kind] == path


@pytest.mark.real
def test_the_table_s_command_makes_the_peaks_of_yeast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsight: Callable[..., Done]
) -> None:
    if not REAL.is_dir():
        pytest.skip("the shared real data are not here")
    asset = next(asset for asset in read_table() if asset.name == "stripeseq-ypd-peaks")
    program, *words = asset.made_by.split()
    assert program == "capsight"
    monkeypatch.setenv(MIRROR, str(REAL))
    monkeypatch.chdir(tmp_path)
    assert capsight(*words).code == 0
    assert sha((tmp_path / "peaks.bed").read_bytes()) == asset.sha256
