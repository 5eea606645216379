"""`baseline --model cnn`: it learns, goes on where it was killed, repeats, and is read back like any other model."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from capsight import artefact
from capsight.config import (
    BaselineConfig,
    CnnConfig,
    EvaluateConfig,
    ExplainConfig,
    FinetuneConfig,
    PredictConfig,
    Recipe,
    WindowsConfig,
)
from capsight.config.yaml_files import dump, load_yaml, parse
from capsight.data.windows.stage import windows
from capsight.data.windows.windows import Windows
from capsight.errors import ConfigError, InputError
from capsight.evaluate.evaluate import evaluate
from capsight.explain.explain import explain
from capsight.predict.predict import predict
from capsight.predict.windows import load_scorer
from capsight.run.recipe import cnn_baseline, read_recipe
from capsight.train.baselines.baseline import baseline

SMALL = {
    "model": "cnn",
    "cnn": {"width": 8, "blocks": 3, "kernel": 5},
    "training": {"epochs": 12, "batch_size": 16, "learning_rate": 1e-2, "checkpoint_every": 5},
}
CONFIG = BaselineConfig.model_validate(SMALL)
STAGES = {"windows": {"genome": "g", "peaks": "p"}, "pretrain": {}}


@pytest.fixture(scope="module")
def trained(motif_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return baseline(CONFIG, motif_windows, tmp_path_factory.mktemp("cnn") / "b")


def test_a_planted_motif_is_learned_and_measured_like_any_model(
    trained: Path, motif_windows: Path, tmp_path: Path
) -> None:
    result = evaluate(EvaluateConfig(bootstrap=0), trained, motif_windows, tmp_path / "e")
    metrics = json.loads((result / "metrics.json").read_text())
    assert metrics["auroc"] > 0.95
    assert metrics["accuracy"] > 0.85
    table = predict(PredictConfig(fold="test"), trained, motif_windows, tmp_path / "p.tsv").read_text().splitlines()
    assert len(table) == metrics["n"] + 1


def test_the_folder_says_what_it_holds(trained: Path, motif_windows: Path) -> None:
    card = json.loads((trained / "baseline.json").read_text())
    log = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert (card["model"], card["length"], card["cnn"]["width"], card["cnn"]["downsample"]) == ("cnn", 64, 8, 1)
    assert card["n_train"] == len(Windows.open(motif_windows).fold("train").table)
    assert card["metrics"]["validation"]["auroc"] == max(record["auroc"] for record in log)
    assert card["n_parameters"] == sum(array.size for array in load_file(trained / "cnn.safetensors").values())
    took = json.loads((trained / "logs" / "cnn" / "seconds.json").read_text())
    assert took["cpu_seconds"] > 0
    assert 0 < took["seconds"] < 600
    record = load_yaml(trained / "provenance.yaml")
    assert set(record["outputs"]) == {"baseline.json", "cnn.safetensors", "metrics.jsonl"}
    assert not (trained / "checkpoint").exists()


def test_killed_and_continued_equals_uninterrupted(trained: Path, motif_windows: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    code = (
        "from pathlib import Path; from capsight.train.baselines.baseline import baseline\n"
        "from capsight.config import BaselineConfig\n"
        f"baseline(BaselineConfig.model_validate({SMALL!r}), Path({str(motif_windows)!r}), Path({str(out)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    state = tmp_path / "b.partial" / "checkpoint" / "cnn" / "state.json"
    for _ in range(3000):
        if state.exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    assert not out.exists()
    assert artefact.sha256(baseline(CONFIG, motif_windows, out)) == artefact.sha256(trained)


def test_the_seed_decides(trained: Path, motif_windows: Path, tmp_path: Path) -> None:
    short = SMALL | {"training": {"epochs": 0.5}}
    one, again, two = (
        baseline(BaselineConfig.model_validate(short | {"seed": seed}), motif_windows, tmp_path / name)
        for name, seed in (("one", 1), ("again", 1), ("two", 2))
    )
    weights = [(folder / "cnn.safetensors").read_bytes() for folder in (one, again, two)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_explaining_it_is_refused(trained: Path, motif_windows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a model folder"):
        explain(ExplainConfig(), trained, motif_windows, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("baseline.json", {"cnn": {"width": 16, "blocks": 3, "kernel": 5}}),
        ("baseline.json", {"cnn": None}),
        ("baseline.json", {"cnn": {"width": "wide"}}),
        ("baseline.json", {"length": 1000}),
        ("baseline.json", {"length": "64"}),
        ("cnn.safetensors", None),
    ],
)
def test_what_does_not_fit_is_refused(trained: Path, tmp_path: Path, name: str, change: dict[str, object]) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    for path in trained.iterdir():
        if path.is_file() and path.name != "provenance.yaml":  # without its checksums only its shape can tell
            (folder / path.name).write_bytes(path.read_bytes())
    if change:
        card = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(card | change))
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(InputError, match="is not a baseline that this version of capsight can read"):
        load_scorer(folder)


def test_changed_weights_are_refused(trained: Path, motif_windows: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "b")
    with (folder / "cnn.safetensors").open("r+b") as handle:
        handle.seek(-4, 2)
        handle.write(np.float32(9).tobytes())
    with pytest.raises(InputError, match=r"cnn\.safetensors: was changed after it was made"):
        load_scorer(folder)


def test_a_validation_fold_of_one_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(f"sequence,label\n{'ACGT' * 8}A,1\n{'TTGA' * 8}A,0\n")
    (tmp_path / "dev.csv").write_text(f"sequence,label\n{'T' * 33},0\n")
    config = WindowsConfig(train=tmp_path / "train.csv", validation=(str(tmp_path / "dev.csv"),))
    folder = windows(config, tmp_path / "w")
    with pytest.raises(InputError, match="the validation fold holds only one label: nothing can be learnt"):
        baseline(CONFIG, folder, tmp_path / "b")
    assert not list(tmp_path.glob("b*"))


def test_settings_are_checked_and_survive_being_written() -> None:
    assert BaselineConfig(model="cnn").cnn == CnnConfig()
    assert BaselineConfig(model="cnn").training == FinetuneConfig()
    assert BaselineConfig().cnn is BaselineConfig().training is None
    given = BaselineConfig(model="cnn", seed=7, training=FinetuneConfig(epochs=2))
    assert given.training == FinetuneConfig(epochs=2, seed=7)
    assert parse(BaselineConfig, dump(given)) == given
    for values, message in (
        ({"training": {"lora": {"rank": 4}}}, r"training\.lora is not for model cnn: there are no pre-trained weights"),
        ({"training": {"dropout": 0.2}}, r"training\.dropout is not for model cnn: the CNN's own is cnn\.dropout"),
        ({"training": {"seed": 4}, "seed": 3}, r"seed 3 and training\.seed 4 differ"),
        ({"cnn": {"kernel": 4}}, "kernel must be odd"),
        ({"cnn": {"pooling": "last"}}, r"cnn\.pooling: .*'mean', 'max' or 'position'.*not 'last'"),
        ({"cnn": {"widht": 4}}, r"unknown key 'cnn\.widht'; did you mean 'cnn\.width'"),
        ({"model": "rf", "cnn": {"width": 8}}, "cnn and training are settings of model cnn, not of rf"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse(BaselineConfig, {"model": "cnn"} | values)


def test_a_recipe_trains_it_as_the_network_but_for_what_it_says_itself(tmp_path: Path) -> None:
    finetune = {"lora": {"rank": 4}, "dropout": 0.3, "epochs": 3, "max_jitter": 2, "seed": 5}
    recipe = parse(Recipe, STAGES | {"finetune": finetune, "baseline": {"model": "lgbm", "seed": 9}})
    config = cnn_baseline(recipe)
    assert config.training == FinetuneConfig(epochs=3, max_jitter=2, seed=5)
    assert (config.seed, config.cnn) == (5, CnnConfig())
    own = {"model": "cnn", "cnn": {"width": 16}, "training": {"epochs": 9}, "seed": 6}
    (tmp_path / "r.yaml").write_text(json.dumps(STAGES | {"finetune": finetune, "baseline": own}))
    read = read_recipe(tmp_path / "r.yaml", tmp_path)
    assert read.baseline is not None
    assert read.baseline.training == FinetuneConfig(epochs=9, max_jitter=2, seed=6)
    assert read.baseline.cnn == CnnConfig(width=16)
    assert cnn_baseline(read) == read.baseline
