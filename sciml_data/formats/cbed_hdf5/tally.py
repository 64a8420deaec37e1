"""What was read, kept, left out and only remarked upon, and how a ready file says so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.cbed_hdf5.options import Options
from sciml_data.formats.interface import NOTICES, Shard

MOST_TOLD = 5  # in a notice
MOST_NAMED = 1000  # in the attributes of one ready file


@dataclass
class Tally:
    """The account of a ready file.

    Attributes:
        read: samples that its native files have.
        dropped: the reason for each that was left out; the kind is the reason's name.
        noted: what is wrong with samples that were kept; the kind is the name of the value that is
            missing in the ready form.
    """

    read: int = 0
    dropped: list[Problem] = field(default_factory=list)
    noted: list[Problem] = field(default_factory=list)

    def attributes(self) -> dict[str, Any]:
        """Return what the ready file says of it: counts, names, and lines that are told."""
        found: dict[str, Any] = {
            "samples_read": self.read,
            "samples_kept": self.read - len(self.dropped),
            "samples_dropped": _counts(self.dropped),
            "samples_noted": _counts(self.noted),
        }
        if self.dropped:
            found["dropped_samples"] = "\n".join(_lines(self.dropped[:MOST_NAMED]))
        if notices := "\n".join(self._notices()):
            found[NOTICES] = notices
        return found

    def _notices(self) -> Iterator[str]:
        if self.dropped:
            yield f"{len(self.dropped)} of {self.read} samples are left out: {_told(self.dropped)}"
        for kind in sorted({one.kind for one in self.noted}):
            these = [one for one in self.noted if one.kind == kind]
            yield f"{kind} of {len(these)} samples is missing: {_told(these)}"


def require_usable(tally: Tally, shard: Shard, options: Options) -> None:
    """Refuse samples that cannot be used, where that is asked for.

    Raises:
        NativeFormatError: with `strict`, `.problems` has every sample that would be left out.
    """
    if tally.dropped and options.strict:
        raise NativeFormatError(
            f"{len(tally.dropped)} of {tally.read} samples cannot be used",
            problems=tally.dropped,
            untouched=f"{shard.name} was not made",
            hint="without strict they are left out and counted",
        )


def _counts(problems: Sequence[Problem]) -> str:
    return json.dumps(dict(sorted(Counter(one.kind for one in problems).items())))


def _lines(problems: Sequence[Problem]) -> list[str]:
    return [f"{one.place}: {one.message}" for one in problems]


def _told(problems: Sequence[Problem]) -> str:
    more = len(problems) - MOST_TOLD
    told = "; ".join(_lines(problems[:MOST_TOLD]))
    return told + (f"; and {more} more" if more > 0 else "")
