"""Score every landing page with F-UJI, the assessor of FAIRsFAIR, on loopback: `nox -s fuji`.

    python benchmarks/fuji.py PYTHON [DATASET…] [--fail-below 90] [--keep DIR]

PYTHON is the interpreter of an environment where F-UJI is installed from its source folder, as
editable. The pages are served on loopback as they will be published, except that the address of the
site is replaced by the loopback address in all files. F-UJI requests the start of a few native
files, which are on other servers; without a network it reads only the files beside the page. Tika
is not used, because F-UJI would download its server from Maven.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import http.server
import json
import mimetypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3

from sciml_data.metadata.addresses import registry_identity
from sciml_data.metadata.fair import assess
from sciml_data.metadata.forms import CITATIONS, FORMS
from sciml_data.metadata.landing.page import page_folder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry

METRICS = "metrics_v0.8"
START_TIMEOUT_S = 300.0  # F-UJI reads its vocabularies first; this is enough on a busy machine
FORM_TYPES = {
    form.file_name: form.media_type
    for formats in (*FORMS.values(), CITATIONS)
    for form in formats.values()
}
# Settings and user are those of the F-UJI package, except for port and log folder.
START = """
import configparser, json, pathlib, sys
import fuji_server
from fuji_server import __main__ as fuji
from fuji_server.config.users import fuji_users
import logging
config = configparser.ConfigParser()
config.read(pathlib.Path(fuji_server.__file__).parent / "config" / "server.ini")
config["SERVICE"].update({"debug_mode": "true", "service_host": "127.0.0.1",
                      "service_port": sys.argv[1], "rate_limit": "1000 per minute"})
print("USER", json.dumps(next(iter(fuji_users.items()))), file=sys.stderr, flush=True)
fuji.config, fuji.logger = config, logging.getLogger()
fuji.main()
"""


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serve a folder with the media types that the landing page states."""

    def guess_type(self, path: Any) -> str:
        """Return the stated media type of an export; of other files, the type of their suffix."""
        name = Path(path).name
        return FORM_TYPES.get(name) or mimetypes.guess_type(name)[0] or "text/html; charset=utf-8"

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file; F-UJI closes the connection when it has read enough."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)

    def log_message(self, *arguments: Any) -> None:
        """Print no log line."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback, and yield the address."""
    handler = functools.partial(Pages, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def assessor(python: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Start F-UJI, and yield its address and the authorization header."""
    with http.server.HTTPServer(("127.0.0.1", 0), Pages) as free:
        port = free.server_address[1]
    log = folder / "fuji.log"
    without_tika = {
        "TIKA_CLIENT_ONLY": "True",
        "TIKA_SERVER_ENDPOINT": "http://127.0.0.1:9",  # no server listens on the discard port
        "TIKA_LOG_PATH": str(folder),
    }
    with log.open("w") as stream:
        process = subprocess.Popen(
            [python, "-c", START, str(port)],
            stdout=stream,
            stderr=stream,
            cwd=folder,
            env=os.environ | without_tika,
        )
    try:
        address = f"http://127.0.0.1:{port}/fuji/api/v1"
        wait_for(address, process, log)
        line = next(line for line in log.read_text().splitlines() if line.startswith("USER "))
        user = ":".join(json.loads(line.removeprefix("USER ")))
        yield address, f"Basic {base64.b64encode(user.encode()).decode()}"
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until F-UJI answers."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            urllib3.request("GET", f"{address}/openapi.json", retries=False, timeout=2)
            return
        time.sleep(0.5)
    raise SystemExit(f"F-UJI did not start:\n{log.read_text()[-3000:]}")


def write_pages(folder: Path, site: str, wanted: list[str]) -> list[tuple[str, str, float]]:
    """Write the landing pages of all versions; return dataset, version and our own score in %."""
    registry, pages = find_registry(), []
    base_url = registry_identity(registry.root).base_url
    for dataset in registry.datasets():
        for version in registry.versions(dataset):
            if wanted and dataset not in wanted:
                continue
            descriptor = load_descriptor(registry, dataset, version)
            place = folder / "datasets" / dataset / version
            place.mkdir(parents=True)
            for name, content in page_folder(descriptor).items():
                text = content.replace(base_url.encode(), site.encode())
                (place / name).write_bytes(text)
            pages.append((dataset, version, assess(descriptor).percent))
    return pages


def f_uji_result(service: tuple[str, str], page: str) -> dict[str, Any]:
    """Return the assessment of a page by F-UJI."""
    address, header = service
    answer = urllib3.request(
        "POST",
        f"{address}/evaluate",
        json={
            "object_identifier": page,
            "test_debug": True,
            "use_datacite": False,
            "use_github": False,
            "metric_version": METRICS,
        },
        headers={"Authorization": header, "Accept": "application/json"},
        timeout=300,
        retries=False,
    )
    if answer.status != 200:
        raise SystemExit(f"F-UJI answered {answer.status}: {answer.data[:2000]!r}")
    assessment: dict[str, Any] = answer.json()
    return assessment


def row(dataset: str, version: str, ours: float, assessment: dict[str, Any]) -> str:
    """Return a line of the table: the scores, and the failed tests."""
    percent = assessment["summary"]["score_percent"]
    letters = " ".join(f"{letter} {percent[letter]:.1f}" for letter in "FAIR")
    failed = [
        name + (" (no points)" if metric["score"]["earned"] == metric["score"]["total"] else "")
        for metric in assessment["results"]
        for name, test in metric["metric_tests"].items()
        if test["metric_test_status"] == "fail"
    ]
    return (
        f"| {dataset} | {version} | {percent['FAIR']:.2f} | {letters} "
        f"| {', '.join(failed) or 'none'} | {ours:.1f} |"
    )


def main() -> int:
    """Print the table; return 1 if a score is below `--fail-below`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("python")
    parser.add_argument("datasets", nargs="*")
    parser.add_argument("--fail-below", type=float, default=0.0, metavar="PERCENT")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="folder to write the answers of F-UJI to"
    )
    options = parser.parse_intermixed_args()
    scores = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = folder / "pages"
        pages.mkdir()
        with served(pages) as site, assessor(options.python, folder) as service:
            print("| dataset | version | F-UJI % | parts | tests failed | ours % |")
            print("|---|---|---|---|---|---|")
            for dataset, version, ours in write_pages(pages, site, options.datasets):
                assessment = f_uji_result(service, f"{site}/datasets/{dataset}/{version}/")
                scores.append(assessment["summary"]["score_percent"]["FAIR"])
                print(row(dataset, version, ours, assessment), flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    answer = json.dumps(assessment, indent=1)
                    (options.keep / f"{dataset}-{version}.json").write_text(answer)
    print(f"{len(scores)} pages, lowest score {min(scores):.2f} %", file=sys.stderr)
    return int(min(scores) < options.fail_below)


if __name__ == "__main__":
    sys.exit(main())
