"""The toy benchmark: its registry, its data, its problem. The engine's tests run on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from click.testing import CliRunner, Result

from sciml_data.bench.interface import load_runner
from sciml_data.bench.run.request import Request
from sciml_data.bench.run.staging import Sample, Source
from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.split import load_split
from sciml_data.bench.task.task import Task, load_task
from sciml_data.cli import group
from sciml_data.registry.layout import Registry
from tests.support.paths import TOY_REGISTRY

if TYPE_CHECKING:
    import xarray as xr

REGISTRY = Registry(TOY_REGISTRY)
RUNNER = TOY_REGISTRY / "runners" / "toy"
DIGEST = "sha256:" + "0" * 64  # of the native files that do not exist
SAMPLE_DIGEST = "sha256:" + "1" * 64


def run_cli(*words: str, home: Path) -> Result:
    """Run the command line in the toy registry, as typed."""
    return CliRunner().invoke(group, [*words, "--registry", str(TOY_REGISTRY), "--home", str(home)])


def toy_data() -> xr.Dataset:
    """Return 330 rows of random inputs and of targets that follow from them."""
    import xarray as xr

    random = np.random.default_rng(3)
    inputs = random.normal(size=(330, 5)).astype("float32")
    targets = np.tanh(inputs @ random.normal(size=(5, 2)).astype("float32"))
    return xr.Dataset({"inputs": (("row", "f"), inputs), "targets": (("row", "o"), targets)})


def toy_source(
    task: Task | None = None,
    *_: object,
    digest: str = DIGEST,
    sample: Sample | None = None,
    **__: object,
) -> Source:
    """Return the data in place of `staging.stage`, which has tests of its own."""
    return Source(
        toy_data(),
        "toy_points" if task is None else task.dataset,
        "1.0",
        digest if sample is None else SAMPLE_DIGEST,
        is_synthetic=sample is not None,
        sample_seed=None if sample is None else sample.seed,
    )


def toy_request(**changed: Any) -> Request:
    """Return a request for a run on one device."""
    return Request("toy", REGISTRY, strategy="default", **changed)


def toy_problem(
    model: str = "small", split: str = "thirds", **changed: Any
) -> tuple[Any, dict[str, Any]]:
    """Return the problem of a model and a split, and its settings."""
    settings = {**resolve_settings(load_task(RUNNER), model=model, split=split), **changed}
    runner = load_runner(REGISTRY, "toy")
    return runner.prepare(toy_data(), load_split(RUNNER, split), settings), settings
