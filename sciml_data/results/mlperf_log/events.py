"""Write the MLPerf log of a run from its record and its submitter.

The events are in an order that every rule set accepts: submission keys, cache_clear, init_start,
settings, init_stop, run_start, staging, samples, epochs (each: training, then validation), the last
evaluation, run_stop, result. If runs of several seeds share one staging, it comes before run_start.

`file` and `lineno` of a line name the place of its fact in the record as `write_record` writes it.
An event without a time of its own has the time of the event before it. No numerical precision is
logged: on a GPU, TensorFlow may compute float32 products in TF32 on its own, and the record does
not know. The setting `precision` is in the copy of the settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME, digest, has_epochs, is_external
from sciml_data.bench.scoring.metrics import row_key
from sciml_data.errors import Problem, RecordError
from sciml_data.results.mlperf_log.lines import Event, line_in_json, to_line
from sciml_data.results.mlperf_log.submitter import Submitter, application

SUBMITTER_FILE = "sciml_data/results/mlperf_log/submitter.py"
REQUIRED_MARKS = ("init_start", "init_stop", "run_start", "eval_start", "eval_stop", "run_stop")
CLEARED_WHEN = "after conversion, before the ready files are opened"
LOSS = "loss"  # value of the setting `monitor` if the validation loss chooses the epoch
TRAIN, TEST, VALIDATION = "train", "test", "validation"
# A later rescore changes these fields of a record that already has a log.
CHANGED_BY_CHECKS = ("record_digest", "verification")
# Setting -> MLPerf's key (mlperf_logging/mllog/constants.py).
HYPERPARAMETERS = {
    "learning_rate": "opt_base_learning_rate",
    "weight_decay": "opt_weight_decay",
    "clip_norm": "opt_gradient_clip_norm",
    "warmup_epochs": "opt_learning_rate_warmup_epochs",
    "schedule": "opt_learning_rate_decay_schedule",
}


def log_text(record: Mapping[str, Any], submitter: Submitter) -> str:
    """Return the MLPerf log of a run: the same text for the same record and submitter.

    Args:
        record: as `load_record` returned it.
        submitter: organisation, system and contact.

    Raises:
        RecordError: the run is not a success, or its timeline is incomplete.
    """
    return "".join(to_line(event) + "\n" for event in events_of(record, submitter))


def events_of(record: Mapping[str, Any], submitter: Submitter) -> list[Event]:
    """Return the events of the log of a run, in their order.

    Raises:
        RecordError: the run is not a success, or its timeline is incomplete.
    """
    _check_complete(record)
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


def submission_version(record: Mapping[str, Any]) -> str:
    """Return the value of the key `submission_version`, which VERSION.txt repeats."""
    return f"sciml-data-{record['benchmark']['name']}-v{record['code']['version']}"


@dataclass
class _Log:
    """A log that is being written: the record, and the time of the latest event."""

    record: Mapping[str, Any]
    time_ms: int

    def event(self, key: str, value: Any, *place: str | int, **metadata: Any) -> Event:
        """Return an event with the current time and the place of its fact in the record."""
        line = line_in_json(self.record, place)
        return Event(key, self.time_ms, value, metadata, RECORD_NAME, line)

    def mark(self, number: int, **metadata: Any) -> Event:
        """Return the event of one entry of the timeline, whose time becomes the current time."""
        mark = self.record["timeline"][number]
        self.time_ms = mark["time_ms"]
        return self.event(mark["key"], None, "timeline", number, **mark["metadata"], **metadata)


def _check_complete(record: Mapping[str, Any]) -> None:
    if record["status"] != "success":
        raise RecordError(
            f"run {record['run_id']} is {record['status']}, and only a success has a result to log"
            f": {record['reason']}",
            untouched="nothing was written",
            hint="`sciml-data run BENCHMARK --resume RUN` resumes a run that was stopped",
        )
    if is_external(record):
        raise RecordError(
            f"run {record['run_id']} has external predictions: nothing was trained, so there is no "
            "training to log",
            untouched="nothing was written",
        )
    if not has_epochs(record):
        raise RecordError(
            f"the model of run {record['run_id']} was trained without epochs, so there is no "
            "training to log",
            untouched="nothing was written",
        )
    keys = {mark["key"] for mark in record["timeline"]}
    missing = [
        Problem("missing", key, "is not in the timeline")
        for key in REQUIRED_MARKS
        if key not in keys
    ]
    if not record["curve"]:
        missing.append(Problem("missing", "curve", "has no epoch"))
    if missing:
        raise RecordError(
            f"the timeline of run {record['run_id']} is incomplete",
            problems=missing,
            untouched="nothing was written",
        )


def _submission(log: _Log, submitter: Submitter) -> Iterator[Event]:
    """Yield the submission's keys; keys with two spellings are written in both."""
    head, code = log.record["benchmark"], log.record["code"]
    known = {
        "benchmark": head["name"],
        "variant": head.get("variant"),
        "title": head["title"],
        "synthetic": log.record["synthetic"],
    }
    yield log.event("submission_benchmark", application(head["name"]), "benchmark", "name", **known)
    yield _stated(log, "submission_org", submitter.org)
    yield log.event("submission_division", head["division"], "benchmark", "division")
    version = submission_version(log.record)
    for key in ("submission_version", "submissiom_version"):
        yield log.event(key, version, "code", "version", runner_digest=code["runner_digest"])
    state = {"is_dirty": code["is_dirty"], "reason": code["reason"]}
    for key in ("submission_github_commit_version", "github_commit_version"):
        yield log.event(key, code["commit"], "code", "commit", **state)
    yield _stated(log, "submission_status", submitter.status)
    platform = submitter.platform or submitter.system
    yield _stated(log, "submission_platform", platform, system=submitter.system)
    if submitter.poc_name is not None:
        yield _stated(log, "submission_poc_name", submitter.poc_name)
    if submitter.poc_email is not None:
        yield _stated(log, "submission_poc_email", submitter.poc_email)
    cleared = dict(log.record["timing"]["cache_clear"])
    done = cleared.pop("done")
    when = {"when": CLEARED_WHEN} if done else {}
    yield log.event("cache_clear", done, "timing", "cache_clear", **cleared, **when)


def _stated(log: _Log, key: str, value: str, **metadata: Any) -> Event:
    """Return an event whose fact comes from the submitter, not from the record."""
    return Event(key, log.time_ms, value, metadata, SUBMITTER_FILE)


def _opening(log: _Log, last: int) -> Iterator[Event]:
    """Yield the timeline up to the last evaluation, with the settings inside `init`."""
    resumed = log.record["timing"]["resumed_epochs"]
    for number in range(last):
        key = log.record["timeline"][number]["key"]
        extra = {"resumed_epochs": resumed} if resumed and key == "run_start" else {}
        yield log.mark(number, **extra)
        if key == "init_start":
            yield from _hyperparameters(log)


def _hyperparameters(log: _Log) -> Iterator[Event]:
    """Yield the settings of the run; those that MLPerf has no key for are in the copy of all."""
    record = log.record
    settings, distribution = record["settings"], record["distribution"]
    yield log.event("seed", record["seeds"]["seed"], "seeds", "seed")
    copied = {key: record[key] for key in ("settings", "settings_overridden", "settings_digest")}
    yield log.event("config_filename", "record.json", "settings", **copied)
    batch = ("distribution", "global_batch_size")
    yield log.event("global_batch_size", distribution["global_batch_size"], *batch)
    yield log.event("gradient_accumulation_steps", 1, *batch)  # one optimiser step a global batch
    replicas = {"replicas": distribution["replicas"], "strategy": distribution["strategy"]}
    yield log.event(
        "number_of_ranks", distribution["workers"], "distribution", "workers", **replicas
    )
    devices = record["hardware"]["accelerators_per_node"]
    yield log.event("accelerators_per_node", devices, "hardware", "accelerators_per_node")
    if "optimizer" in settings:
        yield log.event("opt_name", _optimizer(settings), "settings", "optimizer")
    for setting, key in HYPERPARAMETERS.items():
        if setting in settings:
            yield log.event(key, settings[setting], "settings", setting)
    if settings.get("schedule") == "plateau":
        factor = settings["plateau_factor"]
        yield log.event("opt_learning_rate_decay_factor", factor, "settings", "plateau_factor")


def _optimizer(settings: Mapping[str, Any]) -> str:
    """Return MLPerf's name of the optimiser: Keras' Adam with weight decay is AdamW."""
    name = str(settings["optimizer"])
    return "adamw" if name == "adam" and settings.get("weight_decay") else name


def _samples(log: _Log) -> Iterator[Event]:
    sizes = log.record["dataset"]["n_samples"]
    place = ("dataset", "n_samples")
    train = TRAIN if TRAIN in sizes else next(iter(sizes))
    # Of the part that the `eval_accuracy` of each epoch is of.
    scored = next((part for part in (VALIDATION, TEST) if part in sizes), train)
    for key, part in (("train_samples", train), ("eval_samples", scored)):
        synthetic = log.record["synthetic"]
        yield log.event(key, sizes[part], *place, part, part=part, parts=sizes, synthetic=synthetic)


def _epochs(log: _Log) -> Iterator[Event]:
    key = str(log.record["settings"].get("monitor", LOSS))
    samples = 0  # that the model was trained on so far
    for number, row in enumerate(log.record["curve"]):
        place = ("curve", number)
        log.time_ms = row["start_time_ms"]
        at = {"epoch_num": row["epoch"], "samples_count": samples}
        yield log.event("epoch_start", None, *place, "start_time_ms", **at)
        log.time_ms = row["train_stop_time_ms"]
        samples += row["samples"]
        at["samples_count"] = samples
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
            score_key = _score_key(log.record, key)
            which = {"metric": key, "part": VALIDATION}
            yield log.event(score_key, row["monitored"], *place, "monitored", **at, **which)
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
            yield from _reached_targets(log)
            yield from _throughput(log)
        yield log.mark(number, **({} if key == "run_stop" else total))
    yield log.event("result", result_of(record), "metrics")


def _scores(log: _Log, total: Mapping[str, int]) -> Iterator[Event]:
    """Yield the headline metric of every part; without a headline metric, the first metric."""
    rows = log.record["metrics"]
    headline = log.record["benchmark"]["headline_metric"] or (row_key(rows[0]) if rows else "")
    for number, row in enumerate(rows):
        if row_key(row) == headline and row["score"] is not None:
            at = {"epoch_num": log.record["model"]["best_epoch"], **total}
            which = {"metric": headline, "part": row["part"]}
            place = ("metrics", number, "score")
            yield log.event(_score_key(log.record, headline), row["score"], *place, **at, **which)


def _reached_targets(log: _Log) -> Iterator[Event]:
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


def _score_key(record: Mapping[str, Any], key: str) -> str:
    """Return the log's key for a score: an accuracy is better when higher, an error when lower."""
    name = key.partition(".")[0]
    lower = [
        definition["lower_is_better"]
        for definition in record["metric_definitions"]
        if definition["metric_id"] == name
    ]
    return "eval_error" if key == LOSS or lower[:1] == [True] else "eval_accuracy"


def content_digest(record: Mapping[str, Any]) -> str:
    """Return the digest of a record without the fields that later checks of its scores change."""
    return digest({key: value for key, value in record.items() if key not in CHANGED_BY_CHECKS})


def result_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of the `result` event: scores, and what identifies the record.

    `metrics` maps part -> metric key -> score, None for a metric that could not be computed.
    """
    head, data, split, timing = (record[key] for key in ("benchmark", "dataset", "split", "timing"))
    metrics: dict[str, dict[str, float | None]] = {}
    for row in record["metrics"]:
        metrics.setdefault(row["part"], {})[row_key(row)] = row["score"]
    return {
        "name": head["name"],
        "variant": head.get("variant"),
        "run_id": record["run_id"],
        "model": record["model"]["name"],
        "headline_metric": head["headline_metric"],
        "metrics": metrics,
        "targets": [dict(row) for row in record["targets"]],
        "synthetic": record["synthetic"],
        "dataset": {
            key: data[key]
            for key in ("id", "version", "scale", "sample_seed", "manifest_digest", "ready_digest")
        },
        "split": {key: split[key] for key in ("name", "members_digest", "is_headline")},
        "settings_digest": record["settings_digest"],
        "time_to_train_s": timing["time_to_train_s"],
        "time_to_train_excl_staging_s": timing["time_to_train_excl_staging_s"],
        "energy": dict(record["energy"]),
        "predictions_sha256": record["outputs"].get("predictions", {}).get("sha256"),
        "record_digest": record["record_digest"],
        "content_digest": content_digest(record),
    }
