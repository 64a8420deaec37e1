"""Which runs are repeats of one thing, and why others are not.

`bench.repeats.check_repeats` holds them against the first run. What a summary needs besides is
here: no run twice, and failures that count as misses where that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sciml_data.bench.record.record import SHORT, SUCCESS, check_repeats
from sciml_data.errors import CallError, Problem

Record = Mapping[str, Any]
MISSED = ("aborted", "failed")  # a run that ended so counts as a miss where that is asked for


def check_summable(records: Sequence[Record], *, count_failed: bool = False) -> None:
    """Refuse records that are not repeats of one thing, or hold one run twice.

    Args:
        records: one or more.
        count_failed: a run that failed or was aborted may be among them; it will count as a miss.

    Raises:
        CallError: every difference is listed, each with its run.
    """
    if not records:
        raise CallError("no run was given", hint="name runs, as in `sciml-data show`")
    problems = [*_repeat_problems(records, count_failed=count_failed), *_duplicates(records)]
    if not any(record["status"] == SUCCESS for record in records):
        problems.append(Problem("status", "all runs", "none is a success: there is no score"))
    if problems:
        raise CallError(
            "these runs are not repeats of one thing",
            problems=problems,
            untouched="nothing was computed",
            hint="give runs that differ only in their seed; --count-failed takes failed ones as "
            "misses",
        )


def _repeat_problems(records: Sequence[Record], *, count_failed: bool) -> Sequence[Problem]:
    """Return what `check_repeats` says; of a failure that counts it asks all but success."""
    judged = [
        {**record, "status": SUCCESS} if count_failed and record["status"] in MISSED else record
        for record in records
    ]
    try:
        check_repeats(judged)
    except CallError as error:
        return error.problems
    return ()


def _duplicates(records: Sequence[Record]) -> list[Problem]:
    """Return the runs that come twice: by id, or by a curve that no other seed gives."""
    problems = []
    for number, record in enumerate(records):
        for other in records[:number]:
            place = record["run_id"][:SHORT]
            if record["run_id"] == other["run_id"]:
                problems.append(Problem("run", place, "comes more than once"))
            elif _losses(record) and _losses(record) == _losses(other):
                message = f"every loss of its curve is that of run {other['run_id'][:SHORT]}"
                problems.append(Problem("run", place, f"{message}: it is the same run"))
    return problems


def _losses(record: Record) -> list[float]:
    return [row["train_loss"] for row in record["curve"]]
