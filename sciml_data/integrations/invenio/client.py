"""Requests to the REST interface of InvenioRDM, of which Zenodo is an instance.

Source: InvenioRDM, "REST API, Drafts and records"
(inveniordm.docs.cern.ch/reference/rest_api_drafts_records).
Addresses come from the `links` of each answer, because instances differ in them; only
`<url>/api/records` is put together here.

The token is that of the host (docs/how-to/networks.md), or the one that the keyring of the
operating system has for it. It is sent to this host only, and is in no address, message or file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, exceptions

from sciml_data.errors import CallError, FetchError, JsonError, Problem
from sciml_data.home import parse_json
from sciml_data.transfer import RetryPolicy
from sciml_data.transfer.protocols.https import HttpClient
from sciml_data.transfer.protocols.network import LOOPBACK, Login, Logins
from sciml_data.transfer.protocols.retry import retry_after_s
from sciml_data.transfer.protocols.source import SourceError, TransientError

KEYRING_SERVICE = "sciml-data"
JSON_TYPE = "application/json"
MAX_ANSWER_BYTES = 16 << 20  # a draft of 100 files has 100 kB
AGAIN = {408, 425, 429}  # and 5xx: the same request may succeed later
Answer = dict[str, Any]


class Client:
    """A repository, asked on behalf of a user; `with Client(url) as client`."""

    def __init__(self, url: str, retry: RetryPolicy | None = None) -> None:
        """Take the address of the repository.

        Raises:
            CallError: the address is not that of a web server, or a token would be sent over it
                without encryption.
        """
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or parts.hostname in LOOPBACK
        if parts.scheme not in {"http", "https"} or not parts.hostname or not is_safe:
            raise CallError(
                f"{url} is not an address https://HOST, over which a token may be sent",
                untouched="nothing was sent",
            )
        self.url = url.rstrip("/")
        self._host = parts.netloc
        self._login = find_login(self.url)
        self._retry = retry or RetryPolicy()
        self._http = HttpClient(1, self._retry.timeouts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def records_url(self, *parts: str) -> str:
        """Return the address of all records, or of one."""
        return "/".join([f"{self.url}/api/records", *parts])

    def get(self, url: str) -> Answer:
        """Return the answer to a GET."""
        return self._json("GET", url)

    def post(self, url: str, body: object = None) -> Answer:
        """Return the answer to a POST."""
        return self._json("POST", url, body)

    def put(self, url: str, body: object) -> Answer:
        """Return the answer to a PUT."""
        return self._json("PUT", url, body)

    def delete(self, url: str) -> None:
        """Delete what an address names; if it does not exist, nothing happens."""
        try:
            self._json("DELETE", url)
        except SourceError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def upload(self, url: str, path: Path, progress: Callable[[int], None]) -> str:
        """Send the bytes of a file, from its beginning, and return their md5.

        Args:
            url: the `content` link of the file.
            path: of the file.
            progress: gets the number of bytes of each piece that was handed to the connection.
        """
        size_bytes = path.stat().st_size
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size_bytes),
            "Accept": JSON_TYPE,
        }

        def send() -> tuple[BaseHTTPResponse, str]:
            with path.open("rb") as stream:
                hashed = _HashedStream(stream, progress)
                try:
                    response = self._send("PUT", url, headers, hashed)
                except TransientError:
                    progress(-hashed.sent_bytes)
                    raise
                return response, hashed.md5

        response, md5 = self._repeat(send)
        _read(response)
        return md5

    def _json(self, method: str, url: str, body: object = None) -> Answer:
        headers = {"Accept": JSON_TYPE}
        content = None
        if body is not None:
            headers["Content-Type"] = JSON_TYPE
            content = json.dumps(body).encode()
        response, _ = self._repeat(lambda: (self._send(method, url, headers, content), ""))
        return _read(response)

    def _send(self, method: str, url: str, headers: dict[str, str], body: Any) -> BaseHTTPResponse:
        login = self._login if urlsplit(url).netloc == self._host else None
        return self._http.send(method, url, headers, body, login)

    def _repeat(
        self, send: Callable[[], tuple[BaseHTTPResponse, str]]
    ) -> tuple[BaseHTTPResponse, str]:
        """Send a request until it is answered; a busy server gets the time that it asks for.

        A repeated POST can leave a second empty draft behind, which its owner sees and can delete.
        """
        for tries in range(1, self._retry.tries + 1):
            try:
                response, md5 = send()
                _check(response)
            except TransientError as error:
                if tries == self._retry.tries:
                    raise
                (self._retry.pause or time.sleep)(self._retry.wait_s(tries, error))
            else:
                return response, md5
        raise AssertionError("unreachable: the last try returns or raises")


def find_login(url: str) -> Login:
    """Return the token of a repository: of the environment or configuration, else of the keyring.

    Raises:
        CallError: there is none.
    """
    if login := Logins().of(url):
        return login
    host = urlsplit(url).netloc
    if importlib.util.find_spec("keyring") is not None:
        import keyring
        import keyring.errors

        with contextlib.suppress(keyring.errors.KeyringError):
            if token := keyring.get_password(KEYRING_SERVICE, host):
                return Login(f"Bearer {token}", "of the keyring")
    raise CallError(
        f"no token is known for {host}",
        untouched="nothing was sent",
        hint=f"make one with the scopes deposit:write and deposit:actions at "
        f"{url}/account/settings/applications/tokens/new/, then set "
        f"SCIML_DATA_TOKENS={host}=TOKEN, or type `keyring set {KEYRING_SERVICE} {host}`",
    )


class _HashedStream:
    """A stream of bytes that knows the md5 and the number of those that were read."""

    def __init__(self, stream: IO[bytes], progress: Callable[[int], None]) -> None:
        self._stream, self._progress = stream, progress
        self._md5 = hashlib.md5(usedforsecurity=False)  # the hash that InvenioRDM answers with
        self.sent_bytes = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._md5.update(piece)
        self.sent_bytes += len(piece)
        self._progress(len(piece))
        return piece

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()


def _check(response: BaseHTTPResponse) -> None:
    """Raise an error for an answer that says that a request failed, with the server's reasons."""
    status = response.status
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return
    reason = f"{status} {response.reason or ''}".rstrip()
    if status in AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        response.close()
        after_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        raise TransientError(reason, status=status, retry_after_s=after_s)
    try:
        answer = _read(response)
    except FetchError:
        answer = {}
    message = answer.get("message")
    problems = [f"{problem.place}: {problem.message}" for problem in validation_problems(answer)]
    said = "; ".join([str(message)] * bool(message) + problems)
    raise SourceError(f"{reason}: {said}" if said else reason, status=status)


def validation_problems(answer: Answer) -> list[Problem]:
    """Return what a repository finds wrong with the metadata of a draft.

    A draft is stored with its errors, and the answer lists them: it is not refused.
    """
    errors = answer.get("errors")
    problems = []
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            messages = error.get("messages")
            text = "; ".join(map(str, messages)) if isinstance(messages, list) else "not valid"
            problems.append(Problem("metadata", str(error.get("field", "")), text))
    return problems


def _read(response: BaseHTTPResponse) -> Answer:
    """Return the JSON object of an answer, {} if it has no body."""
    try:
        body = response.read(MAX_ANSWER_BYTES + 1)
        if not body:
            return {}
        if len(body) > MAX_ANSWER_BYTES:
            raise SourceError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        answer = parse_json(body, name="the answer")
    except (exceptions.HTTPError, JsonError) as error:
        raise SourceError(f"the answer cannot be read: {error}") from error
    finally:
        response.release_conn()
    if not isinstance(answer, dict):
        raise SourceError("the answer is not a JSON object: is this address InvenioRDM?")
    return answer
