"""Runs as a table that can be sorted: what was run, its headline score, and how far it is sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sciml_data.bench.scoring.scores import row_key
from sciml_data.site import places, words
from sciml_data.site.frame import Page
from sciml_data.site.material import Material, Run
from sciml_data.site.tables import Cell, Column, Table, table

COLUMNS = (
    Column("run"), Column("date"), Column("data"), Column("origin"),
    Column("headline metric, part"), Column("score", is_number=True),
    Column("best baseline", is_number=True), Column("status"), Column("state"),
)  # fmt: skip


def run_table(caption: str, runs: Sequence[Run], page_path: str) -> Table:
    """Return a table of runs, linked from the page that lies at `page_path`."""
    here = Page(page_path, "", "", "")
    return table(caption, COLUMNS, [_cells(run, here) for run in runs], is_sortable=True)


def runs_page(material: Material) -> Page:
    """Return the page that lists every run."""
    return Page(
        path=places.RUNS,
        title="Runs",
        template="runs.html",
        description=f"All {len(material.runs)} runs, with headline score and best baseline.",
        trail=(("Runs", ""),),
        values={"table": run_table("All runs", material.runs, places.RUNS), "runs": material.runs},
    )


def headline_row(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the row of the headline metric in the last part that has it, which is the test."""
    key = record["benchmark"]["headline_metric"]
    rows = [row for row in record["metrics"] if row_key(row) == key]
    named = [row for row in rows if row["part"] == "test"]
    return next(iter(named or rows[-1:]), None)


def best_baseline(record: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return name and score of the best baseline of a row."""
    known = {name: one for name, one in row["baselines"].items() if one is not None}
    lower = {one["metric_id"]: one["lower_is_better"] for one in record["metric_definitions"]}
    choose = min if lower[row["metric_id"]] else max
    return choose(known.items(), key=lambda one: one[1]) if known else None


def _ranked(record: Mapping[str, Any], row: Mapping[str, Any] | None) -> str:
    key = record["benchmark"]["headline_metric"] or "none named"
    return key if row is None else f"{key}, {row['part']}"


def _cells(run: Run, here: Page) -> list[Cell | str | Markup]:
    record, data = run.record, run.record["dataset"]
    row = headline_row(record)
    baseline = None if row is None else best_baseline(record, row)
    link = Markup('<a href="{}">{}</a> <code class="about">{}</code>').format(
        here.to(places.run(run.id)), run.name, run.id[:8]
    )
    return [
        Cell(link, run.name),
        Cell(words.day(record["timing"]["start_time"]), record["timing"]["start_time"], "whole"),
        f"{data['id']} {data['version']}",
        Cell(
            "synthetic" if record["synthetic"] else "real", mark="synthetic" * record["synthetic"]
        ),
        _ranked(record, row),
        Cell(words.NONE) if row is None else Cell(words.score(row["score"]), row["score"]),
        Cell(words.NONE)
        if baseline is None
        else Cell(f"{words.score(baseline[1])} {baseline[0]}", baseline[1]),
        record["status"],
        record["verification"]["state"],
    ]
