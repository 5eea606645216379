"""A server on this machine, which can do to a download whatever can be done to it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Page:
    """How the server answers for one path.

    `drops` holds, for one request after the other, how many bytes are sent before the line is cut (None: all of
    them), and `statuses` what is answered instead (0: the file); what they do not say goes well.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.drops: list[int | None] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.span = ""  # a Content-Range of its own
        self.heeds_conditions = True
        self.tag: str | None = '"v1"'
        self.stall = False  # hold the line instead of cutting it
        self.head_status = 200
        self.pause = 0.0  # seconds after every 50,000 bytes
        self.headers = {"Content-Type": "application/octet-stream"}


class Site:
    """Pages by path, and the requests that came: path and headers; those for headers alone in `heads`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.heads: list[str] = []
        self.released = threading.Event()

    def add(self, path: str, body: bytes) -> Page:
        self.pages[path] = Page(body)
        return self.pages[path]

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def ranges(self, path: str) -> list[str | None]:
        """Return the Range header of every request for a path."""
        return [headers.get("range") for asked, headers in self.requests if asked == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        site = self.server.site
        path = urlsplit(self.path).path.removeprefix("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        site.requests.append((path, headers))
        page = site.pages.get(path)
        if page is None:
            return self.answer(404)
        if status := page.statuses.pop(0) if page.statuses else 0:
            return self.answer(status, page.headers)
        first = self.first_byte(page, headers)
        if first is not None and first >= len(page.body):
            return self.answer(416)
        body = page.body[first or 0 :]
        more = {"Content-Length": str(len(body))} | page.headers | ({"ETag": page.tag} if page.tag else {})
        if first is not None:
            more["Content-Range"] = page.span or f"bytes {first}-{len(page.body) - 1}/{len(page.body)}"
        self.answer(200 if first is None else 206, more)
        self.send_body(page, body, page.drops.pop(0) if page.drops else None)

    def do_HEAD(self) -> None:
        site = self.server.site
        path = urlsplit(self.path).path.removeprefix("/")
        site.heads.append(path)
        page = site.pages.get(path)
        if page is None or page.head_status != 200:
            return self.answer(page.head_status if page else 404)
        self.answer(200, {"Content-Length": str(len(page.body))} | page.headers)

    def first_byte(self, page: Page, headers: dict[str, str]) -> int | None:
        """Return where the reply begins if the condition of a range request holds, else None: all of it."""
        asked = headers.get("range")
        holds = headers.get("if-range") in (None, page.tag) or not page.heeds_conditions
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked and page.ranges and holds else None

    def answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def send_body(self, page: Page, body: bytes, drop: int | None) -> None:
        part = body[:drop]
        for i in range(0, len(part), 50_000):
            self.wfile.write(part[i : i + 50_000])
            self.wfile.flush()
            time.sleep(page.pause)
        if len(part) < len(body):
            self.close_connection = True
            if page.stall:
                self.server.site.released.wait(30)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is part of the game."""


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a site on this machine for the length of the block."""
    server = Server(("127.0.0.1", 0), Handler)
    server.site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.site
    server.site.released.set()
    server.shutdown()
    server.server_close()
    thread.join()
