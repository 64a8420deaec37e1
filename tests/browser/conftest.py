"""A real Chromium, a site of the built-in registry, and a log of what a page does."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sciml_data.home import Home
from sciml_data.registry.layout import find_registry
from sciml_data.site import gather, site_files, write_site
from tests.support.run_samples import curve_row, written_run
from tests.support.site_samples import IDS, png

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class PageLog:
    """The messages on a page's console, and its requests."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        """Record what happens on a page."""
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("requestfailed", self._failed)
        page.on("request", lambda request: self.requests.append(request.url))

    def _failed(self, request: Any) -> None:
        # A browser aborts requests when it leaves a page; no file of the page is missing then.
        if request.failure != "net::ERR_ABORTED":
            self.messages.append(f"failed: {request.failure} {request.url}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return a browser, in which each test opens pages."""
    playwright = pytest.importorskip("playwright.sync_api")
    named = os.environ.get("SCIML_DATA_CHROMIUM")
    program = named or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install --no-install-recommends chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site: all benchmarks and datasets, three runs of tevolop."""
    home = Home(tmp_path_factory.mktemp("home"))
    for number, identifier in enumerate(IDS):
        folder = home.runs("tevolop") / f"run-{number}"
        seeds = {"seed": number, "generators": [], "data_order": "x", "deterministic_ops": False}
        curve = [{**curve_row(epoch), "train_loss": 1.0 / (epoch + number)} for epoch in (1, 2, 3)]
        written_run(folder, run_id=identifier, synthetic=number == 1, seeds=seeds, curve=curve)
        (folder / "figures").mkdir()
        (folder / "figures" / "map.png").write_bytes(png(640, 400))
    target = tmp_path_factory.mktemp("public") / "under" / "a prefix"
    write_site(site_files(gather(find_registry(), home), home), target)
    return target


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """Return the loopback address of the site under a prefix."""
    root = site.parents[1]

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/under/a%20prefix/"
    server.shutdown()
    thread.join()
    server.server_close()
