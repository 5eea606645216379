"""A server on this machine for what is fetched."""

from collections.abc import Iterator

import pytest

from capsight.data.fetch import download as transport

from .fetch.web import Site, serving


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site of our own; the user's proxies, mirror and table are out of the way, and nothing waits for seconds."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("CAPSIGHT_MIRROR", "CAPSIGHT_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transport, "_LONGEST_WAIT", 0.05)
    with serving() as site:
        yield site
