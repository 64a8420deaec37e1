"""Files of `doi:`, `ftp:` and `sftp:` mirrors, through Pooch's downloaders (extra `pooch`).

    doi:10.5281/zenodo.1234#PATH     Zenodo, figshare, Dataverse; also doi:10.5281/zenodo.1234/PATH
    ftp://HOST[:PORT]/PATH           with a user and a password, or anonymously
    sftp://HOST[:PORT]/PATH          with a key of the user, or a password

Pooch finds the web address of a file of a DOI, and this product's own HTTP client requests it: such
a download is resumed. FTP and SFTP start at the first byte each time. Their bytes come through a
pipe, so that nothing is stored here, and that a server which sends too much is stopped. As with any
other mirror, the caller checks size and hash before a file can be seen.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import select
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from sciml_data.transfer.protocols.https import HttpSource
from sciml_data.transfer.protocols.network import Logins, certificate_places
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    Body,
    NoMirrorError,
    Source,
    SourceError,
    Timeouts,
    TransientError,
    unreadable,
)

if TYPE_CHECKING:
    from sciml_data.transfer.protocols.pooch_downloads import Repository

EXTRA = "pip install 'sciml-data[pooch]'"
NEEDED = {"doi": ("pooch",), "ftp": ("pooch",), "sftp": ("pooch", "paramiko")}
PORTS = {"ftp": 21, "sftp": 22}
# A download takes several steps before its first byte (name, login, command, data), each with the
# read timeout. This bound is for servers that send something now and then without an end.
MAX_STEPS = 4
FIRST_BYTES = 1 << 16  # a pipe of Linux holds this number

Download = Callable[[BinaryIO], None]


def make_source(connections: int, timeouts: Timeouts) -> Source:
    """Return the source of `doi:`, `ftp:` and `sftp:` addresses."""
    return PoochSource(connections, timeouts)


class PoochSource:
    """Files of `doi:`, `ftp:` and `sftp:` addresses."""

    def __init__(self, connections: int, timeouts: Timeouts) -> None:
        """Take the connections to keep for each host of a DOI, and the timeouts."""
        self._timeouts = timeouts
        self._https = HttpSource(connections, timeouts)
        self._logins = Logins()
        self._repositories: dict[str, Repository | NoMirrorError] = {}
        # Guards the repositories. It is held while one is asked for its files: other threads need
        # the same list, and Zenodo allows a stranger 60 requests in a minute.
        self._lock = threading.Lock()

    def open(
        self, url: str, *, start: int = 0, end: int | None = None, tag: str | None = None
    ) -> Body:
        """Request a file; see `Source.open`. Over FTP and SFTP it starts at the first byte."""
        scheme = url.partition(":")[0].lower()
        missing = [name for name in NEEDED[scheme] if importlib.util.find_spec(name) is None]
        if missing:
            raise NoMirrorError(f"{scheme}: mirrors need {' and '.join(missing)}: {EXTRA}")
        if scheme == "doi":
            return self._https.open(self._web_address(url), start=start, end=end, tag=tag)
        pipe = _Pipe(self._download(scheme, url), MAX_STEPS * self._timeouts.read_s)
        try:
            read = pipe.after_first()
        except BaseException:
            pipe.close()
            raise
        return Body(0, None, None, read, pipe.close)

    def close(self) -> None:
        """Close all connections."""
        self._https.close()

    def _web_address(self, url: str) -> str:
        """Return the web address of a file of a DOI."""
        from sciml_data.transfer.protocols.pooch_downloads import doi_error, find_repository

        doi, path = split_doi(url)
        with self._lock, warnings.catch_warnings():
            # figshare warns that a DOI without a version is the latest one: a hash decides here.
            warnings.simplefilter("ignore")
            known = self._repositories.get(doi)
            if isinstance(known, NoMirrorError):
                raise known
            try:
                repository = known or find_repository(doi, self._timeouts, _bundle())
                address = _address_in(repository, doi, path)
            except SourceError:
                raise
            except Exception as error:
                self._repositories.pop(doi, None)  # it keeps the answer that could not be read
                reason = doi_error(error)
                if isinstance(reason, NoMirrorError):
                    self._repositories[doi] = reason
                raise reason from error
            self._repositories[doi] = repository
            return address

    def _download(self, scheme: str, url: str) -> Download:
        """Return what writes the bytes of a file into a stream."""
        from sciml_data.transfer.protocols import pooch_downloads

        parts = urlsplit(url)
        path = unquote(parts.path)
        if set("?#") & set(path):
            raise SourceError("Pooch cannot request a name with ? or #")
        user = self._logins.user(url)
        name, password = (user.name, user.password) if user else (None, "")
        host, port = parts.hostname or "", parts.port or PORTS[scheme]
        if scheme == "sftp" and not name:
            name = _own_name(host)
        makers = {"ftp": pooch_downloads.ftp_downloader, "sftp": pooch_downloads.sftp_downloader}
        downloader = makers[scheme](port, name, password, self._timeouts.read_s)
        address = f"{scheme}://{f'[{host}]' if ':' in host else host}{path}"

        def download(stream: BinaryIO) -> None:
            try:
                downloader(address, stream, None)
            except Exception as error:
                raise pooch_downloads.transfer_error(error, scheme, host, user) from error

        return download


def split_doi(url: str) -> tuple[str, str]:
    """Return the DOI of an address and the path in it, which is percent-decoded."""
    text = url.partition(":")[2]
    doi, separator, path = text.partition("#")
    if not separator:
        import pooch

        parts = pooch.utils.parse_url(url)
        doi, path = parts["netloc"], parts["path"].lstrip("/")
    return doi.rstrip("/"), unquote(path)


def _address_in(repository: Repository, doi: str, path: str) -> str:
    """Return the address of a file; most repositories have no folders, so its name is tried, too.

    Raises:
        SourceError: the repository has no such file.
    """
    for name in dict.fromkeys((path, path.rpartition("/")[2])):
        try:
            return repository.download_url(name)
        except ValueError as error:
            if "not found" not in str(error):  # any other answer that cannot be read
                raise
    raise SourceError(f"no such file in {doi}", status=404)


def _bundle() -> str | None:
    """Return the file or folder with the certificates for Pooch's own requests."""
    _, file, folder = certificate_places()
    return file or folder


def _own_name(host: str) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        raise SourceError(f"no user is known for {host}: sftp://USER@{host}/FOLDER") from None


class _Pipe:
    """The bytes that a thread of its own downloads, as they arrive."""

    def __init__(self, download: Download, wait_s: float) -> None:
        """Start the download.

        Args:
            download: writes into a stream, and raises SourceError.
            wait_s: longest time without a byte.
        """
        self._wait_ms = wait_s * 1000
        self._error: BaseException | None = None
        self._reader, writer = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)
        # A daemon: a server that stalls must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, args=(download, writer), daemon=True)
        self._thread.start()

    def after_first(self) -> Callable[[int], bytes]:
        """Wait for the first bytes, and return what reads all of them.

        Raises:
            SourceError: the download failed before its first byte.
        """
        first = bytearray(self.read(FIRST_BYTES))

        def read(max_bytes: int) -> bytes:
            if not first:
                return self.read(max_bytes)
            block = bytes(first[:max_bytes])
            del first[:max_bytes]
            return block

        return read

    def read(self, max_bytes: int) -> bytes:
        """Return bytes as they arrive, and `b""` at the end.

        Raises:
            SourceError: the download failed.
        """
        if not self._poll.poll(self._wait_ms):
            raise TransientError("no bytes came in time")
        block = os.read(self._reader, max_bytes)
        if not block:
            self._thread.join()  # the pipe is closed, so the thread ends or has ended
            if isinstance(self._error, SourceError):
                raise self._error
            if isinstance(self._error, UNREADABLE):
                raise unreadable(self._error) from self._error
        return block

    def close(self) -> None:
        """End the download: its next write fails."""
        reader, self._reader = self._reader, -1
        if reader >= 0:  # a second close could end the file of another thread
            os.close(reader)

    def _run(self, download: Download, writer: int) -> None:
        try:
            with open(writer, "wb") as stream:
                download(stream)
        except Exception as error:  # noqa: BLE001 (it is raised by `read`)
            self._error = error
