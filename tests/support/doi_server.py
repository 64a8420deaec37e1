"""doi.org, Zenodo, figshare and a Dataverse on loopback, as Pooch asks them.

All of them are one TLS server behind a proxy that leads every name to it. Files of Zenodo and
figshare are at the address of another server, as with a storage of its own.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.tls import Authority

HOSTS = ("doi.org", "zenodo.org", "figshare.com", "api.figshare.com", "dataverse.example.org")
ZENODO, FIGSHARE = "10.5281/zenodo.1234", "10.6084/m9.figshare.55.v2"
DATAVERSE, OTHER = "10.7910/DVN/ABCDEF", "10.9999/other"
API = "https://api.figshare.com/v2/articles"


class DoiServer:
    """Answers by host and path; a context manager.

    Attributes:
        answers: address -> the status, and bytes, JSON, or the address to redirect to.
        requests: addresses that were asked for.
    """

    def __init__(self, authority: Authority, files: Mapping[str, bytes], files_url: str) -> None:
        """Take who signed the certificate, the files of each record, and where they are."""
        self.requests: list[str] = []
        names = list(files)
        self.answers: dict[str, tuple[int, object]] = {
            f"https://doi.org/{ZENODO}": (302, "https://zenodo.org/records/1234"),
            "https://zenodo.org/records/1234": (200, {}),
            "https://zenodo.org/api/records/1234": (
                200,
                {
                    "id": 1234,
                    "files": [
                        {"key": name, "links": {"self": f"{files_url}/{name}"}} for name in names
                    ],
                },
            ),
            f"https://doi.org/{FIGSHARE}": (302, "https://figshare.com/articles/55/2"),
            "https://figshare.com/articles/55/2": (200, {}),
            f"{API}?doi={FIGSHARE}": (200, [{"id": 55}]),
            f"{API}/55/versions/2": (
                200,
                {"files": [{"name": n, "download_url": f"{files_url}/{n}"} for n in names]},
            ),
            f"https://doi.org/{DATAVERSE}": (302, "https://dataverse.example.org/dataset.xhtml"),
            "https://dataverse.example.org/dataset.xhtml": (200, {}),
            "https://dataverse.example.org/api/datasets/:persistentId"
            f"?persistentId=doi:{DATAVERSE}": (
                200,
                {
                    "data": {
                        "latestVersion": {
                            "files": [
                                {"dataFile": {"filename": name, "id": number}}
                                for number, name in enumerate(names)
                            ]
                        }
                    }
                },
            ),
            **{
                f"https://dataverse.example.org/api/access/datafile/{number}": (200, content)
                for number, content in enumerate(files.values())
            },
            f"https://doi.org/{OTHER}": (302, "https://zenodo.org.example.org/x"),
            "https://zenodo.org.example.org/x": (200, {}),
        }
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = f"https://{self.headers['Host']}{self.path}"
                own.requests.append(address)
                status, content = own.answers.get(address, (404, {}))
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", str(content))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.server_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        """Return the address of the server itself, for the proxy."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
