"""The value of the one `result` event: the scores, and what ties them to a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml_data.bench.record.record import digest
from sciml_data.bench.scoring.scores import row_key

# A rescore writes these into a record that a log was made of before.
CHANGED_BY_CHECKS = ("record_digest", "verification")


def content_digest(record: Mapping[str, Any]) -> str:
    """Return the digest of a record without what later checks of its scores may change."""
    return digest({key: value for key, value in record.items() if key not in CHANGED_BY_CHECKS})


def result_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a run: `metrics` is part -> metric -> score, None where it failed."""
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
