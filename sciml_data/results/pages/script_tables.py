"""Tables that a script of benchmarks/ measured, stored beside the records as `table.json`.

Some published numbers are of no run: scores of a model on other data, or many draws of a split.
The script that measures them stores them with the facts that a record has: code, software, data,
command and date.
"""

from __future__ import annotations

import datetime
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.bench.monitoring import code, software
from sciml_data.bench.record.record import (
    ABSOLUTE_PATH,
    SHORT_DIGEST,
    SHORT_ID,
    as_json,
    record_digest,
)
from sciml_data.errors import CallError, JsonError, Problem
from sciml_data.home import read_json, write_atomically
from sciml_data.results.pages.stored import compact, private_texts

TABLE_NAME = "table.json"


def write_script_table(
    folder: Path,
    columns: Sequence[str],
    rows: Sequence[Sequence[float | str | None]],
    *,
    data: Mapping[str, str],
    runner: Path,
    remark: str | None = None,
) -> Path:
    """Write what a script measured as `<folder>/table.json`, and return the path.

    Call it in the script, with `results/<benchmark>/<name>`; a page then shows it by
    `script = "<benchmark>/<name>"`.

    Args:
        folder: is made.
        columns: headings.
        rows: a value for each column: texts, and numbers with all of their digits.
        data: name and version of each dataset -> digest of its manifest.
        runner: folder of the benchmark.
        remark: sentence to print below the table, such as the number of repeats.

    Raises:
        CallError: a row has another length, or a text names a path, a computer or a user.
    """
    if any(len(row) != len(columns) for row in rows):
        raise CallError(f"each row has {len(columns)} values", untouched="nothing was written")
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    command = shlex.join(["python", f"benchmarks/{words[0]}", *words[1:]])
    document = {
        "run_id": Path(folder).name,
        "command": _without_folders(command),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "code": code(runner),
        "software": software(),
        "data": dict(data),
        "columns": list(columns),
        "rows": as_json(rows),
        "remark": remark,
    }
    if problems := list(private_texts(document)):
        raise CallError("this table cannot be published", problems=problems)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TABLE_NAME
    write_atomically(path, compact({**document, "record_digest": record_digest(document)}))
    return path


def _without_folders(command: str) -> str:
    """Return a command in which absolute paths, also of `file:` mirrors, have only their name."""
    # The pattern takes a path after a colon for that of a URL.
    command = re.sub(r"\bfile:(?=/)", "file: ", command)
    shortened = ABSOLUTE_PATH.sub(lambda match: f".../{Path(match[0]).name}", command)
    return shortened.replace("file: ", "file:")


def load_script_table(results: Path, name: str) -> Mapping[str, Any]:
    """Return the content of a `table.json`.

    Raises:
        CallError: there is no such table, or it was changed since it was written.
    """
    path = results / name / TABLE_NAME
    try:
        document: Mapping[str, Any] = read_json(path)
    except JsonError as error:
        raise CallError(f"{name}/{TABLE_NAME} cannot be read: {error.message}") from error
    if document.get("record_digest") != record_digest(document):
        raise CallError(f"{name}/{TABLE_NAME} was changed since it was written")
    return document


def script_table_problems(results: Path) -> Iterator[Problem]:
    """Yield what is wrong with the tables of scripts in a folder."""
    for path in sorted(results.rglob(TABLE_NAME)):
        name = path.parent.relative_to(results).as_posix()
        try:
            document = load_script_table(results, name)
        except CallError as error:
            yield Problem("table", name, error.message)
            continue
        if document["code"]["is_dirty"] is not False:
            yield Problem("code", name, "measured with uncommitted changes, or an unknown commit")
        yield from private_texts(document)


def script_origin(name: str, document: Mapping[str, Any], versions: Sequence[str]) -> str:
    """Return a line with commit, date, data, versions and command of a table."""
    data = ", ".join(f"{key} {digest[:SHORT_DIGEST]}" for key, digest in document["data"].items())
    remark = f"{document['remark']} " if document["remark"] else ""
    commit = str(document["code"]["commit"])[:SHORT_ID]
    facts = "; ".join([f"commit {commit}", document["date"], *([f"data {data}"] if data else [])])
    python = f"Python {document['software']['python_version']}"
    return (
        f"<sub>{remark}Script table `{name}`: {facts}; {', '.join([python, *versions])}.<br>"
        f"`{document['command']}`</sub>"
    )
