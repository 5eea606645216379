"""Files from the web: resumable, patient, never half-written.

What has arrived is kept in the file being written, with a note beside it (``NAME.json``) of where it came from
and by which mark (ETag, else Last-Modified) the server knows that version. The next attempt asks for the rest
only, on condition that the mark still holds (RFC 9110, If-Range); a server that cannot do so sends the whole
file, and the download starts again.

httpx2 is used because huggingface_hub already brings it, it honours the usual proxy variables and the system's
certificates, and it hands out bodies as they arrive. No download library that was considered resumes: pooch and
requests start from zero.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from capsight.errors import InputError
from capsight.progress import no_bars
from capsight.version import __version__

logger = logging.getLogger(__name__)

_PARTIAL_CONTENT: Final = 206
_NOT_SATISFIABLE: Final = 416
#: Statuses by which a server says that it may do better later.
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Statuses by which a server says that it does not have a file, or not for us.
_ABSENT: Final = frozenset({401, 403, 404, 410})
_LONGEST_WAIT: Final = 60.0
#: Lists of checksums are small; what is larger is something else.
_LARGEST_TEXT: Final = 1 << 22
#: Headers of every request: files are wanted byte by byte as they are stored.
_HEADERS: Final = {"User-Agent": f"capsight/{__version__}", "Accept-Encoding": "identity"}


class RetryPolicy(NamedTuple):
    """How long to wait for a server.

    Attributes
    ----------
    timeout
        Seconds without a byte after which a connection counts as stalled.
    retries
        Attempts after one that brought nothing new, before giving up.
    pause
        Seconds before the first of them; doubled before each further one.
    """

    timeout: float = 30.0
    retries: int = 5
    pause: float = 1.0


#: Of every download.
RETRY: Final = RetryPolicy()


class _TransientError(Exception):
    """The attempt failed in a way that may pass; `after` is what the server asks to wait, in seconds."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class _Kept(NamedTuple):
    """What an earlier attempt left: bytes, the mark of their version, and the size of the whole (or None)."""

    have: int
    mark: str
    size: int | None


def download(url: str, path: Path, retry: RetryPolicy) -> None:
    """Write what `url` holds to `path`, going on from what an earlier attempt left there.

    Parameters
    ----------
    url
        An http or https address.
    path
        File to write. An interruption leaves it, with a note beside it, for the next call. The caller checks its
        content, gives it its final name, and calls `discard`.
    patience
        How long to wait, and how often to try again.

    Raises
    ------
    InputError
        If the address does not exist, answers with a web page, cannot be reached, or the disk is too small.
    """
    with (
        _client(retry) as client,
        logging_redirect_tqdm([logging.getLogger("capsight")]),
        # disable=None: no bar where nobody watches
        tqdm(desc=path.name.removesuffix(".partial"), unit="B", unit_scale=True, disable=no_bars() or None) as bar,
    ):
        _with_retries(url, retry, lambda: _attempt(client, url, path, bar), lambda: _size(path))


def fetch_text(url: str, retry: RetryPolicy) -> str:
    """Return a small text file.

    Raises
    ------
    InputError
        As `download`, or if it is not small or no text.
    """
    found: list[bytes] = []

    def attempt() -> None:
        with _get(client, url, {}) as reply:
            body = b"".join(_bounded(reply, url))
            _check_complete(len(body), _length(reply))
            found.append(body)

    with _client(retry) as client:
        _with_retries(url, retry, attempt, lambda: 0)
    try:
        return found[0].decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("is not a text file", where=url) from None


def ask_size(url: str, timeout: float = 10.0) -> int | None:
    """Return how many bytes an address has, without fetching them; None where the server does not say.

    Raises
    ------
    InputError
        If the file is not there, or the server cannot be reached. Errors that may pass are left to the download.
    """
    try:
        with _client(RetryPolicy(timeout)) as client:
            reply = client.head(url)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InputError(f"cannot be reached: {error or type(error).__name__}", where=url) from None
    if reply.status_code in _ABSENT:
        raise InputError(f"the server answers HTTP {reply.status_code} {reply.reason_phrase}".strip(), where=url)
    return _length(reply) if reply.is_success else None


def discard(path: Path) -> None:
    """Remove what a download has left, and its note."""
    _note(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def readable(size: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _client(retry: RetryPolicy) -> httpx2.Client:
    return httpx2.Client(timeout=retry.timeout, follow_redirects=True, headers=_HEADERS)


def _with_retries(url: str, retry: RetryPolicy, attempt: Callable[[], None], size: Callable[[], int]) -> None:
    """Call `attempt` until it succeeds; only attempts after which `size` is no larger than ever count as failed."""
    failures, best = 0, size()
    while True:
        try:
            return attempt()
        except (httpx2.TransportError, _TransientError) as error:
            failures, best = (0, size()) if size() > best else (failures + 1, best)
            reason, after = str(error) or type(error).__name__, getattr(error, "after", 0.0)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise InputError(f"cannot be fetched: {error}", where=url) from None
        if failures > retry.retries:
            raise InputError(
                f"cannot be fetched: {reason}", where=url,
                remedy="check the network; the same command continues where this stopped",
            )  # fmt: skip
        wait = min(max(after, retry.pause * 2 ** max(failures - 1, 0)), _LONGEST_WAIT)
        logger.warning("fetch %s: %s: trying again in %.3g s", url, reason, wait)
        time.sleep(wait)


def _attempt(client: httpx2.Client, url: str, path: Path, bar: "tqdm[Any]") -> None:
    """Ask for what is missing and write it as it comes."""
    kept = _read_note(path, url)
    if kept and kept.have == kept.size:
        return
    asked = {"Range": f"bytes={kept.have}-", "If-Range": kept.mark} if kept and kept.have else {}
    with _get(client, url, asked) as reply:
        resumed = bool(kept and asked and _continues(reply, kept))
        if reply.status_code in (_PARTIAL_CONTENT, _NOT_SATISFIABLE) and not resumed:
            discard(path)
            raise _TransientError("the file has changed there: starting again")
        if asked and not resumed:
            logger.info("fetch %s: the server sends the whole file again", path.name.removesuffix(".partial"))
        have = kept.have if kept and resumed else 0
        length = _length(reply)
        size = None if length is None else have + length
        needed = length or 0
        free = shutil.disk_usage(path.parent).free
        if needed > free:
            raise InputError(
                f"needs {readable(needed)} and {readable(free)} are free", where=path.parent,
                remedy="make room, or name another place: --cache",
            )  # fmt: skip
        if not resumed:
            discard(path)
            path.touch()
            # Where the server gives a mark to go on by, what is being fetched is noted.
            if mark := _mark(reply):
                text = json.dumps({"url": url, "mark": mark, "size": size})
                _note(path).write_text(text + "\n", encoding="utf-8")
        bar.reset(size)
        bar.n = bar.initial = bar.last_print_n = have
        with path.open("ab") as out:
            for chunk in reply.iter_raw():
                out.write(chunk)
                bar.update(len(chunk))
    _check_complete(_size(path), size)


@contextmanager
def _get(client: httpx2.Client, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
    """Open a reply, refusing what is not the file."""
    with client.stream("GET", url, headers=dict(headers)) as reply:
        status = f"HTTP {reply.status_code} {reply.reason_phrase}".strip()
        if reply.status_code in _TRANSIENT:
            after = reply.headers.get("Retry-After", "")
            raise _TransientError(status, float(after) if after.isdecimal() else 0.0)
        if reply.status_code != _NOT_SATISFIABLE and not reply.is_success:
            raise InputError(
                f"the server answers {status}", where=url,
                remedy="if the file has moved, give its address in a table of your own: --table",
            )  # fmt: skip
        if reply.headers.get("Content-Type", "").startswith("text/html"):
            raise InputError(
                "the server answers with a web page instead of a file", where=url,
                remedy="does the network ask for a login first?",
            )  # fmt: skip
        yield reply


def _continues(reply: httpx2.Response, kept: _Kept) -> bool:
    """Tell whether a reply begins where the kept bytes end, in the same version of the file."""
    if reply.status_code != _PARTIAL_CONTENT or _mark(reply) not in (None, kept.mark):
        return False
    span, _, size = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    return span.startswith(f"{kept.have}-") and (kept.size is None or size in ("*", str(kept.size)))


def _mark(reply: httpx2.Response) -> str | None:
    """Return what names a version of the file: a strong ETag, else the time of its last change."""
    tag = reply.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else reply.headers.get("Last-Modified")


def _length(reply: httpx2.Response) -> int | None:
    """Return the number of bytes that a reply announces."""
    text = reply.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _bounded(reply: httpx2.Response, url: str) -> Iterator[bytes]:
    """Hand out a body, unless it is too large to be a list of checksums."""
    seen = 0
    for chunk in reply.iter_raw():
        seen += len(chunk)
        if seen > _LARGEST_TEXT:
            raise InputError(f"is larger than {readable(_LARGEST_TEXT)}: not a list of checksums", where=url)
        yield chunk


def _check_complete(have: int, size: int | None) -> None:
    """Refuse a body that ended early, or late."""
    if size is not None and have != size:
        raise _TransientError(f"{have:,} of {size:,} bytes came")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _note(path: Path) -> Path:
    """Where the note of an unfinished download lies."""
    return path.with_name(f"{path.name}.json")


def _read_note(path: Path, url: str) -> _Kept | None:
    """Return what an earlier attempt left of `url`, if it can be continued."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        kept = _Kept(path.stat().st_size, str(note["mark"]), note["size"])
        return kept if note["url"] == url and kept.have <= (kept.size or kept.have) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
