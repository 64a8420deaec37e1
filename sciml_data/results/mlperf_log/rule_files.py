"""Rules for the official checker: one file for each benchmark, made from one template and its task.

The checker evaluates the rules as Python, so a rule file is code. It is taken from this package, or
made here from the task of a registry (which holds code as well); never from a submission.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from sciml_data.bench.task.task import Metric, Task, load_task
from sciml_data.errors import CallError, nearest
from sciml_data.registry.layout import Registry
from sciml_data.results.mlperf_log.names import APPLICATIONS, application
from sciml_data.results.mlperf_log.submitter import STATUSES

RULES = Path(__file__).with_name("rules")
TEMPLATE = RULES / "template.yaml"
INDENT = " " * 10  # of the bounds in the template
NO_BOUND = "1e999"  # infinity, for Python and for JSON readers alike


def rules_text(task: Task) -> str:
    """Return the rule file of a benchmark: what is particular to it is in its task alone."""
    bounds = ",\n".join(f"{INDENT}    {metric.id!r}: {_bounds(metric)}" for metric in task.metrics)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        benchmark=task.name,
        application=application(task.name),
        statuses=STATUSES,
        bounds=f"{{\n{bounds},\n{INDENT}}}",
    )


def rule_file(benchmark: str) -> Path:
    """Return the shipped rule file of a benchmark, as an absolute path.

    Raises:
        CallError: there is none; the nearest is suggested.
    """
    if benchmark not in APPLICATIONS:
        raise CallError(
            f"no rules are shipped for a log of benchmark {benchmark!r}"
            f"{nearest(benchmark, APPLICATIONS)}; there are for {', '.join(APPLICATIONS)}",
            untouched="nothing was checked",
            hint="--registry DIR makes those of another registry",
        )
    return (RULES / f"{benchmark}.yaml").resolve()


def registry_rules(registry: Registry, benchmark: str) -> str:
    """Return the rule file of a benchmark of a registry.

    Raises:
        CallError: the registry has no such benchmark.
        DescriptorError: its task.toml is not sound.
    """
    return rules_text(load_task(registry.runner(benchmark)))


def _bounds(metric: Metric) -> str:
    low = f"-{NO_BOUND}" if metric.minimum is None else repr(float(metric.minimum))
    high = NO_BOUND if metric.maximum is None else repr(float(metric.maximum))
    return f"({low}, {high})"
