"""The record of a run: a JSON file with the scores and everything that they depend on.

Each record is checked against `record.schema.json`, which describes every field. Field names follow
MLPerf logging, Every Eval Ever and OpenML where these have a name. A record is written whole or not
at all, has no NaN (which is not JSON), and contains no absolute path.

Repeats are runs that differ in nothing but their seed. `identity` and `check_repeats` compare the
records of runs, because only the scores of repeats may be summarised together.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, JsonError, Problem, RecordError
from sciml_data.home import read_json, why_not_plain, write_atomically
from sciml_data.progress import format_duration

SCHEMA_VERSION = "1.1"
SCHEMA_PATH = Path(__file__).with_name("record.schema.json")
RECORD_NAME = "record.json"
SUCCESS = "success"
KERAS = "keras"  # kind of a model that the engine trains
EXTERNAL = "external"  # value of `training`: only predictions of another program were scored
# At least two components, so that a unit such as 1/s is not a path; not the path of a URL.
ABSOLUTE_PATH = re.compile(r"(?<![\w:/.~-])/(?:[\w.@+~-]+/)+[\w.@+~-]*")
END_OF_TIME_MS = 253_402_300_800_000  # the year 10000, which `datetime` does not know
SHORT_ID = 8  # characters of a run id (or a commit) in tables
SHORT_DIGEST = 19  # characters of a digest in tables: `sha256:` and twelve digits

Record = Mapping[str, Any]


def _stopping_budget(record: Record) -> float | None:
    """Return the seconds of the budget that a run stopped at; None if nothing stopped it."""
    budget = record.get("budget")
    return budget["budget_seconds"] if budget and budget["is_reached"] else None


# Values that are equal in repeats; only the seed and its consequences may differ.
REPEATS_SHARE: Mapping[str, Callable[[Record], object]] = {
    "benchmark": lambda record: record["benchmark"]["name"],
    "variant": lambda record: record["benchmark"].get("variant"),
    "dataset": lambda record: f"{record['dataset']['id']} {record['dataset']['version']}",
    "synthetic": lambda record: record["synthetic"],
    "data": lambda record: record["dataset"]["manifest_digest"],
    "split": lambda record: record["split"]["members_digest"],
    "model": lambda record: record["model"]["name"],
    "model file": lambda record: (record["model"]["source"] or {}).get("sha256"),
    "settings": lambda record: dict(record["settings"]),
    "metrics": lambda record: record["metric_definitions"],
    "code": lambda record: record["code"]["runner_digest"],
    "training": lambda record: record.get("training"),
    # A run that did all its epochs within its budget equals one without a budget.
    "budget": _stopping_budget,
}
# Fields that are known of every run of the engine, and of no external predictions.
OF_TRAINING: Mapping[str, tuple[str, ...]] = {
    "hardware": (
        "host_processor_available_cores", "host_memory_capacity_bytes", "accelerators_per_node",
    ),
    "distribution": ("strategy", "replicas", "workers", "global_batch_size"),
    "timing": (
        "staging_s", "prepare_s", "steady_epochs_s", "steady_epochs", "validation_s",
        "resumed_epochs",
    ),
    "resources": ("peak_host_memory_bytes",),
}  # fmt: skip
# Further fields that external predictions do not have.
NOT_EXTERNAL: Mapping[str, tuple[str, ...]] = {
    "timing": (
        "baselines_s", "first_epoch_s", "predict_s", "score_s", "time_to_train_s",
        "time_to_train_excl_staging_s",
    ),
    "throughput": ("train_samples_per_s", "predict_samples_per_s"),
}  # fmt: skip


def canonical(document: Any) -> str:
    """Return the canonical JSON text of a document: keys sorted, no spaces, ASCII.

    Raises:
        RecordError: a number is NaN or infinite.
    """
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise RecordError(f"a record can have finite numbers only: {error}") from error


def digest(document: Any) -> str:
    """Return `sha256:` and the hash of a document's canonical text."""
    return f"sha256:{hashlib.sha256(canonical(document).encode('ascii')).hexdigest()}"


def record_digest(record: Mapping[str, Any]) -> str:
    """Return the digest of a record without its field `record_digest`."""
    return digest({key: value for key, value in record.items() if key != "record_digest"})


def write_record(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a record into a run's folder, and return it as written.

    Absolute paths in its texts are cut to their last component. `record_digest` is filled in.

    Args:
        folder: of the run.
        record: of the run.

    Raises:
        RecordError: the record does not follow its schema; `.problems` has every place.
    """
    clean: dict[str, Any] = _without_paths(dict(record))
    clean["record_digest"] = record_digest(clean)
    if problems := schema_problems(clean):
        raise RecordError(
            "the record does not follow its schema",
            problems=problems,
            untouched="it was not written",
        )
    write_atomically(folder / RECORD_NAME, json.dumps(clean, indent=2, allow_nan=False) + "\n")
    return clean


def load_record(folder: Path) -> dict[str, Any]:
    """Return the record of a run's folder, or of a record file such as `record-1.json`.

    Raises:
        RecordError: there is no record, it is a link, it is not JSON within the limits of
            `home.read_json`, it does not follow its schema, it contradicts itself, or it was
            changed since it was written; `.problems` names every place.
    """
    path = folder if folder.is_file() else folder / RECORD_NAME
    if reason := why_not_plain(path):
        raise RecordError(f"{folder.name} is not the folder of a run: {RECORD_NAME}: {reason}")
    try:
        record = read_json(path)
    except JsonError as error:
        raise RecordError(
            f"the record of {folder.name} cannot be read: {error.message}",
            untouched="the file was not changed",
        ) from error
    if problems := record_problems(record):
        raise RecordError(
            f"the record of {folder.name} is not valid",
            problems=problems,
            untouched="the file was not changed",
        )
    return dict(record)


def record_problems(record: Any) -> list[Problem]:
    """Return every place where a record breaks its schema, its digest, or contradicts itself."""
    if problems := schema_problems(record):
        return problems
    problems = list(contradictions(record))
    if (actual := record_digest(record)) != record["record_digest"]:
        message = f"{record['record_digest']} expected, {actual} found"
        problems.append(Problem("digest", "record_digest", message))
    return problems


def contradictions(record: Record) -> Iterator[Problem]:
    """Yield where a record that follows its schema names something that it does not have."""
    defined = {block["metric_id"] for block in record["metric_definitions"]}
    for number, row in enumerate(record["metrics"]):
        if row["metric_id"] not in defined:
            message = f"metric {row['metric_id']!r:.80} is not defined"
            yield Problem("metric", f"metrics/{number}/metric_id", message)
    if record["status"] == SUCCESS and not record["metrics"]:
        yield Problem("metric", "metrics", "a success has scores")
    for name in record["settings_overridden"]:
        if name not in record["settings"]:
            yield Problem("setting", "settings_overridden", f"no setting {name!r:.80}")
    if (record["model"]["origin"] == "own") != (record["model"]["source"] is not None):
        yield Problem("model", "model/source", "an own model has a source, others have none")
    yield from _training_problems(record)
    yield from _impossible_times(record)


def is_external(record: Record) -> bool:
    """Return whether a record has scores of predictions that another program made."""
    return record.get("training") == EXTERNAL


def has_epochs(record: Record) -> bool:
    """Return whether the engine trained the model, epoch by epoch, as an MLPerf log shows it."""
    return bool(record["model"]["kind"] == KERAS)


def own_model_remark(record: Record) -> str:
    """Return that a model is not of the registry, with its file; an empty text if it is."""
    source = record["model"]["source"]
    if source is None:
        return ""
    place = f"{source['file']}:{source['function']}"
    return f"the user's own model, not of the registry: {place}, sha256 {source['sha256'][:12]}"


def budget_remark(record: Record) -> str:
    """Return how far a run came that stopped at its budget; an empty text for other runs."""
    budget = record.get("budget")
    if budget is None or not budget["is_reached"]:
        return ""
    epochs, planned = budget["epochs"], budget["planned_epochs"]
    whole_s = budget["whole_training_seconds"]
    limit = format_duration(budget["budget_seconds"])
    steps = f"{budget['steps']:,} of {budget['planned_steps']:,} steps" if budget["steps"] else ""
    text = f"stopped at its budget of {limit}: {epochs} of {planned} epochs"
    text += f" ({steps})" if steps else ""
    if whole_s is not None:
        text += f"; the whole would take about {format_duration(whole_s)}"
    return text


def budget_words(record: Record) -> list[str]:
    """Return the option of `sciml-data run` that sets the budget of a run, if it had one."""
    budget = record.get("budget")
    return ["--budget", f"{budget['budget_seconds']:g}s"] if budget else []


def _training_problems(record: Record) -> Iterator[Problem]:
    """Yield measurements that a run of the engine lacks, or that external predictions have."""
    external = is_external(record)
    for groups in (OF_TRAINING, NOT_EXTERNAL) if external else (OF_TRAINING,):
        for group, names in groups.items():
            for name in names:
                if (record[group].get(name) is None) != external:
                    message = "is not known of external predictions" if external else "is missing"
                    yield Problem("training", f"{group}/{name}", message)
    for name in ("timeline", "curve") if external else ():
        if record[name]:
            yield Problem("training", name, "is not known of external predictions")


def _impossible_times(record: Record) -> Iterator[Problem]:
    """Yield times that `datetime` cannot represent."""
    for group in ("timeline", "curve"):
        for number, row in enumerate(record[group]):
            for name, value in row.items():
                if name.endswith("_ms") and value is not None and not 0 <= value < END_OF_TIME_MS:
                    yield Problem("time", f"{group}/{number}/{name}", "is not a time of this era")
    for name in ("start_time", "end_time"):
        try:
            datetime.datetime.fromisoformat(record["timing"][name])
        except ValueError:
            yield Problem("time", f"timing/{name}", "is not a time in ISO 8601")


def schema_problems(
    document: Any, schema: Path = SCHEMA_PATH, *, whole: str = "record"
) -> list[Problem]:
    """Return every place where a document breaks a JSON Schema, such as `metrics/0/score`.

    Args:
        document: JSON values; tuples are not arrays.
        schema: file of the schema; the record's, unless another is given.
        whole: place of a problem that concerns the document as a whole.
    """
    errors = list(schema_validator(schema).iter_errors(document))
    if not errors:
        return []
    # Imported here, because a valid record needs no sentences about what is wrong.
    from sciml_data.registry.schema import schema_problems as sentences
    from sciml_data.registry.schema import slashed

    problems = sentences(errors, place=slashed, whole=whole)
    return [Problem("schema", problem.place, problem.message) for problem in problems]


def as_json(value: Any) -> Any:
    """Return a runner's report as JSON values: arrays as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return as_json(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value]
    if isinstance(value, str):
        return ABSOLUTE_PATH.sub(lambda match: f".../{Path(match.group()).name}", value)
    return value


@cache
def schema_validator(schema: Path) -> Any:
    """Return the validator of a JSON Schema's file; reading one takes longer than a check."""
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def identity(record: Record) -> str:
    """Return a text that is equal for repeats and different for all other runs."""
    return canonical({name: value(record) for name, value in REPEATS_SHARE.items()})


def different_data(first: Record, other: Record) -> list[Problem]:
    """Return what keeps the samples of two runs from being the same: benchmark, data, split."""
    run = str(other["run_id"])[:SHORT_ID]
    return [
        Problem(name, run, _differs(name, REPEATS_SHARE[name](first), REPEATS_SHARE[name](other)))
        for name in ("benchmark", "variant", "dataset", "synthetic", "data", "split")
        if REPEATS_SHARE[name](first) != REPEATS_SHARE[name](other)
    ]


def check_repeats(records: Sequence[Record]) -> None:
    """Check that runs are repeats, so that their scores may be summarised.

    Raises:
        CallError: benchmark, data, split, model, settings, metrics or the benchmark's code differ,
            two runs have the same seed, or a run is not a success; every difference is listed.
    """
    first = records[0]
    problems = [
        Problem(name, str(record["run_id"])[:SHORT_ID], _differs(name, value(first), value(record)))
        for record in records[1:]
        for name, value in REPEATS_SHARE.items()
        if value(record) != value(first)
    ]
    problems += [
        Problem(
            "status", str(record["run_id"])[:SHORT_ID], f"is {record['status']}: {record['reason']}"
        )
        for record in records
        if record["status"] != SUCCESS
    ]
    seeds = [record["seeds"]["seed"] for record in records]
    problems += [
        Problem("seed", str(seed), "is the seed of several runs")
        for seed in sorted(set(seeds))
        if seeds.count(seed) > 1
    ]
    if problems:
        raise CallError(
            "these runs are not repeats of each other",
            problems=problems,
            untouched="nothing was computed",
            hint="show them one by one, or choose runs that differ only in their seed; "
            "`sciml-data show RUN --compare RUN` compares two models",
        )


def _differs(name: str, first: object, other: object) -> str:
    if isinstance(first, dict) and isinstance(other, dict):
        changed = [f"{key}={value}" for key, value in other.items() if first.get(key) != value]
        return f"{', '.join(changed) or 'fewer settings'} differ from the first run's"
    if name == "metrics":
        return "other definitions than in the first run"
    return f"{_short(first)} in the first run, {_short(other)} here"


def _short(value: object) -> str:
    text = str(value)
    return text[:SHORT_DIGEST] if text.startswith("sha256:") else text
