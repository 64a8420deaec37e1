"""Every key of our logs: its kind of event, the type of its value, and how often it stands.

Keys are MLPerf's (mlperf-logging 4.1.68, mllog/constants.py) and the Science working group's
(mlcommons/science, submit.adoc, section 6). Writer and check both read this table, so a log cannot
be written in one way and checked in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sciml_data.results.mlperf_log.submitter import STATUSES

START, STOP, POINT = "INTERVAL_START", "INTERVAL_END", "POINT_IN_TIME"
FIELDS = ("namespace", "time_ms", "event_type", "key", "value", "metadata")  # in this order
ONE, SOME, OPTIONAL, ANY = "exactly one", "one or more", "at most one", "any number"
INTERVALS = ("init", "run", "staging", "epoch", "eval")
# Keys that stand for one fact: the documents and the codes of the working group differ.
TWINS = {
    "submission_version": "submissiom_version",  # the second as submit.adoc spells it
    "submission_github_commit_version": "github_commit_version",  # the second as cloudmesh does
}
DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_TEXT = {"type": "string", "pattern": r"\S"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_POSITIVE = {"type": "integer", "minimum": 1}
_NOTHING = {"type": "null"}
_COMMIT = {"type": "string", "pattern": "^[0-9a-f]{40}$"}


@dataclass(frozen=True)
class Key:
    """How a key is used: its event type, the JSON Schema of its value, required metadata."""

    event_type: str = POINT
    value: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    times: str = ONE
    metadata: tuple[str, ...] = ()


METADATA: Mapping[str, Mapping[str, Any]] = {
    "file": _TEXT,
    "lineno": _POSITIVE,
    "epoch_num": _POSITIVE,
    "samples_count": _COUNT,
    "status": {"const": "success"},
    "benchmark": _TEXT,
    "synthetic": {"type": "boolean"},
    "metric": _TEXT,
    "part": _TEXT,
}
_SCORES = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
RESULT = {
    "type": "object",
    "required": [
        "name",
        "run_id",
        "headline_metric",
        "metrics",
        "targets",
        "synthetic",
        "dataset",
        "split",
        "record_digest",
        "content_digest",
    ],
    "properties": {
        "name": _TEXT,
        "run_id": _TEXT,
        "metrics": {"type": "object", "minProperties": 1, "additionalProperties": _SCORES},
        "targets": {"type": "array", "items": {"type": "object"}},
        "synthetic": {"type": "boolean"},
        "dataset": {"type": "object", "required": ["id", "version", "manifest_digest"]},
        "split": {"type": "object", "required": ["name", "members_digest"]},
        "record_digest": DIGEST,
        "content_digest": DIGEST,
        "predictions_sha256": {"type": ["string", "null"]},
    },
}
_EPOCH = ("epoch_num", "samples_count")
_JUDGED = Key(POINT, _NUMBER, ANY, (*_EPOCH, "metric", "part"))
KEYS: Mapping[str, Key] = {
    "submission_benchmark": Key(value=_TEXT, metadata=("benchmark", "synthetic")),
    "submission_org": Key(value=_TEXT),
    "submission_division": Key(value={"const": "open"}),
    "submission_version": Key(value=_TEXT),
    "submissiom_version": Key(value=_TEXT),
    "submission_github_commit_version": Key(value=_COMMIT),
    "github_commit_version": Key(value=_COMMIT),
    "submission_status": Key(value={"enum": list(STATUSES)}),
    "submission_platform": Key(value=_TEXT),
    "submission_poc_name": Key(value=_TEXT, times=OPTIONAL),
    "submission_poc_email": Key(value=_TEXT, times=OPTIONAL),
    "cache_clear": Key(value={"type": "boolean"}),
    "init_start": Key(START),
    "seed": Key(value={"type": "integer"}),
    "config_filename": Key(value=_TEXT),
    "global_batch_size": Key(value=_POSITIVE),
    "gradient_accumulation_steps": Key(value=_POSITIVE, times=OPTIONAL),
    "number_of_ranks": Key(value=_POSITIVE),
    "accelerators_per_node": Key(value=_COUNT),
    "opt_name": Key(value=_TEXT, times=OPTIONAL),
    "opt_base_learning_rate": Key(value=_NUMBER, times=OPTIONAL),
    "opt_weight_decay": Key(value=_NUMBER, times=OPTIONAL),
    "opt_gradient_clip_norm": Key(value=_NUMBER, times=OPTIONAL),
    "opt_learning_rate_warmup_epochs": Key(value=_COUNT, times=OPTIONAL),
    "opt_learning_rate_decay_schedule": Key(value=_TEXT, times=OPTIONAL),
    "opt_learning_rate_decay_factor": Key(value=_NUMBER, times=OPTIONAL),
    "init_stop": Key(STOP),
    "run_start": Key(START),
    "staging_start": Key(START, times=OPTIONAL),
    "staging_stop": Key(STOP, times=OPTIONAL),
    "train_samples": Key(value=_POSITIVE),
    "eval_samples": Key(value=_POSITIVE),
    "epoch_start": Key(START, times=SOME, metadata=_EPOCH),
    "train_loss": Key(value=_NUMBER, times=ANY, metadata=_EPOCH),
    "epoch_stop": Key(STOP, times=SOME, metadata=_EPOCH),
    "eval_start": Key(START, times=SOME, metadata=_EPOCH),
    "eval_loss": Key(value=_NUMBER, times=ANY, metadata=_EPOCH),
    "eval_accuracy": _JUDGED,
    "eval_error": _JUDGED,
    "eval_stop": Key(STOP, times=SOME, metadata=_EPOCH),
    "target_accuracy_reached": Key(value=_NUMBER, times=ANY, metadata=("epoch_num", "metric")),
    "tracked_stats": Key(value={"type": "object", "required": ["throughput"]}, times=OPTIONAL),
    "run_stop": Key(STOP, metadata=("status",)),
    "result": Key(value=RESULT),
}
# What has to stand inside which interval.
WITHIN = {
    "train_loss": "epoch",
    "eval_loss": "eval",
    "eval_accuracy": "eval",
    "eval_error": "eval",
    "epoch_start": "run",
    "eval_start": "run",
    "train_samples": "run",
    "eval_samples": "run",
    "tracked_stats": "run",
    "target_accuracy_reached": "run",
}


def line_schema(key: Key) -> dict[str, Any]:
    """Return the JSON Schema of a whole line that has a key of the table."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(FIELDS),
        "properties": {
            "namespace": {"const": ""},
            "time_ms": {"type": "integer", "minimum": 1},
            "event_type": {"const": key.event_type},
            "key": {"type": "string"},
            "value": key.value,
            "metadata": {
                "type": "object",
                "required": ["file", "lineno", *key.metadata],
                "properties": METADATA,
            },
        },
    }
