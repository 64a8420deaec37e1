"""Where each page lies: the addresses of datasets are those of `fair.addresses`."""

from __future__ import annotations

from sciml_data.site.frame import INDEX

HOME = INDEX
RUNS = f"runs/{INDEX}"


def dataset(name: str, version: str) -> str:
    """Return the path of a version's page."""
    return f"datasets/{name}/{version}/{INDEX}"


def benchmark(name: str) -> str:
    """Return the path of a benchmark's page."""
    return f"benchmarks/{name}/{INDEX}"


def run(identifier: str) -> str:
    """Return the path of a run's page."""
    return f"runs/{identifier}/{INDEX}"
