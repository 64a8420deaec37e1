"""A run in an MLflow tracking store, beside an organisation's other runs.

MLflow keeps no schema of its own for science: parameters and tags are texts, metrics are numbers
with a step. `record.json` goes along as an artifact and stays what counts.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.monitoring.sampler import COLUMNS, read_samples
from sciml_data.bench.record.record import canonical
from sciml_data.bench.record.runs import MONITOR_NAME
from sciml_data.errors import CallError
from sciml_data.metadata.addresses import REPOSITORY, landing_page_address
from sciml_data.results.exports.material import (
    SOFTWARE,
    Ask,
    computed,
    files_of,
    milliseconds,
    title_of,
)

STATUSES = {"success": "FINISHED", "aborted": "KILLED", "failed": "FAILED"}
SQLITE = "sqlite:///"
# What one request of MLflow's REST API may hold (mlflow/utils/validation.py, 3.17).
MOST_METRICS, MOST_PARAMS = 1000, 100
LONGEST_VALUE, LONGEST_NOTE = 6000, 5000  # characters of a parameter, and of a tag
LONGEST_DIGEST = 36  # of a dataset, in MLflow's tables
CURVE = (
    "train_loss",
    "validation_loss",
    "monitored",
    "learning_rate",
    "train_s",
    "evaluation_s",
    "samples",
)
RUN_ID_TAG = "sciml_data.run_id"

Record = Mapping[str, Any]
Point = tuple[str, float, int, int]  # key, value, milliseconds since 1970, step


def export(ask: Ask) -> str:
    """Write the run into the store that `ask.to` names and return MLflow's id of it.

    Raises:
        CallError: MLflow is not installed, the store cannot be used, or has this run already.
        RecordError: files of the run are not as its record says.
    """
    files = files_of(ask)
    client = _client(str(ask.to))
    experiment = _experiment(client, ask.record, str(ask.to))
    _refuse_twice(client, experiment, ask.record)
    timing = ask.record["timing"]
    run = client.create_run(
        experiment,
        start_time=milliseconds(timing["start_time"]),
        tags=tags_of(ask.record, org=ask.org),
        run_name=ask.folder.name,
    )
    identifier: str = run.info.run_id
    _log(client, identifier, ask)
    for file in files:
        if file.goes_along:
            client.log_artifact(identifier, str(ask.folder / file.path))
    client.set_terminated(
        identifier, STATUSES[ask.record["status"]], milliseconds(timing["end_time"])
    )
    return identifier


def params_of(record: Record) -> dict[str, str]:
    """Return what was chosen: settings, seed, data, split, model."""
    chosen = {
        "seed": record["seeds"]["seed"],
        "model": record["model"]["name"],
        "parameters": record["model"]["parameters"],
        "dataset": record["dataset"]["id"],
        "dataset_version": record["dataset"]["version"],
        "split": record["split"]["name"],
        "global_batch_size": record["distribution"]["global_batch_size"],
        "replicas": record["distribution"]["replicas"],
        **{f"settings.{name}": value for name, value in record["settings"].items()},
    }
    return {
        name: (value if isinstance(value, str) else canonical(value))[:LONGEST_VALUE]
        for name, value in chosen.items()
    }


def tags_of(record: Record, *, org: str | None) -> dict[str, str]:
    """Return what a run is found by, and what its scores rest on."""
    code = record["code"]
    found = {
        RUN_ID_TAG: record["run_id"],
        "sciml_data.record_digest": record["record_digest"],
        "sciml_data.synthetic": canonical(record["synthetic"]),
        "sciml_data.status": record["status"],
        "sciml_data.verification": record["verification"]["state"],
        "sciml_data.manifest_digest": record["dataset"]["manifest_digest"],
        "sciml_data.members_digest": record["split"]["members_digest"],
        "sciml_data.settings_digest": record["settings_digest"],
        "sciml_data.runner_digest": code["runner_digest"],
        "sciml_data.version": code["version"],
        "sciml_data.organisation": org,
        "sciml_data.reason": record["reason"],
        "mlflow.source.name": REPOSITORY,
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": code["commit"],
        "mlflow.note.content": title_of(record),
    }
    return {name: value[:LONGEST_NOTE] for name, value in found.items() if value is not None}


def points_of(record: Record) -> Iterator[Point]:
    """Yield every number: the curve by epoch, all else at the epoch that was scored."""
    for row in record["curve"]:
        for name in CURVE:
            if row[name] is not None:
                yield name, float(row[name]), row["stop_time_ms"], row["epoch"]
    end_ms, best = milliseconds(record["timing"]["end_time"]), record["model"]["best_epoch"]
    for name, value in _totals(record):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value), end_ms, best


def _totals(record: Record) -> Iterator[tuple[str, Any]]:
    """Yield what a run came to, also what is no number or not known."""
    for key, row in computed(record):
        yield f"score/{row['part']}/{key}", row["score"]
        for name, score in row["baselines"].items():
            yield f"baseline/{name}/{row['part']}/{key}", score
    for group in ("timing", "throughput", "resources", "energy"):
        for name, value in record[group].items():
            yield f"{group}/{name}", value


def sample_points(table: Path) -> Iterator[Point]:
    """Yield the monitor's samples as MLflow's system metrics."""
    for step, sample in enumerate(read_samples(table)):
        for name in COLUMNS[2:]:
            value = sample[name]
            if value is not None:
                yield f"system/{name}", value, int(sample["time_ms"] or 0), step


def _client(to: str) -> Any:
    """Return a client of the store; it tells nobody of its use.

    Raises:
        CallError: MLflow or what its store needs is missing, or the address names no store.
    """
    if to.startswith(SQLITE):
        folder = Path(to.removeprefix(SQLITE)).absolute().parent
        if not folder.is_dir():
            raise CallError(
                f"the folder {folder} is not there",
                untouched="nothing was written",
                hint=f"mkdir -p {folder}",
            )
    elif "://" not in to:
        raise CallError(
            f"{to!r} is no address of an MLflow store",
            untouched="nothing was written",
            hint=f"--to {SQLITE}runs.db, or the http address of a tracking server",
        )
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    try:
        import alembic  # noqa: F401 - MLflow's own stores need both, mlflow-skinny brings neither
        import mlflow
        import sqlalchemy  # noqa: F401
    except ModuleNotFoundError as error:
        raise CallError(
            f"the form mlflow needs {error.name}, which is not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[mlflow]'",
        ) from error
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        return mlflow.MlflowClient(tracking_uri=to)
    except mlflow.MlflowException as error:
        raise CallError(
            f"MLflow cannot use {to}: {str(error).splitlines()[0]}",
            untouched="nothing was written",
        ) from error


def _experiment(client: Any, record: Record, to: str) -> str:
    """Return the id of the benchmark's experiment; synthetic runs have one of their own."""
    benchmark = record["benchmark"]
    words = [SOFTWARE, benchmark["name"], benchmark.get("variant")]
    name = "/".join(word for word in words if word) + (
        " (synthetic)" if record["synthetic"] else ""
    )
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = None  # a server knows where its artifacts lie
    if to.startswith(SQLITE):
        database = Path(to.removeprefix(SQLITE)).absolute()
        place = database.with_name(f"{database.stem}-artifacts").joinpath(*name.split("/")).as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def _refuse_twice(client: Any, experiment: str, record: Record) -> None:
    found = client.search_runs(
        [experiment], filter_string=f"tags.`{RUN_ID_TAG}` = '{record['run_id']}'"
    )
    if found:
        raise CallError(
            f"run {record['run_id'][:8]} is in this store already, as {found[0].info.run_id}",
            untouched="nothing was written",
        )


def _log(client: Any, identifier: str, ask: Ask) -> None:
    from mlflow.entities import Metric, Param

    points = points_of(ask.record)
    if "monitor" in ask.record["outputs"]:
        points = itertools.chain(points, sample_points(ask.folder / MONITOR_NAME))
    for batch in _batches((Metric(*point) for point in points), MOST_METRICS):
        client.log_batch(identifier, metrics=batch)
    params = (Param(name, value) for name, value in params_of(ask.record).items())
    for batch in _batches(params, MOST_PARAMS):
        client.log_batch(identifier, params=batch)
    client.log_inputs(identifier, datasets=[_dataset(ask.record)])


def _dataset(record: Record) -> Any:
    """Return the dataset as MLflow's input of the run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = record["dataset"]
    dataset = Dataset(
        name=f"{data['id']} {data['version']} ({data['scale']})",
        digest=data["manifest_digest"].partition(":")[2][:LONGEST_DIGEST],
        source_type="synthetic" if record["synthetic"] else "http",
        source=canonical({"uri": landing_page_address(data["id"], data["version"])}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", record["split"]["name"])])


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
