"""A dated report on the links of a registry: `links-DATE.json`, and a table for people.

A report is compared with the one before it in the same folder. So it says since when a link is
dead, and it notices that a file was changed in place, although the registry has no hash of it.
"""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sciml_data import __version__
from sciml_data.curate.links.ask import NOT_AGAIN, LinkState, Outcome
from sciml_data.curate.links.collect import Link
from sciml_data.errors import CallError, JsonError, Problem
from sciml_data.home import read_json, write_atomically
from sciml_data.progress import counted

NAME = re.compile(r"links-(\d{4}-\d{2}-\d{2})\.json", re.ASCII)
MAX_REPORT_BYTES = 64 << 20  # a row has about 500 bytes


@dataclass(frozen=True)
class LinkReport:
    """The states of links at a date.

    Attributes:
        date: ISO 8601.
        seed: that chose the files of large mirrors.
        per_mirror: most files that were asked of one mirror.
        states: of all links.
        since: by URL, the date of the first report with the present outcome.
    """

    date: str
    seed: int
    per_mirror: int
    states: tuple[LinkState, ...]
    since: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of links of each outcome."""
        counts = Counter(str(state.outcome) for state in self.states)
        return {str(outcome): counts[outcome] for outcome in Outcome if counts[outcome]}

    @property
    def problems(self) -> list[Problem]:
        """Return a problem for each link that is dead or changed."""
        return [
            Problem(str(state.outcome), state.link.url, f"{_place(state)}: {state.reason}")
            for state in self.states
            if state.is_dead
        ]

    @property
    def summary(self) -> list[Problem]:
        """Return the problems, with one for all further links of a host that does not answer."""
        more = Counter(_host(state) for state in self.states if _is_repeated(state))
        first = [state for state in self.states if state.is_dead and not _is_repeated(state)]
        return [
            Problem(str(state.outcome), state.link.url, f"{_place(state)}: {state.reason}")
            for state in first
        ] + [
            Problem(str(Outcome.UNREACHABLE), host, f"{count} more links {NOT_AGAIN}")
            for host, count in more.items()
        ]

    @property
    def by_url(self) -> dict[str, LinkState]:
        """Return the states by their URL."""
        return {state.link.url: state for state in self.states}

    def days(self, state: LinkState) -> int:
        """Return for how many days a link has had its outcome."""
        first = datetime.date.fromisoformat(self.since[state.link.url])
        return (datetime.date.fromisoformat(self.date) - first).days

    def to_json(self) -> str:
        """Return the report as JSON."""
        document = {
            "date": self.date,
            "sciml_data": __version__,
            "seed": self.seed,
            "per_mirror": self.per_mirror,
            "counts": self.counts,
            "links": [_row(state, self.since[state.link.url]) for state in self.states],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """Return the report as a Markdown table of all links that are not ok, the worst first."""
        numbers = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())
        lines = [f"# Links on {self.date}", "", f"{counted(len(self.states), 'link')}: {numbers}."]
        if samples := _samples(self.states):
            chosen = f"chosen with seed {self.seed}, {self.per_mirror} of a mirror at most"
            lines += ["", f"Files of these mirrors are a sample, {chosen}: {'; '.join(samples)}."]
        bad = [state for state in self.states if state.outcome is not Outcome.OK]
        rows = [state for state in bad if not _is_repeated(state)]
        if bad:
            lines += ["", "| link | outcome | since | of | reason |", "|---|---|---|---|---|"]
        for state in sorted(rows, key=lambda state: (not state.is_dead, state.link.url)):
            since = f"{self.since[state.link.url]} ({counted(self.days(state), 'day')})"
            cells = (state.link.url, state.outcome, since, _place(state), state.reason)
            lines.append(f"| {' | '.join(_cell(str(cell)) for cell in cells)} |")
        for host, count in Counter(_host(state) for state in bad if _is_repeated(state)).items():
            lines.append(f"| {host} | {count} more links {NOT_AGAIN} | | | |")
        return "\n".join(lines) + "\n"


def new_report(
    states: Sequence[LinkState],
    earlier: LinkReport | None,
    *,
    seed: int,
    per_mirror: int,
    date: datetime.date | None = None,
) -> LinkReport:
    """Return the report of a check that was made now.

    Args:
        states: of the links.
        earlier: the report before this one.
        seed: chose the files.
        per_mirror: most files of a mirror.
        date: today in UTC if None.
    """
    today = (date or datetime.datetime.now(datetime.UTC).date()).isoformat()
    before = earlier.by_url if earlier else {}
    since = {state.link.url: today for state in states}
    remembered = []
    for state in states:
        old = before.get(state.link.url)
        if earlier and old and old.outcome is state.outcome:
            since[state.link.url] = min(earlier.since[state.link.url], today)
        if old and state.size_bytes is None and not state.tag:  # no answer today
            remembered.append(replace(state, size_bytes=old.size_bytes, tag=old.tag))
        else:
            remembered.append(state)
    return LinkReport(today, seed, per_mirror, tuple(remembered), since)


def read_latest(folder: Path) -> LinkReport | None:
    """Return the newest report in a folder, None if there is none.

    Raises:
        CallError: it was not written by this program.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    reports = sorted(name for name in names if NAME.fullmatch(name))
    if not reports:
        return None
    path = folder / reports[-1]
    try:
        document = read_json(path, max_bytes=MAX_REPORT_BYTES)
        rows = [(_state(row), str(row["since"])) for row in document["links"]]
        for _, since in rows:
            datetime.date.fromisoformat(since)
        return LinkReport(
            str(document["date"]),
            int(document["seed"]),
            int(document["per_mirror"]),
            tuple(state for state, _ in rows),
            {state.link.url: since for state, since in rows},
        )
    except (JsonError, ValueError, TypeError, LookupError) as error:
        raise CallError(
            f"the earlier report {path} cannot be read: {error}",
            untouched="nothing was written",
            hint="move it away; the next report then starts anew",
        ) from error


def write_report(report: LinkReport, folder: Path) -> list[Path]:
    """Write `links-DATE.json` and `links-DATE.md` into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {".json": report.to_json(), ".md": report.to_markdown()}
    paths = [folder / f"links-{report.date}{ending}" for ending in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_atomically(path, text)
    return paths


def _row(state: LinkState, since: str) -> dict[str, Any]:
    link = state.link
    row = {
        "url": link.url,
        "kind": link.kind,
        "outcome": str(state.outcome),
        "since": since,
        "reason": state.reason,
        "owners": list(link.owners),
        "mirror": link.mirror,
        "path": link.path,
        "bytes": state.size_bytes,
        "tag": state.tag,
        "moved_to": state.moved_to,
        "sample_of": link.sample,
    }
    if not link.sample:
        del row["sample_of"]
    return {key: value for key, value in row.items() if value is not None and value != ""}


def _state(row: Mapping[str, Any]) -> LinkState:
    """Return the state that a row describes, without what the manifest says about it."""
    link = Link(
        str(row["kind"]),
        str(row["url"]),
        tuple(map(str, row["owners"])),
        str(row.get("mirror", "")),
        str(row.get("path", "")),
    )
    size_bytes = row.get("bytes")
    if size_bytes is not None and not isinstance(size_bytes, int):
        raise TypeError("`bytes` is not a number")
    outcome = Outcome(row["outcome"])
    return LinkState(link, outcome, str(row.get("reason", "")), size_bytes, str(row.get("tag", "")))


def _samples(states: Sequence[LinkState]) -> list[str]:
    asked = Counter((state.link.owners, state.link.mirror, state.link.sample) for state in states)
    return sorted(
        f"{', '.join(owners)} on {mirror} ({count} of {total})"
        for (owners, mirror, total), count in asked.items()
        if total
    )


def _place(state: LinkState) -> str:
    """Return which versions name the link, and where."""
    link = state.link
    parts = (", ".join(link.owners), link.mirror or link.kind, link.path)
    return " ".join(part for part in parts if part)


def _is_repeated(state: LinkState) -> bool:
    return state.reason.endswith(NOT_AGAIN)


def _host(state: LinkState) -> str:
    parts = urlsplit(state.link.url)
    return f"{parts.scheme}://{parts.netloc}"


def _cell(text: str) -> str:
    """Return a text that stays within its cell; a server may have written a part of it."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
