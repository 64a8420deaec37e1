"""Settings of a run under the names that MLPerf has for them; the rest are echoed whole.

No numerical precision is logged: on a GPU, TensorFlow may compute float32 products in TF32 unasked,
and a record does not know. The setting `precision` stands in the echo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Ours -> MLPerf's (mlperf_logging/mllog/constants.py); a setting that a run has not is not logged.
NAMES = {
    "learning_rate": "opt_base_learning_rate",
    "weight_decay": "opt_weight_decay",
    "clip_norm": "opt_gradient_clip_norm",
    "warmup_epochs": "opt_learning_rate_warmup_epochs",
    "schedule": "opt_learning_rate_decay_schedule",
}
Found = tuple[str, Any, tuple[str, ...], dict[str, Any]]  # key, value, place in record, metadata


def hyperparameters(record: Mapping[str, Any]) -> Iterator[Found]:
    """Yield what the run was configured with."""
    settings, spread = record["settings"], record["distribution"]
    yield "seed", record["seeds"]["seed"], ("seeds", "seed"), {}
    echo = {key: record[key] for key in ("settings", "settings_overridden", "settings_digest")}
    yield "config_filename", "record.json", ("settings",), echo
    batch = ("distribution", "global_batch_size")
    yield "global_batch_size", spread["global_batch_size"], batch, {}
    yield "gradient_accumulation_steps", 1, batch, {}  # one step of the optimiser a global batch
    replicas = {"replicas": spread["replicas"], "strategy": spread["strategy"]}
    yield "number_of_ranks", spread["workers"], ("distribution", "workers"), replicas
    devices = record["hardware"]["accelerators_per_node"]
    yield "accelerators_per_node", devices, ("hardware", "accelerators_per_node"), {}
    if "optimizer" in settings:
        yield "opt_name", _optimizer(settings), ("settings", "optimizer"), {}
    for ours, theirs in NAMES.items():
        if ours in settings:
            yield theirs, settings[ours], ("settings", ours), {}
    if settings.get("schedule") == "plateau":
        place = ("settings", "plateau_factor")
        yield "opt_learning_rate_decay_factor", settings["plateau_factor"], place, {}


def _optimizer(settings: Mapping[str, Any]) -> str:
    """Return MLPerf's name of the optimiser: Keras' Adam with weight decay is AdamW."""
    name = str(settings["optimizer"])
    return "adamw" if name == "adam" and settings.get("weight_decay") else name
