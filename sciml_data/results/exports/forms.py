"""The forms in which a run can be exported, by name; and the exports of installed packages.

Each form names its module, which is imported only when the form is written. This module imports no
benchmark code, so that listing the forms is fast.

An installed package offers an export as an entry point of the group `sciml_data.exports`: a module
with a function `export_dataset(facts)` or `export_run(request)`, see docs/how-to/extend/export.md.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, DescriptorError, RecordError, nearest
from sciml_data.metadata.forms import FORMS
from sciml_data.registry.layout import installed

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from sciml_data.results.exports.request import BenchmarkRequest, ExportRequest


@dataclass(frozen=True)
class RunForm:
    """A form, written by the function `export(request) -> str` of its module.

    Attributes:
        module: name of the module in this package.
        writes_target: whether `export` writes the target itself and returns its name; otherwise
            `export` returns a document.
        target: kind of target, as a hint for `--to`.
        statuses: statuses of runs that the form can describe.
        options: accepted options besides `--to`, `--home` and `--registry`.
    """

    module: str
    writes_target: bool
    target: str
    statuses: tuple[str, ...]
    options: tuple[str, ...] = ()


KIND = "exports"  # of extensions
DATASET, RUN = "export_dataset", "export_run"  # functions of an installed export
POOCH = "pooch"  # a form of a dataset whose text is a registry file of Pooch
ENDED = ("success", "aborted", "failed")
RUN_FORMS: Mapping[str, RunForm] = {
    "run-crate": RunForm("run_crate", True, "DIR, or FILE.zip", ENDED, ("org", "with_predictions")),
    "mlflow": RunForm(
        "mlflow_store", True, "sqlite:///FILE.db", ENDED, ("org", "with_predictions")
    ),
    "every-eval-ever": RunForm("every_eval_ever", False, "FILE.json", ("success",), ("org",)),
    "catalogue": RunForm("catalogue", False, "FILE.yaml", ("success",)),
    "spdx": RunForm("spdx", False, "FILE.json", ("success",), ("org",)),
    "croissant-task": RunForm("croissant_solution", False, "FILE.json", ("success",), ("org",)),
}
# Forms of a benchmark -> module with `export_benchmark(request)`, which returns a document.
BENCHMARK_FORMS: Mapping[str, str] = {
    "croissant-task": "croissant_task",
    "catalogue": "catalogue",
    "formal": "formal",
}


def installed_exports() -> dict[str, EntryPoint]:
    """Return the exports that installed packages offer, by name.

    Raises:
        DescriptorError: one has the name of another export; both are named.
    """
    return installed(KIND, [*FORMS, POOCH, *RUN_FORMS])


def load_export(form: str) -> Any:
    """Return the module of an installed export; None if no package offers this form.

    Raises:
        DescriptorError: two exports have this name, or the module cannot be used.
    """
    offered = installed_exports()
    if form not in offered:
        return None
    from sciml_data.registry.extensions import load_installed

    module = load_installed(offered[form])
    if not any(callable(getattr(module, name, None)) for name in (DATASET, RUN)):
        raise DescriptorError(
            f"the export {form} ({offered[form].value}) has no function {DATASET} or {RUN}",
            untouched="nothing was written",
            hint="docs/how-to/extend/export.md shows a whole export",
        )
    return module


def export_run(form: str, request: ExportRequest) -> str:
    """Export a run, and return the document or the name of the target that was written.

    Args:
        form: one of `RUN_FORMS`.
        request: the run, and how it is exported.

    Raises:
        CallError: no such form, the target is missing or exists, or a library is not installed.
        RecordError: the run's status does not fit the form, or its files differ from its record.
    """
    if (module := load_export(form)) is not None:
        return as_text(form, module.export_run(request))
    if form not in RUN_FORMS:
        raise CallError(
            f"no such form of a run: {form!r}{nearest(form, RUN_FORMS)}; "
            f"known forms: {', '.join(RUN_FORMS)}",
            untouched="nothing was written",
        )
    run_form = RUN_FORMS[form]
    if run_form.writes_target and request.to is None:
        raise CallError(
            f"{form} needs a target",
            untouched="nothing was written",
            hint=f"--to {run_form.target}",
        )
    status = request.record["status"]
    if status not in run_form.statuses:
        raise RecordError(
            f"the run is {status}; {form} describes runs that are {', '.join(run_form.statuses)}",
            untouched="nothing was written",
        )
    module = importlib.import_module(f"sciml_data.results.exports.{run_form.module}")
    export: Callable[[ExportRequest], str] = module.export
    return export(request)


def export_benchmark(form: str, request: BenchmarkRequest) -> str:
    """Return a benchmark as a document.

    Args:
        form: one of `BENCHMARK_FORMS`.
        request: the benchmark, and the registry that describes it.

    Raises:
        CallError: no such form.
        DescriptorError: a split or a metric of the benchmark is not valid.
    """
    if form not in BENCHMARK_FORMS:
        raise CallError(
            f"no such form of a benchmark: {form!r}{nearest(form, BENCHMARK_FORMS)}; "
            f"known forms: {', '.join(BENCHMARK_FORMS)}",
            untouched="nothing was written",
        )
    module = importlib.import_module(f"sciml_data.results.exports.{BENCHMARK_FORMS[form]}")
    export: Callable[[BenchmarkRequest], str] = module.export_benchmark
    return export(request)


def as_text(form: str, document: object) -> str:
    """Return what an installed export returned as a text that ends with a line feed.

    Raises:
        DescriptorError: it returned neither a text nor JSON values.
    """
    if isinstance(document, str):
        return document if document.endswith("\n") else f"{document}\n"
    try:
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise DescriptorError(
            f"the export {form} returned no text and no JSON value: {error}",
            untouched="nothing was written",
        ) from error
