"""Write a run into an MLflow tracking store, beside the other runs of an organisation.

In MLflow, parameters and tags are texts and metrics are numbers with a step. `record.json` becomes
an artifact of the run and remains authoritative.
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
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.results.exports.request import (
    SOFTWARE,
    ExportRequest,
    RunFile,
    computed_scores,
    files_of,
    landing_page,
    milliseconds,
    title_of,
)

STATUSES = {"success": "FINISHED", "aborted": "KILLED", "failed": "FAILED"}
SQLITE = "sqlite:///"
# Limits of one request of MLflow's REST API (mlflow/utils/validation.py, 3.17).
MAX_METRICS, MAX_PARAMS = 1000, 100
MAX_PARAM, MAX_TAG = 6000, 5000  # characters of a parameter's and of a tag's value
MAX_DIGEST = 36  # characters of a dataset's digest in MLflow's tables
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


def export(request: ExportRequest) -> str:
    """Write the run into the store `request.to`, and return MLflow's id of the run.

    Raises:
        CallError: MLflow is not installed, the store cannot be used, or the run is in it already.
        RecordError: files of the run differ from its record, or the monitor's table is damaged.
    """
    files = files_of(request)
    samples = _samples(request)  # before anything is written
    client = _client(str(request.to))
    try:
        return _write(client, request, files, samples)
    except _store_errors() as error:
        raise CallError(
            f"MLflow cannot write the run to {request.to}: {str(error).splitlines()[0]}",
            untouched="other runs in this store were not changed",
        ) from error


def _write(
    client: Any, request: ExportRequest, files: Iterable[RunFile], samples: Iterable[Point]
) -> str:
    experiment = _experiment(client, request.record, str(request.to))
    _refuse_duplicate(client, experiment, request.record)
    timing = request.record["timing"]
    run = client.create_run(
        experiment,
        start_time=milliseconds(timing["start_time"]),
        tags=tags_of(request.record, org=request.org),
        run_name=request.folder.name,
    )
    identifier: str = run.info.run_id
    _log(client, identifier, request, samples)
    for file in files:
        if file.is_included:
            client.log_artifact(identifier, str(request.folder / file.path))
    client.set_terminated(
        identifier, STATUSES[request.record["status"]], milliseconds(timing["end_time"])
    )
    return identifier


def params_of(record: Record) -> dict[str, str]:
    """Return the run's parameters: settings, seed, data, split and model."""
    params = {
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
        name: (value if isinstance(value, str) else canonical(value))[:MAX_PARAM]
        for name, value in params.items()
    }


def tags_of(record: Record, *, org: str | None) -> dict[str, str]:
    """Return the tags by which a run is found, and the digests its scores depend on."""
    code = record["code"]
    tags = {
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
    return {name: value[:MAX_TAG] for name, value in tags.items() if value is not None}


def points_of(record: Record) -> Iterator[Point]:
    """Yield every number: the curve by epoch, and all others at the epoch that was scored."""
    for row in record["curve"]:
        for name in CURVE:
            if row[name] is not None:
                yield name, float(row[name]), row["stop_time_ms"], row["epoch"]
    end_ms, best = milliseconds(record["timing"]["end_time"]), record["model"]["best_epoch"]
    for name, value in _totals(record):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value), end_ms, best


def _totals(record: Record) -> Iterator[tuple[str, Any]]:
    """Yield scores and totals of a run, including values that are not numbers or unknown."""
    for key, row in computed_scores(record):
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
    """Return a client of the store, with MLflow's telemetry off.

    Raises:
        CallError: MLflow or a library of its stores is not installed, or the address is invalid.
    """
    if to.startswith(SQLITE):
        folder = Path(to.removeprefix(SQLITE)).absolute().parent
        if not folder.is_dir():
            raise CallError(
                f"no such folder: {folder}",
                untouched="nothing was written",
                hint=f"mkdir -p {folder}",
            )
    elif "://" not in to:
        raise CallError(
            f"{to!r} is not the address of an MLflow store",
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
    except _store_errors() as error:
        raise CallError(
            f"MLflow cannot use {to}: {str(error).splitlines()[0]}",
            untouched="nothing was written",
        ) from error


def _store_errors() -> tuple[type[Exception], ...]:
    """Return what MLflow raises of a store; errors of its database pass through it."""
    import mlflow
    import sqlalchemy.exc
    from alembic.util import CommandError

    return mlflow.MlflowException, sqlalchemy.exc.SQLAlchemyError, CommandError


def _experiment(client: Any, record: Record, to: str) -> str:
    """Return the id of the benchmark's experiment; synthetic runs have a separate one."""
    benchmark = record["benchmark"]
    words = [SOFTWARE, benchmark["name"], benchmark.get("variant")]
    name = "/".join(word for word in words if word) + (
        " (synthetic)" if record["synthetic"] else ""
    )
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    place = None  # a server knows where its artifacts are
    if to.startswith(SQLITE):
        database = Path(to.removeprefix(SQLITE)).absolute()
        place = database.with_name(f"{database.stem}-artifacts").joinpath(*name.split("/")).as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def _refuse_duplicate(client: Any, experiment: str, record: Record) -> None:
    runs = client.search_runs(
        [experiment], filter_string=f"tags.`{RUN_ID_TAG}` = '{record['run_id']}'"
    )
    if runs:
        raise CallError(
            f"run {record['run_id'][:8]} is in this store already, as {runs[0].info.run_id}",
            untouched="nothing was written",
        )


def _samples(request: ExportRequest) -> list[Point]:
    """Return the monitor's samples of a run; none if it was not monitored."""
    monitor = request.record["outputs"].get("monitor")
    if monitor is None:
        return []
    try:
        return list(sample_points(request.folder / monitor["path"]))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"the samples of {request.folder.name} cannot be read",
            problems=[Problem("malformed", monitor["path"], str(error))],
            untouched="nothing was written",
        ) from error


def _log(client: Any, identifier: str, request: ExportRequest, samples: Iterable[Point]) -> None:
    from mlflow.entities import Metric, Param

    record = request.record
    points = itertools.chain(points_of(record), samples)
    for batch in _batches((Metric(*point) for point in points), MAX_METRICS):
        client.log_batch(identifier, metrics=batch)
    params = (Param(name, value) for name, value in params_of(record).items())
    for batch in _batches(params, MAX_PARAMS):
        client.log_batch(identifier, params=batch)
    client.log_inputs(identifier, datasets=[_dataset(record, landing_page(request))])


def _dataset(record: Record, page: str | None) -> Any:
    """Return the dataset as MLflow's input of the run; `page` is its landing page, if known."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = record["dataset"]
    dataset = Dataset(
        name=f"{data['id']} {data['version']} ({data['scale']})",
        digest=data["manifest_digest"].partition(":")[2][:MAX_DIGEST],
        source_type="synthetic" if record["synthetic"] else "http" if page else "unpublished",
        source=canonical({"uri": page} if page else {"manifest": data["manifest_digest"]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", record["split"]["name"])])


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
