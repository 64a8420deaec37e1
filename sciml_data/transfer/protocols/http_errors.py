"""What errors of urllib3 mean for a mirror: whether it is asked again, and what the user reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from http import HTTPStatus

import urllib3
from urllib3 import exceptions

from sciml_data.transfer.protocols.network import Proxy, certificate_advice
from sciml_data.transfer.protocols.source import (
    UNREADABLE,
    NoMirrorError,
    SourceError,
    TransientError,
    unreadable,
)


@contextlib.contextmanager
def request_errors(proxy: Proxy | None) -> Iterator[None]:
    """Raise errors of urllib3 before an answer as those of a source."""
    try:
        yield
    except exceptions.SSLError as error:
        raise NoMirrorError(_tls_reason(error)) from error
    except exceptions.ProxyError as error:
        raise _proxy_error(error, proxy) from error
    except exceptions.LocationValueError as error:
        raise SourceError(str(error)) from error
    except exceptions.ReadTimeoutError as error:
        raise TransientError("no answer in time", is_unreachable=True) from error
    except exceptions.HTTPError as error:
        raise _of_socks(error, proxy) or _transient(error) from error


def _proxy_error(error: exceptions.ProxyError, proxy: Proxy | None) -> SourceError:
    cause = error.original_error
    if isinstance(cause, exceptions.SSLError):
        return NoMirrorError(f"the proxy: {_tls_reason(cause)}")
    if proxy is not None and re.search(" 40[17]", str(cause)):  # 401 is tinyproxy's
        return NoMirrorError(refused_by_proxy(proxy))
    reason = str(cause.__cause__ or cause) if isinstance(cause, exceptions.HTTPError) else cause
    message = f"the proxy {proxy.url if proxy else ''} cannot be used: {reason}"
    if re.search(r"failed: 4\d\d", message):  # the proxy's answer to CONNECT: it does not want to
        return SourceError(message)
    return TransientError(message, is_unreachable=True)


def _of_socks(error: exceptions.HTTPError, proxy: Proxy | None) -> SourceError | None:
    if proxy is None or not proxy.url.startswith("socks"):
        return None
    from sciml_data.transfer.protocols.socks import socks_error

    return socks_error(error, proxy.url, has_user=proxy.username is not None)


def is_refused_by_proxy(response: urllib3.BaseHTTPResponse) -> bool:
    """Return whether a proxy, and not the server, wants a password or another one."""
    if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return True
    # tinyproxy answers a wrong password as if it were the server.
    is_tinyproxy = response.headers.get("Server", "").startswith("tinyproxy")
    return is_tinyproxy and response.status == HTTPStatus.UNAUTHORIZED


def refused_by_proxy(proxy: Proxy) -> str:
    """Return the message for a proxy that wants a password, or another one."""
    what = "wants a user and a password" if proxy.username is None else "refuses this password"
    return (
        f"407: the proxy {proxy.url} {what}; they are given as "
        "http_proxy=http://USER:PASSWORD@HOST:PORT"
    )


def _tls_reason(error: Exception) -> str:
    text = str(error)
    is_untrusted = "CERTIFICATE_VERIFY_FAILED" in text and "ostname" not in text
    return f"{text}; {certificate_advice()}" if is_untrusted else text


@contextlib.contextmanager
def body_errors() -> Iterator[None]:
    """Raise errors of urllib3 within an answer as those of a source."""
    try:
        yield
    except exceptions.DecodeError as error:
        raise SourceError("its compressed answer cannot be decoded") from error
    except exceptions.HTTPError as error:
        raise _transient(error) from error
    except UNREADABLE as error:
        raise unreadable(error) from error


def _transient(error: exceptions.HTTPError) -> TransientError:
    if isinstance(error, exceptions.NameResolutionError):
        return TransientError("unknown host", is_unreachable=True)
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.NewConnectionError):
        # PySocks gives no cause, but urllib3's own text ends with the reason.
        said = str(error).rpartition("connection: ")[2] if "connection: " in str(error) else ""
        reason = str(error.__cause__ or said or "no answer in time")
        return TransientError(f"no connection: {reason}", is_unreachable=True)
    if isinstance(error, exceptions.ReadTimeoutError):
        return TransientError("no bytes came in time")
    return TransientError(f"the connection was cut: {type(error).__name__}")
