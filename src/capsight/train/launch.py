"""Whether several processes train together, as ``torchrun`` and ``accelerate launch`` start them."""

import os
from collections.abc import Mapping

from capsight.errors import InputError

#: What a launcher puts into the environment of every process: whole numbers, and where the processes meet.
NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
PLACE = ("MASTER_ADDR", "MASTER_PORT")
#: A number that older launchers set where there is none.
ABSENT = "-1"


def check_launch(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes that train together; 1 without a launcher.

    Raises
    ------
    InputError
        If the environment has only a part of what a launcher sets, or no numbers there.
    """
    given = {name: environment[name] for name in NUMBERS if environment.get(name, ABSENT) != ABSENT}
    if "LOCAL_RANK" not in given and given.get("WORLD_SIZE", "1") == "1":
        return 1
    if missing := [name for name in (*NUMBERS, *PLACE) if environment.get(name, ABSENT) == ABSENT]:
        raise InputError(
            f"the environment has {', '.join(given)} and lacks {', '.join(missing)}: several processes train together "
            "only where all are set",
            remedy=f"unset {' '.join(given)}, or start with torchrun",
        )
    for name in (*NUMBERS, "MASTER_PORT"):
        if not environment[name].isdecimal():
            raise InputError(f"{name} in the environment is not a whole number: {environment[name]!r}")
    rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    if rank >= size:
        raise InputError(f"RANK {rank} in the environment is not below WORLD_SIZE {size}")
    return size


def check_alone(what: str) -> None:
    """Refuse several processes where one does the work.

    Raises
    ------
    InputError
        Naming the commands that several processes train.
    """
    if (size := check_launch()) > 1:
        raise InputError(
            f"{what} is the work of one process, and the environment is that of {size} (WORLD_SIZE)",
            remedy="start it without torchrun, which is for pretrain, finetune and train",
        )
