"""Models are found by folder first, then by the name under which they are shipped."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from capsight import artefact, load, shipped
from capsight.cli import app
from capsight.data.genome.alphabet import Codes, encode, reverse_complement
from capsight.errors import InputError
from capsight.model.track_folder import load_track, read_track_card
from capsight.predict.calls import call_tss
from capsight.predict.track import Precision, Tracks, TrackScorer


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship two models called toy and other."""
    for name in ("toy", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "notes.md").touch()
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "models")
    return tmp_path / "models"


def test_a_name_finds_the_shipped_model(models: Path) -> None:
    assert shipped.shipped_models() == ["other", "toy"]
    assert shipped.find_model(Path("toy")) == models / "toy"


def make_model(folder: Path, **card: object) -> Path:
    """Make a folder that is a model by its files."""
    folder.mkdir(parents=True)
    (folder / "capsight.json").write_text(json.dumps({"capsight": "0.1.0", **card}))
    return folder


def test_a_model_of_that_name_comes_first_and_the_log_reports_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_model(tmp_path / "work" / "toy")
    monkeypatch.chdir(tmp_path / "work")
    assert shipped.find_model(Path("toy")) == Path("toy")
    assert "the folder toy hides the shipped model of that name" in caplog.text


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_model_hides_no_shipped_one(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").touch() if kind == "file" else (tmp_path / "toy" / "notes").mkdir(parents=True)
    assert shipped.find_model(Path("toy")) == models / "toy"
    assert f"{tmp_path / 'toy'} is no model folder: the shipped model of that name is used" in caplog.text


@pytest.mark.parametrize("given", ["nothing", "sub/toy", "notes.md", "xyz"])
def test_what_is_neither_is_refused_with_the_names(models: Path, given: str) -> None:
    with pytest.raises(InputError, match="there is no such model folder") as caught:
        shipped.find_model(Path(given))
    assert "shipped are: other, toy" in str(caught.value)


def test_what_was_meant_is_named(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "run" / "model")
    for given, meant in (("otter", "other"), ("run", "run/model"), ("run/modle", "run/model")):
        with pytest.raises(InputError, match=rf"did you mean {meant}\?"):
            shipped.find_model(Path(given))
    with pytest.raises(InputError, match=r"is a file, not a model folder \(did you mean run/model\?"):
        shipped.find_model(Path("run/model/capsight.json"))


REAL = Path(__file__).parents[2] / "shared" / "data"
SHIPPED = shipped.shipped_models()


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"capsight": "99.0", "task": ["new"]}, "was made by capsight 99.0, which is newer"),
        ({"capsight": "99.0", "heads": 3}, "was made by capsight 99.0, which is newer"),
        ({"task": ["new"]}, "is not a model card that this version"),
        ({"halo": "wide"}, "is not a model card that this version"),
        ("model.safetensors", "is not a model folder: model.safetensors is missing"),
        ("config.json", "is not a model folder: config.json is missing"),
    ],
    ids=["newer", "newer-with-more", "unknown", "damaged", "no-weights", "no-shape"],
)
def test_half_models_and_newer_ones_are_refused(tmp_path: Path, command: str, change: object, said: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(shipped.find_model(Path("yeast")), model)
    if isinstance(change, str):
        (model / change).unlink()
    else:
        assert isinstance(change, dict)
        card = json.loads((model / "capsight.json").read_text())
        (model / "capsight.json").write_text(json.dumps(card | change))
    (tmp_path / "s.fa").write_text(">s\nACGT\n")
    given = [str(tmp_path / "s.fa")] if command == "predict" else [str(tmp_path)]
    done = CliRunner().invoke(app, [command, "--model", str(model), *given, "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_newer_model_that_can_be_read_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(shipped.find_model(Path("yeast")), tmp_path / "m")
    card = json.loads((tmp_path / "m" / "capsight.json").read_text())
    (tmp_path / "m" / "capsight.json").write_text(json.dumps(card | {"capsight": "0.2.1"}))
    assert read_track_card(tmp_path / "m").halo == 1535
    assert "was made by capsight 0.2.1, which is newer than this one" in caplog.text


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    shutil.copytree(shipped.find_model(Path("yeast")), tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    weights["networks.0.head.weight"][0, 0] = float("nan")
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="holds weights that are not finite"):
        load_track(tmp_path / "m")


def scorer(precision: Precision = "fp32", tile: int | None = None) -> TrackScorer:
    """Return the shipped model."""
    model, card = load_track(shipped.find_model(Path("yeast")))
    return TrackScorer(model, card.calibration, precision, tile)


@pytest.fixture(scope="module")
def dna() -> Codes:
    """Return 30,000 bases of chrIV, which was not trained on, or random ones where it is not there."""
    path = REAL / "yeast" / "sacCer3.fa.gz"
    if not path.is_file():
        return np.random.default_rng(0).integers(0, 4, 30_000, dtype=np.uint8)
    import pysam

    with pysam.FastaFile(str(path)) as genome:
        return encode(genome.fetch("chrIV", 100_000, 130_000).upper())


@pytest.fixture(scope="module")
def whole(dna: Codes) -> Tracks:
    return scorer().score(dna[None])


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_are_whole_and_small(name: str) -> None:
    folder = shipped.find_model(Path(name))
    artefact.check_unchanged(folder)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2_000_000
    assert "/" not in "".join(line for line in (folder / "provenance.yaml").read_text().splitlines() if "path:" in line)


def test_law_1_an_answer_depends_on_the_halo_alone(dna: Codes, whole: Tracks) -> None:
    asked, rng = scorer(), np.random.default_rng(1)
    for a in rng.integers(asked.halo, len(dna) - asked.halo - 400, 5):
        b = int(a + rng.integers(1, 400))
        part = asked.score(dna[None, a - asked.halo : b + asked.halo])
        for everything, alone in zip(whole, part, strict=True):
            close(everything[:, :, a:b], alone[:, :, asked.halo : -asked.halo])


def test_law_2_strands_are_treated_alike(dna: Codes, whole: Tracks) -> None:
    back = scorer().score(reverse_complement(dna)[None])
    for one, other in zip(whole, back, strict=True):
        close(one, other[:, ::-1, ::-1])


def test_law_3_one_network_has_a_say() -> None:
    assert len(load_track(shipped.find_model(Path("yeast")))[0].networks) == 1


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "yeast"])
def test_laws_of_the_other_models(name: str) -> None:
    model, card = load_track(shipped.find_model(Path(name)))
    asked = TrackScorer(model, card.calibration)
    codes = np.random.default_rng(2).integers(0, 4, 4 * asked.halo, dtype=np.uint8)
    everything, back = asked.score(codes[None]), asked.score(reverse_complement(codes)[None])
    part = asked.score(codes[None, 100 : 2 * asked.halo + 500])
    for one, other, alone in zip(everything, back, part, strict=True):
        close(one, other[:, ::-1, ::-1])
        close(one[:, :, asked.halo + 100 : asked.halo + 500], alone[:, :, asked.halo : -asked.halo])
    assert len(model.networks) == card.members


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "genome", "tss", "region", "least"),
    [
        ("pombe", "pombe/s_pombe.ASM294v2.fa.gz", "pombe/epdnew.I_II.bed.gz", ("II", 900_000, 1_100_000), 0.5),
        ("falciparum", "falciparum/p_falciparum.3D7.fa.gz", "falciparum/epdnew.chr1_13.bed.gz",
         ("chr8", 300_000, 500_000), 0.1),
        ("arabidopsis", "arabidopsis/a_thaliana.chr1.TAIR10.fa.gz", "arabidopsis/epdnew.chr1_first22Mb.bed.gz",
         ("chr1", 20_600_000, 20_800_000), 0.3),
        ("human", "hg19mini/hg19mini.fa.gz", "hg19mini/hg19mini.cage_peaks.bed.gz", ("chr1", 0, 990_000), 0.15),
    ],
    ids=["pombe", "falciparum", "arabidopsis", "human"],
)  # fmt: skip
def test_listed_tsss_that_were_held_out_are_called(
    name: str, genome: str, tss: str, region: tuple[str, int, int], least: float
) -> None:
    if not (REAL / genome).is_file():
        pytest.skip("the real data are not there")
    chrom, start, end = region
    listed = pd.read_csv(REAL / tss, sep="\t", header=None)
    listed = listed[(listed[0] == chrom) & (listed[1] >= start) & (listed[1] < end)]
    calls = load(name).scan(REAL / genome, region=f"{chrom}:{start + 1}-{end}")
    near = [
        (abs(calls["position"][calls["strand"] == strand] - position) <= 50).any()
        for position, strand in zip(listed[1], listed[5], strict=True)
    ]
    assert np.mean(near) >= least


@pytest.mark.parametrize("tile", [777, 5000, 100_000])
def test_tiles_change_nothing(dna: Codes, whole: Tracks, tile: int) -> None:
    for one, other in zip(whole, scorer(tile=tile).score(dna[None]), strict=True):
        close(one, other)


def test_batch_order_and_threads_change_nothing(dna: Codes, whole: Tracks) -> None:
    rows = np.stack([dna[:6000], dna[9000:15_000]])
    alone, together = scorer().score(rows[:1]), scorer().score(rows[::-1])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        threads = scorer().score(rows[:1])
    finally:
        torch.set_num_threads(before)
    for one, two, three in zip(alone, together, threads, strict=True):
        close(one, two[1:])
        close(one, three)


def test_bfloat16_calls_the_same_sites(dna: Codes, whole: Tracks) -> None:
    coarse = scorer("bf16").score(dna[None])
    called = [
        {(s, p) for s, p in zip(c.strand, c.position, strict=True)}
        for c in (call_tss(t.expected_tags[0], t.probability[0], 0.3) for t in (whole, coarse))
    ]
    assert len(called[0]) > 5 or not (REAL / "yeast").is_dir()
    assert len(called[0] ^ called[1]) <= 1


@pytest.mark.real
def test_the_yeast_model_finds_a_promoter_that_it_has_not_seen() -> None:
    path = REAL / "yeast" / "sacCer3.fa.gz"
    if not path.is_file():
        pytest.skip("the shared real data (yeast) are not here")
    calls = load("yeast").scan(path, region="chrIV:1-60000")
    assert (calls["probability"] > 0.5).sum() > 5
    assert set(calls["strand"]) == {"+", "-"}


@pytest.mark.real
def test_bfloat16_calls_the_same_tss_on_a_chromosome() -> None:
    path = REAL / "yeast" / "sacCer3.fa.gz"
    if not path.is_file():
        pytest.skip("the shared real data (yeast) are not here")
    exact, coarse = (
        {(row.strand, row.position) for row in load("yeast", precision=each).scan(path, region="chrXI").itertuples()}
        for each in get_args(Precision)
    )
    assert len(exact) > 200
    assert len(exact & coarse) >= 0.995 * len(exact)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_model_has_a_card_that_says_what_its_folder_says(name: str) -> None:
    card, folder = shipped.read_card(name), shipped.find_model(Path(name))
    model, kept = load_track(folder)
    assert kept.calling is not None
    assert card.name == name
    assert card.members == kept.members
    assert card.weights == sum(tensor.numel() for tensor in model.parameters())
    assert (card.halo, card.train, card.validation, card.test) == (kept.halo, kept.train, kept.validation, kept.test)
    assert card.min_probability == kept.calling.min_probability
    assert card.command.startswith(f"capsight run {name} ")
    assert 0 < card.bytes < 3_000_000
    for metric in ("auprc", *(["precision_at_recall_0.5"] if "precision_at_recall_0.5" in card.scan else [])):
        value, low, high = card.scan[metric]
        assert low is not None
        assert high is not None
        assert low <= value <= high


def test_the_package_is_small() -> None:
    package = Path(shipped.__file__).parent
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.suffix for path in files} >= {".py", ".yaml", ".safetensors", ".html"}
    assert sum(path.stat().st_size for path in files) < 20_000_000  # before the wheel packs them


@pytest.fixture
def ship() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "ship.py"
    spec = importlib.util.spec_from_file_location("ship", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SHIPPED)
def test_every_card_is_the_template_filled(ship: ModuleType, name: str) -> None:
    card, folder = shipped.read_card(name), shipped.find_model(Path(name))
    assert (folder / shipped.CARD_TEXT).read_text(encoding="utf-8") == ship.fill(card)
    said = ship.parse(ship.Sentences, ship.load_yaml(ship.CARDS / f"{name}.yaml"))
    assert {key: getattr(card, key) for key in said.model_dump()} == said.model_dump()


def test_a_card_shows_what_was_measured_and_leaves_out_what_was_not(ship: ModuleType) -> None:
    scan = {"auprc": (0.25, 0.125, 0.5), "profile_correlation": (0.75, None, None), "unknown": (0.9, None, None)}
    text = ship.fill(shipped.read_card("yeast").model_copy(update={"scan": scan, "minutes": None, "limits": ("One.",)}))
    assert "| AUPRC of 50-base bins, by probability | 0.250 (0.125 to 0.500) |\n" in text
    assert "| profile correlation at peaks | 0.750 |\n" in text
    assert "\n* One.\n* A sequence" in text
    for absent in ("0.900", "correlation of log totals", "time of training", "None"):
        assert absent not in text


def test_a_run_is_shipped_with_its_card(
    ship: ModuleType, finished_track: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "MODELS", tmp_path)
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    (tmp_path / "yeast").mkdir()
    (tmp_path / "yeast" / "of-an-earlier-version").touch()
    folder = ship.ship(finished_track, "yeast")
    artefact.check_unchanged(folder)
    assert not (folder / "of-an-earlier-version").exists()
    measured = json.loads((finished_track / "evaluation-scan" / "metrics.json").read_text())
    [card] = shipped.models()
    assert card.scan["auprc"][0] == measured["scan"]["auprc"]
    assert list(card.scan["auprc"][1:]) == measured["scan"]["intervals"]["auprc"]
    assert (card.n_peaks, card.bases) == (measured["n_peaks"], measured["bases"])
    assert f"{card.n_peaks:,} peaks" in shipped.read_card_text("yeast")
    assert (folder / "model.safetensors").read_bytes() == (finished_track / "model" / "model.safetensors").read_bytes()


def test_what_cannot_be_shipped_leaves_the_shipped_model_as_it_is(
    ship: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "MODELS", tmp_path)
    (tmp_path / "yeast").mkdir()
    (tmp_path / "yeast" / "weights").touch()
    (tmp_path / "run" / "model").mkdir(parents=True)
    with pytest.raises(InputError):
        ship.ship(tmp_path / "run", "yeast")
    assert (tmp_path / "yeast" / "weights").exists()


def test_models_are_listed() -> None:
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    for card in shipped.models():
        assert f"{card.name} {card.species}; {card.bytes / 1e6:.1f} MB; licence {card.licence}" in shown
        reached = "precision_at_recall_0.5" in card.scan
        more = ", precision at recall 0.5" if reached else "; recall 0.5 is not reached"
        assert f"AUPRC {card.scan['auprc'][0]:.3f}{more}" in shown
        assert f"{', '.join(card.test)} scanned whole, {card.n_peaks:,} peaks" in shown
        assert all(sentence in shown for sentence in (*card.data, *card.limits))


def test_a_card_is_printed_without_its_front_matter() -> None:
    done = CliRunner().invoke(app, ["models", "yeast"])
    assert done.stdout.startswith("# yeast: cap sites of *Saccharomyces cerevisiae*\n")
    assert "| AUPRC of 50-base bins, by probability | 0.542 (0.508 to 0.575) |" in done.stdout
    text = (shipped.find_model(Path("yeast")) / shipped.CARD_TEXT).read_text(encoding="utf-8")
    assert text.partition("# yeast")[2].strip() == done.stdout.partition("# yeast")[2].strip()


@pytest.mark.parametrize("name", [[], ["yeast"]])
def test_cards_as_json(name: list[str]) -> None:
    done = CliRunner().invoke(app, ["models", *name, "--json"])
    found = {card["name"]: card for card in json.loads(done.stdout)}
    assert list(found) == (name or SHIPPED)
    assert found["yeast"]["scan"]["auprc"] == list(shipped.read_card("yeast").scan["auprc"])
    assert found["yeast"]["bytes"] == shipped.read_card("yeast").bytes


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_unknown_model_has_no_card(more: list[str]) -> None:
    done = CliRunner().invoke(app, ["models", "yeats", *more])
    assert isinstance(done.exception, InputError)
    said = f"yeats: there is no shipped model of this name (did you mean yeast? shipped are: {', '.join(SHIPPED)})"
    assert str(done.exception) == said


@pytest.mark.parametrize("content", [None, "{}", "["])
def test_a_lost_or_damaged_card_is_reported_with_its_file(models: Path, content: str | None) -> None:
    if content is not None:
        (models / "toy" / shipped.CARD_FACTS).write_text(content)
    with pytest.raises(InputError, match=r"toy/card\.json: is missing or is no model card of this version \(install"):
        shipped.read_card("toy")
