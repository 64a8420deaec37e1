"""Which addresses a key has, registered with git-annex; and a `web` remote for each mirror.

What was registered is noted in the repository's own folder, so that `update` registers and takes
back the difference alone, and leaves addresses alone that somebody else registered.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sciml_data.home import write_atomically
from sciml_data.integrations.datalad.keys import Keyed
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.transfer.protocols.annex import git, git_succeeds, run_batch

NOTE = ".git/sciml-data"  # folder of our notes in a repository
FIRST_COST = 101.0  # the first mirror; git-annex's own `web`, which asks at every address, has 200
# An address is appended to what git-annex noted of its key, which is not read first.
APPEND = ("-c", "annex.alwayscompact=false")
TELL_EVERY_S = 10.0
TAKEN_NAMES = {"web", "origin", "here"}

Address = tuple[str, str]  # key, URL
Log = Callable[[str], None]


def addresses(descriptor: Descriptor, files: Iterable[Keyed]) -> set[Address]:
    """Return every address of every file: of all mirrors of the registry."""
    return {
        (one.key, url)
        for one in files
        for mirror in descriptor.mirrors
        if (url := mirror.url(one.entry.path))
    }


def register(repository: Path, wanted: set[Address], *, name: str, log: Log) -> list[str]:
    """Let git-annex know these addresses, and no others that were registered before.

    Returns:
        What changed, in sentences.
    """
    note = repository / NOTE / "addresses.tsv"
    before = _noted(note)
    changes = []
    for verb, these, what in (
        ("registerurl", wanted - before, "registered"),
        ("unregisterurl", before - wanted, "taken back"),
    ):
        if these:
            run_batch(
                repository,
                [*APPEND, "annex", verb, "--batch", "-z"],
                (f"{key} {url}" for key, url in sorted(these)),
                _teller(f"{name}: addresses {what}", len(these), log),
            )
            changes.append(f"{len(these)} addresses {what}{_hosts(these)}")
    if changes:
        write_atomically(note, "".join(f"{key}\t{url}\n" for key, url in sorted(wanted)))
    return changes


def web_remotes(mirrors: Sequence[Mirror]) -> dict[str, str]:
    """Return name -> glob over URLs of the remotes that ask one mirror each.

    git-annex asks a remote once for a key: where the first address of `web` sends wrong bytes, the
    second is never asked. With a remote for each mirror it is. One mirror alone needs none. A
    mirror whose common start fits URLs of another has a remote for each of its prefixes.
    """
    if len(mirrors) < 2:
        return {}
    found: dict[str, str] = {}
    for mirror in mirrors:
        others = [
            url for other in mirrors if other is not mirror for url in other.prefixes.values()
        ]
        urls = list(dict.fromkeys(mirror.prefixes.values()))
        start = os.path.commonprefix(urls)
        starts = [start[: start.rfind("/") + 1]]
        if starts[0].count("/") < 3 or any(url.startswith(starts[0]) for url in others):
            starts = urls
        name = f"mirror-{mirror.name}" if mirror.name in TAKEN_NAMES else mirror.name
        for number, one in enumerate(starts, start=1):
            found[name if len(starts) == 1 else f"{name}-{number}"] = f"{one}*"
    return found


def set_remotes(repository: Path, wanted: Mapping[str, str]) -> list[str]:
    """Let the repository's clones have these `web` remotes, asked in this order; say what changed.

    One that is wanted no more stays for old clones, and is not enabled in new ones.
    """
    note = repository / NOTE / "remotes.json"
    before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    changes = []
    for number, (name, glob) in enumerate(wanted.items()):
        said = [f"urlinclude={glob}", f"cost={FIRST_COST + number}", "autoenable=true"]
        if before.get(name) == said:
            continue
        if git_succeeds(repository, "config", "--get", f"remote.{name}.annex-config-uuid"):
            git(repository, "annex", "enableremote", name, *said)
        else:
            git(repository, "annex", "initremote", name, "--sameas=web", "type=web", *said)
        before[name] = said
        changes.append(f"remote {name} asks {glob}")
    for name in sorted(set(before) - set(wanted)):
        git(repository, "annex", "enableremote", name, "autoenable=false")
        del before[name]
        changes.append(f"remote {name} is asked no more")
    if changes:
        write_atomically(note, json.dumps(before, indent=1) + "\n")
    return changes


def _noted(note: Path) -> set[Address]:
    if not note.is_file():
        return set()
    rows = (line.split("\t") for line in note.read_text(encoding="utf-8").splitlines())
    return {(key, url) for key, url in rows}


def _hosts(these: Iterable[Address]) -> str:
    counts = Counter(url.split("/")[2] for _, url in these)
    return ", ".join(["", *(f"{count} at {host}" for host, count in sorted(counts.items()))])


def _teller(doing: str, total: int, log: Log) -> Callable[[int], None]:
    began = said_at = time.monotonic()

    def tell(count: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if count == total and now - began >= TELL_EVERY_S:
            log(f"{doing}: all {total}; git-annex commits them, which takes about as long")
        elif count < total and now - said_at >= TELL_EVERY_S:
            said_at = now
            log(f"{doing}: {count} of {total}")

    return tell
