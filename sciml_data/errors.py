"""Everything that can go wrong, said in five parts.

What was being done and what is wrong, each problem with its place, what was done about it,
what was left untouched, and a hint on a line of its own. The tree:

    SciMLDataError                 exit 1: the data are wrong
    ├── CallError                  exit 2: the call is wrong (id, version, option, missing extra)
    ├── DescriptorError            a descriptor or manifest breaks its contract
    ├── FetchError                 bytes could not be had
    │   ├── ListingError           what mirrors list is not what is expected
    │   │   └── UpstreamChangedError   nor what they listed before
    │   ├── NoSpaceError           the disk would not hold them
    │   └── LockedError            another process works in the same folder
    ├── VerificationError          files differ from the manifest
    ├── NativeFormatError          a native file does not follow its format
    ├── ConversionError            ready files could not be made, or are not what was declared
    └── RecordError                a run or its record is not sound
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_PROBLEMS_PRINTED = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its kind (a word), its place (file, line, path), and a sentence."""

    kind: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind:<10} {self.place}  {self.message}".rstrip()


class SciMLDataError(Exception):
    """Base of all errors that a caller may want to catch.

    Args:
        wrong: what was being done and what is wrong, expected and found.
        problems: all single problems; the first 20 are printed, the rest counted.
        done: what was done about it.
        untouched: what was left as it was.
        hint: what to type or to look at.
    """

    exit_code = 1

    def __init__(
        self,
        wrong: str,
        *,
        problems: Sequence[Problem] = (),
        done: str = "",
        untouched: str = "",
        hint: str = "",
    ) -> None:
        """Keep the parts; `str()` joins them."""
        super().__init__(wrong)
        self.wrong = wrong
        self.problems = tuple(problems)
        self.done = done
        self.untouched = untouched
        self.hint = hint

    def __str__(self) -> str:
        """Return the parts as lines, the hint after an empty one."""
        lines = [self.wrong]
        lines += [f"  {problem}" for problem in self.problems[:MOST_PROBLEMS_PRINTED]]
        if len(self.problems) > MOST_PROBLEMS_PRINTED:
            lines.append(f"  and {len(self.problems) - MOST_PROBLEMS_PRINTED} more")
        what_happened = "; ".join(part for part in (self.done, self.untouched) if part)
        if what_happened:
            lines.append(what_happened)
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)


class CallError(SciMLDataError):
    """The call names something that does not exist or asks for what cannot be."""

    exit_code = 2


class DescriptorError(SciMLDataError):
    """A descriptor or a manifest breaks its contract; `.problems` has every place."""


class FetchError(SciMLDataError):
    """Files could not be had from any mirror; `.problems` names file, mirror and reason."""


class ListingError(FetchError):
    """No mirror lists what is expected of an unpinned version; `.problems` says what each lists."""


class UpstreamChangedError(ListingError):
    """Files were changed, added or taken away since the first listing; `.problems` has each."""


class NoSpaceError(FetchError):
    """The disk does not hold what is asked for."""


class LockedError(FetchError):
    """Another process holds the dataset's folder."""


class VerificationError(SciMLDataError):
    """Files are missing, unexpected or changed; `.problems` has one entry for each."""


class NativeFormatError(SciMLDataError):
    """A native file does not follow its format; `.problems` has file and line."""


class ConversionError(SciMLDataError):
    """Ready files could not be made, or are not what the descriptor declares."""


class RecordError(SciMLDataError):
    """A run or its record is missing, incomplete or not consistent."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known word, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""
