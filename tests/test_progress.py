"""The progress bar beside log lines, which go above it."""

import sys
import time

import pytest
from tqdm import tqdm

from capsight.progress import progress


def test_a_line_does_not_bring_up_a_bar_too_early(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work", 7):
        tqdm.write("beware", file=sys.stderr)
    sys.stderr.write("done\n")
    assert [line.strip() for line in capsys.readouterr().err.split("\n")] == ["beware", "done", ""]


def test_a_bar_that_a_line_brought_up_ends_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress("work", 7) as bar:
        monkeypatch.setattr(bar, "start_t", time.time() - 5)
        monkeypatch.setattr(bar, "last_print_t", bar.start_t)
        tqdm.write("beware", file=sys.stderr)
    sys.stderr.write("done\n")
    shown = capsys.readouterr().err
    assert "work:   0%" in shown
    assert shown.split("\n")[-2:] == ["done", ""]
