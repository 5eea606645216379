"""`baseline`: every model learns, is read back exactly, repeats, and refuses what it cannot use."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from capsight import artefact
from capsight.config import BaselineConfig, EvaluateConfig, WindowsConfig
from capsight.config.yaml_files import dump, parse
from capsight.data.genome.alphabet import reverse_complement
from capsight.data.sequence.kmer_counts import KmerFeatures, count_kmers
from capsight.data.sequence.kmers import canonical
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.evaluate.evaluate import evaluate
from capsight.predict.classical import Forest
from capsight.predict.windows import load_scorer
from capsight.train.baselines.baseline import baseline

MODELS = ("rf", "xgb", "lgbm", "kmer-lr", "kmer-gbm")
SMALL = {"kmer-lr": {"k": 4}, "kmer-gbm": {"k": 3, "bins": 4}}


@pytest.fixture(scope="module", params=MODELS)
def trained(request: pytest.FixtureRequest, motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = BaselineConfig(model=request.param, **SMALL.get(request.param, {}))
    return baseline(config, motif_windows, tmp_path_factory.mktemp("baseline") / "b")


def test_every_model_finds_the_motif(trained: Path, motif_windows: Path) -> None:
    test = Windows.open(motif_windows).fold("test")
    score = load_scorer(trained).score(test.codes(np.arange(len(test.table))))
    assert ((score >= 0) & (score <= 1)).all()
    assert roc_auc_score(test.labels, score) > 0.9


def test_same_seed_same_bytes(trained: Path, motif_windows: Path, tmp_path: Path) -> None:
    name = json.loads((trained / "baseline.json").read_text())["model"]
    again = baseline(BaselineConfig(model=name, **SMALL.get(name, {})), motif_windows, tmp_path / "b")
    assert artefact.sha256(again) == artefact.sha256(trained)


def test_nothing_is_pickled(trained: Path) -> None:
    files = [path for path in trained.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {
        ".json",
        ".yaml",
        ".txt",
        ".ubj",
        ".safetensors",
    }


def test_the_forest_is_that_of_scikit_learn(motif_windows: Path, tmp_path: Path) -> None:
    folder = baseline(BaselineConfig(model="rf"), motif_windows, tmp_path / "b")
    data = Windows.open(motif_windows)
    folds = {name: data.fold(name) for name in ("train", "test")}
    counts = {name: count_kmers(fold.codes(np.arange(len(fold.table))), 3) for name, fold in folds.items()}
    model = RandomForestClassifier(random_state=1).fit(counts["train"], folds["train"].labels)
    read = Forest.read(folder / "forest.safetensors", 64)
    assert np.allclose(read.predict(counts["test"]), model.predict_proba(counts["test"])[:, 1], atol=1e-12)


@pytest.mark.parametrize("change", ["loop", "outside", "feature", "short", "uneven"])
def test_a_forest_that_cannot_be_walked_is_refused(motif_windows: Path, tmp_path: Path, change: str) -> None:
    folder = baseline(BaselineConfig(model="rf"), motif_windows, tmp_path / "b")
    (folder / "provenance.yaml").unlink()  # without its checksums only its shape can tell
    arrays = load_file(folder / "forest.safetensors")
    arrays["left"][0] = {"loop": 0, "outside": 10**6}.get(change, arrays["left"][0])
    arrays["feature"][0] = 64 if change == "feature" else arrays["feature"][0]
    arrays |= {"value": arrays["value"][:-1]} if change == "short" else {}
    arrays |= {"feature": arrays["feature"][:-1]} if change == "uneven" else {}
    save_file(arrays, folder / "forest.safetensors")
    with pytest.raises(InputError, match="is not a baseline that this version of capsight can read"):
        load_scorer(folder)


@pytest.mark.parametrize("change", [{"k": 2}, {"bins": 2}, {"model": "svm"}, {"shorter": None, "bins": 99}])
def test_a_card_that_does_not_fit_is_refused(trained: Path, tmp_path: Path, change: dict[str, object]) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    for path in trained.iterdir():
        if path.is_file() and path.name != "provenance.yaml":
            (folder / path.name).write_bytes(path.read_bytes())
    card = json.loads((folder / "baseline.json").read_text())
    (folder / "baseline.json").write_text(json.dumps(card | change))
    with pytest.raises(InputError, match="is not a baseline"):
        load_scorer(folder)


def test_tuned_models_say_what_validation_chose(motif_windows: Path, tmp_path: Path) -> None:
    card = json.loads(
        (baseline(BaselineConfig(model="kmer-lr", k=3), motif_windows, tmp_path / "b") / "baseline.json").read_text()
    )
    assert card["chosen"]["C"] > 0
    assert 0.5 < card["validation_auroc"] <= 1
    assert card["n_features"] == 4 + 16 + 64


def test_defaults_depend_on_the_model_and_stay() -> None:
    assert BaselineConfig(model="kmer-gbm").k == 6
    assert BaselineConfig(model="kmer-gbm").bins == 8
    assert BaselineConfig(model="kmer-lr", k=5).k == 5
    assert (BaselineConfig().k, BaselineConfig().bins) == (3, 1)
    config = BaselineConfig(model="kmer-gbm", bins=1)
    assert parse(BaselineConfig, dump(config)) == config
    with pytest.raises(ConfigError, match="model: "):
        parse(BaselineConfig, {"model": ["lgbm"]})


def test_features_are_kmers_of_the_window_and_of_its_parts() -> None:
    codes = np.array([[0, 0, 1, 4, 2, 3, 3, 0]], dtype=np.uint8)  # AAC NGT TA
    features = KmerFeatures(2, shorter=True, bins=2)
    row = features.matrix(codes)[0]
    assert features.size == len(row) == 3 * (4 + 16)
    assert row[:4].tolist() == [3, 1, 1, 2]
    assert np.flatnonzero(row[4:20]).tolist() == [0, 1, 11, 12, 15]  # AA AC GT TA TT
    assert row[20:24].tolist() == [2, 1, 0, 0]
    assert row[40:44].tolist() == [1, 0, 1, 2]
    assert KmerFeatures(3).matrix(codes).tolist() == count_kmers(codes, 3).tolist()
    assert KmerFeatures(6, bins=2).size == 4**6 + 2 * 4**4


def test_symmetric_features_are_those_of_both_strands() -> None:
    codes = np.random.default_rng(0).integers(0, 4, (5, 40), dtype=np.uint8)
    here, turned = (KmerFeatures(4, shorter=True, symmetric=True).matrix(c) for c in (codes, reverse_complement(codes)))
    assert np.array_equal(here, turned)
    assert here.shape == (5, 2 + 10 + 32 + 136)
    words = ["".join(word) for word in product("ACGT", repeat=4)]
    turn = [words.index(word[::-1].translate(str.maketrans("ACGT", "TGCA"))) for word in words]
    kept = [i for i in range(256) if i <= turn[i]]
    assert canonical(4).tolist() == kept
    counts = count_kmers(codes, 4)
    assert np.array_equal(here[:, -136:], counts[:, kept] + counts[:, [turn[i] for i in kept]])
    bins = KmerFeatures(4, bins=2, symmetric=True).matrix(codes)[:, 136:]
    assert np.array_equal(bins, KmerFeatures(4, bins=2).matrix(codes)[:, 256:])  # strands stay apart there


def test_a_symmetric_baseline_predicts_as_it_was_trained(motif_windows: Path, tmp_path: Path) -> None:
    config = BaselineConfig(model="kmer-lr", k=4, bins=4, symmetric=True)
    folder = baseline(config, motif_windows, tmp_path / "b")
    result = evaluate(EvaluateConfig(bootstrap=0), folder, motif_windows, tmp_path / "e")
    assert json.loads((result / "metrics.json").read_text())["auroc"] > 0.8


def test_one_label_is_refused(tmp_path: Path, motif_windows: Path) -> None:
    (tmp_path / "train.csv").write_text("sequence,label\n" + "".join(f"{'ACGT' * 8}{b}A,1\n" for b in "ACGT"))
    (tmp_path / "dev.csv").write_text("sequence,label\nTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT,0\n")
    from capsight.data.windows.stage import windows

    config = WindowsConfig(train=tmp_path / "train.csv", validation=(str(tmp_path / "dev.csv"),))
    folder = windows(config, tmp_path / "w")
    with pytest.raises(InputError, match="the train fold holds only one label"):
        baseline(BaselineConfig(), folder, tmp_path / "b")
    assert not (tmp_path / "b").exists()
