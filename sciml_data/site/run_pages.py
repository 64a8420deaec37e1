"""The page of a run: its record as tables and charts, and the commands that repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml_data.bench.record.record import RECORD_NAME
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.site import curves, places, record_tables, repeat, score_tables, words
from sciml_data.site.frame import INDEX, Page
from sciml_data.site.material import Material, Run
from sciml_data.site.pictures import Picture, run_pictures

LOG_NAME = "mlperf-log.txt"
CONTENTS = (
    ("scores", "Scores"), ("curve", "Curve"), ("figures", "Figures"),
    ("repeat", "How to repeat it"),
    ("machine", "Machine"), ("record", "Record"), ("log", "MLPerf log"),
)  # fmt: skip


def run_page(run: Run, material: Material, *, log: str | None, no_log: str) -> Page:
    """Return the page of one run.

    Args:
        run: what it is of.
        material: what else has a page.
        log: the MLPerf log of the run, None where none is shown.
        no_log: says why there is none.
    """
    record, data = run.record, run.record["dataset"]
    has_dataset = (data["id"], data["version"]) in {
        (one.dataset, one.version) for one in material.datasets
    }
    has_benchmark = run.benchmark in {task.name for task in material.tasks}
    benchmark = places.benchmark(run.benchmark) if has_benchmark else ""
    return Page(
        path=places.run(run.id),
        title=run.name,
        template="run.html",
        description=f"{run.name}, on {data['id']} {data['version']} ({data['scale']}): scores "
        "beside baselines, curve, record, and how to repeat it.",
        trail=(("Runs", places.RUNS), (run.benchmark, benchmark), (run.id[:8], "")),
        values={
            "run": run,
            "record": record,
            "synthetic": SYNTHETIC,
            "words": words,
            "dataset_path": places.dataset(data["id"], data["version"]) if has_dataset else "",
            "benchmark_path": benchmark,
            "log": log,
            "no_log": no_log,
            "contents": CONTENTS,
            "log_name": LOG_NAME,
            "record_name": RECORD_NAME,
            **_scores(record),
            **_record(record),
            "losses": curves.loss_chart(record),
            "monitored": curves.monitored_chart(record),
            "machine": list(curves.machine_charts(run.folder, record)),
            "pictures": run_pictures(run.folder, run.name),
            "commands": "\n".join(repeat.repeat_lines(record)),
            "remarks": list(repeat.remarks(record)),
        },
    )


def files_beside(run: Run, *, log: str | None) -> Mapping[str, bytes]:
    """Return what lies beside a run's page: the record, figures, the log."""
    folder = places.run(run.id).removesuffix(INDEX)
    pictures: list[Picture] = run_pictures(run.folder, run.name)
    found = {f"{folder}{RECORD_NAME}": run.path.read_bytes()}
    found |= {f"{folder}{one.name}": one.content for one in pictures}
    return found | ({} if log is None else {f"{folder}{LOG_NAME}": log.encode("utf-8")})


def _scores(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "headline": score_tables.headline(record),
        "parts_tables": score_tables.parts(record),
        "failures": score_tables.failures(record),
        "targets": score_tables.targets(record),
        "epochs": score_tables.epochs(record),
    }


def _record(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "groups": list(record_tables.groups(record)),
        "settings": record_tables.settings(record),
        "timeline": record_tables.timeline(record),
        "outputs": record_tables.outputs(record),
        "checks": record_tables.checks(record),
        "facts_json": record_tables.facts(record),
    }
