"""Names of assets in settings: what becomes a file, what stays, and what `run` says before it fetches."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from capsight import load
from capsight.config import PlotConfig, Recipe, TrainConfig, WindowsConfig
from capsight.config.base import Config
from capsight.data.assets import MIRROR, OWN_TABLE
from capsight.data.fetch.named import asset_file, with_files
from capsight.errors import InputError
from capsight.run import pipeline

from ...conftest import Done
from .web import Site

CONTIGS = {name: "".join(np.random.default_rng(n).choice(list("ACGT"), 6_000)) for n, name in enumerate("abc")}
GENOME = "".join(f">chr{name}\n{bases}\n" for name, bases in CONTIGS.items()).encode()
ROWS = [(f"chr{name}", start) for name in "abc" for start in range(300, 5_700, 300)]
PEAKS = "".join(f"{chrom}\t{start}\t{start + 10}\tp\t9\t+\n" for chrom, start in ROWS).encode()
CTSS = "".join(f"{chrom}\t{start}\t{start + 1}\t.\t9\t+\n" for chrom, start in ROWS).encode()
LABELLED = b"sequence,label\nACGTACGTACGTACGT,1\nTTGTACGTACGTACGG,0\n"
FILES = {"genome": ("toy", "toy.fa", GENOME), "peaks": ("toy-peaks", "peaks.bed", PEAKS),
         "ctss": ("toy-ctss", "ctss.bed", CTSS), "labelled": ("toy-train", "train.csv", LABELLED),
         "promoters": ("toy-promoters", "promoters.tsv", b"sequence\ttss\n")}  # fmt: skip
WINDOWS = {"genome": "toy", "peaks": "toy-peaks", "ctss": ["toy-ctss"], "length": 64, "exclusion_bp": 20,
           "validation": ["chrb"], "test": ["chrc"]}  # fmt: skip


class Shop:
    """A table whose assets lie on a site, or in a mirror folder; some have a public address."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder, self.cache, self.mirror = site, folder, folder / "cache", folder / "mirror"
        self.table = folder / "own.tsv"
        for _, file, body in FILES.values():
            site.add(f"public/{file}", body)
        self.write_table(public=FILES)

    def write_table(self, public: Any) -> None:
        rows = ["name\tkind\turl\tfile\tsize\tsource\n"]
        for kind, (name, file, body) in FILES.items():
            url = self.site.url(f"public/{file}") if kind in public else ""
            rows.append(f"{name}\t{kind}\t{url}\ttoys/{file}\t{len(body)}\thttps://x.org/{name}\n")
        self.table.write_text("".join(rows))

    def fill_mirror(self) -> None:
        (self.mirror / "toys").mkdir(parents=True)
        for _, file, body in FILES.values():
            (self.mirror / "toys" / file).write_bytes(body)


@pytest.fixture
def shop(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(site, tmp_path)
    monkeypatch.setenv(OWN_TABLE, str(shop.table))
    monkeypatch.setenv("CAPSIGHT_CACHE", str(shop.cache))
    monkeypatch.chdir(tmp_path)
    return shop


@pytest.fixture
def mirrored(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop.fill_mirror()
    monkeypatch.setenv(MIRROR, str(shop.mirror))
    return shop


def test_names_become_files_of_the_mirror_wherever_settings_take_them(mirrored: Shop) -> None:
    toys = mirrored.mirror / "toys"
    windows = with_files(WindowsConfig.model_validate(WINDOWS))
    assert (windows.genome, windows.peaks, windows.ctss) == (toys / "toy.fa", toys / "peaks.bed", (toys / "ctss.bed",))
    assert (windows.validation, windows.test) == (("chrb",), ("chrc",))
    labelled = with_files(WindowsConfig.model_validate({"train": "toy-train", "validation": "toy-train"}))
    assert (labelled.train, labelled.validation, labelled.test) == (toys / "train.csv", (f"{toys}/train.csv",), ())
    plot = with_files(PlotConfig.model_validate({"region": "chra:1-100", "genome": "toy", "ctss": "toy-ctss,a/b.bed"}))
    assert (plot.genome, plot.ctss) == (toys / "toy.fa", (toys / "ctss.bed", Path("a/b.bed")))

    class Inner(Config):
        promoters: Path | None = None

    class Outer(Config):
        inner: Inner = Inner()

    nested = with_files(Outer.model_validate({"inner": {"promoters": "toy-promoters"}}))
    assert nested.inner.promoters == toys / "promoters.tsv"


def test_models_from_python_take_names_of_genomes(mirrored: Shop, tiny_track: Path) -> None:
    model = load(tiny_track)
    named = model.scan("toy", min_probability=0)
    assert len(named)
    assert named.equals(model.scan(mirrored.mirror / "toys" / "toy.fa", min_probability=0))
    with pytest.raises(InputError, match="did you mean 'toy'"):
        model.scan("tooy")


def test_what_names_no_asset_stays(mirrored: Shop) -> None:
    given = WindowsConfig.model_validate(
        {"genome": "my.fa", "peaks": "/data/toy-peaks", "ctss": "-", "validation": "toy", "test": "toy-train"}
    )
    assert with_files(given) is given
    assert with_files(train := TrainConfig()) is train


def test_an_existing_file_goes_before_an_asset_and_it_is_said(mirrored: Shop, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("toy", "toy-peaks", "toy-ctss"):
        (mirrored.folder / name).write_text("mine")
    given = WindowsConfig.model_validate(WINDOWS)
    assert with_files(given) is given
    said = [line for line in caplog.messages if "not the asset of this name" in line]
    assert said == [
        f"{setting}: the file {mirrored.folder / name} is taken, not the asset of this name"
        for setting, name in (("genome", "toy"), ("peaks", "toy-peaks"), ("ctss", "toy-ctss"))
    ]


def test_a_folder_is_no_file_but_of_a_genome(mirrored: Shop) -> None:
    for name in ("toy", "toy-peaks"):
        (mirrored.folder / name).mkdir()
    windows = with_files(WindowsConfig.model_validate(WINDOWS))
    assert windows.genome == Path("toy")
    assert windows.peaks == mirrored.mirror / "toys" / "peaks.bed"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"peaks": "toy-ctss"},
            r"^peaks: the asset 'toy-ctss' is of kind ctss, not peaks \(of kind peaks there are .*toy",
        ),
        ({"genome": "tooy"}, r"^genome: there is neither a file nor an asset 'tooy' \(did you mean 'toy'\?\)$"),
        ({"genome": "R64"}, r"^genome: there is neither a file nor an asset 'R64' \(did you mean 'sacCer3'\?\)$"),
        ({"ctss": ["toy-ctss", "toy-cts"]}, r"^ctss: there is neither .* 'toy-cts' \(did you mean 'toy-ctss'\?\)$"),
    ],
)
def test_names_that_cannot_be_meant(mirrored: Shop, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_files(WindowsConfig.model_validate(WINDOWS | changed))


def write_recipe(shop: Shop, windows: dict[str, Any]) -> Path:
    path = shop.folder / "recipes" / "mine.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"windows": windows, "train": {}}))
    return path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Return the settings with which `run` would have gone on."""
    seen: list[Recipe] = []
    real = pipeline.plan
    monkeypatch.setattr(pipeline, "plan", lambda settings, out: seen.append(settings) or real(settings, out))
    monkeypatch.setattr(pipeline, "_run", lambda steps, out: None)
    return seen


def test_run_says_how_much_it_fetches_and_then_fetches(
    shop: Shop, ran: list[Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    out = shop.folder / "out"
    with caplog.at_level(logging.INFO, "capsight"):
        pipeline.run(write_recipe(shop, WINDOWS), out)
    said = [line for line in caplog.messages if line.startswith("to be fetched")]
    url, whole = shop.site.url("public"), len(GENOME) + len(PEAKS) + len(CTSS)
    assert said == [
        f"to be fetched: toy (genome, {len(GENOME) / 1000:.3g} kB) from {url}/toy.fa",
        f"to be fetched: toy-peaks (peaks, {len(PEAKS) / 1000:.3g} kB) from {url}/peaks.bed",
        f"to be fetched: toy-ctss (ctss, {len(CTSS) / 1000:.3g} kB) from {url}/ctss.bed",
        f"to be fetched: {whole / 1000:.3g} kB in all, into {shop.cache}",
    ]
    assert shop.site.heads == ["public/toy.fa", "public/peaks.bed", "public/ctss.bed"]
    windows = ran[0].windows
    assert windows.genome == shop.cache / "toy" / "toy.fa"
    assert windows.genome.read_bytes() == GENOME
    assert windows.ctss == (shop.cache / "toy-ctss" / "ctss.bed",)
    recorded = yaml.safe_load((out / "provenance.yaml").read_text())["config"]["windows"]
    assert (recorded["genome"], recorded["ctss"]) == ("toy", ["toy-ctss"])  # the recipe as it was run
    shop.site.pages.clear()
    caplog.clear()
    pipeline.run(write_recipe(shop, WINDOWS), out)  # the cache is enough
    assert "to be fetched" not in caplog.text


def test_sizes_of_a_mirror_that_does_not_say_them_are_those_of_the_table(
    shop: Shop, ran: list[Recipe], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _, file, body in FILES.values():
        shop.site.add(f"mirror/toys/{file}", body).head_status = 501
    shop.site.pages["public/ctss.bed"].head_status = 501
    del shop.site.pages["mirror/toys/ctss.bed"]
    monkeypatch.setenv(MIRROR, shop.site.url("mirror"))
    with caplog.at_level(logging.INFO, "capsight"):
        pipeline.run(write_recipe(shop, WINDOWS), shop.folder / "out")
    said = [line for line in caplog.messages if line.startswith("to be fetched")]
    url = shop.site.address
    assert said == [
        f"to be fetched: toy (genome, {len(GENOME) / 1000:.3g} kB) from {url}/mirror/toys/toy.fa",
        f"to be fetched: toy-peaks (peaks, {len(PEAKS) / 1000:.3g} kB) from {url}/mirror/toys/peaks.bed",
        f"to be fetched: toy-ctss (ctss) from {url}/public/ctss.bed",
        f"to be fetched: {(len(GENOME) + len(PEAKS)) / 1000:.3g} kB in all, and 1 of unknown size, into {shop.cache}",
    ]
    assert ran[0].windows.ctss[0].read_bytes() == CTSS


def test_a_file_beside_the_recipe_goes_before_an_asset(mirrored: Shop, ran: list[Recipe]) -> None:
    recipe = write_recipe(mirrored, WINDOWS)
    (recipe.parent / "toy-peaks").write_bytes(PEAKS)
    pipeline.run(recipe, mirrored.folder / "out", ["windows.ctss=[toy-ctss, toy-ctss]"])
    toys = mirrored.mirror / "toys"
    assert ran[0].windows.peaks == recipe.parent / "toy-peaks"
    assert (ran[0].windows.genome, ran[0].windows.ctss) == (toys / "toy.fa", (toys / "ctss.bed",) * 2)


def test_a_misspelt_name_in_a_recipe_is_not_taken_for_a_file_beside_it(mirrored: Shop, ran: list[Recipe]) -> None:
    recipe = write_recipe(mirrored, WINDOWS | {"ctss": "toy-ctss,toy-ctsss"})
    with pytest.raises(
        InputError, match=r"windows\.ctss: there is neither a file nor an asset 'toy-ctsss' .*'toy-ctss'"
    ):
        pipeline.run(recipe, mirrored.folder / "out")
    for name in ("mine", "toy.bed"):
        (recipe.parent / name).touch()
    pipeline.run(write_recipe(mirrored, WINDOWS | {"genome": "mine", "peaks": "toy.bed"}), mirrored.folder / "out")
    assert ran[0].windows.genome == recipe.parent / "mine"
    assert ran[0].windows.peaks == recipe.parent / "toy.bed"


@pytest.mark.parametrize(
    ("command", "public"),
    [("run", "none"), ("run", "some"), ("run", "no network"), ("windows", "none"), ("crossval", "some")],
)
def test_without_mirror_or_network_one_line_says_what_and_from_where(
    shop: Shop, command: str, public: str, capsight: Callable[..., Done]
) -> None:
    shop.write_table({"none": (), "some": ("genome",), "no network": FILES}[public])
    url = shop.site.url("public")
    if public == "no network":
        url = "http://capsight.invalid"
        shop.table.write_text(shop.table.read_text().replace(shop.site.url("public"), url))
    recipe, out = str(write_recipe(shop, WINDOWS)), str(shop.folder / "out")
    words = {
        "run": ["run", recipe],
        "crossval": ["crossval", recipe],
        "windows": ["windows", "--config", recipe],
    }
    done = capsight(*words[command], "-o", out)
    assert done.code == 2
    error = [line for line in done.err.splitlines() if not line.startswith("crossval:")]
    assert len(error) == 1, done.err
    assert error[0].startswith("error: needed, and cannot be fetched: toy (genome")
    for kind in ("genome", "peaks", "ctss"):
        name, file, body = FILES[kind]
        here = public == "no network" or (public == "some" and kind == "genome")
        size = f"{len(body) / 1000:.3g} kB"
        made = f"{name} ({kind}, {size}), of which there is no public file, made from https://x.org/{name}"
        assert (f"{name} ({kind}) from {url}/{file}" if here else made) in error[0]
        assert f"toys/{file}" in error[0] or here
    assert "CAPSIGHT_MIRROR" in error[0]
    assert ("check the network" in error[0]) == (public == "no network")
    assert not Path(out).exists()
    assert not shop.cache.exists()
    assert not shop.site.requests


@pytest.mark.parametrize("place", ["folder", "web"])
def test_windows_of_assets_say_in_their_record_what_they_were_made_from(
    shop: Shop, place: str, monkeypatch: pytest.MonkeyPatch, capsight: Callable[..., Done]
) -> None:
    shop.fill_mirror()
    for _, file, body in FILES.values():
        shop.site.add(f"mirror/toys/{file}", body)
    monkeypatch.setenv(MIRROR, str(shop.mirror) if place == "folder" else shop.site.url("mirror"))
    done = capsight("windows", "--config", str(write_recipe(shop, WINDOWS)), "-o", "windows")
    assert done.code == 0, done.err
    inputs = yaml.safe_load((shop.folder / "windows" / "provenance.yaml").read_text())["inputs"]
    for name, kind in (("genome", "genome"), ("peaks", "peaks"), ("ctss/1", "ctss")):
        asset, file, _ = FILES[kind]
        path = shop.mirror / "toys" / file if place == "folder" else shop.cache / asset / file
        source = f"CAPSIGHT_MIRROR/toys/{file}" if place == "folder" else shop.site.url(f"mirror/toys/{file}")
        assert (inputs[name]["path"], inputs[name]["asset"], inputs[name]["source"]) == (str(path), asset, source)
        assert len(inputs[name]["sha256"]) == 64
    done = capsight("windows", "--config", str(write_recipe(shop, WINDOWS)), "-o", "windows")
    assert "windows is done already" in done.err


@pytest.mark.parametrize("kind", ["genome", "ctss"])
def test_arguments_of_commands_may_name_assets(mirrored: Shop, kind: str, capsight: Callable[..., Done]) -> None:
    name, file, _ = FILES[kind]
    assert asset_file(Path(name), kind, "ARGUMENT") == mirrored.mirror / "toys" / file
    assert asset_file(Path("other.fa"), kind, "ARGUMENT") == Path("other.fa")
    if kind == "ctss":
        done = capsight("cluster", name, "-o", "peaks.out.bed")
        assert done.code == 0, done.err
        assert (mirrored.folder / "peaks.out.bed").read_text().startswith("chra\t300\t301\t")
    else:
        done = capsight("mutate", "--model", "yeast", "--genome", "toy", "--region", "chra:100-102", "-o", "out.tsv")
        assert done.code == 0, done.err
        record = yaml.safe_load((mirrored.folder / "out.tsv.provenance.yaml").read_text())
        assert record["inputs"]["genome"]["asset"] == "toy"
