"""The page of a run: its record as tables and charts, and the commands that repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sciml_data.bench.record.record import (
    RECORD_NAME,
    SUCCESS,
    budget_remark,
    budget_words,
    has_epochs,
    is_external,
    own_model_remark,
)
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.bench.record.runs import PREDICTIONS_NAME
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.progress import counted
from sciml_data.results.exports import ExportRequest, export_run
from sciml_data.site import charts, record_tables
from sciml_data.site.content import Content, Run
from sciml_data.site.frame import (
    INDEX,
    RUNS_PATH,
    Page,
    benchmark_path,
    dataset_path,
    run_path,
)
from sciml_data.site.pictures import run_pictures

LOG_NAME = "mlperf-log.txt"
# Form of the export -> name of its file beside the page of a run.
RUN_FILES = {"croissant-task": "croissant-task.json", "spdx": "spdx.json"}
CONTENTS = (
    ("headline", "Headline"), ("curve", "Curve"), ("figures", "Figures"),
    ("scores", "All scores"),
    ("repeat", "How to repeat it"),
    ("machine", "Machine"), ("record", "Record"), ("log", "MLPerf log"),
)  # fmt: skip
Record = Mapping[str, Any]


def run_page(run: Run, content: Content, *, log: str | None, no_log: str) -> Page:
    """Return the page of a run.

    Args:
        run: the run.
        content: everything else that has a page.
        log: the MLPerf log of the run, or None.
        no_log: the reason why there is no log.
    """
    record, data = run.record, run.record["dataset"]
    versions = {(descriptor.dataset, descriptor.version) for descriptor in content.datasets}
    has_dataset = (data["id"], data["version"]) in versions
    has_benchmark = run.benchmark in {task.name for task in content.tasks}
    benchmark = benchmark_path(run.benchmark) if has_benchmark else ""
    return Page(
        path=run_path(run.id),
        title=run.name,
        template="run.html",
        description=f"{run.name}, on {data['id']} {data['version']} ({data['scale']}): scores "
        "beside baselines, curve, record, and how to repeat it.",
        trail=(("Runs", RUNS_PATH), (run.benchmark, benchmark), (run.id[:8], "")),
        values={
            "record": record,
            "synthetic": SYNTHETIC,
            "own_model": own_model_remark(record),
            "budget": budget_remark(record),
            "has_epochs": has_epochs(record),
            "dataset_path": dataset_path(data["id"], data["version"]) if has_dataset else "",
            "benchmark_path": benchmark,
            "log": log,
            "no_log": no_log,
            "contents": CONTENTS,
            "log_name": LOG_NAME,
            "exports": _exports(record),
            "record_name": RECORD_NAME,
            **_score_values(record),
            "variants": record_tables.variant_table(record, _groupings(run, content)),
            **_record_values(record),
            "losses": charts.loss_chart(record),
            "monitored": charts.monitored_chart(record),
            "machine": list(charts.machine_charts(run.folder, record)),
            "pictures": run_pictures(run.folder, run.name),
            "commands": "\n".join(repeat_lines(record)),
            "remarks": list(remarks(record)),
        },
    )


def files_beside(run: Run, content: Content, *, log: str | None) -> dict[str, bytes]:
    """Return the files beside a run's page, by path in the site: record, exports, figures, log.

    Args:
        run: the run.
        content: everything else that has a page.
        log: the MLPerf log of the run, or None.
    """
    folder = run_path(run.id).removesuffix(INDEX)
    files = {f"{folder}{RECORD_NAME}": run.path.read_bytes()}
    for form, name in _exports(run.record).items():
        request = ExportRequest(run.folder, run.record, content.registry, org=run.organisation)
        files[f"{folder}{name}"] = export_run(form, request).encode("utf-8")
    for picture in run_pictures(run.folder, run.name):
        files[f"{folder}{picture.name}"] = picture.content
    if log is not None:
        files[f"{folder}{LOG_NAME}"] = log.encode("utf-8")
    return files


def _exports(record: Record) -> Mapping[str, str]:
    """Return the exports beside the page of a run; a run without scores has none."""
    return RUN_FILES if record["status"] == SUCCESS else {}


def _groupings(run: Run, content: Content) -> dict[str, str]:
    """Return the coordinate by which each metric groups samples; metrics without one are absent."""
    tasks = [task for task in content.tasks if task.name == run.benchmark]
    return {metric.id: metric.by for task in tasks for metric in task.metrics if metric.by}


def _score_values(record: Record) -> dict[str, Any]:
    return {
        "headline": record_tables.headline_table(record),
        "legend": record_tables.headline_legend(record),
        "metrics": record_tables.metric_table(record),
        "intervals": record_tables.interval_table(record),
        "parts_tables": record_tables.part_tables(record),
        "earlier_parts": record_tables.earlier_parts(record),
        "failures": record_tables.failures(record),
        "targets": record_tables.target_table(record),
        "epochs": record_tables.epoch_table(record),
    }


def _record_values(record: Record) -> dict[str, Any]:
    return {
        "groups": list(record_tables.group_tables(record)),
        "settings": record_tables.settings_table(record),
        "timeline": record_tables.timeline_table(record),
        "outputs": record_tables.output_table(record),
        "checks": record_tables.check_table(record),
        "diagnostics_json": json.dumps(record["facts"], indent=1, ensure_ascii=False),
    }


# How to repeat a run, from its record alone


def repeat_lines(record: Record) -> list[str]:
    """Return the commands that install the software, repeat the run, and show its scores."""
    return [*install_lines(record), shlex.join(run_command(record)), "sciml-data show latest"]


def install_lines(record: Record) -> list[str]:
    """Return the commands that install the software of a run."""
    code, backend = record["code"], record["distribution"].get("backend", "tensorflow")
    extras = "[train]" if backend == "tensorflow" else "[jax]"
    if code["commit"] is None:
        return [shlex.join(["pip", "install", f"sciml-data{extras}=={code['version']}"])]
    folder = REPOSITORY.rpartition("/")[2]
    return [
        f"git clone {REPOSITORY} && cd {folder}",
        shlex.join(["git", "checkout", code["commit"]]),
        f"pip install '.{extras}'",
    ]


def run_command(record: Record) -> list[str]:
    """Return the words of the command that repeats a run."""
    source = record["model"]["source"]
    model = f"{source['file']}:{source['function']}" if source else record["model"]["name"]
    command = ["sciml-data", "run", record["benchmark"]["name"], "--model", model]
    if is_external(record):
        command[1:4] = ["score", record["benchmark"]["name"], PREDICTIONS_NAME, "--model"]
    command += ["--split", record["split"]["name"], "--seed", str(record["seeds"]["seed"])]
    command += ["--dataset", record["dataset"]["id"]]
    if variant := record["benchmark"].get("variant"):
        command += ["--variant", variant]
    command += _sample_options(record)
    command += [] if is_external(record) else _device_options(record)
    command += budget_words(record)
    for name in record["settings_overridden"]:
        command += ["--set", f"{name}={_setting_text(record['settings'][name])}"]
    return command


def remarks(record: Record) -> Iterator[str]:
    """Yield what the commands cannot guarantee."""
    code, workers = record["code"], record["distribution"]["workers"]
    if registry := code.get("registry"):
        yield (
            f"The runner is that of the registry {registry}, which is in no commit of sciml-data "
            f"(digest {code['runner_digest']}): add --registry DIR with that registry."
        )
    elif code["is_dirty"]:
        yield "The checkout had changes that are in no commit, so the commands may run other code."
    if code["commit"] is None and code["reason"]:
        yield f"No commit is known: {code['reason']}."
    if is_external(record):
        yield "Another program trained and predicted: the predictions can only be scored again."
        return
    if workers > 1:
        yield (
            f"The run used {counted(workers, 'process', 'processes')}: `sciml-data sbatch` writes "
            "a job that starts the same number."
        )
    if budget_remark(record):
        yield (
            "The run stopped at a time, so another computer makes another number of steps. The "
            "record has the number of this run."
        )
    yield (
        "Scores are equal to the last bit only with the same versions, device, thread count and "
        "settings; elsewhere they differ in the last digits."
    )


def _sample_options(record: Record) -> Iterator[str]:
    data = record["dataset"]
    if data["sample_seed"] is not None:
        yield from ("--sample", "--sample-seed", str(data["sample_seed"]))
        for text in data.get("sample_set", ()):
            yield from ("--sample-set", text)


def _device_options(record: Record) -> Iterator[str]:
    distribution, threads = record["distribution"], record["hardware"]["intra_op_threads"]
    strategy = distribution["strategy"]
    yield "--strategy"
    yield f"mirrored:{distribution['replicas']}" if strategy == "mirrored" else strategy
    if distribution.get("backend", "tensorflow") != "tensorflow":
        yield from ("--backend", distribution["backend"])
    if threads:
        yield from ("--threads", str(threads))


def _setting_text(value: Any) -> str:
    """Return a setting in the syntax of `--set`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_setting_text, value)) if isinstance(value, list) else str(value)
