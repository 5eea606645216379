"""Models from Python: `capsight.load` and what it returns."""

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch

import capsight
from capsight import api
from capsight.data.genome.alphabet import encode
from capsight.errors import InputError
from capsight.model.track_folder import load_track
from capsight.predict.track import Precision, TrackScorer

from .conftest import random_dna

TEXT = random_dna(300, 5).replace("N", "A")


@pytest.fixture(scope="module")
def model(tiny_track: Path) -> api.Model:
    return capsight.load(tiny_track, device="cpu")


def test_examples_run(model: api.Model) -> None:
    found = doctest.testmod(api, extraglobs={"model": model, "capsight": capsight}, raise_on_error=True)
    assert found.attempted >= 2


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, capsight; dir(capsight)\nsys.exit(str({'torch', 'pandas', 'numpy'} & set(sys.modules) or '') or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_typed() -> None:
    assert (Path(capsight.__file__).parent / "py.typed").is_file()
    assert capsight.load is api.load
    assert capsight.Model is api.Model
    assert {"load", "Model"} <= set(dir(capsight))


def test_card_and_halo(model: api.Model) -> None:
    assert model.card.calling is not None
    assert model.card.calling.distance == 50
    assert model.halo == model.card.halo


GIVEN: dict[str, Any] = {
    "a string": TEXT,
    "lower case": TEXT.lower(),
    "a list": [TEXT],
    "a tuple": (TEXT,),
    "a Series": pd.Series([TEXT], index=["x"]),
    "codes": encode(TEXT),
    "codes of one": encode(TEXT)[None],
    "codes as int64": encode(TEXT).astype(np.int64),
    "soft-masked codes": encode(TEXT.lower(), soft_mask=True),
    "characters": np.array(list(TEXT)),
    "bytes": np.array(list(TEXT), dtype="S1")[None],
    "objects": np.array(list(TEXT), dtype=object),
    "an array of strings": np.array([TEXT]),
}


@pytest.mark.parametrize("how", GIVEN)
def test_dna_in_every_form(model: api.Model, tiny_track: Path, how: str) -> None:
    network, card = load_track(tiny_track)
    expected = TrackScorer(network, card.calibration).score(encode(TEXT)[None])
    tracks = model.tracks(GIVEN[how])
    for mine, theirs in zip(tracks, expected, strict=True):
        assert mine.shape == (1, 2, 300)
        np.testing.assert_array_equal(mine, theirs)
    row = model.predict(GIVEN[how]).iloc[0]
    assert (row["name"], row["start"], row["end"]) == ("0", 0, 300)
    strand = "+-".index(row["strand"])
    assert row["probability"] == pytest.approx(tracks.probability[0, strand, row["position"]], rel=1e-4)


def test_several_sequences(model: api.Model) -> None:
    texts = [random_dna(80, i) for i in range(5)]
    together = model.tracks(texts)
    assert together.expected_tags.shape == (5, 2, 80)
    np.testing.assert_allclose(together.expected_tags[3], model.tracks(texts[3]).expected_tags[0], rtol=1e-4)
    np.testing.assert_array_equal(
        model.tracks(np.stack([encode(text) for text in texts])).probability, together.probability
    )
    assert model.tracks([]).expected_tags.shape == (0, 2, 0)
    assert model.predict([])["position"].tolist() == []
    table = model.predict([*texts, "", "acgt"])
    assert table["end"].tolist() == [80] * 5 + [0, 4]
    assert table["position"].isna().tolist() == [False] * 5 + [True, False]
    assert table.dtypes[["start", "position", "probability"]].astype(str).tolist() == ["int64", "Int64", "float64"]


REFUSED: dict[str, tuple[Any, str]] = {
    "another letter": (["ACGT", "ACGZ"], "sequence 1: the sequence is not DNA: it has 'Z'"),
    "RNA": ("ACGU", "this is RNA"),
    "a file as a string": ("promoters.fa", "not DNA: it has '.'|'promoters.fa' is no DNA"),
    "codes beyond N": (np.array([0, 5], np.uint8), "codes of bases are 0 to 4"),
    "codes below A": (np.array([0, -1]), "codes of bases are 0 to 4"),
    "numbers": (np.array([0.5]), "neither letters nor codes"),
    "one-hot": (np.zeros((1, 4, 9), np.uint8), "an array of 3 dimensions"),
    "a list of numbers": ([1, 2], "int is no sequence"),
    "a number": (7, "int is no DNA"),
    "nothing": (None, "NoneType is no DNA"),
    "a table": (pd.DataFrame({"A": ["ACGT"]}), "DataFrame is no DNA"),
    "a dictionary": ({"A": "ACGT"}, "dict is no DNA"),
    "bytes beyond ASCII": (np.array([b"\xff"]), "not DNA: it has 'Ÿ'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_dna(model: api.Model, what: str) -> None:
    given, says = REFUSED[what]
    for method in (model.tracks, model.predict):
        with pytest.raises(InputError, match=says.replace("(", r"\(")):
            method(given)


def test_tracks_take_no_file(model: api.Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Path is no DNA .*predict takes a Path"):
        model.tracks(tmp_path / "in.fa")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'in\.fa' is no DNA \(give a file as a Path\)"):
        model.predict("in.fa")


def test_tracks_need_one_length(model: api.Model) -> None:
    with pytest.raises(InputError, match=r"differ in length: .*3 bases.*5"):
        model.tracks(["ACG", "ACGTA"])


def test_files(model: api.Model, tmp_path: Path) -> None:
    contig = random_dna(900, 3)
    (tmp_path / "genome.fa").write_text(f">c\n{contig}\n>short\nAC\n")
    (tmp_path / "in.bed").write_text("c\t100\t300\n")
    whole = model.predict(tmp_path / "genome.fa")
    assert whole["name"].tolist() == ["c", "short"]
    assert whole.iloc[0].tolist()[4:] == pytest.approx(model.predict(contig).iloc[0].tolist()[4:])
    part = model.predict(tmp_path / "in.bed", genome=tmp_path / "genome.fa", stranded=True)
    assert part["chrom"].tolist() == ["c"]
    assert 100 <= part["position"][0] < 300
    calls = model.scan(tmp_path / "genome.fa", "c:101-800", min_probability=0)
    assert calls["position"].between(100, 799).all()
    assert len(calls) > 3
    none = model.scan(tmp_path / "genome.fa", min_probability=1)
    assert len(none) == 0
    assert none.dtypes.to_dict() == calls.dtypes.to_dict()
    with pytest.raises(InputError, match="are for files"):
        model.predict("ACGT", genome=tmp_path / "genome.fa")


@pytest.mark.parametrize(
    ("ask", "options", "says"),
    [
        ("scan", {"min_probability": 1.5}, r"scan: min_probability: .*1\.5"),
        ("scan", {"min_probability": -0.1}, r"scan: min_probability: .*-0\.1"),
        ("scan", {"min_probability": float("nan")}, "scan: min_probability: .*nan"),
        ("scan", {"distance": -5}, "scan: distance: .*-5"),
        ("mutate", {"region": "c:1-3", "distance": 0}, "mutate: distance: .*0"),
        ("variants", {"distance": -1}, "variants: distance: .*-1"),
        ("variants", {"distance": 100_001}, "variants: distance: .*100001"),
    ],
)
def test_numbers_out_of_range(model: api.Model, tmp_path: Path, ask: str, options: dict[str, Any], says: str) -> None:
    (tmp_path / "genome.fa").write_text(f">c\n{random_dna(200)}\n")
    variants = {"chrom": ["c"], "position": [3], "ref": ["A"], "alt": ["C"]}
    arguments = [pd.DataFrame(variants)] if ask == "variants" else []
    with pytest.raises(InputError, match=says):
        getattr(model, ask)(*arguments, tmp_path / "genome.fa", **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "fp16"}, "load: precision: .*fp16"),
        ({"device": "gpu"}, "load: PyTorch finds no device 'gpu' here"),
        ({"device": torch.device("cuda", 99)}, "load: PyTorch finds no device 'cuda:99' here"),
    ],
)
def test_devices_and_precisions_that_there_are_not(tiny_track: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        capsight.load(tiny_track, **options)


@pytest.mark.parametrize("ask", ["predict", "tracks", "scan"])
def test_the_state_of_torch_is_left_as_found(tiny_track: Path, tmp_path: Path, ask: str) -> None:
    (tmp_path / "genome.fa").write_text(f">c\n{random_dna(200)}\n")
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        model = capsight.load(tiny_track, device="cpu")
        getattr(model, ask)(tmp_path / "genome.fa" if ask == "scan" else TEXT)
        assert torch.empty(1).device.type == "meta"
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(3), expected)


def test_bf16() -> None:
    exact, coarse = (
        capsight.load("yeast", device="cpu", precision=each).tracks(TEXT).expected_tags for each in get_args(Precision)
    )
    assert not np.array_equal(coarse, exact)
    assert np.corrcoef(np.log(coarse).ravel(), np.log(exact).ravel())[0, 1] > 0.99


def test_window_models_are_refused(pretrained: Path) -> None:
    with pytest.raises(InputError, match=r"is not a track model: .*`capsight predict`"):
        capsight.load(pretrained)
    with pytest.raises(InputError, match="no such model folder"):
        capsight.load("nowhere")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text(f">c\n{random_dna(900, 8).replace('N', 'A')}\n")
    return path


@pytest.mark.parametrize("strand", ["+", "-"])
def test_explanation_of_a_given_base_is_what_its_mutants_lose(model: api.Model, genome: Path, strand: str) -> None:
    table = model.explain(genome, f"c:451-451:{strand}", before=12, behind=4)
    assert table["offset"].tolist() == list(range(-12, 5))
    assert table["position"].tolist() == [450 + (offset if strand == "+" else -offset) for offset in range(-12, 5)]
    dna = genome.read_text().split()[1].upper()
    mate = dict(zip("ACGT", "TGCA", strict=True))

    def target(sequence: str) -> float:
        return float(np.log(model.tracks(sequence).expected_tags[0, int(strand == "-"), 440:461].sum(dtype=float)))

    for _, row in table[::5].iterrows():
        at = row["position"]
        assert row["base"] == (dna[at] if strand == "+" else mate[dna[at]])
        others = [target(dna[:at] + base + dna[at + 1 :]) for base in "ACGT" if base != dna[at]]
        assert row["score"] == pytest.approx(target(dna) - np.mean(others), abs=1e-4)
    assert table["score"].abs().max() > 1e-3


def test_explanation_of_a_region_is_of_its_most_probable_base(model: api.Model, genome: Path) -> None:
    best = model.predict(genome.read_text().split()[1], stranded=False).loc[0]
    table = model.explain(genome, "c", method="ig")
    assert table["position"][table["offset"] == 0].tolist() == [best["position"]]
    assert set(table["strand"]) == {best["strand"]}
    assert len(table) == 136
    with pytest.raises(InputError, match="0 or more"):
        model.explain(genome, "c", before=-1)
    with pytest.raises(InputError, match="method 'attention' is none of ism, ig"):
        model.explain(genome, "c", method="attention")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="900"):
        model.explain(genome, "c:901-910")
