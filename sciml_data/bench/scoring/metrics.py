"""The registry of metrics: what each score means, and which function computes it.

A metric is a function of two NumPy arrays with a definition. The decorator registers it:

    @metric(
        "mae", name="mean absolute error", lower_is_better=True, minimum=0.0,
        formula="mean of |observed - predicted|",
    )
    def absolute_error(observed, predicted):
        return np.abs(observed - predicted)

The function returns a number for all samples, an array with a value for each sample (the score is
the mean of the values that are not NaN), or a mapping from registered names to numbers.

The task.toml of a benchmark names its metrics, and may group the samples by a coordinate:

    [[metric]]
    id = "r2_per_drug"
    metric = "r2"                # name in this registry; the default is the id
    by = "drug"                  # coordinate of the predictions
    reduce = "median"            # of the drugs' scores
    min_samples = 10             # drugs with fewer samples are left out

An installed package offers metrics by entry points of the group `sciml_data.metrics`. A registry
has them as functions of its `metrics.py`: the table names the function and has the definition, so
that a benchmark can be described and checked without running code of its registry.

    [[metric]]
    id = "pinball"
    metric = "pinball"           # function of metrics.py
    name = "pinball loss at the 10th percentile"
    version = "1"
    unit = "1"
    lower_is_better = true
    formula = "mean of max(0.1 e, -0.9 e) with e = observed - predicted"

`compute.py` computes the scores.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from sciml_data.errors import DescriptorError, Problem, nearest
from sciml_data.registry.layout import installed, name_clash

Function = TypeVar("Function", bound=Callable[..., Any])

MISSING = "-"  # in place of a score that is not known
LARGE = 1000  # scores from it on are printed with four digits
SMALL = 0.1  # scores below it are printed with two more decimals
KIND = "metrics"  # of extensions
PACKAGE = "sciml_data."
MODULES = ("forecast", "classification", "segmentation", "images")  # they register metrics
# Values of `reduce`. "all" is the score of all samples together, "each" that of each group.
ALL, EACH, COUNT = "all", "each", "count"
REDUCTIONS = (ALL, EACH, "mean", "median", "worst", "best", COUNT)
OVERRIDES = {
    "name": "name", "version": "version", "unit": "unit", "lower_is_better": "lower_is_better",
    "formula": "formula", "min": "minimum", "max": "maximum",
}  # fmt: skip
REQUIRED = ("name", "version", "unit", "lower_is_better", "formula")


@dataclass(frozen=True)
class Metric:
    """The definition of a score.

    Attributes:
        id: name in metric keys.
        name: for people.
        version: changes when the formula changes.
        unit: of the score.
        lower_is_better: the direction of better scores.
        formula: how the score is computed, in words.
        minimum: lower bound of the score; None if there is no bound.
        maximum: upper bound of the score; None if there is no bound.
        function: computes the score from arrays (observed, predicted); None if the benchmark's own
            `score` computes it.
        registered: name of the function in the registry.
        last: axes that the function gets last; all others become its first axis. Empty leaves the
            axes as they are.
        by: coordinate that groups the samples; None does not group them.
        reduce: one of `REDUCTIONS`, or several of them.
        min_samples: groups with fewer samples are left out.
        where: coordinate -> the value that samples must have.
        options: keywords of the function. A text is the name of a coordinate or variable, and the
            function gets its values.
    """

    id: str
    name: str
    version: str
    unit: str
    lower_is_better: bool
    formula: str
    minimum: float | None = None
    maximum: float | None = None
    function: Callable[..., Any] | None = None
    registered: str = ""
    last: tuple[str, ...] = ()
    by: str | None = None
    reduce: str | tuple[str, ...] = ALL
    min_samples: int = 1
    where: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


_REGISTRY: dict[str, Metric] = {}


def metric(  # noqa: PLR0913 - the keywords are the fields of a definition
    metric_id: str,
    *,
    name: str,
    formula: str,
    lower_is_better: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "1",
    version: str = "1",
    last: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function as a metric; see `Metric` for the keywords."""

    def register(function: Function) -> Function:
        other = _REGISTRY.get(metric_id)
        if other is not None and (owner := _module_of(other.function)) != function.__module__:
            raise name_clash(KIND, metric_id, str(owner), function.__module__)
        _REGISTRY[metric_id] = Metric(
            metric_id, name, version, unit, lower_is_better, formula, minimum, maximum,
            function=function, registered=metric_id, last=last,
        )  # fmt: skip
        return function

    return register


@dataclass(frozen=True)
class RegistryFunction:
    """A function of a registry's metrics.py, which is loaded when it is needed."""

    registry: Path
    name: str

    def load(self) -> Callable[..., Any]:
        """Return the function.

        Raises:
            CallError: the code of the registry is not trusted.
            DescriptorError: metrics.py has no such function.
        """
        from sciml_data.registry.extensions import METRICS_NAME, load_from_registry

        package = f"sciml_metrics_{hashlib.sha256(str(self.registry).encode()).hexdigest()[:12]}"
        module = load_from_registry(
            self.registry, self.registry, package, METRICS_NAME.removesuffix(".py")
        )
        function = getattr(module, self.name, None)
        if not callable(function):
            raise DescriptorError(f"{METRICS_NAME} of {self.registry} has no function {self.name}")
        return cast("Callable[..., Any]", function)

    def __call__(self, *arrays: Any, **options: Any) -> Any:
        """Return the score, as the function does."""
        return self.load()(*arrays, **options)


def registered_metrics() -> Mapping[str, Metric]:
    """Return every registered metric by its name."""
    for module in MODULES:
        importlib.import_module(f"sciml_data.bench.scoring.{module}")
    return _REGISTRY


def require_functions(metrics: Iterable[Metric]) -> None:
    """Load the functions of metrics that a registry brings, so that a fault shows before a run.

    Raises:
        CallError: the code of the registry is not trusted.
        DescriptorError: its metrics.py has no such function.
    """
    for each in metrics:
        if isinstance(each.function, RegistryFunction):
            each.function.load()


def _known_metrics(tables: Sequence[Mapping[str, Any]]) -> Mapping[str, Metric]:
    """Return the metrics of this package, and those of installed packages that tables name."""
    known = dict(registered_metrics())
    built_in = [name for name in known if str(_module_of(known[name].function)).startswith(PACKAGE)]
    offered = installed(KIND, built_in)
    for name in {table.get("metric", table["id"]) for table in tables} & offered.keys():
        from sciml_data.registry.extensions import load_installed

        load_installed(offered[name])
        if name not in _REGISTRY:
            raise DescriptorError(
                f"{offered[name].value} registers no metric {name!r}",
                hint="the name of an entry point of sciml_data.metrics is that of its metric",
            )
        known[name] = _REGISTRY[name]
    return known


def _module_of(function: Callable[..., Any] | None) -> str | None:
    return getattr(function, "__module__", None)


def task_metrics(
    tables: Sequence[Mapping[str, Any]], benchmark: str, registry: Path | None = None
) -> tuple[Metric, ...]:
    """Return the metrics of the `[[metric]]` tables of a task.toml; no code of a registry runs.

    Args:
        tables: with keys and types that were checked before.
        benchmark: name, for the error.
        registry: folder of the benchmark's registry, which may have a metrics.py.

    Raises:
        DescriptorError: a metric is not registered and has no full definition, or a table does not
            fit the registered function; `.problems` lists every place.
    """
    known = {**_registry_metrics(tables, registry), **_known_metrics(tables)}
    problems: list[Problem] = []
    for number, table in enumerate(tables):
        problems += _problems(f"metric[{number}]", table, known)
    if problems:
        raise DescriptorError(f"task.toml of {benchmark!r} is not valid", problems=problems)
    return tuple(_metric(table, known.get(table.get("metric", table["id"]))) for table in tables)


def _registry_metrics(
    tables: Sequence[Mapping[str, Any]], registry: Path | None
) -> Mapping[str, Metric]:
    """Return the metrics whose tables name a function of metrics.py and define it in full."""
    if registry is None or not (registry / "metrics.py").is_file():
        return {}
    return {
        table["metric"]: Metric(
            id=table["metric"],
            function=RegistryFunction(registry, table["metric"]),
            registered=table["metric"],
            **{OVERRIDES[key]: table[key] for key in OVERRIDES if key in table},
        )
        for table in tables
        if "metric" in table and all(key in table for key in REQUIRED)
    }


def row_key(row: Mapping[str, Any]) -> str:
    """Return the metric key of a record's row: `metric` or `metric.variant`."""
    return f"{row['metric_id']}.{row['variant']}" if row["variant"] else str(row["metric_id"])


def _metric(table: Mapping[str, Any], base: Metric | None) -> Metric:
    fields = {OVERRIDES[key]: value for key, value in table.items() if key in OVERRIDES}
    if base is None:
        return Metric(id=table["id"], **fields)
    reduce = table.get("reduce", EACH if "by" in table else ALL)
    if reduce == COUNT:  # the number of groups has no unit and no upper bound
        base = replace(base, unit="1", lower_is_better=False, minimum=0.0, maximum=None)
    grouping = {
        key: table[key] for key in ("by", "min_samples", "where", "options") if key in table
    }
    reduce = tuple(reduce) if isinstance(reduce, list) else reduce
    return replace(base, id=table["id"], reduce=reduce, **grouping, **fields)


def _problems(
    place: str, table: Mapping[str, Any], known: Mapping[str, Metric]
) -> Iterator[Problem]:
    """Yield what does not fit the registry in a table of task.toml."""
    name = table.get("metric", table["id"])
    if name not in known:
        yield from _definition_problems(place, table, known)
        return
    reduce = table.get("reduce", ALL)
    words = reduce if isinstance(reduce, list) else [reduce]
    for word in words:
        if word not in REDUCTIONS:
            message = f"{word!r} is not one of {', '.join(REDUCTIONS)}{nearest(word, REDUCTIONS)}"
            yield Problem("value", f"{place}.reduce", message)
        elif word != ALL and "by" not in table:
            message = f"`by` names the coordinate whose groups {word!r} is about"
            yield Problem("missing", f"{place}.by", message)
    yield from _option_problems(f"{place}.options", table.get("options", {}), known[name])


def _option_problems(place: str, options: Mapping[str, Any], base: Metric) -> Iterator[Problem]:
    """Yield options that a metric does not have, and those that it needs."""
    if isinstance(base.function, RegistryFunction):
        return  # its options are known once its code runs
    own = inspect.signature(cast("Callable[..., Any]", base.function)).parameters
    known = list(own)[2:]
    for key in options:
        if key not in known:
            message = f"metric {base.id!r} has no such option{nearest(key, known)}"
            yield Problem("unknown", f"{place}.{key}", message)
    for key in known:
        if own[key].default is inspect.Parameter.empty and key not in options:
            yield Problem("missing", f"{place}.{key}", f"is required by metric {base.id!r}")


def _definition_problems(
    place: str, table: Mapping[str, Any], known: Mapping[str, Metric]
) -> Iterator[Problem]:
    """Yield what is missing in the table of a metric that is not registered."""
    if "metric" in table:
        name = table["metric"]
        message = (
            f"no metric {name!r} is registered{nearest(name, known)}; for a function of the "
            f"registry's metrics.py the table has {', '.join(REQUIRED)}, too"
        )
        yield Problem("metric", f"{place}.metric", message)
        return
    name = table["id"]
    message = f"is required, because no metric {name!r} is registered{nearest(name, known)}"
    for key in REQUIRED:
        if key not in table:
            yield Problem("missing", f"{place}.{key}", message)


def distinct_numbers(values: Sequence[float | None]) -> list[str]:
    """Return scores with equal decimals, enough that scores that differ are printed differently.

    Differences beyond three further decimals are rounding, and stay invisible.
    """
    known = [value for value in values if value is not None]
    largest = max(map(abs, known), default=0.0)
    if largest >= LARGE:
        return [MISSING if value is None else f"{value:.4g}" for value in values]
    least = 6 if 0 < largest < SMALL else 4
    for decimals in range(least, least + 4):
        texts = {f"{value:.{decimals}f}" for value in known}
        if len(texts) == len(set(known)):
            break
    return [
        MISSING
        if value is None
        else f"{value:.{decimals}f}".replace("-0." + "0" * decimals, "0." + "0" * decimals)
        for value in values
    ]
