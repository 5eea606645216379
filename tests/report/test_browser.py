"""The page in a browser: nothing is complained of, tables sort and filter, and nothing overflows."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsight.report.report import report

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

#: Looks at the page from within a frame of a given width, and writes what it finds into the document.
FRAME = """<!DOCTYPE html><link rel="icon" href="data:,"><title>frame</title>
<iframe id="page" src="/report.html" style="border:0;width:%dpx;height:900px"></iframe><pre id="found"></pre>
<script>
document.getElementById("page").addEventListener("load", function () {
  const page = this.contentDocument, table = page.querySelector("#factors table");
  const shown = () => Array.from(table.tBodies[0].rows).filter((row) => !row.hidden);
  const column = (number) => shown().map((row) => row.cells[number].textContent);
  const heads = Array.from(table.tHead.rows[0].cells);
  const click = (number) => { heads[number].querySelector("button").click(); return column(number); };
  const found = { first: column(0), rising: click(4), falling: click(4), names: click(0) };
  found.sorted = heads.map((h) => h.getAttribute("aria-sort"));
  const field = page.querySelector("#factors input");
  field.value = "tbp"; field.dispatchEvent(new this.contentWindow.Event("input"));
  found.filtered = column(0);
  found.told = page.querySelector("#factors output").textContent;
  found.width = page.documentElement.clientWidth;
  found.overflow = page.documentElement.scrollWidth;
  const links = Array.from(page.querySelectorAll("nav a"));
  found.links = links.filter((link) => !page.querySelector(link.getAttribute("href"))).length;
  found.unloaded = Array.from(page.images).filter((i) => !i.naturalWidth).length;
  found.unnamed = Array.from(page.images).filter((i) => !i.alt).length;
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""


@pytest.fixture
def served(interpreted: Path, tmp_path: Path) -> Iterator[str]:
    """Return the address of a server of a report, and of frames of any width around it."""
    folder = report(interpreted, tmp_path / "report")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if not (width := re.fullmatch(r"/frame/(\d+)", self.path)):
                return super().do_GET()
            content = (FRAME % int(width[1])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def look(address: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a frame has found, and the messages of the console."""
    assert BROWSER is not None
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        "--window-size=1500,1000", f"--user-data-dir={folder}", "--virtual-time-budget=10000", "--dump-dom", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stdout
    return json.loads(told[1]), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.pipeline
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_works_and_fits(width: int, served: str, tmp_path: Path) -> None:
    found, messages = look(f"{served}/frame/{width}", tmp_path / "profile")
    assert messages == []
    assert width - 20 < found["width"] <= width
    assert found["overflow"] == found["width"]
    assert found["links"] == found["unloaded"] == found["unnamed"] == 0
    assert found["first"] == ["TBP", "own", "SP1"]
    assert found["rising"] == ["1.0", "5.5", "12.9"]
    assert found["falling"] == ["12.9", "5.5", "1.0"]
    assert found["names"] == ["own", "SP1", "TBP"]
    assert found["sorted"] == ["ascending", None, None, None, None, None]
    assert found["filtered"] == ["TBP"]
    assert found["told"] == "1 of 3"
