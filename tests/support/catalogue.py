"""Write docs/reference/catalogue/ again: its entries, and the ratings in its table.

    python -m tests.support.catalogue

Published records change both, so that this is run after `sciml-data results add`.
"""

from __future__ import annotations

import re

from sciml_data.bench.task.task import load_task
from sciml_data.registry.layout import find_registry
from sciml_data.results.exports import BenchmarkRequest, export_benchmark
from sciml_data.results.rating import rate
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "reference" / "catalogue"
ROW = re.compile(r"^(\| `(\w+)` \| .*\| )[0-9.]+ \|$", re.MULTILINE)


def update() -> None:
    """Write the entries and the table."""
    registry = find_registry()
    averages = {
        name: rate(load_task(registry.runner(name)), registry).average
        for name in registry.named.benchmarks()
    }
    for path in FOLDER.glob("*.yaml"):
        request = BenchmarkRequest(load_task(registry.runner(path.stem)), registry)
        path.write_text(export_benchmark("catalogue", request), encoding="ascii")
    page = FOLDER / "README.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(
        ROW.sub(lambda row: f"{row[1]}{averages[row[2]]:.2f} |", text), encoding="utf-8"
    )


if __name__ == "__main__":
    update()
