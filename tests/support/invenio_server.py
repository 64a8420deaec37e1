"""A repository on loopback that answers as the documentation of InvenioRDM says, and no further.

It refuses what the documentation does not describe: other methods and paths, a body that is not
JSON, metadata without the required fields, a commit without content, publishing without files. Its
links are those of an instance whose API is below /api.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

REQUIRED = ("resource_type", "title", "publication_date", "creators")
KNOWN = {
    *REQUIRED, "contributors", "publisher", "version", "description", "languages", "subjects",
    "rights", "identifiers", "related_identifiers", "sizes", "formats", "dates", "locations",
    "funding", "references", "additional_titles", "additional_descriptions",
}  # fmt: skip
TOKEN = "a-token-of-the-test"  # noqa: S105 (no secret)


@dataclass
class Draft:
    """A draft: its metadata, and key -> bytes (None before they came) and status of its files."""

    number: int
    parent: int
    body: dict[str, Any] = field(default_factory=dict)
    content: dict[str, bytes | None] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    doi: str | None = None
    is_published: bool = False


class InvenioServer:
    """A context manager.

    Attributes:
        drafts: id -> draft or published record.
        requests: method and path of each request, in order.
        failures: statuses to answer with before anything else, first to last.
        cut_after: bytes of an upload after which the connection is closed once; None for none.
        damage: change a byte of each upload.
    """

    def __init__(self) -> None:
        self.drafts: dict[str, Draft] = {}
        self.requests: list[str] = []
        self.failures: list[int] = []
        self.cut_after: int | None = None
        self.damage = False
        own = self

        class Handler(_Handler):
            owner = own

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def new(self, parent: int | None = None) -> Draft:
        number = len(self.drafts) + 1
        draft = Draft(number, parent or number)
        self.drafts[str(number)] = draft
        return draft


class _Refused(Exception):  # noqa: N818 (an answer, not a fault)
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    owner: InvenioServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        self.owner.requests.append(f"{self.command} {self.path}")
        if self.owner.failures:
            self._read()
            return self._send(self.owner.failures.pop(0), {"message": "busy"}, retry="0")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._read()
            return self._send(403, {"message": "Permission denied."})
        try:
            status, body = self._route()
        except _Refused as refused:
            return self._send(refused.status, {"status": refused.status, "message": str(refused)})
        except ConnectionError:
            self.close_connection = True
            return None
        return self._send(status, body)

    def _route(self) -> tuple[int, dict[str, Any]]:
        content = self._read()
        routes = {
            r"POST /api/records": self._create,
            r"GET /api/records/(\d+)": self._record,
            r"POST /api/records/(\d+)/versions": self._new_version,
            r"GET /api/records/(\d+)/draft": self._draft,
            r"PUT /api/records/(\d+)/draft": self._update,
            r"POST /api/records/(\d+)/draft/pids/doi": self._reserve,
            r"POST /api/records/(\d+)/draft/actions/publish": self._publish,
            r"GET /api/records/(\d+)/draft/files": self._files,
            r"POST /api/records/(\d+)/draft/files": self._start_files,
            r"DELETE /api/records/(\d+)/draft/files/(.+)": self._delete_file,
            r"PUT /api/records/(\d+)/draft/files/(.+)/content": self._content,
            r"POST /api/records/(\d+)/draft/files/(.+)/commit": self._commit,
        }
        for pattern, action in routes.items():
            if match := re.fullmatch(pattern, f"{self.command} {self.path}"):
                groups = match.groups()
                if groups and groups[0] not in self.owner.drafts:
                    raise _Refused(404, "The persistent identifier does not exist.")
                draft = self.owner.drafts[groups[0]] if groups else None
                return action(draft, content, *groups[1:])  # type: ignore[operator, no-any-return]
        raise _Refused(405, "The method is not allowed for the requested URL.")

    def _create(self, _: None, content: bytes) -> tuple[int, dict[str, Any]]:
        draft = self.owner.new()
        draft.body = self._json(content)
        return 201, self._shown(draft)

    def _record(self, draft: Draft, _: bytes) -> tuple[int, dict[str, Any]]:
        if not draft.is_published:
            raise _Refused(404, "The persistent identifier is not registered.")
        return 200, self._shown(draft)

    def _new_version(self, draft: Draft, _: bytes) -> tuple[int, dict[str, Any]]:
        if not draft.is_published:
            raise _Refused(404, "The persistent identifier is not registered.")
        return 201, self._shown(self.owner.new(draft.parent))

    def _draft(self, draft: Draft, _: bytes) -> tuple[int, dict[str, Any]]:
        if draft.is_published:
            raise _Refused(404, "The draft does not exist.")
        return 200, self._shown(draft)

    def _update(self, draft: Draft, content: bytes) -> tuple[int, dict[str, Any]]:
        draft.body = self._json(content)
        pids = draft.body.pop("pids", {})
        if draft.doi is not None and pids.get("doi", {}).get("identifier") != draft.doi:
            draft.doi = None  # a PUT without the reserved DOI drops it
        return 200, self._shown(draft)

    def _reserve(self, draft: Draft, _: bytes) -> tuple[int, dict[str, Any]]:
        draft.doi = f"10.5072/test.{draft.number}"
        return 201, self._shown(draft)

    def _publish(self, draft: Draft, _: bytes) -> tuple[int, dict[str, Any]]:
        if self._errors(draft) or set(draft.status.values()) != {"completed"}:
            raise _Refused(400, "A validation error occurred.")
        draft.is_published = True
        return 202, self._shown(draft)

    def _files(self, draft: Draft, _: bytes) -> tuple[int, dict[str, Any]]:
        entries = [self._entry(draft, key) for key in draft.content]
        return 200, {"enabled": True, "entries": entries}

    def _start_files(self, draft: Draft, content: bytes) -> tuple[int, dict[str, Any]]:
        keys = [item["key"] for item in self._json(content)]
        if taken := [key for key in keys if key in draft.content]:
            raise _Refused(400, f"File with key {taken[0]} already exists.")
        draft.content |= dict.fromkeys(keys)
        draft.status |= dict.fromkeys(keys, "pending")
        return 201, self._files(draft, b"")[1]

    def _delete_file(self, draft: Draft, _: bytes, key: str) -> tuple[int, dict[str, Any]]:
        key = self._known(draft, key)
        del draft.content[key], draft.status[key]
        return 204, {}

    def _content(self, draft: Draft, content: bytes, key: str) -> tuple[int, dict[str, Any]]:
        if self.headers["Content-Type"] != "application/octet-stream":
            raise _Refused(415, "Invalid Content-Type header.")
        key = self._known(draft, key)
        draft.content[key] = bytes([content[0] ^ 1]) + content[1:] if self.owner.damage else content
        return 200, self._entry(draft, key)

    def _commit(self, draft: Draft, _: bytes, key: str) -> tuple[int, dict[str, Any]]:
        key = self._known(draft, key)
        if draft.content[key] is None:
            raise _Refused(400, "File has no content.")
        draft.status[key] = "completed"
        return 200, self._entry(draft, key)

    def _known(self, draft: Draft, quoted: str) -> str:
        for key in draft.content:
            if self._quoted(key) == quoted:
                return key
        raise _Refused(404, f"File {quoted} not found.")

    @staticmethod
    def _quoted(key: str) -> str:
        return key.replace("/", "%2F").replace(" ", "%20")

    def _entry(self, draft: Draft, key: str) -> dict[str, Any]:
        base = f"{self.owner.url}/api/records/{draft.number}/draft/files/{self._quoted(key)}"
        entry: dict[str, Any] = {
            "key": key,
            "status": draft.status[key],
            "links": {"self": base, "content": f"{base}/content", "commit": f"{base}/commit"},
        }
        content = draft.content[key]
        if draft.status[key] == "completed" and content is not None:
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            entry |= {"checksum": f"md5:{md5}", "size": len(content)}
        return entry

    def _shown(self, draft: Draft) -> dict[str, Any]:
        base = f"{self.owner.url}/api/records/{draft.number}"
        own = base if draft.is_published else f"{base}/draft"
        doi = (
            {} if draft.doi is None else {"doi": {"identifier": draft.doi, "provider": "datacite"}}
        )
        return draft.body | {
            "id": str(draft.number),
            "pids": doi,
            "is_draft": not draft.is_published,
            "errors": self._errors(draft),
            "links": {
                "self": own,
                "self_html": f"{self.owner.url}/uploads/{draft.number}",
                "files": f"{own}/files",
                "publish": f"{base}/draft/actions/publish",
                "reserve_doi": f"{base}/draft/pids/doi",
            },
        }

    @staticmethod
    def _errors(draft: Draft) -> list[dict[str, Any]]:
        metadata = draft.body.get("metadata", {})
        missing = [name for name in REQUIRED if not metadata.get(name)]
        problems = dict.fromkeys(missing, "Missing data for required field.")
        problems |= dict.fromkeys(metadata.keys() - KNOWN, "Unknown field.")
        return [
            {"field": f"metadata.{name}", "messages": [text]} for name, text in problems.items()
        ]

    def _json(self, content: bytes) -> Any:
        if self.headers["Content-Type"] != "application/json":
            raise _Refused(415, "Invalid Content-Type header.")
        return json.loads(content)

    def _read(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        cut_after = self.owner.cut_after
        if cut_after is not None and self.path.endswith("/content") and length > cut_after:
            self.owner.cut_after = None
            self.rfile.read(cut_after)
            self.connection.close()
            raise ConnectionResetError
        return self.rfile.read(length)

    def _send(self, status: int, body: dict[str, Any], retry: str | None = None) -> None:
        content = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry is not None:
            self.send_header("Retry-After", retry)
        self.end_headers()
        self.wfile.write(content)
