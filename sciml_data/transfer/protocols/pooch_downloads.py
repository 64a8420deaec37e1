"""Pooch's downloaders and repositories, as `pooch_files` uses them, and their errors as ours."""

from __future__ import annotations

import contextlib
import ftplib
import logging
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import pooch
import requests

from sciml_data import __version__
from sciml_data.transfer.protocols.network import NETRC_ADVICE, User, certificate_advice
from sciml_data.transfer.protocols.source import (
    NoMirrorError,
    SourceError,
    Timeouts,
    TransientError,
    unreadable,
)

BLOCK_BYTES = 1 << 20  # Pooch's own default is 1 KiB
SFTP_REQUESTS = 64  # of 32 KiB, on their way at once; paramiko's default is all of the file
BUSY = {429, 503}
TOO_MANY = "421"  # FTP: too many connections (RFC 959)
NOT_LOGGED_IN, NOT_AVAILABLE = "530", "550"

Reason = Callable[[Any], SourceError]


class Repository(Protocol):
    """A repository of Pooch: Zenodo, figshare or Dataverse."""

    def download_url(self, file_name: str) -> str:
        """Return the web address of a file; ValueError says that it is not found."""


def find_repository(doi: str, timeouts: Timeouts, bundle: str | None) -> Repository:
    """Return the repository of a DOI, after asking doi.org.

    Args:
        doi: without a slash at its end.
        timeouts: of each request.
        bundle: file or folder with the certificates that are trusted.
    """
    repository: Repository = pooch.downloaders.doi_to_repository(
        doi,
        headers={"User-Agent": f"sciml-data/{__version__}"},  # Zenodo limits anonymous programs
        timeout=(timeouts.connect_s, timeouts.read_s),
        verify=bundle or True,
    )
    return repository


def doi_error(error: Exception) -> SourceError:
    """Return the error for a DOI that Pooch cannot resolve."""
    for kinds, reason in DOI_REASONS:
        if isinstance(error, kinds):
            return reason(error)
    return unreadable(error)


def _status_error(error: Any) -> SourceError:
    status, where = error.response.status_code, _host(error.response.url)
    if status == HTTPStatus.NOT_FOUND:
        return NoMirrorError(f"404 at {where}: there is no such DOI")
    if status in BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(f"{status} at {where}", is_busy=status in BUSY)
    return SourceError(f"{status} at {where}")


def _unreachable(error: Any) -> SourceError:
    where = f" to {_host(error.request.url)}" if error.request is not None else ""
    return TransientError(f"no connection{where}: {type(error).__name__}", is_unreachable=True)


def _other_repository(error: Any) -> SourceError:
    name = re.match("Invalid data repository '(.*?)'", str(error))
    if name is None:
        return unreadable(error)
    return NoMirrorError(f"Pooch knows Zenodo, figshare and Dataverse, but not {name[1]}")


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


# In this order: JSONDecodeError is a ValueError and a ConnectionError is an OSError.
DOI_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Reason], ...] = (
    (requests.exceptions.JSONDecodeError, lambda _: TransientError("its answer is not JSON")),
    (requests.HTTPError, _status_error),
    (
        requests.exceptions.SSLError,
        lambda _: NoMirrorError(f"its certificate is not trusted: {certificate_advice()}"),
    ),
    ((requests.ConnectionError, requests.Timeout), _unreachable),
    (ValueError, _other_repository),
    # Such as the message of a server that had too many requests.
    (
        (LookupError, TypeError),
        lambda error: TransientError(f"it gave no list of files: {type(error).__name__}: {error}"),
    ),
)


def ftp_downloader(
    port: int, name: str | None, password: str, timeout_s: float
) -> Callable[..., None]:
    """Return Pooch's downloader for FTP; without a name it is anonymous.

    Pooch's own one leaves the connection open when a download ends before the last byte.
    """

    class Downloader(pooch.FTPDownloader):  # type: ignore[misc] # Pooch ships no types
        """Closes the connection, also after an error."""

        def __call__(self, url: str, output_file: Any, pooch_: Any) -> None:  # noqa: ARG002
            parts = pooch.utils.parse_url(url)
            ftp = ftplib.FTP(timeout=self.timeout)  # noqa: S321 (the mirror has nothing else)
            with contextlib.closing(ftp):
                ftp.connect(parts["netloc"].strip("[]"), self.port)
                ftp.login(self.username, self.password)
                ftp.retrbinary(f"RETR {parts['path']}", output_file.write, self.chunk_size)
                # All bytes are here, whether or not the server says goodbye.
                with contextlib.suppress(*ftplib.all_errors):
                    ftp.quit()

    downloader: Callable[..., None] = Downloader(
        port=port,
        username=name or "anonymous",
        password=password,
        timeout=timeout_s,
        chunk_size=BLOCK_BYTES,
    )
    return downloader


def sftp_downloader(
    port: int, name: str | None, password: str, timeout_s: float
) -> Callable[..., None]:
    """Return Pooch's downloader for SFTP, with the keys and known hosts of OpenSSH.

    Pooch's own one sends the password to any server that answers, and knows no keys.
    """
    import paramiko

    # Errors are reported by us. Without a handler, Python prints paramiko's tracebacks.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())

    class Downloader(pooch.SFTPDownloader):  # type: ignore[misc] # Pooch ships no types
        """Checks the host's key, and takes the user's keys and agent, as `sftp` does."""

        def __call__(self, url: str, output_file: Any, pooch_: Any) -> None:  # noqa: ARG002
            parts = pooch.utils.parse_url(url)
            with paramiko.SSHClient() as client:
                client.load_system_host_keys()
                client.connect(
                    parts["netloc"].strip("[]"),
                    self.port,
                    self.username,
                    self.password or None,
                    timeout=self.timeout,
                    banner_timeout=self.timeout,
                    auth_timeout=self.timeout,
                )
                with client.open_sftp() as sftp:
                    if (channel := sftp.get_channel()) is not None:
                        channel.settimeout(self.timeout)
                    sftp.getfo(
                        parts["path"], output_file, max_concurrent_prefetch_requests=SFTP_REQUESTS
                    )

    downloader: Callable[..., None] = Downloader(
        port=port, username=name, password=password, timeout=timeout_s
    )
    return downloader


def transfer_error(error: Exception, scheme: str, host: str, user: User | None) -> SourceError:
    """Return the error for a failed download over FTP or SFTP.

    Args:
        error: of ftplib, paramiko or the system.
        scheme: `ftp` or `sftp`.
        host: of the server.
        user: with whom the server was asked, if one is known.
    """
    if isinstance(error, ftplib.Error):
        return _ftp_error(error, host, user)
    if scheme == "sftp" and (reason := _ssh_error(error, host, user)) is not None:
        return reason
    for kinds, message in TRANSFER_REASONS:
        if isinstance(error, kinds):
            return message(error)
    return unreadable(error)


# In this order: all of them are OSErrors.
TRANSFER_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Reason], ...] = (
    (socket.gaierror, lambda _: TransientError("unknown host", is_unreachable=True)),
    (FileNotFoundError, lambda _: SourceError("no such file", status=404)),
    (PermissionError, lambda _: SourceError("permission denied", status=403)),
    (
        (BrokenPipeError, ConnectionResetError, EOFError),
        lambda _: TransientError("the connection was cut"),
    ),
    (TimeoutError, lambda _: TransientError("no answer in time", is_unreachable=True)),
    (OSError, lambda error: TransientError(f"no connection: {error}", is_unreachable=True)),
)


def _ftp_error(error: ftplib.Error, host: str, user: User | None) -> SourceError:
    text = str(error)
    if text.startswith(NOT_LOGGED_IN):
        return _refused(text, "ftp", host, user)
    if text.startswith(NOT_AVAILABLE):
        return SourceError(f"no such file, or permission denied: {text}", status=404)
    if isinstance(error, ftplib.error_perm):
        return SourceError(text)
    return TransientError(text, is_busy=text.startswith(TOO_MANY))


def _ssh_error(error: Exception, host: str, user: User | None) -> SourceError | None:
    from paramiko import ssh_exception

    if isinstance(error, ssh_exception.BadHostKeyException):
        return NoMirrorError(f"the key of {host} is not the one in ~/.ssh/known_hosts")
    if isinstance(error, ssh_exception.AuthenticationException):
        return _refused("permission denied", "sftp", host, user)
    if not isinstance(error, ssh_exception.SSHException):
        return None
    reason = str(error)
    if "known_hosts" in reason:
        return NoMirrorError(
            f"{host} is not in ~/.ssh/known_hosts: connect to it once with `sftp`, and accept "
            "its key"
        )
    if "No authentication methods" in reason:
        return _refused("permission denied", "sftp", host, user)
    # A server that has too many connections closes a new one before it says anything.
    return TransientError(reason, is_busy="banner" in reason)


def _refused(reason: str, scheme: str, host: str, user: User | None) -> SourceError:
    if user is not None and (user.password or scheme == "ftp"):
        return NoMirrorError(f"{reason}; the user and password {user.origin} are refused")
    keys = "keys in ~/.ssh or an agent, " if scheme == "sftp" else ""
    return NoMirrorError(
        f"{reason}; {host} wants a user and a password: {keys}"
        f"{scheme}://USER:PASSWORD@{host} as the mirror, or {NETRC_ADVICE}"
    )
