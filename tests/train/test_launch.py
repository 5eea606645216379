"""An environment that is half a launcher's is refused before any work, and leaves unfinished work alone."""

from pathlib import Path

import pytest

from capsight.config import BaselineConfig, FinetuneConfig, PretrainConfig
from capsight.errors import InputError
from capsight.train.baselines.baseline import baseline
from capsight.train.finetune import finetune
from capsight.train.launch import check_launch
from capsight.train.pretrain import pretrain

WHOLE = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("environment", "processes"),
    [({}, 1), ({"LOCAL_RANK": "-1"}, 1), ({"WORLD_SIZE": "1"}, 1), ({"RANK": "0", "WORLD_SIZE": "1"}, 1), (WHOLE, 4)],
)
def test_processes_are_counted(environment: dict[str, str], processes: int) -> None:
    assert check_launch(environment) == processes


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"LOCAL_RANK": "0"},
            r"has LOCAL_RANK and lacks RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT: .*unset LOCAL_RANK",
        ),
        ({"WORLD_SIZE": "4"}, "has WORLD_SIZE and lacks RANK, LOCAL_RANK"),
        ({"WORLD_SIZE": "4", "RANK": "1"}, "unset RANK WORLD_SIZE"),
        ({name: value for name, value in WHOLE.items() if name != "MASTER_PORT"}, "lacks MASTER_PORT"),
        (WHOLE | {"RANK": "one"}, "RANK in the environment is not a whole number: 'one'"),
        (WHOLE | {"MASTER_PORT": ""}, "MASTER_PORT in the environment is not a whole number"),
        (WHOLE | {"RANK": "4"}, "RANK 4 in the environment is not below WORLD_SIZE 4"),
    ],
)
def test_half_an_environment_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_launch(environment)


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "baseline"])
def test_every_stage_that_trains_refuses_it_first(
    stage: str, motif_windows: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "work").touch()
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(InputError, match="the environment has LOCAL_RANK"):
        if stage == "pretrain":
            pretrain(PretrainConfig(), motif_windows, tmp_path / "out")
        elif stage == "finetune":
            finetune(FinetuneConfig(), motif_windows, pretrained, tmp_path / "out")
        else:
            baseline(BaselineConfig(model="cnn"), motif_windows, tmp_path / "out")
    assert (tmp_path / "out.partial" / "work").exists()
