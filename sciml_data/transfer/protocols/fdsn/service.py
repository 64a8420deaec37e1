"""The FDSN event service, asked politely: one question at a time, and again when it is busy.

Parameters, limits and messages: https://earthquake.usgs.gov/fdsnws/event/1/ and its published
source, usgs/earthquake-event-ws, src/lib/classes/fdsn/FDSNEventWebService.class.php.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sciml_data import __version__
from sciml_data.errors import FetchError, Problem
from sciml_data.transfer.protocols.fdsn.windows import Window

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

LIMIT = 20_000  # events in one answer: FDSNEventWebService.class.php, `serviceLimit`
LIMIT_WORDS = "exceeds search limit"  # of its HTTP 400, ibid., `handleSummaryQuery`
PROBES = 3  # of an address that has not answered yet
ATTEMPTS = 8  # with the waits below: about two minutes of an absent service
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
LONGEST_RETRY_AFTER_S = 600.0  # a service that asks for more is left for another day
CONNECT_TIMEOUT_S, STALL_TIMEOUT_S = 10.0, 120.0
LARGEST_BODY_BYTES = 64 << 20  # 20,000 rows of ComCat are about 4 MB
NOTHING_THERE = frozenset({204, 404})  # `nodata=404` is another way to say that there is nothing
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Clock:
    """Time, waiting and chance; tests put their own in."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random  # in [0, 1)


@dataclass(frozen=True)
class Answer:
    """What came back: the HTTP status, the decoded body, and the URL that was asked."""

    status: int
    body: bytes
    url: str


@dataclass(frozen=True)
class _Trouble:
    """Why an attempt failed, and how long the service asks to be left alone, if it says so."""

    reason: str
    retry_after_s: float | None = None


def _new_pool() -> PoolManager:
    import urllib3

    return urllib3.PoolManager(
        maxsize=1,
        headers={"User-Agent": f"sciml-data/{__version__}", "Accept-Encoding": "gzip"},
        retries=urllib3.Retry(  # redirects only: waiting is ours
            3, connect=0, read=0, status=0, other=0, redirect=3, respect_retry_after_header=False
        ),
        timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=STALL_TIMEOUT_S),
    )


@dataclass(frozen=True)
class Service:
    """One address of the service, and what is asked of it every time.

    Attributes:
        base: URL that ends in `/`; methods are appended to it.
        parameters: of every count and query (box, event type).
        log: is told of every wait.
        attempts: how often one question is put before it is given up.
    """

    base: str
    parameters: Mapping[str, str]
    log: Callable[[str], None]
    clock: Clock = field(default_factory=Clock)
    attempts: int = ATTEMPTS
    pool: PoolManager = field(default_factory=_new_pool, repr=False)

    def version(self) -> str:
        """Return the service's version number.

        Raises:
            FetchError: it cannot be reached, or what answers is no event service.
        """
        answer = self._ask("version", {})
        text = answer.body.decode("utf-8", errors="replace").strip()
        if answer.status != 200 or not re.fullmatch(r"\d+(\.\d+)*", text):
            raise _refused(answer, "no event service answers there")
        return text

    def count(self, window: Window, **more: str) -> tuple[int, int]:
        """Return how many events a window has, both ends included, and how many one answer may.

        Raises:
            FetchError: the service refuses, or does not answer.
        """
        answer = self._ask(
            "count", {**self.parameters, **window.bounds, **more, "format": "geojson"}
        )
        if answer.status != 200:
            raise _refused(answer, "the service refuses to count")
        try:
            found = json.loads(answer.body)
            return int(found["count"]), int(found.get("maxAllowed", LIMIT))
        except (ValueError, KeyError, TypeError) as error:
            raise _refused(answer, "the service's count cannot be read") from error

    def query(self, window: Window) -> Answer | None:
        """Return a window's events as CSV, oldest first; None where they are too many at once.

        Raises:
            FetchError: the service refuses, or does not answer.
        """
        asked = {**self.parameters, **window.bounds, "format": "csv", "orderby": "time-asc"}
        answer = self._ask("query", asked)
        if answer.status in NOTHING_THERE:
            return Answer(answer.status, b"", answer.url)
        if answer.status == 413 or (answer.status == 400 and LIMIT_WORDS in _text(answer)):
            return None
        if answer.status != 200:
            raise _refused(answer, "the service refuses the query")
        return answer

    def _ask(self, method: str, parameters: Mapping[str, str]) -> Answer:
        url = self.base + method
        if parameters:
            url += "?" + urlencode(sorted(parameters.items()), safe=":,")
        attempt = 1
        while isinstance(outcome := self._try(url), _Trouble):
            asked_s = outcome.retry_after_s or 0.0
            if attempt == self.attempts or asked_s > LONGEST_RETRY_AFTER_S:
                reason = outcome.reason
                if asked_s:
                    reason += f", and it asks to be left alone for {asked_s:.0f} s"
                raise FetchError(
                    f"{self.base} does not answer: {reason}",
                    problems=[Problem("service", url, f"given up at attempt {attempt}")],
                    untouched="finished windows are kept",
                    hint="give the same command again later; it goes on from here",
                )
            wait_s = max(self._wait_s(attempt), asked_s)
            self.log(f"{method}: {outcome.reason}; asked again in {wait_s:.0f} s")
            self.clock.sleep(wait_s)
            attempt += 1
        return outcome

    def _wait_s(self, attempt: int) -> float:
        """Return the seconds to wait: doubled each time, half of them by chance."""
        longest = min(FIRST_WAIT_S * float(2 ** (attempt - 1)), LONGEST_WAIT_S)
        return longest * (0.5 + 0.5 * self.clock.chance())

    def _try(self, url: str) -> Answer | _Trouble:
        import urllib3

        try:
            response = self.pool.request("GET", url, preload_content=False)
            with response:
                body = _read(response)
        except urllib3.exceptions.HTTPError as error:
            return _Trouble(_reason(error))
        if response.status in TRY_AGAIN:
            after = _retry_after_s(response.headers.get("Retry-After"), self.clock.now())
            return _Trouble(f"HTTP {response.status}", after)
        return Answer(response.status, body, url)


def find_service(
    base: str,
    mirrors: Sequence[str],
    parameters: Mapping[str, str],
    *,
    log: Callable[[str], None],
    clock: Clock,
) -> tuple[Service, str]:
    """Return the first address that answers as an event service, and its version.

    A mirror `http(s)://HOST/…` is asked under `HOST/…/<host of base>/<path of base>`, then under
    `HOST/…/<path of base>`; after the mirrors, `base` itself. A folder of files cannot answer.

    Raises:
        FetchError: none answers; `.problems` has every address and its reason.
    """
    problems = []
    for address in addresses(base, mirrors, log):
        probe = Service(address, parameters, log, clock, PROBES)
        try:
            version = probe.version()
        except FetchError as error:
            problems.append(Problem("service", address, error.message))
            continue
        if address == base and mirrors:
            log("no mirror answers as an event service")
        log(f"{address} is asked, version {version}")
        return Service(address, parameters, log, clock, pool=probe.pool), version
    raise FetchError(
        "no event service answers",
        problems=problems,
        done="every mirror and the service itself were tried",
        untouched="what was fetched before is kept, nothing was changed",
        hint="without a network, name a mirror that replays the service: --mirror http://HOST:PORT",
    )


def addresses(base: str, mirrors: Sequence[str], log: Callable[[str], None]) -> list[str]:
    """Return where the service may be, in the order to ask; the last one is `base`."""
    parts = urlsplit(base)
    found = []
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            log(f"mirror {mirror} is passed over: a folder of files cannot answer queries")
            continue
        root = mirror.rstrip("/")
        found += [f"{root}/{parts.netloc}{parts.path}", f"{root}{parts.path}"]
    return [*found, base]


def _read(response: BaseHTTPResponse) -> bytes:
    """Return the decoded body; urllib3 holds its length against what the header promised."""
    import urllib3

    blocks = []
    size_bytes = 0
    for block in response.stream(1 << 20, decode_content=True):
        size_bytes += len(block)
        if size_bytes > LARGEST_BODY_BYTES:
            raise urllib3.exceptions.HTTPError(f"the answer exceeds {LARGEST_BODY_BYTES} bytes")
        blocks.append(block)
    return b"".join(blocks)


def _reason(error: Exception) -> str:
    """Return why an exception of urllib3 came about, without the pool and URL it also names."""
    cause = getattr(error, "reason", None) or error
    return f"{type(cause).__name__}: {str(cause).split('): ')[-1]}"


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", errors="replace")


def _refused(answer: Answer, what: str) -> FetchError:
    """Return an error with the service's own words, less the boilerplate after them."""
    said = " ".join(_text(answer).split("Usage details")[0].split())[:500]
    return FetchError(
        f"{what}: HTTP {answer.status}",
        problems=[Problem("service", answer.url, said or "no words")],
        untouched="finished windows are kept",
    )
