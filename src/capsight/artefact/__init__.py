"""Artefacts: folders (or files) that say how they were made, appear whole or not at all, and can be trusted.

`record` says how one was made, `folder` and `file` write one, `timing` keeps how long a training took, `claim` holds
the folder of a run. Every stage calls `is_done` first, and `atomic_dir` or `atomic_file` if it is not.
"""

from capsight.artefact.file import Beside, atomic_file, check_replaceable_file
from capsight.artefact.folder import (
    CHECKPOINT,
    LOGS,
    RESTART,
    atomic_dir,
    check_replaceable,
    folders_above,
    is_done,
    is_unfinished,
)
from capsight.artefact.record import (
    RECORD,
    check_unchanged,
    made_at,
    outdated,
    provenance,
    read_record,
    record_path,
    sha256,
    write_yaml,
)
from capsight.artefact.timing import SECONDS_FILE, write_seconds

__all__ = [
    "CHECKPOINT", "LOGS", "RECORD", "RESTART", "SECONDS_FILE", "Beside", "atomic_dir", "atomic_file",
    "check_replaceable", "check_replaceable_file", "check_unchanged", "folders_above", "is_done", "is_unfinished",
    "made_at", "outdated", "provenance",
    "read_record", "record_path", "sha256", "write_seconds", "write_yaml",
]  # fmt: skip
