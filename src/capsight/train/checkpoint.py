"""Checkpoints of an unfinished training: whole or not at all, checked when read, and the one before is kept.

A checkpoint is a folder: tensors (safetensors), all else (JSON), and the SHA-256 of both, as ``sha256sum`` writes them.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from capsight.artefact import sha256
from capsight.errors import DamagedCheckpoint, InputError, KeepsPartial
from capsight.output import flush

TENSORS = "tensors.safetensors"
STATE = "state.json"
SUMS = "SHA256SUMS"


def before(folder: Path) -> Path:
    """Return where the checkpoint before that of `folder` is kept."""
    return folder.with_name(f"{folder.name}.previous")


def write_checkpoint(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint to disk beside the last one, then let it take its place; the last one becomes that before.

    Raises
    ------
    KeepsPartial
        If it cannot be written, on a full disk for instance: the last one is as it was.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, fresh / TENSORS)
        (fresh / STATE).write_text(json.dumps(state), encoding="utf-8")
        sums = "".join(f"{sha256(fresh / name)}  {name}\n" for name in (TENSORS, STATE))
        (fresh / SUMS).write_text(sums, encoding="utf-8")
        for path in (fresh / TENSORS, fresh / STATE, fresh / SUMS, fresh):
            flush(path)
        shutil.rmtree(before(folder), ignore_errors=True)
        if folder.exists():
            folder.rename(before(folder))
        fresh.rename(folder)
        flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error)
        raise KeepsPartial(
            f"the checkpoint cannot be written: {reason}", where=folder,
            remedy="mend that: the same command then continues from the last checkpoint",
        ) from None  # fmt: skip


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read tensors and state of the last checkpoint; `None` where there is none.

    Where `folder` itself is gone, the checkpoint before takes its place: a process was killed between the two renames
    of `write_checkpoint`, or a damaged checkpoint was deleted.

    Raises
    ------
    DamagedCheckpoint
        Naming the folder to delete, and what is then done.
    """
    if not folder.exists() and before(folder).exists():
        before(folder).rename(folder)
    if not folder.exists():
        return None
    try:
        return _read(folder)
    except (OSError, ValueError, SafetensorError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise damaged(folder, f"{reason}") from None


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint whose files have their checksums."""
    for name in (SUMS, TENSORS, STATE):
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (TENSORS, STATE):
        if sha256(folder / name) != sums.get(name):
            raise ValueError(f"{name} does not have the checksum that {SUMS} gives")
    return load_file(folder / TENSORS), json.loads((folder / STATE).read_text(encoding="utf-8"))


def damaged(folder: Path, reason: str) -> DamagedCheckpoint:
    """Return the error that says what is wrong with a checkpoint and what happens when it is deleted."""
    try:
        step = _read(before(folder))[1]["step"]
        remedy = f"delete this folder: the same command then continues after step {step}, from the checkpoint before"
    except (OSError, ValueError, SafetensorError, InputError, KeyError, TypeError):
        both = f" and {before(folder).name} beside it" if before(folder).exists() else ""
        remedy = f"delete this folder{both}: this part of the training then starts anew, what is finished is kept"
    return DamagedCheckpoint(f"the checkpoint is damaged: {reason}", where=folder, remedy=remedy)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as named tensors."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer/{i}/{key}": torch.as_tensor(v) for i, item in state.items() for key, v in item.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put named tensors back into the optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
