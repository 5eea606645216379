"""Where the progress of a training is shown beside its log: TensorBoard, Weights & Biases, or nowhere."""

import os
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, Self

from capsight.artefact import LOGS
from capsight.errors import InputError

Tracking = Literal["tensorboard", "wandb", "none"]

#: Project on Weights & Biases, where the environment names none (WANDB_PROJECT).
_PROJECT: Final = "capsight"


def check_tracking(tracking: Tracking) -> None:
    """Refuse a tracker whose package is missing, before any work.

    Raises
    ------
    InputError
        Naming the package.
    """
    if tracking == "wandb" and find_spec("wandb") is None:
        raise InputError(
            "tracking=wandb needs the package wandb, which is not installed",
            remedy="pip install wandb, or leave it out",
        )


class Tracker:
    """Shows numbers by step; `none`, and all processes but the first, show nothing.

    A context: inside, faults of TensorBoard's thread are raised by `show` and not printed as well.

    Without WANDB_MODE or WANDB_API_KEY in the environment, wandb writes files only: ``wandb sync`` sends them later.

    Parameters
    ----------
    tracking
        What shows them. No other package is imported.
    folder
        Artefact that is being built; files go into its logs.
    name
        What the training is called.
    """

    def __init__(self, tracking: Tracking, folder: Path, name: str) -> None:
        place = folder / LOGS / name
        self._board: Any = None
        self._run: Any = None
        if tracking == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(place))
        elif tracking == "wandb":
            from accelerate.tracking import WandBTracker

            place.mkdir(parents=True, exist_ok=True)
            chosen = {"WANDB_MODE", "WANDB_API_KEY"} & os.environ.keys()
            self._run = WandBTracker(
                os.environ.get("WANDB_PROJECT", _PROJECT), name=f"{folder.name.removesuffix('.partial')}-{name}",
                dir=str(place), **({} if chosen else {"mode": "offline"}),
            )  # fmt: skip
            self._run.start()

    def __enter__(self) -> Self:
        self._report = threading.excepthook
        if self._board is not None:
            threading.excepthook = self._leave_to_caller
        return self

    def __exit__(self, *_: object) -> None:
        threading.excepthook = self._report

    def show(self, values: Mapping[str, float], step: int) -> None:
        """Show some numbers of a step."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if self._run is not None:
            self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is left."""
        if self._board is not None:
            self._board.close()
        if self._run is not None:
            self._run.finish()

    def _leave_to_caller(self, fault: threading.ExceptHookArgs) -> None:
        """Leave out faults of TensorBoard's thread, such as a full disk: its next call raises them."""
        if not type(fault.thread).__module__.startswith("tensorboard."):
            self._report(fault)
