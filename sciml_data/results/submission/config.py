"""`config.yaml`: every setting, the code's version and how to get the data, as YAML that parses.

The example in the working group's submit.adoc does not parse (its indentation is inconsistent) and
spells `description` as `discription`; the fields are its fields, spelled as the words are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sciml_data.errors import Problem, RecordError
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.results.submission.names import CONFIG, Terms
from sciml_data.results.submission.repeat import data_commands, run_command

Record = Mapping[str, Any]
MOST_BYTES = 1 << 20  # a hundred times what we write
LONGEST_SHOWN = 80  # characters of a value in a message


def config_document(records: Sequence[Record], terms: Terms, application: str) -> dict[str, Any]:
    """Return what `config.yaml` says of runs that differ in their seeds only."""
    record = records[0]
    code = record["code"]
    return {
        "name": terms.poc_name,
        "e-mail": terms.poc_email,
        "organisation": terms.org,
        "division": "open",
        "status": terms.status,
        "platform": terms.platform or terms.system,
        "application": application,
        "benchmark": record["benchmark"]["name"],
        "variant": record["benchmark"].get("variant"),
        "synthetic": record["synthetic"],
        "github": {
            "description": "code of engine and benchmark; a record names a commit and no branch",
            "repo": REPOSITORY,
            "branch": None,
            "version": code["version"],
            "tag": None,
            "commit": code["commit"],
            "is_dirty": code["is_dirty"],
            "runner_digest": code["runner_digest"],
        },
        "data": data_commands(record),
        "dataset": {
            key: record["dataset"][key]
            for key in ("id", "version", "manifest_digest", "scale", "sample_seed", "sample_set")
        },
        "split": {key: record["split"][key] for key in ("name", "members_digest")},
        "run": run_command(records),
        "seeds": [one["seeds"]["seed"] for one in records],
        "settings": dict(record["settings"]),
        "settings_overridden": list(record["settings_overridden"]),
    }


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, keys in their order."""
    import yaml

    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100))


def parse_yaml(text: str) -> Any:
    """Return the document in a YAML text that somebody else wrote.

    Raises:
        RecordError: it does not parse, is too large, or refers to itself (a small text can then
            stand for a very large document).
    """
    import yaml

    if len(text) > MOST_BYTES:
        raise RecordError(f"{CONFIG} has {len(text):,} characters, {MOST_BYTES:,} are allowed")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise RecordError(f"{CONFIG} has references (&name, *name), which are not read")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{CONFIG} is not YAML: {first}") from error


def config_problems(text: str, expected: Mapping[str, Any]) -> list[Problem]:
    """Return where a `config.yaml` does not say what the records say."""
    try:
        found = parse_yaml(text)
    except RecordError as error:
        return [Problem("config", CONFIG, error.message)]
    return [
        Problem("config", f"{CONFIG}: {place}", message)
        for place, message in differences(expected, found)
    ]


def differences(expected: Any, found: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield (place, sentence) for every value that differs, of documents of plain values."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in [*expected, *(key for key in found if key not in expected)]:
            below = f"{place}.{key}" if place else str(key)
            if key not in found:
                yield below, "is missing"
            elif key not in expected:
                yield below, "is not known here"
            else:
                yield from differences(expected[key], found[key], below)
    elif type(expected) is not type(found) or expected != found:
        yield place or "document", f"{_shown(expected)} expected, {_shown(found)} found"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
