"""A client of an FDSN event service: one request at a time, and again when the service is busy.

Parameters, limits and messages: https://earthquake.usgs.gov/fdsnws/event/1/ and its published
source, usgs/earthquake-event-ws, src/lib/classes/fdsn/FDSNEventWebService.class.php.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sciml_data.errors import FetchError, Problem, printable
from sciml_data.transfer.protocols.fdsn.windows import Window
from sciml_data.transfer.protocols.retry import retry_after_s
from sciml_data.transfer.protocols.source import Timeouts, TransientError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from sciml_data.transfer.protocols.https import HttpClient

MAX_EVENTS = 20_000  # in one answer: FDSNEventWebService.class.php, `serviceLimit`
LIMIT_MESSAGE = "exceeds search limit"  # in its HTTP 400, ibid., `handleSummaryQuery`
PROBE_ATTEMPTS = 3  # to reach an address that has not answered yet
ATTEMPTS = 8  # with the waits below: about two minutes without an answer
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0
MAX_RETRY_AFTER_S = 600.0  # a service that asks for a longer wait is given up
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 120.0
MAX_BODY_BYTES = 64 << 20  # 20,000 rows of ComCat are about 4 MB
MAX_COUNT_BYTES = 1 << 16  # of the answer with a count or a version, which are single lines
MAX_COUNT = 10**9  # events; ComCat has some 5 million of all times
BLOCK_BYTES = 1 << 16  # read at once: compressed, they may be a thousand times as large
MIN_BYTES_PER_S = 1024.0  # an answer slower than this, after a read timeout, counts as stalled
VERSION_PATTERN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")
NO_CONTENT = frozenset({204, 404})  # with `nodata=404` a service answers 404 instead of 204
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Clock:
    """Time, waiting and random numbers; tests replace them."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random  # in [0, 1)


class ServiceError(FetchError):
    """One address of the service fails; another one may answer."""


@dataclass(frozen=True)
class Answer:
    """An HTTP status, the decoded body, and the URL of the request."""

    status: int
    body: bytes
    url: str


@dataclass(frozen=True)
class _Failure:
    """Why an attempt failed, the wait that the service asks for, and whether another is useless."""

    reason: str
    retry_after_s: float | None = None
    is_permanent: bool = False


def _new_client() -> HttpClient:
    from sciml_data.transfer.protocols.https import HttpClient

    return HttpClient(1, Timeouts(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))


@dataclass(frozen=True)
class Service:
    """A service at one address, with the parameters of every request.

    Attributes:
        base: URL that ends in `/`; methods are appended to it.
        parameters: of every count and query (box, event type).
        log: gets a line for every wait.
        clock: time, waiting and random numbers.
        attempts: number of attempts of one request.
        client: sends the requests.
    """

    base: str
    parameters: Mapping[str, str]
    log: Callable[[str], None]
    clock: Clock = field(default_factory=Clock)
    attempts: int = ATTEMPTS
    client: HttpClient = field(default_factory=_new_client, repr=False)

    def version(self) -> str:
        """Return the service's version number.

        Raises:
            FetchError: the service cannot be reached, or the server is not an event service.
        """
        answer = self._request("version", {})
        text = answer.body.decode("utf-8", errors="replace").strip()
        if answer.status != 200 or not VERSION_PATTERN.fullmatch(text):
            raise _refused(answer, "not an event service")
        return text

    def count(self, window: Window, **more: str) -> tuple[int, int]:
        """Count the events in a window, both ends included.

        Args:
            window: the period.
            more: further parameters.

        Returns:
            The number of events, and the most events in one answer.

        Raises:
            FetchError: the service refuses, or does not answer.
        """
        answer = self._request(
            "count", {**self.parameters, **window.bounds, **more, "format": "geojson"}
        )
        if answer.status != 200:
            raise _refused(answer, "the service refuses to count")
        try:
            counts = json.loads(answer.body)
            return _number(counts["count"]), _number(counts.get("maxAllowed", MAX_EVENTS))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise _refused(answer, "the service's count cannot be read") from error

    def query(self, window: Window) -> Answer | None:
        """Return the events of a window as CSV, oldest first; None if they are too many.

        Raises:
            FetchError: the service refuses, or does not answer.
        """
        parameters = {**self.parameters, **window.bounds, "format": "csv", "orderby": "time-asc"}
        answer = self._request("query", parameters)
        if answer.status in NO_CONTENT:
            return Answer(answer.status, b"", answer.url)
        if answer.status == 413 or (answer.status == 400 and LIMIT_MESSAGE in _text(answer)):
            return None
        if answer.status != 200:
            raise _refused(answer, "the service refuses the query")
        return answer

    def _request(self, method: str, parameters: Mapping[str, str]) -> Answer:
        url = self.base + method
        if parameters:
            url += "?" + urlencode(sorted(parameters.items()), safe=":,")
        attempt = 1
        while isinstance(outcome := self._try(url), _Failure):
            if outcome.is_permanent:
                raise ServiceError(
                    f"{self.base} cannot be used: {outcome.reason}",
                    problems=[Problem("service", url, outcome.reason)],
                    untouched="finished windows are kept",
                )
            retry_after_s = outcome.retry_after_s or 0.0
            if attempt == self.attempts or retry_after_s > MAX_RETRY_AFTER_S:
                reason = outcome.reason
                if retry_after_s:
                    reason += f", and it asks for a wait of {retry_after_s:.0f} s"
                raise ServiceError(
                    f"{self.base} does not answer: {reason}",
                    problems=[Problem("service", url, f"given up at attempt {attempt}")],
                    untouched="finished windows are kept",
                    hint="run the same command again later; it resumes",
                )
            wait_s = max(self._wait_s(attempt), retry_after_s)
            self.log(f"{method}: {outcome.reason}; next attempt in {wait_s:.0f} s")
            self.clock.sleep(wait_s)
            attempt += 1
        return outcome

    def _wait_s(self, attempt: int) -> float:
        """Return the seconds to wait: doubled each time, with jitter of up to one half.

        Jitter: clients that failed together must not come back together.
        """
        longest = min(FIRST_WAIT_S * float(2 ** (attempt - 1)), MAX_WAIT_S)
        return longest * (0.5 + 0.5 * self.clock.chance())

    def _try(self, url: str) -> Answer | _Failure:
        from urllib3.exceptions import HTTPError

        try:
            with self.client.get(url, {"Accept-Encoding": "gzip"}) as response:
                body = _read(response, MAX_BODY_BYTES if "/query" in url else MAX_COUNT_BYTES)
        except FetchError as error:  # permanent: a refused password, an untrusted certificate ...
            return _Failure(error.message, is_permanent=not isinstance(error, TransientError))
        except (HTTPError, ValueError, ArithmeticError) as error:
            return _Failure(_reason(error))
        if response.status in RETRIED:
            after = retry_after_s(response.headers.get("Retry-After"), self.clock.now())
            return _Failure(f"HTTP {response.status}", after)
        return Answer(response.status, body, url)


def find_services(
    base: str,
    mirrors: Sequence[str],
    parameters: Mapping[str, str],
    *,
    log: Callable[[str], None],
    clock: Clock,
) -> Iterator[tuple[Service, str]]:
    """Yield each address that answers as an event service, and its version; usually one is enough.

    A mirror `http(s)://HOST/…` is tried under `HOST/…/<host of base>/<path of base>`, then under
    `HOST/…/<path of base>`; after the mirrors, `base` itself.

    Args:
        base: URL of the service.
        mirrors: URLs of replays; folders are skipped, they cannot answer queries.
        parameters: of every request.
        log: gets a line for each address and wait.
        clock: time, waiting and random numbers.

    Raises:
        FetchError: no address answers; `.problems` has each of them with its reason.
    """
    problems: list[Problem] = []
    found = False
    for address in addresses(base, mirrors, log):
        probe = Service(address, parameters, log, clock, PROBE_ATTEMPTS)
        try:
            version = probe.version()
        except FetchError as error:
            problems.append(Problem("service", address, error.message))
            continue
        if address == base and mirrors:
            log("no mirror is an event service")
        log(f"using {address}, version {version}")
        found = True
        yield Service(address, parameters, log, clock, client=probe.client), version
    if found:
        return
    raise FetchError(
        "no event service answers",
        problems=problems,
        done="every mirror and the service itself were tried",
        untouched="nothing was changed",
        hint="without a network, name a mirror that replays the service: --mirror http://HOST:PORT",
    )


def addresses(base: str, mirrors: Sequence[str], log: Callable[[str], None]) -> list[str]:
    """Return the URLs at which the service may be, in the order to try.

    Args:
        base: URL of the service; it comes last.
        mirrors: URLs of replays; folders are skipped.
        log: gets a line for each skipped folder.
    """
    parts = urlsplit(base)
    urls = []
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            log(f"mirror {mirror} is skipped: a folder of files cannot answer queries")
            continue
        root = mirror.rstrip("/")
        urls += [f"{root}/{parts.netloc}{parts.path}", f"{root}{parts.path}"]
    return [*urls, base]


def _read(response: BaseHTTPResponse, max_bytes: int) -> bytes:
    """Return the decoded body; urllib3 compares its length with Content-Length.

    Raises:
        HTTPError: the body is too long, too slow, cut off or not compressed as it says.
    """
    import urllib3

    body = bytearray()
    since = time.monotonic()
    while block := response.read1(BLOCK_BYTES, decode_content=True):
        body += block
        elapsed_s = time.monotonic() - since
        if len(body) > max_bytes:
            raise urllib3.exceptions.HTTPError(f"the answer exceeds {max_bytes} bytes")
        if elapsed_s > READ_TIMEOUT_S + len(body) / MIN_BYTES_PER_S:
            raise urllib3.exceptions.HTTPError(f"only {len(body)} bytes came in {elapsed_s:.0f} s")
    return bytes(body)


def _number(value: object) -> int:
    """Return a number of events.

    Raises:
        ValueError: it is not a number of events.
    """
    number = int(value) if isinstance(value, str) and len(value) < 10 else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_COUNT:
        raise ValueError("a number of events is expected")
    return number


def _reason(error: Exception) -> str:
    """Return the reason in an exception of urllib3, without the pool and the URL."""
    cause = getattr(error, "reason", None) or error
    return printable(f"{type(cause).__name__}: {str(cause).split('): ')[-1]}")


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", errors="replace")


def _refused(answer: Answer, what: str) -> ServiceError:
    """Return an error with the service's own message, without the usage notes after it."""
    message = printable(_text(answer).split("Usage details")[0])[:500]
    return ServiceError(
        f"{what}: HTTP {answer.status}",
        problems=[Problem("service", answer.url, message or "no message")],
        untouched="finished windows are kept",
    )
