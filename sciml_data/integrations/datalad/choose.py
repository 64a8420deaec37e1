"""Which versions of which datasets a mirror is made of, and what the home knows of their files."""

from __future__ import annotations

from collections.abc import Sequence

from sciml_data.errors import CallError, Problem
from sciml_data.home import Home, lstat_inside
from sciml_data.integrations.datalad.keys import STRONG
from sciml_data.integrations.datalad.subdataset import Hashes, Log
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.transfer.download.partial_file import hashes_like


def choose(
    registry: Registry, datasets: Sequence[str], version: str | None, log: Log
) -> dict[str, list[Descriptor]]:
    """Return the pinned versions of each dataset, the oldest first.

    Args:
        registry: that has them.
        datasets: ids; none means all that are pinned, and the rest is named to `log`.
        version: this one of each; None means all that are pinned.
        log: is told what is left out.

    Raises:
        CallError: one that is named is unknown or has no pinned version; nothing is left.
    """
    found: dict[str, list[Descriptor]] = {}
    unpinned: list[str] = []
    for dataset in datasets or registry.datasets():
        if version is not None and not datasets and version not in registry.versions(dataset):
            continue
        names = [version] if version is not None else registry.versions(dataset)
        every = [load_descriptor(registry, dataset, name) for name in names]
        pinned = [one for one in every if one.is_pinned and one.manifest is not None]
        if pinned:
            found[dataset] = pinned
        else:
            unpinned += [f"{one.dataset} {one.version}" for one in every]
    if unpinned and (datasets or not found):
        _refuse(unpinned)
    if unpinned:
        log(
            f"left out, for nobody has pinned their hashes: {', '.join(unpinned)}; "
            "`sciml-data pin` does, once all files are here"
        )
    if not found:
        raise CallError(
            f"no dataset of the registry has a version {version!r}" if version else
            "the registry has no dataset", untouched="nothing was made"
        )  # fmt: skip
    return found


def hashes_from(home: Home, log: Log) -> Hashes:
    """Return what gives sha256 of files in the home that the manifest has other hashes of.

    A file counts whose bytes have the manifest's hash, too.
    """

    def hashes(descriptor: Descriptor) -> dict[str, str]:
        root = home.dataset(descriptor.dataset, descriptor.version).native
        found: dict[str, str] = {}
        others = [e for e in descriptor.manifest or () if not e.hash.startswith(f"{STRONG}:")]
        for entry in others:
            if lstat_inside(root, entry.path) is None:
                continue
            held, sha256 = hashes_like(root / entry.path, (entry.hash, f"{STRONG}:"))
            if held == entry.hash:
                found[entry.path] = sha256
        name = f"{descriptor.dataset} {descriptor.version}"
        log(f"{name}: {len(found)} of {len(others)} files are at home, and sha256 is theirs")
        return found

    return hashes


def _refuse(unpinned: Sequence[str]) -> None:
    dataset = unpinned[0].partition(" ")[0]
    raise CallError(
        "a mirror registers hashes, and nobody has pinned those of "
        f"{len(unpinned)} version{'s' if len(unpinned) > 1 else ''}",
        problems=[Problem("unpinned", name, "no manifest in the registry") for name in unpinned],
        untouched="nothing was made",
        hint=f"sciml-data get {dataset}, then sciml-data pin {dataset} --registry CHECKOUT",
    )
