"""Connections through a SOCKS proxy; needs PySocks."""

from __future__ import annotations

import http.client
from typing import Any

from urllib3.contrib import socks


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
