"""The forms in which a run can be exported, by name.

Each form names its module, which is imported only when the form is written. This module imports no
benchmark code, so that listing the forms is fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciml_data.errors import CallError, RecordError, nearest

if TYPE_CHECKING:
    from sciml_data.results.exports.request import ExportRequest


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


ENDED = ("success", "aborted", "failed")
RUN_FORMS: Mapping[str, RunForm] = {
    "run-crate": RunForm("run_crate", True, "DIR, or FILE.zip", ENDED, ("org", "with_predictions")),
    "mlflow": RunForm(
        "mlflow_store", True, "sqlite:///FILE.db", ENDED, ("org", "with_predictions")
    ),
    "every-eval-ever": RunForm("every_eval_ever", False, "FILE.json", ("success",), ("org",)),
    "catalogue": RunForm("catalogue", False, "FILE.yaml", ("success",)),
}


def export_run(form: str, request: ExportRequest) -> str:
    """Export a run, and return the document or the name of the target that was written.

    Args:
        form: one of `RUN_FORMS`.
        request: the run, and how it is exported.

    Raises:
        CallError: no such form, the target is missing or exists, or a library is not installed.
        RecordError: the run's status does not fit the form, or its files differ from its record.
    """
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
