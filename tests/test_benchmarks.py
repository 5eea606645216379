"""The table of models: every row says what its folders say."""

import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from capsight.config import BaselineConfig, EvaluateConfig
from capsight.train.baselines import baseline
from capsight.train.evaluate import evaluate


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "compare.py"
    spec = importlib.util.spec_from_file_location("compare", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_models_side_by_side(
    compare: ModuleType, motif_windows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, config in (
        ("one", {"model": "lgbm"}),
        ("two", {"model": "cnn", "cnn": {"width": 4, "blocks": 1}, "training": {"epochs": 1}}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "windows").symlink_to(motif_windows)
        folder = baseline(BaselineConfig.model_validate(config), motif_windows, tmp_path / name / "baseline")
        evaluate(EvaluateConfig(bootstrap=0), folder, motif_windows, tmp_path / name / "evaluation-baseline")
    compare.main([str(tmp_path / "one"), str(tmp_path / "two"), "--windows", "300"])
    plain, _, marked = capsys.readouterr().out.partition("\n\n")
    table = pd.read_csv(io.StringIO(plain), sep="\t")
    assert table["folder"].tolist() == ["one", "two"]
    assert table["model"].tolist() == ["lgbm", "cnn"]
    for name, row in zip(("one", "two"), table.to_dict("records"), strict=True):
        metrics = json.loads((tmp_path / name / "evaluation-baseline" / "metrics.json").read_text())
        assert row["auprc"] == pytest.approx(metrics["auprc"], rel=1e-5)
        assert row["tested"] == metrics["n"]
        assert row["windows_per_s"] > 1
    took = json.loads((tmp_path / "two" / "baseline" / "logs" / "cnn" / "seconds.json").read_text())
    assert table["train_cpu_s"][1] == pytest.approx(took["cpu_seconds"], rel=1e-4)
    assert table["tokens"][1] == 64
    assert table[["parameters", "tokens"]].isna().all(axis=1).tolist() == [True, False]
    assert len(marked.strip().splitlines()) == 4
    with pytest.raises(SystemExit):
        compare.main([str(tmp_path)])


def test_a_training_of_no_updates_took_no_time_and_one_without_a_record_is_unknown(
    compare: ModuleType, tmp_path: Path
) -> None:
    model, pretrained = tmp_path / "model", tmp_path / "pretrained"
    for folder in (model, pretrained):
        folder.mkdir()
        (folder / "metrics.jsonl").touch()
    (model / "metrics.jsonl").write_text("{}\n")
    record = model / "logs" / "finetune" / "seconds.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"seconds": 3.0, "cpu_seconds": 2.0}')
    assert compare.training([model, pretrained]) == {"train_s": 3.0, "train_cpu_s": 2.0}
    (pretrained / "metrics.jsonl").write_text("{}\n")
    assert compare.training([model, pretrained]) == {"train_s": None, "train_cpu_s": None}
