"""Where this process calculates, and on how many threads: ``--device`` and ``--threads`` of the command line.

PyTorch is imported when a device is asked for, not before: libraries read their number of threads when they load.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from capsight.errors import InputError

if TYPE_CHECKING:
    import torch

AUTO = "auto"
#: Numbers of threads that OpenMP (PyTorch, LightGBM, Arrow), BLAS libraries and numba read when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
#: What accelerate, which trains, takes instead of the device that it would choose.
_ACCELERATE_DEVICE = "ACCELERATE_TORCH_DEVICE"

_device: ContextVar[str] = ContextVar("device", default=AUTO)
_threads: ContextVar[int | None] = ContextVar("threads", default=None)

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def best_device(*, mps: bool = True) -> "torch.device":
    """Return the device that was asked for; else the fastest there is: CUDA, else MPS, else the CPU.

    Parameters
    ----------
    mps
        Whether the caller can use Apple's GPUs, which have no 64-bit numbers.

    Raises
    ------
    InputError
        If MPS was asked for and the caller cannot use it.
    """
    import torch

    wanted = _device.get()
    if wanted == "mps" and not mps:
        what = "window networks and attributions do not run on Apple's GPUs, which have no 64-bit numbers"
        raise InputError(what, where="--device mps", remedy="use --device cpu")
    if wanted != AUTO:
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if mps and torch.backends.mps.is_available() else "cpu")


def with_threads(config: AnyConfig) -> AnyConfig:
    """Return settings with the number of threads that was asked for, wherever they have a setting `threads`."""
    number = _threads.get()
    if number is None:
        return config
    changed: dict[str, object] = {"threads": number} if "threads" in type(config).model_fields else {}
    for name, value in config:
        if isinstance(value, BaseModel) and (part := with_threads(value)) is not value:
            changed[name] = part
    return config.model_copy(update=changed) if changed else config


@contextmanager
def limited(device: str = AUTO, threads: int | None = None) -> Iterator[None]:
    """Calculate on a device and on so many threads within the block.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    variables = dict.fromkeys(_THREAD_VARIABLES, str(threads)) if threads else {}
    if device != AUTO:
        variables[_ACCELERATE_DEVICE] = device
    before = {name: os.environ.get(name) for name in variables}
    tokens = _device.set(device), _threads.set(threads)
    torch_threads = None
    try:
        os.environ.update(variables)
        if threads and "torch" in sys.modules:
            import torch

            torch_threads = torch.get_num_threads()
            torch.set_num_threads(threads)
        if device != AUTO:
            _check_there(device)
        yield
    finally:
        _device.reset(tokens[0])
        _threads.reset(tokens[1])
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if torch_threads:
            torch.set_num_threads(torch_threads)


def _check_there(device: str) -> None:
    """Refuse a device that this process cannot use; make a numbered GPU the current one."""
    where = f"--device {device}"
    kind, _, number = device.partition(":")
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", device):
        raise InputError("is no device", where=where, remedy="it is auto, cpu, cuda, cuda:1 (by number) or mps")
    if os.environ.get("WORLD_SIZE", "1") not in ("", "-1", "1"):
        what = "each of several processes that train together takes a device of its own"
        raise InputError(what, where=where, remedy="leave --device out")
    import torch

    remedy = "capsight doctor lists what there is"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("PyTorch finds no GPU of Apple here", where=where, remedy=remedy)
    if kind == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not there:
            raise InputError("PyTorch finds no CUDA GPU here", where=where, remedy=remedy)
        if number and int(number) >= there:
            raise InputError(f"there is no such GPU: numbers go from 0 to {there - 1}", where=where, remedy=remedy)
        if number:
            torch.cuda.set_device(int(number))
