"""Connections through a SOCKS proxy; needs PySocks."""

from __future__ import annotations

import http.client
from typing import Any

import socks as pysocks
from urllib3 import exceptions
from urllib3.contrib import socks

from sciml_data.transfer.protocols.source import NoMirrorError, SourceError, TransientError


def socks_manager(
    url: str,
    username: str | None,
    password: str | None,
    response: type[http.client.HTTPResponse],
    **options: Any,
) -> socks.SOCKSProxyManager:
    """Return the connections through one proxy.

    Args:
        url: of the proxy.
        username: for the proxy.
        password: for the proxy.
        response: class of the answers, which has their deadlines.
        options: of urllib3's manager.
    """

    class Connection(socks.SOCKSConnection):
        response_class = response

    class TlsConnection(socks.SOCKSHTTPSConnection):
        response_class = response

    class Pool(socks.SOCKSHTTPConnectionPool):
        ConnectionCls = Connection

    class TlsPool(socks.SOCKSHTTPSConnectionPool):
        ConnectionCls = TlsConnection

    manager = socks.SOCKSProxyManager(url, username, password, **options)
    manager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
    return manager


def socks_error(
    error: exceptions.HTTPError, url: str, *, has_user: bool
) -> SourceError | TransientError | None:
    """Return what a SOCKS proxy answers, or None if the error is not of the proxy.

    Args:
        error: urllib3's; PySocks' own is its context, because urllib3 leaves out the cause.
        url: of the proxy.
        has_user: whether the proxy was given a user.
    """
    cause = error.__cause__ or error.__context__
    while isinstance(inner := getattr(cause, "socket_err", None), pysocks.ProxyError):
        cause = inner  # the answer of a proxy counts as an error of its socket
    if isinstance(cause, pysocks.SOCKS5AuthError):
        what = "refuses this password" if has_user else "wants a user and a password"
        return NoMirrorError(
            f"the proxy {url} {what}; they are given as ALL_PROXY=socks5h://USER:PASSWORD@HOST:PORT"
        )
    if isinstance(cause, pysocks.SOCKS5Error | pysocks.SOCKS4Error):
        reason = f"the proxy {url} has no connection to the server: {cause.msg}"
        return TransientError(reason, is_unreachable=True)
    if isinstance(cause, pysocks.ProxyError):
        reason = f"the proxy {url} cannot be used: {cause.socket_err or cause.msg}"
        return TransientError(reason, is_unreachable=True)
    return None
