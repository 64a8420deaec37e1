"""Mirrors: which are asked, in which order, under which URLs, and what opens these URLs.

The user's mirrors come before those of the registry: `--mirror`, then the environment's
SCIML_DATA_MIRRORS, then `mirrors` in the user's config.toml. A user's mirror may be laid out in
several ways. The user need not say which: all of them are tried.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from sciml_data.errors import CallError, JsonError
from sciml_data.home import read_toml
from sciml_data.progress import Log
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.registry.layout import installed
from sciml_data.transfer.protocols.datalad import SCHEME as DATALAD
from sciml_data.transfer.protocols.datalad import folder_of, place_address
from sciml_data.transfer.protocols.file import file_url, path_of
from sciml_data.transfer.protocols.s3 import s3_url
from sciml_data.transfer.protocols.source import Source, SourceError, Timeouts

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)

# Scheme of a URL -> module of this package. `fdsn` is not among them: it answers queries and has
# no files.
SCHEMES = {
    "https": "https",
    "http": "https",
    "file": "file",
    "datalad": "datalad",
    **dict.fromkeys(("doi", "ftp", "sftp"), "pooch_files"),
}
BUILT_IN = {*SCHEMES, "s3"}
KIND = "protocols"  # of extensions: the name of an entry point is the scheme of its URLs
DOI = re.compile(r"doi:10\.[0-9.]{4,12}/[^\s#?]+")
URL_SLASHES = 3  # of a URL up to the end of its host
MIRRORS_VARIABLE = "SCIML_DATA_MIRRORS"  # addresses, separated by spaces
CONFIG_NAME = "config.toml"


def user_mirrors(given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the base URLs of all mirrors of the user, each once, without a slash at the end.

    Args:
        given: addresses in the call; a folder among them must exist. A folder of the environment
            or the configuration may be missing, such as a disk that is not mounted: it is skipped.

    Raises:
        CallError: no protocol has the scheme of an address, or a folder does not exist.
    """
    for mirror in given:
        base = mirror_base(mirror)
        folder = path_of(base) if base.startswith("file:") else folder_of(base)
        if folder is not None and not folder.is_dir():
            what = "not a directory" if folder.exists() else "no such folder"
            raise CallError(
                f"the mirror {mirror} cannot be used: {what}: {folder}",
                untouched="nothing was fetched or changed",
            )
    addresses = [*given, *os.environ.get(MIRRORS_VARIABLE, "").split(), *_configured_mirrors()]
    return tuple(dict.fromkeys(mirror_base(mirror) for mirror in addresses))


def mirror_base(mirror: str) -> str:
    """Return a mirror's address as a URL to which `/PATH` can be appended.

    Raises:
        CallError: the address is not valid.
    """
    scheme = mirror.partition(":")[0].lower() if ":" in mirror else ""
    if scheme not in BUILT_IN and scheme in (offered := installed(KIND, BUILT_IN)):
        return mirror.rstrip("/")
    if scheme not in BUILT_IN:
        known = ", ".join(f"{name}:" for name in sorted({*BUILT_IN, *offered}))
        shown = mirror if "@" not in mirror else f"{scheme}://…@{mirror.rpartition('@')[2]}"
        raise CallError(
            f"the mirror {shown!r} does not start with one of {known}",
            untouched="nothing was fetched or changed",
            hint=f"a folder is written as file:{mirror}" if not scheme else "",
        )
    if scheme == "file":
        return file_url(mirror)
    if scheme == DATALAD:
        return place_address(mirror)
    if scheme == "doi":
        return _doi_base(mirror)
    from sciml_data.transfer.protocols.credentials import take_credentials

    if scheme == "s3" and "@" in mirror.removeprefix("s3://").partition("/")[0]:
        raise CallError(
            "the name of a bucket has no @, and an s3: address has no user and password",
            untouched="nothing was fetched or changed",
            hint="s3://BUCKET/FOLDER is read with AWS credentials, if they are set, or anonymously",
        )
    base = take_credentials(s3_url(mirror) if scheme == "s3" else mirror).rstrip("/")
    if not urlsplit(mirror).netloc:
        raise CallError(
            f"the mirror {mirror!r} has no {'bucket' if scheme == 's3' else 'host'}",
            untouched="nothing was fetched or changed",
            hint="s3://BUCKET/FOLDER" if scheme == "s3" else f"{scheme}://HOST/FOLDER",
        )
    return base


def _doi_base(mirror: str) -> str:
    base = f"doi:{mirror.partition(':')[2].strip('/')}"
    if not DOI.fullmatch(base):
        raise CallError(
            f"the mirror {mirror!r} is not a DOI",
            untouched="nothing was fetched or changed",
            hint="doi:10.5281/zenodo.1234",
        )
    return base


def configured(key: str, default: object) -> Any:
    """Return a value of the user's configuration, or the default.

    Raises:
        CallError: the configuration cannot be read.
    """
    path = configuration_path()
    if path is None or not path.is_file():
        return default
    try:
        return read_toml(path).get(key, default)
    except JsonError as error:
        raise CallError(
            f"the configuration {path} cannot be read: {error.message}",
            untouched="nothing was fetched",
        ) from error


def configuration_path() -> Path | None:
    """Return the file of the user's configuration, which need not exist; None without a home."""
    import platformdirs

    try:
        return Path(platformdirs.user_config_path("sciml-data")) / CONFIG_NAME
    except RuntimeError:  # a user id without a name, and HOME is not set: no configuration either
        return None


def _configured_mirrors() -> list[str]:
    mirrors = configured("mirrors", [])
    if not isinstance(mirrors, list) or not all(isinstance(mirror, str) for mirror in mirrors):
        raise CallError(
            f"{configuration_path()}: `mirrors` must be a list of addresses, {mirrors!r} found",
            untouched="nothing was fetched",
            hint='mirrors = ["file:/data/mirror", "https://mirror.example.org/sciml"]',
        )
    return mirrors


def places(descriptor: Descriptor, bases: Sequence[str]) -> list[Mirror]:
    """Return every place where the files may be, in the order to try, each once.

    A mirror of the user, BASE, may have copies of several hosts (BASE/HOST/PATH of a public URL),
    the same bucket at another endpoint (BASE/BUCKET/KEY), or the dataset itself, under the folder
    names of the manifest or those of a mirror of the registry.

    Args:
        descriptor: has the mirrors of the registry, which come last.
        bases: as `user_mirrors` returns them.
    """
    mirrors: dict[str, Mirror] = {}
    for base in bases:
        for prefixes in _layouts(descriptor, base):
            mirrors.setdefault(f"{prefixes}", Mirror(base, prefixes))
    for mirror in descriptor.mirrors:
        mirrors.setdefault(f"{mirror.prefixes}", mirror)
    return list(mirrors.values())


def _layouts(descriptor: Descriptor, base: str) -> Iterator[dict[str, str]]:
    """Yield the possible layouts of a user's mirror as prefix -> URL, the most likely first."""
    if base.startswith(f"{DATALAD}:"):
        yield {"": f"{base}#{quote(descriptor.dataset)}/{quote(descriptor.version)}/"}
        return
    if base.startswith("doi:"):
        yield {"": f"{base}#"}
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


class MirrorNames:
    """The names of mirrors in messages: the address with which all their URLs begin.

    Two mirrors on one host have different names.
    """

    def __init__(self, mirrors: Sequence[Mirror], bases: Sequence[str]) -> None:
        """Take the mirrors of the registry, and the base URLs of those of the user."""
        self._names = {f"{base}{end}": base for base in bases for end in ("/", "#")}
        starts = [_common_start(mirror) for mirror in mirrors]
        for mirror, start in zip(mirrors, starts, strict=True):
            others = [
                url for other in mirrors if other is not mirror for url in other.prefixes.values()
            ]
            is_own = bool(start) and not any(url.startswith(start) for url in others)
            for url in mirror.prefixes.values():
                self._names.setdefault(url, (start if is_own else url).rstrip("/#"))
        # The longest start first; a mirror of the user may contain one of the registry.
        self._starts = sorted(self._names, key=len, reverse=True)

    def of(self, url: str) -> str:
        """Return the name of the mirror that serves a URL; its scheme and host if none is known."""
        for start in self._starts:
            if url.startswith(start):
                return self._names[start]
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}"


def _common_start(mirror: Mirror) -> str:
    """Return with what all URLs of a mirror begin, up to a slash; nothing if not even the host."""
    common = os.path.commonprefix(list(mirror.prefixes.values()))
    start = common[: max(common.rfind("/"), common.rfind("#")) + 1]
    return start if start.startswith("doi:") or start.count("/") >= URL_SLASHES else ""


def _protocol(name: str, point: EntryPoint | None) -> Any:
    """Return the module of a protocol: of this package, or of an entry point."""
    if point is None:
        return importlib.import_module(f"{__package__}.{name}")
    from sciml_data.registry.extensions import load_installed

    module = load_installed(point)
    if not callable(getattr(module, "make_source", None)):
        raise SourceError(f"the protocol {name} ({point.value}) has no function make_source")
    return module


class Sources:
    """The sources of one run, each created when it is needed first; a context manager."""

    def __init__(self, *, connections: int, timeouts: Timeouts, log: Log = logger.info) -> None:
        """Take the connections to keep open to each host, the timeouts, and what gets notices."""
        self._log = log
        self._connections = connections
        self._timeouts = timeouts
        self._made: dict[str, Source] = {}
        self._of_host: dict[str, Source] = {}
        # Two threads that need a source first must not create it twice: one would stay open.
        self._lock = threading.Lock()

    def of(self, url: str) -> Source:
        """Return the source for a URL's scheme.

        Raises:
            SourceError: the scheme is unknown.
        """
        # Thousands of files of one host: only the first of them is looked at.
        host = url[: url.find("/", url.find("//") + 2)]
        if (known_source := self._of_host.get(host)) is not None:
            return known_source
        self._of_host[host] = source = self._find(url)
        return source

    def _find(self, url: str) -> Source:
        scheme = url.partition(":")[0].lower()
        offered = installed(KIND, BUILT_IN)  # cached
        if scheme not in {*SCHEMES, *offered}:
            known = ", ".join(sorted({*SCHEMES, *offered}))
            raise SourceError(f"the scheme {scheme!r} is not one of {known}")
        name = SCHEMES.get(scheme, scheme)
        if name == "https":
            from sciml_data.transfer.protocols.signing import unsigned_notice

            if notice := unsigned_notice(url):
                self._log(notice)
        with self._lock:
            if name not in self._made:
                module = _protocol(name, offered.get(scheme))
                self._made[name] = module.make_source(self._connections, self._timeouts)
            return self._made[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        for source in self._made.values():
            source.close()
