"""What is left out of a ready file is counted, named and logged; with `strict` it is an error.

A ready file says in its attributes how many rows or samples were left out and which these are. The
attribute `NOTICES` holds lines that the conversion logs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sciml_data.errors import NativeFormatError, Problem

if TYPE_CHECKING:
    import xarray as xr

NOTICES = "notices"  # attribute of a ready file: lines that are logged when the file is made
MAX_IN_NOTICE = 5  # problems that one logged line names; the others are counted
MAX_NAMED = 1000  # problems that the attributes of one ready file name


def lines_of(problems: Iterable[Problem]) -> list[str]:
    """Return a line "place: message" for each problem."""
    return [f"{problem.place}: {problem.message}" for problem in problems]


def named(problems: Sequence[Problem]) -> str:
    """Return the first 1,000 problems as lines, for an attribute of a ready file."""
    return "\n".join(lines_of(problems[:MAX_NAMED]))


def first_of(problems: Sequence[Problem]) -> str:
    """Return the first five problems on one line, and how many more there are."""
    more = len(problems) - MAX_IN_NOTICE
    first = "; ".join(lines_of(problems[:MAX_IN_NOTICE]))
    return first + (f"; and {more} more" if more > 0 else "")


def notice(problems: Sequence[Problem], what: str) -> list[str]:
    """Return a line that counts problems and names the first ones; no line without problems."""
    return [f"{len(problems)} {what}: {first_of(problems)}"] if problems else []


def add_notices(dataset: xr.Dataset, lines: Iterable[str]) -> None:
    """Add lines to those that are logged when the ready file is made."""
    both = [*dataset.attrs.get(NOTICES, "").splitlines(), *lines]
    if both:
        dataset.attrs[NOTICES] = "\n".join(both)


def malformed_rows(problems: Sequence[Problem]) -> dict[str, int | str]:
    """Return attributes of a ready file: the number of malformed rows, and which these are."""
    count: dict[str, int | str] = {"rows_malformed": len(problems)}
    return count | ({"malformed_rows": named(problems)} if problems else {})


def stop_if_strict(
    problems: Sequence[Problem], *, strict: bool, wrong: str, untouched: str
) -> None:
    """Raise an error instead of leaving rows or samples out, if the option `strict` asks for it.

    Args:
        problems: rows or samples that would be left out.
        strict: the option.
        wrong: what is wrong with them, for example "12 rows are malformed".
        untouched: what was not made or changed.

    Raises:
        NativeFormatError: with `strict`; `.problems` has every one of them.
    """
    if problems and strict:
        raise NativeFormatError(
            wrong,
            problems=problems,
            untouched=untouched,
            hint="without strict they are left out, counted and named",
        )


@dataclass
class Tally:
    """How many samples a ready file was made of, and why others are not in it.

    Attributes:
        read: number of samples in the native files.
        dropped: a problem for each sample that was left out; its kind is the reason.
        noted: a problem for each missing value of a sample that was kept; its kind is the name of
            the variable.
    """

    read: int = 0
    dropped: list[Problem] = field(default_factory=list)
    noted: list[Problem] = field(default_factory=list)

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the ready file: counts, names, and lines to be logged."""
        attributes: dict[str, Any] = {
            "samples_read": self.read,
            "samples_kept": self.read - len(self.dropped),
            "samples_dropped": _counts(self.dropped),
            "samples_noted": _counts(self.noted),
        }
        if self.dropped:
            attributes["dropped_samples"] = named(self.dropped)
        if notices := "\n".join(self._notices()):
            attributes[NOTICES] = notices
        return attributes

    def stop_if_strict(self, *, strict: bool, untouched: str) -> None:
        """Raise NativeFormatError if samples are left out and the option `strict` is given."""
        wrong = f"{len(self.dropped)} of {self.read} samples cannot be used"
        stop_if_strict(self.dropped, strict=strict, wrong=wrong, untouched=untouched)

    def _notices(self) -> Iterator[str]:
        yield from notice(self.dropped, f"of {self.read} samples are left out")
        for kind in sorted({problem.kind for problem in self.noted}):
            of_kind = [problem for problem in self.noted if problem.kind == kind]
            yield f"{kind} of {len(of_kind)} samples is missing: {first_of(of_kind)}"


def _counts(problems: Sequence[Problem]) -> str:
    return json.dumps(dict(sorted(Counter(problem.kind for problem in problems).items())))
