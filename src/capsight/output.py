"""Where results go: checked before any work, written whole or not at all, by one process at a time.

``-o`` may name a file, a folder, a symbolic link to one, a pipe, a device, or ``-`` (standard output). Nothing that
`capsight` did not write is replaced; what it may replace is told by the records of `capsight.artefact`.
"""

import errno
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Final
from urllib.parse import quote

import filelock

from capsight.errors import InputError

#: `-o -`: standard output.
STDOUT: Final = Path("-")
#: Ends of names for which text is compressed with bgzip, which gzip reads, too.
COMPRESSED: Final = (".gz", ".bgz")
#: A disk with less free space than this is full, in bytes.
LEAST_FREE: Final = 1 << 20
#: Ends of names that promise a format; a command writes one of them at the most.
_FORMATS: Final = frozenset({
    ".7z", ".bam", ".bb", ".bcf", ".bedgraph", ".bigbed", ".bigwig", ".bw", ".bz2", ".csv", ".fa", ".fasta",
    ".feather", ".fna", ".gff", ".gff3", ".gtf", ".h5", ".html", ".json", ".lz4", ".npy", ".npz", ".parquet", ".pdf",
    ".pkl", ".png", ".safetensors", ".svg", ".tar", ".tgz", ".vcf", ".xls", ".xlsx", ".xz", ".yaml", ".yml", ".zip",
    ".zst",
})  # fmt: skip
#: Why a file cannot grow, and what to do.
_FULL: Final = "no space is left on the disk"
_TOO_LARGE: Final = "the file would be larger than its file system, or `ulimit -f`, allows"
_REMEDIES: Final = {_FULL: "make room", _TOO_LARGE: "write to another file system, or raise the limit"}
_ERRORS: Final = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _TOO_LARGE}
#: How libraries report that which raise no OSError (safetensors and tokenizers; Arrow; quotas).
_TEXTS: Final = {
    re.compile(r"no space left on device|os error 28\b|disk quota exceeded", re.IGNORECASE): _FULL,
    re.compile(r"file too large|os error 27\b", re.IGNORECASE): _TOO_LARGE,
}
#: Seconds to wait for a lock that another process is just letting go.
_LOCK_SECONDS: Final = 0.2


def lack_of_room(error: BaseException | None) -> str | None:
    """Return why a file could not grow, if that is what an error says, or one that led to it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _ERRORS:
            return _ERRORS[error.errno]
        if found := [reason for text, reason in _TEXTS.items() if text.search(str(error))]:
            return found[0]
        error = error.__cause__ or error.__context__
    return None


def full(where: object, reason: str = _FULL) -> InputError:
    """Return what a user reads of a full disk, or of a file that cannot grow."""
    return InputError(reason, where=where, remedy=f"{_REMEDIES[reason]}, then give the same command again")


def is_stream(out: Path) -> bool:
    """Tell whether `out` is standard output, a pipe or a device: it is written through, and never replaced."""
    if out == STDOUT:
        return True
    try:
        found = out.stat()
        return (
            not (S_ISREG(found.st_mode) or S_ISDIR(found.st_mode))
            or os.path.samestat(found, os.fstat(1))
            or _is_descriptor(out)
        )
    except OSError:
        return False


def _is_descriptor(path: Path) -> bool:
    """Tell whether a path, or a link that it leads to, is an open file of a process, such as ``/dev/fd/3``."""
    for _ in range(40):  # as many links as Linux follows
        if re.fullmatch(r"/proc/(\d+|self|thread-self)(/task/\d+)?/fd|/dev/fd", os.path.realpath(path.parent)):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def resolve(out: Path) -> Path:
    """Return the place that `out` names: what a symbolic link leads to, and a real name for ``.`` and ``..``."""
    if out.is_symlink():
        return Path(os.path.realpath(out))
    return Path(os.path.abspath(out)) if out.name in ("", "..") else out


def check_file(out: Path, inputs: Iterable[Path] = (), *, suffix: str = "") -> None:
    """Refuse a file that could not be written, before the work for it is done.

    Parameters
    ----------
    out
        The file, resolved; not a stream.
    inputs
        Files that are read; none of them may be `out`.
    suffix
        End of the name that the format has, such as ``.npz``; a table has none of its own.

    Raises
    ------
    InputError
        If its folder does not exist or cannot be written, the disk is full, `out` is a folder or an input, or its
        name promises another format.
    """
    if out.is_dir():
        raise InputError("is a folder: name a file", where=out)
    for path in inputs:
        if _same(out, path):
            raise InputError("is an input, and would be overwritten", where=out, remedy="name another file")
    name = out.name.lower()
    packed = next((end for end in COMPRESSED if name.endswith(end)), "")
    kind = Path(name.removesuffix(packed)).suffix
    if packed and suffix == ".npz" and kind in ("", suffix):
        raise InputError(f"{suffix} is compressed already", where=out, remedy=f"leave {packed} out")
    if kind in _FORMATS and kind != suffix:
        wanted = suffix or ".tsv (or .tsv.gz)"
        raise InputError(f"{kind} is not a format of this output", where=out, remedy=f"name it {wanted}")
    if not out.parent.is_dir():
        raise InputError("there is no such folder", where=out.parent, remedy="create it first")
    check_writable(out.parent)


def check_folder(out: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a folder that could not be written, before the work for it is done.

    Raises
    ------
    InputError
        If it is a file, a stream, the current folder or one above it, a mount point, or holds an input; if it cannot
        be written, or the disk is full.
    """
    if out == STDOUT:
        raise InputError("the result is a folder, not a stream", where="-o -", remedy="name a folder")
    if out.exists() and not out.is_dir():
        raise InputError("is a file: name a folder", where=out)
    if out.name.endswith((*COMPRESSED, ".zip", ".tar", ".xz", ".zst", ".bz2")):
        raise InputError("the result is a folder, which is not compressed", where=out, remedy="name it otherwise")
    here, place = Path.cwd().resolve(), out.resolve()
    for path in inputs:
        if place in (found := path.resolve()).parents or place == found:
            raise InputError(f"holds an input of this command, {path}", where=out, remedy="name another folder")
    if place == here or place in here.parents:
        raise InputError("is the current folder, or one above it", where=out, remedy="name a new folder in it")
    if out.is_dir() and os.path.ismount(out):
        raise InputError("is a mount point, which cannot be replaced", where=out, remedy="name a folder in it")
    check_writable(next(parent for parent in place.parents if parent.exists()))


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be made, or whose disk is full.

    Raises
    ------
    InputError
        Naming the folder.
    """
    if not folder.is_dir():
        raise InputError("is a file, and no folder can be made in it", where=folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError("the folder cannot be written", where=folder)
    try:
        found = os.statvfs(folder)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=folder) from None
    if found.f_flag & os.ST_RDONLY:
        raise InputError("the file system is read-only", where=folder)
    if (free := found.f_bavail * found.f_frsize) < LEAST_FREE or (found.f_files and not found.f_favail):
        raise InputError(
            f"no space is left on the disk: {free:,} bytes are free", where=folder,
            remedy=f"make room: at least {LEAST_FREE:,} bytes",
        )  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    """Tell whether two paths are the same file."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def folder_name(contig: str) -> str:
    """Return a contig's name as that of a folder: no two contigs share one, and none leads out of the folder above."""
    name = quote(contig, safe="".join(chr(i) for i in range(33, 127) if chr(i) not in "/%"))
    return name.replace(".", "%2E") if name in (".", "..") else name


@contextmanager
def locked(out: Path, what: str) -> Iterator[None]:
    """Hold other processes off `out` for the length of the block.

    The lock is the operating system's, so that of a process that died is free; the file ``.NAME.lock`` beside `out`
    says who holds it, and is removed at the end.

    Raises
    ------
    InputError
        If another process holds it: which, on which host, and since when.
    """
    path = out.with_name(f".{out.name}.lock")
    lock = filelock.FileLock(path, timeout=_LOCK_SECONDS, poll_interval=_LOCK_SECONDS / 10)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            f"another capsight is writing it: {_holder(path)}", where=out, remedy="wait for it, or name another output"
        ) from None
    except OSError as error:
        raise (full(out, why) if (why := lack_of_room(error)) else _unwritable(out, error)) from None
    try:
        with suppress(OSError):  # on a full disk the lock holds without a name
            since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            holder = {"what": what, "process": os.getpid(), "host": socket.gethostname(), "since": since}
            path.write_text(json.dumps(holder), encoding="utf-8")
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    """Return who holds a lock, as its file says."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"{found['what']}, process {found['process']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has just begun"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    Temporary files of processes that were killed are removed.

    Raises
    ------
    InputError
        If the file cannot be written or the disk is full; `path` is then as it was.
    """
    for left in leftovers(path):
        left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{_host()}-{os.getpid()}.partial")
    try:
        if not path.parent.is_dir():
            raise InputError("there is no such folder", where=path.parent, remedy="create it first")
        yield partial
        flush(partial)
        partial.replace(path)
    except InputError:
        raise
    except Exception as error:
        if why := lack_of_room(error):
            raise full(path, why) from None
        # Of another file, such as one that the block reads, nothing is said here.
        if isinstance(error, OSError) and error.filename in (partial, str(partial)):
            raise _unwritable(path, error) from None
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Return the temporary files of `path` that killed processes of this host left."""
    pattern = f".{_literal(path.name)}.{_literal(_host())}-*.partial"
    return [
        left
        for left in sorted(path.parent.glob(pattern))
        if not _alive(left.name.rpartition("-")[2].removesuffix(".partial"))
    ]


def _host() -> str:
    """Return this host's name as it may stand in the name of a file."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def _literal(name: str) -> str:
    """Return a name as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _alive(process: str) -> bool:
    """Tell whether a process of this host runs."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError, OverflowError):
        return True
    return True


def flush(path: Path) -> None:
    """Have the operating system write a file to the disk, so that a renamed file is a whole one after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def compress(path: Path, out: Path) -> None:
    """Pack a file with bgzip, in place, where the name of the output asks for that."""
    if out.name.lower().endswith(COMPRESSED):
        packed = path.with_name(f"{path.name}.gz")
        import pysam

        try:
            pysam.tabix_compress(str(path), str(packed), force=True)
            packed.replace(path)
        except OSError as error:  # htslib does not say why
            raise (full(out, why) if (why := why_cut(packed)) else _unwritable(out, error)) from None
        finally:
            packed.unlink(missing_ok=True)


def why_cut(path: Path) -> str | None:
    """Return why a library could not write a file whole and did not say so: append to it, and see why that fails."""
    try:
        with path.open("ab") as handle:
            handle.write(bytes(LEAST_FREE))
    except OSError as error:
        return lack_of_room(error)
    return None


@contextmanager
def streaming(out: Path) -> Iterator[Path]:
    """Yield a temporary file; when the block ends well, its bytes go through `out`, a stream."""
    with tempfile.TemporaryDirectory(prefix="capsight-") as folder:
        path = Path(folder) / "output"
        yield path
        to_stdout = out == STDOUT or os.path.samestat(out.stat(), os.fstat(1))
        if to_stdout:
            sys.stdout.flush()
        try:
            with path.open("rb") as whole, open(os.dup(1) if to_stdout else out, "wb") as stream:
                shutil.copyfileobj(whole, stream)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise (full(out, why) if (why := lack_of_room(error)) else _unwritable(out, error)) from None


def _unwritable(where: object, error: OSError) -> InputError:
    return InputError(f"cannot be written: {error.strerror or error}", where=where)
