"""A record and a submitter -> the events of an MLPerf log, in an order that every rule set takes.

submission keys, cache_clear, init_start, settings, init_stop, run_start, staging, samples, epochs
(each: training, then validation), the last evaluation, run_stop, result. Where runs of several
seeds share one staging, it stands before run_start.

A line's `file` and `lineno` say where its fact stands: in the record as `write_record` lays it out.
An event without a moment of its own has the time of the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME
from sciml_data.bench.scoring.scores import row_key
from sciml_data.errors import Problem, RecordError
from sciml_data.results.mlperf_log.lines import Event, line_in_json, to_line
from sciml_data.results.mlperf_log.names import application
from sciml_data.results.mlperf_log.result import result_of
from sciml_data.results.mlperf_log.settings import hyperparameters
from sciml_data.results.mlperf_log.submitter import Submitter

SUBMITTER_FILE = "sciml_data/results/mlperf_log/submitter.py"
NEEDED = ("init_start", "init_stop", "run_start", "eval_start", "eval_stop", "run_stop")
CLEARED_WHEN = "after conversion, before the ready files are opened"
LOSS = "loss"  # what `monitor` says where epochs are chosen by the validation loss
TRAIN, TEST, VALIDATION = "train", "test", "validation"


def log_text(record: Mapping[str, Any], submitter: Submitter) -> str:
    """Return the MLPerf log of a run: the same text for the same record and submitter.

    Args:
        record: as `load_record` returned it.
        submitter: who submits.

    Raises:
        RecordError: the run is no success, or its timeline is not whole.
    """
    return "".join(to_line(event) + "\n" for event in events_of(record, submitter))


def events_of(record: Mapping[str, Any], submitter: Submitter) -> list[Event]:
    """Return the events of the log of a run, in their order.

    Raises:
        RecordError: the run is no success, or its timeline is not whole.
    """
    _check_is_whole(record)
    marks = record["timeline"]
    last = [mark["key"] for mark in marks].index("eval_start")
    log = _Log(record, marks[0]["time_ms"])
    return [
        *_submission(log, submitter),
        *_opening(log, last),
        *_samples(log),
        *_epochs(log),
        *_closing(log, last),
    ]


@dataclass
class _Log:
    """The record, and the time that the log has come to."""

    record: Mapping[str, Any]
    time_ms: int

    def event(self, key: str, value: Any, *place: str | int, **metadata: Any) -> Event:
        """Return an event of now that tells of a place in the record."""
        line = line_in_json(self.record, place)
        return Event(key, self.time_ms, value, metadata, RECORD_NAME, line)

    def mark(self, number: int, **metadata: Any) -> Event:
        """Return the event of one entry of the timeline; its time is now."""
        mark = self.record["timeline"][number]
        self.time_ms = mark["time_ms"]
        return self.event(mark["key"], None, "timeline", number, **mark["metadata"], **metadata)


def _check_is_whole(record: Mapping[str, Any]) -> None:
    if record["status"] != "success":
        raise RecordError(
            f"run {record['run_id']} is {record['status']}, and only a success has a result to log"
            f": {record['reason']}",
            untouched="nothing was written",
            hint="`sciml-data run BENCHMARK --resume RUN` goes on with a run that was stopped",
        )
    found = {mark["key"] for mark in record["timeline"]}
    missing = [
        Problem("missing", key, "is not in the timeline") for key in NEEDED if key not in found
    ]
    if not record["curve"]:
        missing.append(Problem("missing", "curve", "has no epoch"))
    if missing:
        raise RecordError(
            f"the record of run {record['run_id']} has no whole timeline",
            problems=missing,
            untouched="nothing was written",
        )


def _submission(log: _Log, submitter: Submitter) -> Iterator[Event]:
    """Yield who submits what, under both spellings where there are two."""
    head, code = log.record["benchmark"], log.record["code"]
    known = {
        "benchmark": head["name"],
        "variant": head.get("variant"),
        "title": head["title"],
        "synthetic": log.record["synthetic"],
    }
    yield log.event("submission_benchmark", application(head["name"]), "benchmark", "name", **known)
    yield _said(log, "submission_org", submitter.org)
    yield log.event("submission_division", head["division"], "benchmark", "division")
    version = f"sciml-data-{head['name']}-v{code['version']}"
    for key in ("submission_version", "submissiom_version"):
        yield log.event(key, version, "code", "version", runner_digest=code["runner_digest"])
    state = {"is_dirty": code["is_dirty"], "reason": code["reason"]}
    for key in ("submission_github_commit_version", "github_commit_version"):
        yield log.event(key, code["commit"], "code", "commit", **state)
    yield _said(log, "submission_status", submitter.status)
    platform = submitter.platform or submitter.system
    yield _said(log, "submission_platform", platform, system=submitter.system)
    if submitter.poc_name is not None:
        yield _said(log, "submission_poc_name", submitter.poc_name)
    if submitter.poc_email is not None:
        yield _said(log, "submission_poc_email", submitter.poc_email)
    cleared = dict(log.record["timing"]["cache_clear"])
    done = cleared.pop("done")
    when = {"when": CLEARED_WHEN} if done else {}
    yield log.event("cache_clear", done, "timing", "cache_clear", **cleared, **when)


def _said(log: _Log, key: str, value: str, **metadata: Any) -> Event:
    return Event(key, log.time_ms, value, metadata, SUBMITTER_FILE)


def _opening(log: _Log, last: int) -> Iterator[Event]:
    resumed = log.record["timing"]["resumed_epochs"]
    for number in range(last):
        key = log.record["timeline"][number]["key"]
        extra = {"resumed_epochs": resumed} if resumed and key == "run_start" else {}
        yield log.mark(number, **extra)
        if key == "init_start":
            for name, value, place, metadata in hyperparameters(log.record):
                yield log.event(name, value, *place, **metadata)


def _samples(log: _Log) -> Iterator[Event]:
    sizes = log.record["dataset"]["n_samples"]
    place = ("dataset", "n_samples")
    train = TRAIN if TRAIN in sizes else next(iter(sizes))
    judged = next((part for part in (TEST, VALIDATION) if part in sizes), train)
    for key, part in (("train_samples", train), ("eval_samples", judged)):
        synthetic = log.record["synthetic"]
        yield log.event(key, sizes[part], *place, part, part=part, parts=sizes, synthetic=synthetic)


def _epochs(log: _Log) -> Iterator[Event]:
    key = str(log.record["settings"].get("monitor", LOSS))
    seen = 0
    for number, row in enumerate(log.record["curve"]):
        place = ("curve", number)
        log.time_ms = row["start_time_ms"]
        at = {"epoch_num": row["epoch"], "samples_count": seen}
        yield log.event("epoch_start", None, *place, "start_time_ms", **at)
        log.time_ms = row["train_stop_time_ms"]
        seen += row["samples"]
        at["samples_count"] = seen
        rate = row["learning_rate"]
        yield log.event(
            "train_loss", row["train_loss"], *place, "train_loss", **at, learning_rate=rate
        )
        yield log.event("epoch_stop", None, *place, "train_stop_time_ms", **at)
        if row["validation_loss"] is None:
            continue
        yield log.event("eval_start", None, *place, "train_stop_time_ms", **at)
        log.time_ms = row["stop_time_ms"]
        yield log.event("eval_loss", row["validation_loss"], *place, "validation_loss", **at)
        if row["monitored"] is not None:
            judged = _judged(log.record, key)
            which = {"metric": key, "part": VALIDATION}
            yield log.event(judged, row["monitored"], *place, "monitored", **at, **which)
        yield log.event("eval_stop", None, *place, "stop_time_ms", **at)


def _closing(log: _Log, last: int) -> Iterator[Event]:
    """Yield the evaluation of the best weights, the end of the run, and the result."""
    record = log.record
    total = {"samples_count": sum(row["samples"] for row in record["curve"])}
    for number in range(last, len(record["timeline"])):
        key = record["timeline"][number]["key"]
        if key == "eval_stop":
            log.time_ms = record["timeline"][number]["time_ms"]
            yield from _scores(log, total)
        if key == "run_stop":
            yield from _reached(log)
            yield from _throughput(log)
        yield log.mark(number, **({} if key == "run_stop" else total))
    yield log.event("result", result_of(record), "metrics")


def _scores(log: _Log, total: Mapping[str, int]) -> Iterator[Event]:
    """Yield the headline metric of every part; without one, the first metric."""
    rows = log.record["metrics"]
    headline = log.record["benchmark"]["headline_metric"] or (row_key(rows[0]) if rows else "")
    for number, row in enumerate(rows):
        if row_key(row) == headline and row["score"] is not None:
            at = {"epoch_num": log.record["model"]["best_epoch"], **total}
            which = {"metric": headline, "part": row["part"]}
            place = ("metrics", number, "score")
            yield log.event(_judged(log.record, headline), row["score"], *place, **at, **which)


def _reached(log: _Log) -> Iterator[Event]:
    """Yield the targets that were reached: the value is the target, as MLPerf's logs have it."""
    for number, target in enumerate(log.record["targets"]):
        if target["is_reached"]:
            metadata = {key: value for key, value in target.items() if key != "value"}
            metadata["epoch_num"] = log.record["model"]["best_epoch"]
            place = ("targets", number, "value")
            yield log.event("target_accuracy_reached", target["value"], *place, **metadata)


def _throughput(log: _Log) -> Iterator[Event]:
    rate = log.record["throughput"]["train_samples_per_s"]
    if rate is not None:
        place = ("throughput", "train_samples_per_s")
        yield log.event("tracked_stats", {"throughput": rate}, *place, unit="samples/s")


def _judged(record: Mapping[str, Any], key: str) -> str:
    """Return the key for a score: an accuracy is better when higher, an error when lower."""
    name = key.partition(".")[0]
    lower = [
        one["lower_is_better"] for one in record["metric_definitions"] if one["metric_id"] == name
    ]
    return "eval_error" if key == LOSS or lower[:1] == [True] else "eval_accuracy"
