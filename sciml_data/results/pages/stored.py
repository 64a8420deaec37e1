"""Result sets: the records behind published numbers, in the folder `results/` of a repository.

A result set is a folder with `record-1.json`, `record-2.json` ...: runs that differ only in their
seed. Its name is its path in `results/`, such as `uno/auc-row`. If there are several records,
`summary.json` has their median and spread. A submission that `submit pack` wrote names its records
in the same way, so it is a result set, too. Predictions and weights stay where the run was made;
the record has their digests.

`results/log.csv` has a line for each time that runs were stored. It is only ever appended to, so it
shows how often the scores of a test part were published, and with which code.
"""

from __future__ import annotations

import csv
import datetime
import getpass
import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import ABSOLUTE_PATH, SHORT_ID
from sciml_data.errors import CallError, Problem, SciMLDataError
from sciml_data.home import write_atomically
from sciml_data.results.board.render import summary_json
from sciml_data.results.board.summary import MetricSummary, Summary, aggregate
from sciml_data.results.submission.collection import is_submission
from sciml_data.results.submission.layout import (
    NAME,
    NUMBERED,
    OTHER_PATHS,
    load_packed_record,
    record_name,
)

Record = Mapping[str, Any]
SUMMARY_NAME = "summary.json"
LOG_NAME = "log.csv"
LOG_COLUMNS = ("date", "set", "model", "split", "parts", "commit", "records")
# Of a user or a computer: these say nothing, and a record may have them as ordinary words.
COMMON_NAMES = {"localhost", "root", "user", "runner", "build", "test"}
MIN_NAME = 3  # characters of a name that is searched for; fewer are in any text
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


@dataclass(frozen=True)
class ResultSet:
    """The runs of a result set, in the order of their seeds."""

    name: str
    records: tuple[Record, ...]

    @cached_property
    def summary(self) -> Summary:
        """Return median and spread over the runs."""
        return aggregate(self.records)

    @cached_property
    def metrics(self) -> Mapping[tuple[str, str], MetricSummary]:
        """Return the summary of each metric, by part and metric key, in the records' order."""
        return {(row.part, row.metric): row for row in self.summary.metrics}

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Return the parts that were scored."""
        return tuple(dict.fromkeys(row.part for row in self.summary.metrics))


def add_runs(
    records: Sequence[Record], *, name: str, results: Path, allow_dirty: bool = False
) -> Path:
    """Write runs as the result set `<results>/<benchmark>/<name>`, and return its folder.

    A result set of that name is replaced.

    Args:
        records: valid records of runs that differ only in their seed.
        name: of the folder in that of the benchmark, such as `auc-row`.
        results: folder of all result sets; it must exist.
        allow_dirty: accept runs of code with uncommitted changes.

    Raises:
        CallError: the runs are not repeats of one run, were made with uncommitted or unknown code,
            or a record names a path, a computer, a user or an e-mail address; nothing is written.
    """
    if not NAME.fullmatch(name):
        raise CallError(f"{name!r} cannot be the name of a folder", untouched="nothing was written")
    if not results.is_dir():
        raise CallError(
            f"{results}: no such folder", hint="run this in the checkout, or give --results DIR"
        )
    summary = aggregate(records)
    problems = [
        problem
        for record in records
        for problem in (
            *private_texts(record, (ABSOLUTE_PATH, OTHER_PATHS, EMAIL, _names_of_here())),
            *([] if allow_dirty else _code_problems(record)),
        )
    ]
    if problems:
        raise CallError(
            "these runs cannot be published", problems=problems, untouched="nothing was written"
        )
    folder = results / str(summary.first["benchmark"]["name"]) / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name == SUMMARY_NAME or NUMBERED.fullmatch(old.name):
            old.unlink()
    ordered = sorted(records, key=lambda record: int(record["seeds"]["seed"]))
    for number, record in enumerate(ordered, start=1):
        write_atomically(folder / record_name(number), compact(record))
    if len(ordered) > 1:
        write_atomically(folder / SUMMARY_NAME, _summary_text(summary))
    _append_to_log(results, folder, ordered)
    return folder


def private_texts(
    record: Record, patterns: Iterable[re.Pattern[str]] = (ABSOLUTE_PATH, OTHER_PATHS, EMAIL)
) -> Iterator[Problem]:
    """Yield the places of a record that match a pattern: a path of a computer, an e-mail address.

    Names of this computer and its user are searched for in `add_runs` only: on the computer of
    somebody else, the name of a user may be any word.
    """
    for place, text in _texts(record, ""):
        for pattern in patterns:
            if match := pattern.search(text):
                run = str(record["run_id"])[:SHORT_ID]
                yield Problem("private", f"{run} {place}", f"names {match.group()!r:.80}")


def result_set_names(results: Path) -> list[str]:
    """Return the names of all result sets in a folder, sorted."""
    folders = {path.parent for path in results.rglob(record_name(1))}
    return sorted(folder.relative_to(results).as_posix() for folder in folders)


def load_result_set(results: Path, name: str) -> ResultSet:
    """Return a result set.

    Raises:
        CallError: there is no such set, or its records are not repeats of one run.
        RecordError: a record is invalid or was changed; `.problems` has every place.
    """
    folder = results / name
    numbers = sorted(
        int(match[2])
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := NUMBERED.fullmatch(path.name)) and match[1] == "record"
    )
    if not numbers:
        raise CallError(
            f"{folder} has no records",
            hint="`sciml-data results add RUN... --name NAME` stores runs there",
        )
    records = tuple(load_packed_record(folder / record_name(number)) for number in numbers)
    return ResultSet(name, records)


def write_summaries(results: Path) -> list[Path]:
    """Write `summary.json` of each result set with several records; return the changed files."""
    changed = []
    for name in result_set_names(results):
        path, stored = results / name / SUMMARY_NAME, load_result_set(results, name)
        text = _summary_text(stored.summary)
        if not _has_summary(results, stored) or (
            path.is_file() and path.read_text(encoding="utf-8") == text
        ):
            continue
        write_atomically(path, text)
        changed.append(path)
    return changed


def _has_summary(results: Path, stored: ResultSet) -> bool:
    return len(stored.records) > 1 and not is_submission(results / stored.name)


def stored_problems(results: Path) -> Iterator[Problem]:
    """Yield what is wrong with the result sets in a folder."""
    logged = _logged(results)
    for name in result_set_names(results):
        try:
            stored = load_result_set(results, name)
            expected = _summary_text(stored.summary)
        except SciMLDataError as error:
            yield Problem("record", name, error.message)
            yield from error.problems
            continue
        for record in stored.records:
            yield from private_texts(record)
        if is_submission(results / name):
            continue
        if (name, " ".join(map(_short_digest, stored.records))) not in logged:
            yield Problem(
                "log", name, f"{LOG_NAME} has no line; `sciml-data results add` writes it"
            )
        path = results / name / SUMMARY_NAME
        is_equal = path.is_file() and path.read_text(encoding="utf-8") == expected
        if _has_summary(results, stored) and not is_equal:
            yield Problem("summary", f"{name}/{SUMMARY_NAME}", "is not that of the records")


def _append_to_log(results: Path, folder: Path, records: Sequence[Record]) -> None:
    first = records[0]
    line = (
        datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        folder.relative_to(results).as_posix(),
        first["model"]["name"],
        first["split"]["name"],
        " ".join(dict.fromkeys(row["part"] for row in first["metrics"])),
        first["code"]["commit"],
        " ".join(_short_digest(record) for record in records),
    )
    path = results / LOG_NAME
    is_new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([LOG_COLUMNS, line] if is_new else [line])


def _logged(results: Path) -> set[tuple[str, str]]:
    """Return the names and the digests of records of all lines of the log."""
    path = results / LOG_NAME
    if not path.is_file():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {(line["set"], line["records"]) for line in csv.DictReader(file)}


def _short_digest(record: Record) -> str:
    return str(record["record_digest"]).removeprefix("sha256:")[:SHORT_ID]


def _names_of_here() -> re.Pattern[str]:
    """Return a pattern of the names of this computer and its user."""
    names = {getpass.getuser(), Path.home().name, socket.gethostname().partition(".")[0]}
    known = sorted(name for name in names - COMMON_NAMES if len(name) >= MIN_NAME)
    return re.compile("|".join(rf"\b{re.escape(name)}\b" for name in known) or "(?!)")


def _code_problems(record: Record) -> Iterator[Problem]:
    run, code = str(record["run_id"])[:SHORT_ID], record["code"]
    if code["commit"] is None:
        yield Problem("code", run, f"the commit is not known: {code['reason']}")
    elif code["is_dirty"]:
        message = "made with uncommitted changes; commit and run again, or give --allow-dirty"
        yield Problem("code", run, message)


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield each text of a document, keys included, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{place}/{key}", str(key)
            yield from _texts(item, f"{place}/{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _texts(item, f"{place}/{number}")


def compact(document: Any) -> str:
    """Return JSON with a line for each top-level key: small, and git still shows what changed."""
    lines = [
        f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), allow_nan=False)}"
        for key, value in document.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _summary_text(summary: Summary) -> str:
    return compact(json.loads(summary_json(summary)))
