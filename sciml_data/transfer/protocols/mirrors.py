"""Which mirrors are asked, in which order, and what they are called.

Those of a user come before the registry's: `--mirror`, the environment's SCIML_DATA_MIRRORS,
`mirrors` in the user's config.toml. How a user laid out a mirror is not asked, but tried.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from sciml_data.errors import CallError
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.transfer.protocols.datalad import SCHEME as DATALAD
from sciml_data.transfer.protocols.datalad import folder_of, place_address
from sciml_data.transfer.protocols.file import file_url, path_of
from sciml_data.transfer.protocols.s3 import s3_url
from sciml_data.transfer.protocols.source import SCHEMES

MIRRORS_VARIABLE = "SCIML_DATA_MIRRORS"  # addresses with spaces between them
CONFIG_NAME = "config.toml"


def user_mirrors(given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the bases of all mirrors of the user, each once, without a slash at the end.

    Args:
        given: named in the call; a folder among them must exist. One of the environment or the
            configuration may be away, a disk that is not mounted: it is passed over when asked.

    Raises:
        CallError: an address has no scheme that there is a source for, or a folder is not there.
    """
    for mirror in given:
        base = mirror_base(mirror)
        folder = path_of(base) if base.startswith("file:") else folder_of(base)
        if folder is not None and not folder.is_dir():
            raise CallError(
                f"the mirror {mirror} is no folder: {folder} is not there",
                untouched="nothing was fetched or changed",
            )
    named = [*given, *os.environ.get(MIRRORS_VARIABLE, "").split(), *_configured()]
    return tuple(dict.fromkeys(mirror_base(mirror) for mirror in named))


def mirror_base(mirror: str) -> str:
    """Return a mirror's address as a URL to which `/PATH` may be added.

    Raises:
        CallError: it is no such address.
    """
    scheme = mirror.partition(":")[0].lower() if ":" in mirror else ""
    if scheme not in {*SCHEMES, "s3"}:
        known = ", ".join(f"{name}:" for name in sorted({*SCHEMES, "s3"}))
        raise CallError(
            f"the mirror {mirror!r} does not start with one of {known}",
            untouched="nothing was fetched or changed",
            hint=f"a folder is written as file:{mirror}" if not scheme else "",
        )
    if scheme == "file":
        return file_url(mirror)
    if scheme == DATALAD:
        return place_address(mirror)
    if not urlsplit(mirror).netloc:
        raise CallError(
            f"the mirror {mirror!r} names no {'bucket' if scheme == 's3' else 'host'}",
            untouched="nothing was fetched or changed",
        )
    return (s3_url(mirror) if scheme == "s3" else mirror).rstrip("/")


def places(descriptor: Descriptor, bases: Sequence[str]) -> list[Mirror]:
    """Return every place where the files may lie, in the order to ask, each once.

    A mirror of the user, BASE, may hold the trees of several hosts (BASE/HOST/PATH of a public
    URL), the same bucket at another endpoint (BASE/BUCKET/KEY), or the dataset itself, under
    the folder names of the manifest or those of a mirror of the registry.

    Args:
        descriptor: has the mirrors of the registry, which come last.
        bases: as `user_mirrors` returns them.
    """
    found: dict[str, Mirror] = {}
    for base in bases:
        for prefixes in _layouts(descriptor, base):
            found.setdefault(f"{prefixes}", Mirror(base, prefixes))
    for mirror in descriptor.mirrors:
        found.setdefault(f"{mirror.prefixes}", mirror)
    return list(found.values())


def _layouts(descriptor: Descriptor, base: str) -> Iterator[dict[str, str]]:
    """Yield the ways in which a user's mirror may be laid out, the likeliest first."""
    if base.startswith(f"{DATALAD}:"):
        yield {"": f"{base}#{quote(descriptor.dataset)}/{quote(descriptor.version)}/"}
        return
    mirrors = [
        (mirror, {prefix: urlsplit(url) for prefix, url in mirror.prefixes.items()})
        for mirror in descriptor.mirrors
    ]
    for _, urls in mirrors:
        yield {prefix: f"{base}/{url.netloc}{url.path}" for prefix, url in urls.items()}
    for mirror, urls in mirrors:
        if mirror.s3:
            yield {prefix: f"{base}{url.path}" for prefix, url in urls.items()}
    own = {prefix for mirror, _ in mirrors for prefix in mirror.prefixes} or {""}
    yield {prefix: f"{base}/{quote(prefix)}" for prefix in sorted(own)}
    for mirror, urls in mirrors:
        if mirror.s3:
            top = "/" + quote(mirror.s3.removeprefix("s3://").rstrip("/")) + "/"
            yield {
                prefix: f"{base}/{url.path.removeprefix(top).lstrip('/')}"
                for prefix, url in urls.items()
            }


def _configured() -> list[str]:
    import platformdirs

    path = Path(platformdirs.user_config_path("sciml-data")) / CONFIG_NAME
    if not path.is_file():
        return []
    try:
        mirrors = tomllib.loads(path.read_text(encoding="utf-8")).get("mirrors", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CallError(f"{path} is no TOML: {error}", untouched="nothing was fetched") from error
    if not isinstance(mirrors, list) or not all(isinstance(one, str) for one in mirrors):
        raise CallError(
            f"{path}: `mirrors` is a list of addresses, {mirrors!r} found",
            untouched="nothing was fetched",
            hint='mirrors = ["file:/data/mirror", "https://mirror.example.org/sciml"]',
        )
    return mirrors


def mirror_of(url: str, path: str, urls: Sequence[str]) -> str:
    """Return what a mirror is called of which `url` is one: its base, or scheme and host.

    Args:
        url: where a file is asked for.
        path: of the file in the manifest.
        urls: all URLs of the file; a mirror of trees, or of a bucket, ends like one of the others.
    """
    others = [urlsplit(other) for other in urls if other != url]
    tails = {tail for one in others for tail in (one.netloc + one.path, one.path.lstrip("/"))}
    fitting = [tail for tail in {*tails, quote(path)} if url.endswith(f"/{tail}")]
    if fitting:
        return url.removesuffix(f"/{max(fitting, key=len)}")
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
