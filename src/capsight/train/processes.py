"""Processes that train one model together: the first decides what is done, reads the checkpoint, and writes.

All others train alike and write nothing: what they need to know they are told by the first one, so they need no file of
the output, and several hosts no common file system for it.
"""

import atexit
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import BaseModel
from torch import Tensor

from capsight import artefact
from capsight.errors import InputError, KeepsPartial
from capsight.train.launch import check_launch

logger = logging.getLogger(__name__)

#: How long a process waits for the others: the first one may scan all validation chromosomes meanwhile. One that has
#: ended is noticed at once.
PATIENCE: Final = timedelta(days=2)
#: Exit code of a process that ends because the first one found a mistake of the user's, and has reported it.
_STOPPED: Final = 2
#: How PyTorch's back ends report that another process is gone; they have no error of their own for it.
_LOST: Final = ("gloo", "connection closed", "connection reset", "nccl", "broken pipe", "timed out", "socket")


class _Rest(Exception):  # noqa: N818 (it is no error)
    """What is left to do is the first process's alone."""


def join() -> int:
    """Meet the other processes of a training; return their number, 1 without a launcher.

    Raises
    ------
    InputError
        If the environment has only a part of what a launcher sets, or the processes do not meet.
    """
    size = check_launch()
    if size > 1 and not torch.distributed.is_initialized():
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        try:
            torch.distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise InputError(
                f"the {size} processes do not meet: {str(error).splitlines()[0]}", where=place,
                remedy="every host must reach this address",
            ) from None  # fmt: skip
        atexit.register(_leave)
    return size


def _leave() -> None:
    """Leave the process group: threads of the back end that outlive Python now and then abort the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def number() -> int:
    """Return the number of this process; the first is 0."""
    return torch.distributed.get_rank() if size() > 1 else 0


def size() -> int:
    """Return the number of processes that have met."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def check_shared_out(processes: int, **batches: tuple[int, int]) -> None:
    """Refuse updates whose batches cannot be shared out evenly.

    Parameters
    ----------
    processes
        How many train together.
    batches
        For the setting of each phase that counts batches per update, dots as double underscores: windows per batch, and
        batches per update.

    Raises
    ------
    InputError
        Naming the settings that have the same windows in every update.
    """
    for name, (windows, passes) in batches.items():
        if passes % processes == 0:
            continue
        setting = name.replace("__", ".")
        batch = f"{setting.rpartition('.')[0]}.batch_size".lstrip(".")
        total = windows * passes
        same = f" --set {batch}={total // processes}" if total % processes == 0 else ""
        raise InputError(
            f"{setting} is {passes}, and {processes} processes cannot share that out evenly",
            remedy=f"--set {setting}={processes}{same}{' reads the same in every update' if same else ''}",
        )


def first_tells(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in the first process, which alone does it: JSON.

    If it fails there, the other processes end in silence: the first one reports why.
    """
    if size() == 1:
        return work()
    if number():
        told = json.loads(_bytes(b""))
        if "stopped" in told:
            raise SystemExit(_STOPPED)
        return told["value"]
    try:
        value = work()
    except BaseException:
        _bytes(b'{"stopped": true}')
        raise
    _bytes(json.dumps({"value": value}).encode())
    return value


def first_sends(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the first process; what the others give is left out."""
    if size() == 1:
        return dict(tensors)
    shapes = first_tells(lambda: {name: [str(t.dtype), list(t.shape)] for name, t in tensors.items()})
    sent = {}
    for name, (kind, shape) in shapes.items():
        if number():
            tensor = torch.empty(shape, dtype=getattr(torch, kind.removeprefix("torch.")), device=_device())
        else:
            tensor = tensors[name].to(_device()).contiguous()
        with noticing_loss():
            torch.distributed.broadcast(tensor, 0)
        sent[name] = tensor.cpu()
    return sent


def _bytes(content: bytes) -> bytes:
    """Return the bytes that the first process gives."""
    with noticing_loss():
        length = torch.tensor([len(content)], device=_device())
        torch.distributed.broadcast(length, 0)
        sent = torch.zeros(int(length), dtype=torch.uint8, device=_device())
        if not number():
            sent.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        torch.distributed.broadcast(sent, 0)
    return bytes(sent.cpu().numpy())


def _device() -> torch.device:
    """Return where tensors lie that processes exchange."""
    return torch.device("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")


@contextmanager
def noticing_loss(where: str | None = None) -> Iterator[None]:
    """Say that another process has ended, where PyTorch gives an error of its back end.

    Raises
    ------
    KeepsPartial
        The last checkpoint stays.
    """
    try:
        yield
    except RuntimeError as error:
        if size() > 1 and any(word in str(error).lower() for word in _LOST):
            raise KeepsPartial(
                f"another of the {size()} processes that train together has ended", where=where,
                remedy="the same command then continues from the last checkpoint",
            ) from None  # fmt: skip
        raise


def is_done(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> bool:
    """Tell what `artefact.is_done` tells in the first process."""
    return bool(first_tells(lambda: artefact.is_done(out, stage, config, inputs)))


@contextmanager
def atomic_dir(out: Path, stage: str, config: BaseModel, inputs: Mapping[str, Path]) -> Iterator[Path]:
    """Yield a folder to write into, as `artefact.atomic_dir` does; what others than the first process write is dropped.

    All processes leave together, when the result has its name.
    """
    if size() == 1:
        with artefact.atomic_dir(out, stage, config, inputs) as folder:
            yield folder
    elif number():
        first_tells(lambda: None)  # that it may be written
        with tempfile.TemporaryDirectory(prefix="capsight-") as scratch, suppress(_Rest):
            yield Path(scratch)
        first_tells(lambda: None)  # that it is written
    else:
        built: list[Path] = []
        with ExitStack() as block:
            first_tells(lambda: built.append(block.enter_context(artefact.atomic_dir(out, stage, config, inputs))))
            yield built[0]
            first_tells(block.close)


def rest_is_of_the_first() -> None:
    """Leave the block of `atomic_dir` in all processes but the first."""
    if number():
        raise _Rest
