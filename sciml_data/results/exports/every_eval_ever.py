"""Write the scores of a run in the schema of Every Eval Ever, version 0.3.0.

The schema (https://github.com/evaleval/every_eval_ever) is made for language models, but its metric
descriptor fits any score. Its fields about a model's deployment are filled in as far as they apply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sciml_data.bench.record.record import canonical, is_external
from sciml_data.results.exports.request import (
    SOFTWARE,
    ExportRequest,
    computed_scores,
    definitions_of,
    landing_page,
    milliseconds,
)

SCHEMA_VERSION = "0.3.0"
UNKNOWN = "unknown"
# The schema's values for a score without a bound.
NO_MINIMUM, NO_MAXIMUM = "-Infinity", "Infinity"

Record = Mapping[str, Any]


def export(request: ExportRequest) -> str:
    """Return the document as JSON."""
    document = to_every_eval_ever(request.record, org=request.org, page=landing_page(request))
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_every_eval_ever(record: Record, *, org: str | None, page: str | None) -> dict[str, Any]:
    """Return one evaluation with a result for each score that could be computed.

    Args:
        record: of a successful run.
        org: organisation that made the run; None is written as unknown.
        page: address of the dataset's landing page; None if it is not known.
    """
    ended = str(milliseconds(record["timing"]["end_time"]) // 1000)
    model = f"{SOFTWARE}/{record['model']['name']}"
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": "/".join([record["benchmark"]["name"], model.replace("/", "_"), ended]),
        "evaluation_timestamp": record["timing"]["start_time"],
        "retrieved_timestamp": ended,
        "source_metadata": _source(record, org),
        "eval_library": {
            "name": SOFTWARE,
            "version": record["code"]["version"],
            "additional_details": _texts(
                {name: record["code"][name] for name in ("commit", "is_dirty", "runner_digest")}
            ),
        },
        "model_info": _model(record, model, org),
        "evaluation_results": [
            _result(record, key, row, page) for key, row in computed_scores(record)
        ],
    }


def _source(record: Record, org: str | None) -> dict[str, Any]:
    return {
        "source_name": SOFTWARE,
        "source_type": "evaluation_run",
        "source_organization_name": org or UNKNOWN,
        # The run that trained a model scores it; who makes external predictions scores them.
        "evaluator_relationship": "first_party",
        "additional_details": _texts(
            {
                "synthetic": record["synthetic"],
                **({"training": record["training"]} if is_external(record) else {}),
                "run_id": record["run_id"],
                "record_digest": record["record_digest"],
                "verification_state": record["verification"]["state"],
            }
        ),
    }


def _model(record: Record, model: str, org: str | None) -> dict[str, Any]:
    return {
        "name": record["model"]["name"],
        "id": model,
        "developer": org or UNKNOWN,
        "inference_engine": {
            "name": record["model"]["framework"],
            "version": UNKNOWN
            if is_external(record)
            else record["software"]["libraries"].get("keras") or UNKNOWN,
        },
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": UNKNOWN,  # a record does not say where weights are published
            **_texts(
                {
                    "parameters": record["model"]["parameters"],
                    "best_epoch": record["model"]["best_epoch"],
                    "seed": record["seeds"]["seed"],
                    "settings": record["settings"],
                    "settings_digest": record["settings_digest"],
                }
            ),
        },
    }


def _result(record: Record, key: str, row: Mapping[str, Any], page: str | None) -> dict[str, Any]:
    split = record["split"]["name"]
    return {
        "evaluation_result_id": f"{record['run_id']}/{row['part']}/{key}",
        "evaluation_name": f"{record['benchmark']['name']}, split {split}, part {row['part']}",
        "source_data": _data(record, row["part"], page),
        "evaluation_timestamp": record["timing"]["end_time"],
        "metric_config": _metric(record, key, row),
        "score_details": {
            "score": row["score"],
            "details": _texts(
                {f"baseline {name}": score for name, score in row["baselines"].items()}
            ),
        },
    }


def _data(record: Record, part: str, page: str | None) -> dict[str, Any]:
    data, split = record["dataset"], record["split"]
    known = {
        "dataset_name": f"{data['id']} {data['version']}",
        "additional_details": _texts(
            {
                "manifest_digest": data["manifest_digest"],
                "scale": data["scale"],
                "sample_seed": data["sample_seed"],
                "split": split["name"],
                "members_digest": split["members_digest"],
                "part": part,
                "samples": data["n_samples"].get(part),
            }
        ),
    }
    if record["synthetic"] or page is None:
        return {**known, "source_type": "other"}
    return {**known, "source_type": "url", "url": [page]}


def _metric(record: Record, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    definition = definitions_of(record)[row["metric_id"]]
    low, high = definition["min_score"], definition["max_score"]
    return {
        "evaluation_description": definition["formula"],
        "metric_id": f"{record['benchmark']['name']}.{key}",
        "metric_name": definition["metric_name"],
        "metric_kind": row["metric_id"],
        "metric_unit": definition["metric_unit"],
        "metric_parameters": {"variant": row["variant"]},
        "lower_is_better": definition["lower_is_better"],
        "score_type": "continuous",
        "min_score": NO_MINIMUM if low is None else low,
        "max_score": NO_MAXIMUM if high is None else high,
        "additional_details": {"metric_version": definition["metric_version"]},
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the known values as texts, the only type that the schema allows here."""
    return {
        name: value if isinstance(value, str) else canonical(value)
        for name, value in values.items()
        if value is not None
    }
