"""The Python functions of the benchmarks; the command line calls the same functions.

    uno = sciml_data.load_benchmark("uno", dataset="uno_ccle", split="cell")
    ids, x, y = uno.to_numpy("train")
    model.fit(x, y)
    uno.score({"test": model.predict(uno.to_numpy("test")[1])})

The keywords `version`, `sample`, `registry`, `home`, `log` and `progress` are those of
`datasets.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sciml_data.api.datasets import Log
from sciml_data.errors import CallError, nearest
from sciml_data.home import HomePath, find_home
from sciml_data.progress import Progress, counted
from sciml_data.registry import RegistryPath, find_registry, html_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pandas as pd
    import xarray as xr

    from sciml_data.api.results import PathLike, Run
    from sciml_data.bench.run import Opened
    from sciml_data.bench.scoring import Metric

logger = logging.getLogger(__name__)

__all__ = ["LoadedBenchmark", "benchmarks", "load_benchmark", "run"]


def benchmarks(*, registry: RegistryPath = None) -> list[str]:
    """Return the names of all benchmarks of the registry.

    Examples:
        >>> "uno" in sciml_data.benchmarks()
        True
    """
    return find_registry(registry).benchmarks()


def load_benchmark(  # noqa: PLR0913 - the first names the benchmark, the rest are keywords
    name: str,
    *,
    split: str | None = None,
    variant: str | None = None,
    dataset: str | None = None,
    version: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    sample_set: Sequence[str] = (),
    settings: Mapping[str, Any] | Sequence[str] = (),
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
    wait: bool = True,
    log: Log | None = None,
    progress: Progress | None = None,
) -> LoadedBenchmark:
    """Return a benchmark on its data: the samples of each part, and the metrics.

    The dataset is fetched, verified and converted if necessary.

    Examples:
        >>> water = sciml_data.load_benchmark("hydronet", sample=True)
        >>> ids, x, y = water.to_numpy("train")
        >>> len(ids), x.shape[0], y.shape[0]
        (134, 134, 134)

    Args:
        name: of the benchmark.
        split: name; None is the headline split.
        variant: name, for benchmarks with several.
        dataset: id, for benchmarks with several.
        version: of the dataset; None is the version that the benchmark names.
        sample: use the synthetic sample.
        sample_seed: seed of the sample.
        sample_set: ``KEY=VALUE`` texts for the size of the sample.
        settings: values that replace those of the benchmark, such as the size of a patch; also as
            ``KEY=VALUE`` texts.
        mirrors: addresses to try before those of the registry, e.g. ``file:DIR``.
        registry: registry folder.
        home: folder of all data.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step.
        progress: gets (done, total) of the fetch and of the conversion.

    Raises:
        CallError: no such benchmark, split, variant, dataset or setting.
        SciMLDataError: the data cannot be fetched, verified, converted or divided.
    """
    from sciml_data.bench import Request, Sample
    from sciml_data.bench.run import open_benchmark, stage

    log = log or logger.info
    found = find_registry(registry)
    request = Request(
        name,
        found,
        split=split,
        variant=variant,
        dataset=dataset,
        overrides=_overrides(settings),
        is_sample=sample,
    )
    opened = open_benchmark(
        request,
        lambda task: stage(
            task if version is None else replace(task, version=version),
            found,
            home=find_home(home, wait=wait, log=log),
            mirrors=mirrors,
            sample=Sample(sample_seed, tuple(sample_set)) if sample else None,
            log=log,
            progress=progress,
        ),
        log=log,
    )
    return LoadedBenchmark(opened)


def run(  # noqa: PLR0913 - the first names the benchmark, the rest are keywords
    name: str,
    *,
    model: str | Callable[..., Any] | None = None,
    split: str | None = None,
    variant: str | None = None,
    dataset: str | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    seed: int = 0,
    folder: str | None = None,
    sample: bool = False,
    sample_seed: int = 0,
    sample_set: Sequence[str] = (),
    stream: bool = False,
    cache_bytes: int | None = None,
    mirrors: Sequence[str] = (),
    strategy: str = "auto",
    backend: str | None = None,
    threads: int | None = None,
    monitor_s: float = 1.0,
    budget_s: float | None = None,
    registry: RegistryPath = None,
    home: HomePath = None,
    runs: PathLike | None = None,
    wait: bool = True,
    log: Log | None = None,
) -> Run:
    """Train and score a benchmark, and return the run; see `sciml-data run`.

        sciml_data.run("uno", model=build, split="cell", settings={"epochs": 5})

    Examples:
        >>> run = sciml_data.run("hydronet", sample=True, settings={"epochs": 1})
        >>> run.record["status"]
        'success'

    Args:
        name: of the benchmark.
        model: name of a model of the benchmark; None is its default. Or your own: a function, or
            ``file.py:function``; see docs/how-to/own-model.md.
        split: name; None is the headline split.
        variant: name, for benchmarks with several.
        dataset: id, for benchmarks with several.
        settings: values that replace those of the benchmark; also as ``KEY=VALUE`` texts.
        seed: of weights, dropout and batch order.
        folder: name of the run's folder; an existing run with this name is resumed.
        sample: use the synthetic sample.
        sample_seed: seed of the sample.
        sample_set: ``KEY=VALUE`` texts for the size of the sample.
        stream: read the published ready form from a mirror, chunk by chunk, instead of fetching it.
        cache_bytes: bound of the cache of streamed chunks; None is 20 GB.
        mirrors: addresses to try before those of the registry, e.g. ``file:DIR``.
        strategy: ``auto``, ``default``, ``mirrored``, ``mirrored:N`` or ``multiworker``.
        backend: of Keras: ``tensorflow``, or ``jax`` (experimental).
        threads: of the backend.
        monitor_s: sampling interval of the resource monitor in seconds; 0 disables it.
        budget_s: longest time of training and validation in seconds.
        registry: registry folder.
        home: folder of all data.
        runs: folder of the runs.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step and each epoch.

    Raises:
        CallError: no such benchmark, model, split, variant, dataset or setting, or your model
            fails before it is trained; nothing was written.
        SciMLDataError: the data or the run failed.
    """
    from sciml_data.api.results import Run, find_place
    from sciml_data.bench import Request, Sample, is_own_model, load_record, named_run_folder
    from sciml_data.bench.run import check_outline, prepare, run_once, stage
    from sciml_data.bench.training import own_model_of

    log = log or logger.info
    found, place = find_registry(registry), find_place(home, runs, wait=wait, log=log)
    is_own = is_own_model(model)
    request = Request(
        name,
        found,
        model=str(model) if model and not is_own else None,
        split=split,
        variant=variant,
        dataset=dataset,
        overrides=_overrides(settings),
        strategy=strategy,
        threads=threads,
        backend=backend,
        is_sample=sample,
        budget_s=budget_s,
    )
    if isinstance(model, str) and is_own:
        check_outline(request, model)
    request = replace(request, own=own_model_of(model, backend))
    data: dict[str, Any] = {
        "sample": Sample(sample_seed, tuple(sample_set)) if sample else None,
        "mirrors": mirrors,
        "stream": stream,
        "cache_bytes": cache_bytes,
    }
    prepared = prepare(
        request, lambda task: stage(task, found, home=place, log=log, **data), log=log
    )
    resume = named_run_folder(place, name, folder) if folder else None
    done = run_once(prepared, seed, home=place, resume=resume, monitor_s=monitor_s, log=log)
    if done is None:
        raise CallError("this process is a worker of the run; the first worker has the result")
    return Run(done, load_record(done))


def _overrides(settings: Mapping[str, Any] | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(settings, Mapping):
        return tuple(settings)
    return tuple(f"{key}={_as_text(value)}" for key, value in settings.items())


def _as_text(value: Any) -> str:
    """Return a setting's value as it is typed on the command line."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark on its data.

    Attributes:
        opened: task, split, settings, dataset and the runner's problem.
    """

    opened: Opened

    @property
    def name(self) -> str:
        """Return the name of the benchmark."""
        return self.opened.task.name

    @property
    def title(self) -> str:
        """Return the title of the benchmark, or of its variant."""
        return self.opened.task.title

    @property
    def split(self) -> str:
        """Return the name of the split."""
        return self.opened.split.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return every setting of the benchmark."""
        return self.opened.settings

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Return the definition of each metric: unit, direction, bounds and formula."""
        return {metric.id: metric for metric in self.opened.task.metrics}

    @property
    def headline_metric(self) -> str | None:
        """Return the key of the metric that ranks runs."""
        return self.opened.task.headline_metric

    @property
    def leakage(self) -> Mapping[str, Any]:
        """Return what each part shares with the training part; `told` has it in sentences."""
        return self.opened.problem.leakage

    @cached_property
    def parts(self) -> Mapping[str, xr.Dataset]:
        """Return the samples of each part: ids, keys, features and targets.

        The dataset of a part is made on access, and its arrays are read when they are used. The
        first dimension is the samples; `attrs["target"]` has the name of the targets.

        Train with `train` and choose with `validation`. The part `test` estimates the error on new
        data, and does so only if it is looked at once: do not choose a model by it.
        """
        return _Parts(self.opened)

    def to_numpy(self, part: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return ids, features and targets of a part.

        Args:
            part: name of the part.

        Returns:
            ids (sample,); features (sample, ...): the only input, or all inputs as columns (sample,
            feature) in their order; targets (sample, ...).
        """
        import numpy as np

        samples = self.parts[part]
        target = samples.attrs["target"]
        axis = str(samples[target].dims[0])
        inputs = [samples[name].to_numpy() for name in samples.data_vars if name != target]
        flat = [values.reshape(len(values), -1) for values in inputs]
        features = inputs[0] if len(inputs) == 1 else np.concatenate(flat, axis=1)
        return samples[axis].to_numpy(), features, samples[target].to_numpy()

    def ids(self, part: str) -> pd.DataFrame:
        """Return the ids of a part: a row for each value to predict, with the sample's keys."""
        from sciml_data.bench import id_table

        return id_table(self.parts[part], part)

    def score(
        self, predictions: Any, *, units: str | None = None, baselines: bool = True
    ) -> pd.DataFrame:
        """Return the scores of predictions beside those of the baselines; nothing is stored.

        Args:
            predictions: of any parts, see `sciml_data.score`.
            units: of the predictions, if they do not say it themselves.
            baselines: compute the baselines, too.

        Returns:
            A row for each part and metric; the column `model`, and one for each baseline.

        Raises:
            CallError: predictions of another form.
            RecordError: `.problems` has every problem of ids, values, unit and shape.
        """
        from sciml_data.api.results import score_frame
        from sciml_data.bench.run import align, score_table

        aligned = align(self.opened, predictions, units=units, requires_test=False)
        return score_frame(score_table(self.opened, aligned, baselines=baselines))

    def __repr__(self) -> str:
        """Return name, dataset, split and sizes."""
        data = self.opened.source
        sizes = ", ".join(f"{part} {size:,}" for part, size in self._sizes.items())
        return (
            f"<LoadedBenchmark {self.name}: {data.dataset_id} {data.version}"
            f"{' (synthetic sample)' if data.is_synthetic else ''}, split {self.split}; {sizes}>"
        )

    def _repr_html_(self) -> str:
        """Return title, dataset, parts, metrics and leakage for a notebook."""
        data, task = self.opened.source, self.opened.task
        metrics = ", ".join(
            f"{metric.name} ({metric.unit}, {'lower' if metric.lower_is_better else 'higher'} is "
            "better)"
            for metric in task.metrics
        )
        rows = {
            "dataset": f"{data.dataset_id} {data.version}",
            "data": "SYNTHETIC SAMPLE: scores say nothing about nature"
            if data.is_synthetic
            else "",
            "variant": task.variant or "",
            "split": f"{self.split}: {self.opened.split.strategy}",
            **{f"part {part}": counted(size, "sample") for part, size in self._sizes.items()},
            "metrics": metrics,
            "leakage": " ".join(self.leakage.get("told", ())),
        }
        return html_table(f"{task.name}: {task.title}", rows)

    @property
    def _sizes(self) -> Mapping[str, int]:
        return self.opened.problem.sizes


class _Parts(Mapping[str, "xr.Dataset"]):
    """The samples of each part, made on first access."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._made: dict[str, xr.Dataset] = {}

    def __getitem__(self, part: str) -> xr.Dataset:
        if part not in self._opened.problem.parts:
            known = self._opened.problem.parts
            raise KeyError(f"no part {part!r}{nearest(part, known)}; parts are {', '.join(known)}")
        if part not in self._made:
            self._made[part] = self._opened.problem.samples(part)
        return self._made[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened.problem.parts)

    def __len__(self) -> int:
        return len(self._opened.problem.parts)

    def __repr__(self) -> str:
        return f"<parts {', '.join(self)}>"
