"""The errors of sciml-data: what failed, where, what was left untouched, what to type next.

An error collects every problem that was found, not only the first one, so that one run shows all
there is to fix. The command line prints `str(error)` and exits with `error.exit_code`. The tree:

    SciMLDataError                 exit 1: the data are wrong
    ├── CallError                  exit 2: the call is wrong (name, version, option, missing extra)
    ├── DescriptorError            a descriptor or manifest is not valid
    ├── FetchError                 a file could not be fetched
    │   ├── ListingError           no mirror lists the files that are expected
    │   │   └── UpstreamChangedError   a mirror lists other files than at first
    │   ├── NoSpaceError           the disk is full
    │   ├── LockedError            another process works in the same folder
    │   └── NotWritableError       a folder is read-only, or belongs to somebody else
    ├── VerificationError          files differ from the manifest
    ├── NativeFormatError          a native file does not follow its format
    ├── ConversionError            conversion failed, or ready files are not as declared
    ├── JsonError                  a JSON or TOML file cannot be read, or is beyond the limits
    └── RecordError                a run or its record is not valid
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_PRINTED_PROBLEMS = 20  # a screenful; the rest is counted, and `.problems` has them all
MAX_PRINTED_CHARACTERS = 2000  # of a text that a server sent
# Characters that a terminal obeys instead of showing them: control characters (escape sequences
# begin with one), marks that reverse the direction of a line, and halves of characters, which
# cannot be printed at all. A line feed, a tab, and CR before a line feed are the form of a text.
UNPRINTABLE = re.compile(
    r"(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Of a suggested word, as `difflib` measures it: 0 no letter, 1 every letter. With less, the word
# that is suggested for `nope` is `uno`.
MIN_SIMILARITY = 0.65
MIN_PREFIX = 4  # letters


# No byte more can be written, and waiting does not help: the disk is full, or the user's share is.
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def show_controls(text: str) -> str:
    r"""Return a text whose control characters are shown as `\x1b` instead of being obeyed.

    For every text that a stranger may have written, before it reaches a terminal.
    """
    return UNPRINTABLE.sub(lambda match: _shown(match[0]), text)


def one_line(text: str) -> str:
    """Return a printable text without line breaks and tabs, which could imitate other lines."""
    return re.sub(r"[\t\r\n]", lambda match: _shown(match[0]), show_controls(text))


def _shown(character: str) -> str:
    # JSON escapes the first 32 characters itself; of others it knows `\u009b`, and not `\x9b`.
    number = ord(character)
    return f"\\x{number:02x}" if number < ord("\x7f") else f"\\u{number:04x}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its kind (one word), its place (file, line, path), a sentence."""

    kind: str
    place: str
    message: str

    def __str__(self) -> str:
        return one_line(f"{self.kind:<10} {self.place}  {self.message}".rstrip())


class SciMLDataError(Exception):
    """Base class of all errors that a caller may want to catch.

    Args:
        message: what failed, for which file or value; what was expected and what was found.
        problems: every single problem; the first 20 are printed, the rest is counted.
        summary: fewer problems to print instead, if many have one cause.
        done: what was done about it.
        untouched: what was left as it was.
        hint: what to type next, or where to look.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        summary: Sequence[Problem] = (),
        done: str = "",
        untouched: str = "",
        hint: str = "",
    ) -> None:
        """Store the parts; `str()` joins them."""
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        self.summary = tuple(summary) or self.problems
        self.done = done
        self.untouched = untouched
        self.hint = hint

    @property
    def first_line(self) -> str:
        """Return the message and the first problem as one line, for a list of failures."""
        if not self.problems:
            return self.message
        first, *others = self.problems
        more = f" and {len(others)} more" if others else ""
        return f"{self.message}: {first.kind} {first.place}: {first.message}{more}"

    def __str__(self) -> str:
        """Return the parts as lines; the hint comes last, after an empty line."""
        lines = [show_controls(self.message)]
        lines += [f"  {problem}" for problem in self.summary[:MAX_PRINTED_PROBLEMS]]
        if len(self.summary) > MAX_PRINTED_PROBLEMS:
            lines.append(f"  and {len(self.summary) - MAX_PRINTED_PROBLEMS} more")
        what_happened = "; ".join(part for part in (self.done, self.untouched) if part)
        if what_happened:
            lines.append(what_happened)
        if self.hint:
            lines += ["", f"hint: {show_controls(self.hint)}"]
        return "\n".join(lines)


class CallError(SciMLDataError):
    """The call names something that does not exist, or asks for something impossible."""

    exit_code = 2


class DescriptorError(SciMLDataError):
    """A descriptor or a manifest is not valid; `.problems` names every place."""


class FetchError(SciMLDataError):
    """No mirror gave a file; `.problems` names each file, mirror and reason."""


class ListingError(FetchError):
    """No mirror lists the files that are expected; `.problems` says what each mirror lists."""


class UpstreamChangedError(ListingError):
    """Files were changed, added or removed since the first listing; `.problems` names each."""


class NoSpaceError(FetchError):
    """The disk is full, or would be."""


class LockedError(FetchError):
    """Another process works in the dataset's folder."""


class NotWritableError(FetchError):
    """A folder is on a read-only file system, or this user may not write to it."""


class VerificationError(SciMLDataError):
    """Files are missing, unexpected or changed; `.problems` has one entry for each file."""


class NativeFormatError(SciMLDataError):
    """A native file does not follow its format; `.problems` names file and line."""


class ConversionError(SciMLDataError):
    """Conversion failed, or the ready files are not as the descriptor declares them."""


class JsonError(SciMLDataError):
    """A JSON or TOML file cannot be read: missing, malformed, or beyond the limits of `home`.

    Attributes:
        kind: `missing`, `file` (not a readable plain file), `size`, `utf-8`, `nan`, or `json` for
            everything else, in TOML, too.
    """

    def __init__(self, message: str, *, kind: str = "json") -> None:
        """Store the message and the kind."""
        super().__init__(message, untouched="the file was not changed")
        self.kind = kind


class RecordError(SciMLDataError):
    """A run or its record is missing, incomplete or inconsistent."""


def full_disk(error: OSError) -> str:
    """Return why no byte more can be written; an empty string if the error is another one."""
    if error.errno not in FULL_DISK:
        return ""
    return "the disk quota is exceeded" if error.errno == errno.EDQUOT else "the disk is full"


def printable(text: str) -> str:
    """Return a stranger's text as one line without control characters, cut to a length.

    A server could otherwise move the cursor, or write lines that look like ours.
    """
    line = " ".join(text[: 4 * MAX_PRINTED_CHARACTERS].split())[:MAX_PRINTED_CHARACTERS]
    return "".join(character if character.isprintable() else "?" for character in line)


def redacted(text: str) -> str:
    """Return a text in which web addresses have no user and no password."""
    return re.sub(r"(?i)((?:https?|s?ftp)://)\S*@", r"\1", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the most similar known word, or an empty string."""
    words = [each for each in known if each != word]  # a run and a benchmark may have one name
    matches = difflib.get_close_matches(word, words, n=1, cutoff=MIN_SIMILARITY)
    if not matches and len(word) >= MIN_PREFIX:  # a long name that was not typed to its end
        matches = [each for each in words if each.startswith(word)]
    return f" (did you mean {matches[0]!r}?)" if matches else ""
