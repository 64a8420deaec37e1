"""Which forms a run is exported in, and what each may be told."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sciml_data.errors import CallError, RecordError, nearest
from sciml_data.results.exports.material import Ask


@dataclass(frozen=True)
class RunForm:
    """A form: its module, which has `export(ask) -> str`.

    Attributes:
        module: below this package.
        is_place: whether it is written to the place that `--to` names, and `export` returns what
            came to be there; otherwise `export` returns a document.
        to: what `--to` names, for hints.
        statuses: of the runs it can tell of.
        takes: options besides `--to`, `--home` and `--registry`.
    """

    module: str
    is_place: bool
    to: str
    statuses: tuple[str, ...]
    takes: tuple[str, ...] = ()


ENDED = ("success", "aborted", "failed")
RUN_FORMS: Mapping[str, RunForm] = {
    "run-crate": RunForm("run_crate", True, "DIR, or FILE.zip", ENDED, ("org", "with_predictions")),
    "mlflow": RunForm(
        "mlflow_store", True, "sqlite:///FILE.db", ENDED, ("org", "with_predictions")
    ),
    "every-eval-ever": RunForm("every_eval_ever", False, "FILE.json", ("success",), ("org",)),
    "catalogue": RunForm("catalogue", False, "FILE.yaml", ("success",)),
}


def export_run(form: str, ask: Ask) -> str:
    """Return a run's document in a form, or what came to be at the place it was written to.

    Raises:
        CallError: there is no such form, a place is missing or taken, or a library is not there.
        RecordError: the run has not ended, is no success where the form tells of scores only, or
            its files are not as its record says.
    """
    if form not in RUN_FORMS:
        raise CallError(
            f"there is no form {form!r} of a run{nearest(form, RUN_FORMS)}; "
            f"there are {', '.join(RUN_FORMS)}",
            untouched="nothing was written",
        )
    found = RUN_FORMS[form]
    if found.is_place and ask.to is None:
        raise CallError(
            f"{form} is written to a place, and none is named",
            untouched="nothing was written",
            hint=f"--to {found.to}",
        )
    status = ask.record["status"]
    if status not in found.statuses:
        raise RecordError(
            f"a run that is {status} cannot be told as {form}, which tells of runs that are "
            f"{', '.join(found.statuses)}",
            untouched="nothing was written",
        )
    module = importlib.import_module(f"sciml_data.results.exports.{found.module}")
    make: Callable[[Ask], str] = module.export
    return make(ask)
