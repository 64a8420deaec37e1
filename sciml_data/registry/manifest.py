"""The list of a dataset's files: path, size and hash of each, stored as `manifest.csv`.

Software writes a manifest, nobody edits it by hand. Its paths are relative and cannot leave the
folder that they are joined to, so code with a `Manifest` needs no further checks of paths. The
functions at the end list the files of a folder for a manifest, and use a path of a manifest below a
folder without following a symbolic link on the way.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import io
import operator
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

from sciml_data.errors import DescriptorError, FetchError, Problem, printable
from sciml_data.home import DatasetFolder
from sciml_data.progress import counted

COLUMNS = ("path", "bytes", "hash")
READ_BLOCK_BYTES = 1 << 20  # 1 MiB: larger blocks gain nothing (research: tooling, section 7)
# sha256 of the bytes; md5; an S3 entity tag, for several parts with the part size in bytes;
# a git object id of a blob (sha1).
HASH_PATTERN = re.compile(
    r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|gitblob:[0-9a-f]{40}"
    r"|s3etag:[0-9a-f]{32}(-[1-9][0-9]{0,5}:[1-9][0-9]{0,18})?"
)
MAX_COMPONENT_BYTES = 240  # file systems allow 255; a partial file has a suffix of up to 15
MAX_PATH_BYTES = 1024  # Linux allows 4,096 for a whole path; the home's folder comes before ours
MAX_SIZE_BYTES = 2**63 - 1  # the largest size of a file on any common system
MAX_LINE_BYTES = 8192  # a path of only quotes, doubled and 1,024 bytes long, is far shorter
MAX_MANIFEST_BYTES = 1 << 30  # about 10 million files
MAX_EXAMPLES = 4  # paths that a line of a log names
MAX_PRINTED = 200  # characters of a wrong value in a message
MAX_PROBLEMS = 1000  # a person corrects the program that wrote the file, not single lines
# Files that an operating system or file server puts beside a person's own: Finder (macOS), Explorer
# (Windows), and NFS, which keeps a removed file that is still open under such a name.
SYSTEM_FILE = re.compile(
    r"\.ds_store|\._.*|thumbs\.db|desktop\.ini|\.nfs[0-9a-f]+", re.IGNORECASE | re.DOTALL
)
# Files of git and DataLad beside the data of a clone; their folders are hidden ones.
CLONE_FILE = re.compile(r"\.git(attributes|ignore|modules|keep|annex)?|\.datalad.*", re.IGNORECASE)
# Kinds of problems of `list_files`; the others are `name` and `folder`.
BROKEN_LINK, NOT_A_FILE = "link", "unexpected"
# A line as nearly every manifest has it. For such a line, this one match is the whole check of its
# path, and a million lines take seconds instead of a minute.
PLAIN_LINE = re.compile(
    r"((?=[^,]{1,240},)\w[\w.=+-]*(?:/\w[\w.=+-]*)*),(0|[1-9][0-9]{0,17}),"
    r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})\n?",
    re.ASCII,
)


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """A native or ready file: safe relative path, size in bytes, hash as `kind:hex`."""

    path: str
    size_bytes: int
    hash: str


@dataclass(frozen=True)
class Manifest:
    """Entries sorted by path, each path once."""

    entries: tuple[Entry, ...]

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        """Return the entries by their path."""
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of the manifest as `dump` writes it: the identity of the data."""
        return hashlib.sha256(self.dump().encode()).hexdigest()

    @property
    def total_bytes(self) -> int:
        """Return the sum of all sizes."""
        return sum(entry.size_bytes for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def select(self, paths: Iterable[str]) -> Manifest:
        """Return the manifest of some of the paths; each must be in this one."""
        return Manifest(tuple(sorted(self.by_path[path] for path in paths)))

    def dump(self) -> str:
        """Return the CSV text, with a header, lines ended by a line feed."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((entry.path, entry.size_bytes, entry.hash) for entry in self.entries)
        return text.getvalue()


def parse_manifest(text: str, *, name: str = "manifest.csv") -> Manifest:
    """Return the manifest in a CSV text, with its entries sorted by path.

    Raises:
        DescriptorError: `.problems` has every bad line with its number, up to 1,000 of them.
    """
    return _parse(io.StringIO(text), name)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file; see `parse_manifest`.

    Raises:
        DescriptorError: as `parse_manifest`; or the file is not a plain file, or too large.
        OSError: the file cannot be opened.
    """
    # A pipe without a writer blocks the open without O_NONBLOCK; plain files ignore it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, encoding="utf-8", errors="surrogateescape") as stream:  # noqa: PTH123
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > MAX_MANIFEST_BYTES:
            reason = f"not a plain file of at most {MAX_MANIFEST_BYTES:,} bytes"
            raise _invalid(path.name, [Problem("file", path.name, reason)])
        return _parse(stream, path.name)


def _parse(stream: TextIO, name: str) -> Manifest:
    """Return the manifest in an open text; the text is never in memory as a whole."""
    header = stream.readline(MAX_LINE_BYTES).rstrip("\r\n")
    if header != ",".join(COLUMNS):
        found = header if header or stream.readline(1) else "an empty file"
        message = f"{','.join(COLUMNS)} expected, {printable(found)[:MAX_PRINTED]} found"
        raise DescriptorError(
            f"{name} is not a manifest", problems=[Problem("header", f"{name}:1", message)]
        )
    entries: list[Entry] = []
    problems: list[Problem] = []
    number = 1
    while (line := stream.readline(MAX_LINE_BYTES)) and len(problems) < MAX_PROBLEMS:
        number += 1
        if plain := PLAIN_LINE.fullmatch(line):
            path, size, digest = plain.groups()
            entries.append(Entry(path, int(size), digest))
            continue
        if len(line) == MAX_LINE_BYTES and not line.endswith("\n"):
            message = f"the line has more than {MAX_LINE_BYTES:,} characters"
            problems.append(Problem("line", f"{name}:{number}", message))
            break  # the rest of such a file is not a list of files either
        entry = _entry(line, f"{name}:{number}", problems)
        if entry is not None:
            entries.append(entry)
    problems += clashes((entry.path for entry in entries), name)
    if problems:
        raise _invalid(name, problems)
    entries.sort(key=operator.attrgetter("path"))  # each path is there once: it decides alone
    return Manifest(tuple(entries))


def _invalid(name: str, problems: Sequence[Problem]) -> DescriptorError:
    return DescriptorError(
        f"{name} has {counted(len(problems), 'problem')}",
        problems=problems,
        untouched="no file it names was touched",
    )


def manifest_of(root: Path) -> Manifest:
    """Return the manifest of every regular file under a folder, hashed with sha256.

    No link is followed, and files of the operating system, such as `.DS_Store`, are left out.

    Raises:
        DescriptorError: the name of a file is not UTF-8.
    """
    content = list_files(root)
    if unreadable := [problem for problem in content.problems if problem.kind == "name"]:
        raise DescriptorError(f"{root} has names that are not UTF-8", problems=unreadable)
    return Manifest(
        tuple(
            sorted(
                Entry(path, state.st_size, hash_file(root / path))
                for path, state in content.files.items()
            )
        )
    )


def hash_file(path: Path, kind: str = "sha256") -> str:
    """Return `kind:hex` of a file's bytes; `kind` is the name of a hash in hashlib."""
    with path.open("rb") as stream:
        return f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}"


def unsafe_because(path: str) -> str:
    """Return why a path is not allowed in a manifest, or an empty string if it is."""
    if not path or not unicodedata.is_normalized("NFC", path):
        return "is empty or not in Unicode normal form C"
    parts = path.split("/")
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) or "\\" in path:
        return "is absolute, or written for another system"
    if any(part in {"", ".", ".."} for part in parts):
        return "has an empty, '.' or '..' component"
    # git on some system would take such a folder, and the hooks in it, for a repository's own.
    if any(part.rstrip(". ").casefold() == ".git" for part in parts):
        return "has a component '.git', the folder of a git repository"
    if any(unicodedata.category(character).startswith("C") for character in path):
        return "has a control or unprintable character"
    return _too_long_because(path)


def _too_long_because(path: str) -> str:
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES:,} bytes"
    if any(len(part.encode()) > MAX_COMPONENT_BYTES for part in path.split("/")):
        return f"has a component longer than {MAX_COMPONENT_BYTES} bytes"
    return ""


def _entry(line: str, place: str, problems: list[Problem]) -> Entry | None:
    try:
        row = next(csv.reader([line]), [])
    except csv.Error as error:
        problems.append(Problem("columns", place, f"not CSV: {error}"))
        return None
    if len(row) != len(COLUMNS):
        problems.append(Problem("columns", place, f"{len(COLUMNS)} expected, {len(row)} found"))
        return None
    path, size, digest = row
    before = len(problems)
    if reason := unsafe_because(path):
        problems.append(Problem("path", place, f"{path[:MAX_PRINTED]!r} {reason}"))
    # Digits are counted before they become a number: Python refuses more than 4,300 of them.
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or int(size) > MAX_SIZE_BYTES:
        message = f"a whole number below 2^63 expected, {size[:MAX_PRINTED]!r} found"
        problems.append(Problem("bytes", place, message))
    if not HASH_PATTERN.fullmatch(digest):
        problems.append(
            Problem("hash", place, f"kind:hex expected, {digest[:MAX_PRINTED]!r} found")
        )
    return Entry(path, int(size), digest) if len(problems) == before else None


def clashes(paths: Iterable[str], name: str) -> list[Problem]:
    """Return a problem for each path that occurs twice, or is a file and a folder.

    Args:
        paths: of files.
        name: of the list, for messages.
    """
    twice: Counter[str] = Counter()
    as_folders: list[tuple[str, str]] = []
    above: list[str] = []  # the files that the present path starts with, as if they were folders
    # NUL is not in any path. With it in place of `/`, everything below a folder follows the
    # folder's own name directly, so one pass over the sorted paths finds every clash.
    for key in sorted(path.replace("/", "\0") for path in paths):
        while above and not key.startswith(f"{above[-1]}\0"):
            if key == above[-1]:
                twice[key] += 1
            above.pop()
        if len(as_folders) < MAX_PROBLEMS:
            as_folders += [(key, parent) for parent in above]
        above.append(key)
    return [
        Problem("path", name, f"{_path(key)!r} occurs {count + 1} times")
        for key, count in sorted(twice.items())
    ] + [
        Problem("path", name, f"{_path(parent)!r} is a file and the folder of {_path(key)!r}")
        for key, parent in dict.fromkeys(as_folders)
    ]


def _path(key: str) -> str:
    return key.replace("\0", "/")


# --- files of a folder, for a manifest -----------------------------------------------------------


@dataclass(frozen=True)
class FolderFiles:
    """The files below a folder.

    Attributes:
        files: status of each regular file, by its relative path with `/` between the parts.
        left_out: paths of hidden folders and of files of the operating system or of a clone.
        problems: what is neither a file nor a folder: broken links (kind `link`), other links,
            pipes and devices (`unexpected`), names that are not UTF-8 (`name`), and folders that
            cannot be read (`folder`).
    """

    files: Mapping[str, os.stat_result]
    left_out: tuple[str, ...]
    problems: tuple[Problem, ...]


def list_files(root: Path, *, is_own: bool = False, skip: Path | None = None) -> FolderFiles:
    """Return the files below a folder, in order.

    Files of the operating system (`.DS_Store`, `Thumbs.db`, `.nfs…`) are left out.

    Args:
        root: the folder.
        is_own: it is a person's own folder and not in a home. Then links to files are followed, as
            git-annex and Hugging Face snapshots have them; hidden folders (`.git`) and files of a
            clone (`.gitattributes`) are left out.
        skip: a folder that is not searched.
    """
    files: dict[str, os.stat_result] = {}
    left_out: list[str] = []
    problems: list[Problem] = []

    def unreadable(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):  # there is no such folder, or no longer
            return
        place = os.path.relpath(error.filename or root, root)
        message = f"the folder cannot be read: {str(error.strerror).lower()}"
        problems.append(Problem("folder", _readable(place), message))

    for top, folders, names in os.walk(root, onerror=unreadable):
        below = os.path.relpath(top, root)
        start = "" if below == os.curdir else f"{below}/"
        hidden = {name for name in folders if is_own and name.startswith(".")}
        links = {name for name in folders if Path(top, name).is_symlink()} - hidden
        left_out += [start + name for name in sorted(hidden)]
        folders[:] = sorted(n for n in {*folders} - hidden - links if Path(top, n) != skip)
        for name in sorted([*names, *links]):
            path = start + name
            if SYSTEM_FILE.fullmatch(name) or (is_own and CLONE_FILE.fullmatch(name)):
                left_out.append(path)
                continue
            state = _state_or_problem(f"{top}/{name}", path, is_own=is_own)
            if isinstance(state, Problem):
                problems.append(state)
            else:
                files[path] = state
    return FolderFiles(files, tuple(left_out), tuple(problems))


def describe_left_out(paths: Sequence[str]) -> str:
    """Return the number of paths that were left out, and some of them, as a line of a log."""
    shown = ", ".join(_readable(path) for path in paths[:MAX_EXAMPLES])
    more = ", …" if len(paths) > MAX_EXAMPLES else ""
    return f"{len(paths)} hidden or system file{'s' * (len(paths) > 1)} left out: {shown}{more}"


def _state_or_problem(place: str, path: str, *, is_own: bool) -> os.stat_result | Problem:
    """Return the status of a regular file, or what is wrong with it."""
    if (readable := _readable(path)) != path:
        return Problem("name", readable, "the name is not UTF-8")
    state = os.lstat(place)  # `Path.lstat` takes twice as long, for a million files
    if stat.S_ISLNK(state.st_mode):
        if not is_own:
            return Problem(NOT_A_FILE, path, "a symbolic link")
        try:
            state = os.stat(place)  # noqa: PTH116 - quicker
        except OSError:
            message = "a link to a missing file (with git-annex: `datalad get` it)"
            return Problem(BROKEN_LINK, path, message)
        if stat.S_ISDIR(state.st_mode):
            return Problem(NOT_A_FILE, path, "a link to a folder, not followed")
    if not stat.S_ISREG(state.st_mode):
        return Problem(NOT_A_FILE, path, "not a regular file")
    return state


def _readable(path: str) -> str:
    r"""Return a path with `\xff` for each byte that is not UTF-8."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


# --- paths of a manifest below a folder ----------------------------------------------------------


def lstat_inside(root: Path, path: str) -> os.stat_result | None:
    """Return the status of a file below a folder, or None if there is no such file.

    A path in a manifest cannot leave its folder, but a symbolic link on the way could lead out of
    it. Such a link is refused, not followed.

    Args:
        root: the folder; only the path below it is checked for links.
        path: relative path with `/` between its parts, as in a manifest.

    Raises:
        FetchError: a folder in the path is a symbolic link or a file.
    """
    place = f"{root}"  # text: pathlib takes several times as long, and there may be 50,000 files
    *folders, name = path.split("/")
    for folder in folders:
        place = f"{place}/{folder}"
        if (state := _lstat(place)) is None:
            return None
        _refuse_unless_folder(place, state)
    return _lstat(f"{place}/{name}")


def make_parents_inside(root: Path, path: str) -> Path:
    """Create the folders of a path below a folder, and return the whole path.

    Raises:
        FetchError: a folder in the path is a symbolic link or a file.
    """
    if _lstat(root) is None:  # one lstat is cheaper than mkdir for a folder that exists
        root.mkdir(parents=True, exist_ok=True)
    place = f"{root}"
    for folder in path.split("/")[:-1]:
        place = f"{place}/{folder}"
        if _lstat(place) is None:
            Path(place).mkdir(exist_ok=True)  # another thread may have created it just now
        # Looked at again after mkdir: what another process put there is not followed either.
        _refuse_unless_folder(place, os.lstat(place))
    return root / path


def move_to_quarantine(folder: DatasetFolder, wrong: Path, path: str, *, label: str) -> Path:
    """Move a file with wrong content to quarantine and return its new path; nothing is deleted.

    Args:
        folder: of the dataset.
        wrong: the file to move, on the same file system.
        path: its path in the manifest.
        label: end of its new name, e.g. its hash.
    """
    suffix = "".join(c if c.isalnum() else "-" for c in label)
    target = make_parents_inside(folder.quarantine, f"{path}.{suffix}")
    wrong.replace(target)
    return target


def _lstat(place: str | Path) -> os.stat_result | None:
    try:
        return os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):  # a file is where a folder is expected
        return None


def _refuse_unless_folder(place: str | Path, state: os.stat_result) -> None:
    if not stat.S_ISDIR(state.st_mode):
        what = "a symbolic link, which is not followed" if stat.S_ISLNK(state.st_mode) else "a file"
        raise FetchError(f"{place} is not a folder: it is {what}")


def match_paths(patterns: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Return the paths that match at least one glob; `*` matches `/`, too, and equals `**`."""
    globs = [re.compile(fnmatch.translate(pattern.replace("**", "*"))) for pattern in patterns]
    return [path for path in paths if any(glob.match(path) for glob in globs)]
