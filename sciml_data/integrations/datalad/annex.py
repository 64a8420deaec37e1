"""Files in git-annex: the key of each file of a manifest, and the addresses of a key.

The key depends on the hash in the manifest:

    sha256          SHA256E-s<bytes>--<hash>.<ext>   git-annex checks size and hash
    md5, s3etag     MD5-s<bytes>--<hash>             git-annex checks size and md5
    s3etag of parts, gitblob   URL-s<bytes>--…       git-annex has no such hash; it checks the size

`git annex examinekey` decides on the extension and on the path of the content, so that both are
equal to those of `git annex add`.

Addresses are registered with git-annex, and a `web` remote is made for each mirror. The registered
addresses are stored in the repository's own folder. An update then registers and removes only the
difference, and does not touch addresses that somebody else registered.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import Problem, SciMLDataError
from sciml_data.home import read_json, write_atomically
from sciml_data.progress import Log, counted
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.registry.manifest import Entry
from sciml_data.transfer.protocols.annex import git, git_succeeds, run_batch

STRONG = "sha256"
BACKENDS = {"sha256": "SHA256", "md5": "MD5", "s3etag": "MD5"}  # kind of hash -> of git-annex
STATE_FOLDER = ".git/sciml-data"  # folder of our own files in a repository
FIRST_COST = 101.0  # the first mirror's; git-annex's own `web`, which tries all addresses, has 200
# Append addresses to the log of a key without reading and rewriting it.
APPEND = ("-c", "annex.alwayscompact=false")
LOG_EVERY_S = 10.0
WEB_SCHEMES = ("https:", "http:", "ftp:")  # of addresses that git-annex fetches
RESERVED_REMOTES = {"web", "origin", "here"}

Address = tuple[str, str]  # key, URL


@dataclass(frozen=True)
class AnnexFile:
    """A file of the manifest with its key.

    Attributes:
        entry: entry of the manifest.
        key: key in git-annex.
        link: target of the symbolic link at `entry.path`, if the dataset is at the repository root.
    """

    entry: Entry
    key: str
    link: str

    @property
    def is_weak(self) -> bool:
        """Return whether git-annex can check the size only."""
        return self.key.startswith("URL-")


def annex_files(
    repository: Path, entries: Sequence[Entry], hashes: Mapping[str, str] | None = None
) -> list[AnnexFile]:
    """Return each file of a manifest with its key.

    Args:
        repository: any repository with git-annex.
        entries: of the manifest.
        hashes: path -> sha256, for files with another kind of hash in the manifest.

    Raises:
        SciMLDataError: git-annex does not accept a key.
    """
    keys = {entry.path: _key(entry, (hashes or {}).get(entry.path)) for entry in entries}
    lines = "".join(f"{key} {path}\n" for path, key in keys.items()).encode()
    form = "${key}\t${objectpath}\n"
    answers = git(
        repository,
        "annex", "examinekey", "--batch", "--migrate-to-backend=SHA256E", f"--format={form}",
        stdin=lines,
    ).decode().splitlines() if entries else []  # fmt: skip
    if len(answers) != len(entries):
        raise SciMLDataError(f"git-annex accepts {len(answers)} of {len(entries)} keys")
    rows = (line.split("\t") for line in answers)
    return [
        AnnexFile(entry, key, "../" * entry.path.count("/") + path)
        for entry, (key, path) in zip(entries, rows, strict=True)
    ]


def key_problem(entry: Entry, key: str) -> Problem | None:
    """Return why a key cannot belong to a file of the manifest, or None if it can."""
    fields, _, value = key.partition("--")
    backend, *rest = fields.split("-")
    size = next((field[1:] for field in rest if field.startswith("s")), None)
    if size not in {None, str(entry.size_bytes)}:  # keys of URLs may have no size
        return Problem("changed", entry.path, f"{entry.size_bytes} bytes expected, key has {size}")
    kind, _, expected = entry.hash.partition(":")
    is_comparable = BACKENDS.get(kind) == backend.removesuffix("E") and "-" not in expected
    if is_comparable and value.partition(".")[0] != expected:
        return Problem("changed", entry.path, f"{entry.hash[:19]}.. expected, its key is {key}")
    return None


def file_addresses(descriptor: Descriptor, files: Iterable[AnnexFile]) -> set[Address]:
    """Return every address of every file that git-annex can fetch, from all mirrors."""
    return {
        (file.key, url)
        for file in files
        for mirror in descriptor.mirrors
        if (url := mirror.url(file.entry.path)) and url.startswith(WEB_SCHEMES)
    }


def register_addresses(repository: Path, wanted: set[Address], *, name: str, log: Log) -> list[str]:
    """Register addresses with git-annex, and remove those that were registered here before.

    Args:
        repository: of the dataset.
        wanted: all addresses that the dataset has now.
        name: of the dataset, for log lines.
        log: gets a line now and then.

    Returns:
        A sentence for each change.
    """
    path = repository / STATE_FOLDER / "addresses.tsv"
    before = _stored_addresses(path)
    changes = []
    for verb, addresses, what in (
        ("registerurl", wanted - before, "registered"),
        ("unregisterurl", before - wanted, "removed"),
    ):
        if addresses:
            run_batch(
                repository,
                [*APPEND, "annex", verb, "--batch", "-z"],
                (f"{key} {url}" for key, url in sorted(addresses)),
                _progress_log(f"{name}: addresses {what}", len(addresses), log),
            )
            changes.append(
                f"{counted(len(addresses), 'address', 'addresses')} {what}{_hosts(addresses)}"
            )
    if changes:
        write_atomically(path, "".join(f"{key}\t{url}\n" for key, url in sorted(wanted)))
    return changes


def web_remotes(mirrors: Sequence[Mirror]) -> dict[str, str]:
    """Return name -> glob over URLs, for a `web` remote of each mirror.

    git-annex tries a remote once for a key. If the first address of its only `web` remote sends
    wrong bytes, the second address is never tried; with a remote for each mirror it is. A single
    mirror needs no remote. A mirror gets a remote for each of its prefixes if their common start
    also matches URLs of another mirror.
    """
    if len(mirrors) < 2:
        return {}
    remotes: dict[str, str] = {}
    for mirror in mirrors:
        others = [
            url for other in mirrors if other is not mirror for url in other.prefixes.values()
        ]
        urls = list(dict.fromkeys(mirror.prefixes.values()))
        common = os.path.commonprefix(urls)
        starts = [common[: common.rfind("/") + 1]]
        if starts[0].count("/") < 3 or any(url.startswith(starts[0]) for url in others):
            starts = urls  # fewer than three slashes: the common start ends before the host does
        name = f"mirror-{mirror.name}" if mirror.name in RESERVED_REMOTES else mirror.name
        for number, start in enumerate(starts, start=1):
            remotes[name if len(starts) == 1 else f"{name}-{number}"] = f"{start}*"
    return remotes


def set_remotes(repository: Path, wanted: Mapping[str, str]) -> list[str]:
    """Set the `web` remotes of a repository's clones, in the order in which they are tried.

    A removed remote stays in old clones; new clones do not enable it.

    Args:
        repository: of the dataset.
        wanted: name -> glob over URLs.

    Returns:
        A sentence for each change.
    """
    path = repository / STATE_FOLDER / "remotes.json"
    stored = read_json(path) if path.is_file() else {}
    changes = []
    for number, (name, glob) in enumerate(wanted.items()):
        settings = [f"urlinclude={glob}", f"cost={FIRST_COST + number}", "autoenable=true"]
        if stored.get(name) == settings:
            continue
        if git_succeeds(repository, "config", "--get", f"remote.{name}.annex-config-uuid"):
            git(repository, "annex", "enableremote", name, *settings)
        else:
            git(repository, "annex", "initremote", name, "--sameas=web", "type=web", *settings)
        stored[name] = settings
        changes.append(f"remote {name} has the addresses {glob}")
    for name in sorted(set(stored) - set(wanted)):
        git(repository, "annex", "enableremote", name, "autoenable=false")
        del stored[name]
        changes.append(f"remote {name} is disabled")
    if changes:
        write_atomically(path, json.dumps(stored, indent=1) + "\n")
    return changes


def _key(entry: Entry, sha256: str | None) -> str:
    kind, _, value = (sha256 or entry.hash).partition(":")
    backend = BACKENDS.get(kind)
    if backend is None or "-" in value:
        # The hash is in the name: equal at all mirrors, and different for another content.
        return f"URL-s{entry.size_bytes}--{kind}-{value.replace(':', '-')}"
    return f"{backend}-s{entry.size_bytes}--{value}"


def _stored_addresses(path: Path) -> set[Address]:
    if not path.is_file():
        return set()
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {(key, url) for key, url in rows}


def _hosts(addresses: Iterable[Address]) -> str:
    counts = Counter(url.split("/")[2] for _, url in addresses)
    return ", ".join(["", *(f"{count} at {host}" for host, count in sorted(counts.items()))])


def _progress_log(start: str, total: int, log: Log) -> Callable[[int], None]:
    """Return a callback that gets the number of finished lines, and logs it every ten seconds."""
    began = logged_at = time.monotonic()

    def progress(count: int) -> None:
        nonlocal logged_at
        now = time.monotonic()
        if count == total and now - began >= LOG_EVERY_S:
            log(f"{start}: all {total}; git-annex commits them, which takes about as long")
        elif count < total and now - logged_at >= LOG_EVERY_S:
            logged_at = now
            log(f"{start}: {count} of {total}")

    return progress
