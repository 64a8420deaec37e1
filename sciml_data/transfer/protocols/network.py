"""What the user says about reaching a server: proxies, credentials, certificates.

The variables and files are those of curl and requests, so that what works for them works here
(docs/how-to/networks.md). An empty variable counts as not set.
"""

from __future__ import annotations

import ipaddress
import netrc
import os
import ssl
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from sciml_data.transfer.protocols.credentials import user_of, without_user
from sciml_data.transfer.protocols.mirrors import configured
from sciml_data.transfer.protocols.source import SourceError

LOOPBACK = {"127.0.0.1", "::1", "localhost"}  # never reached through a proxy
PORTS = {"http": 80, "https": 443}
PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# In the order of requests; SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's.
BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
FILE_VARIABLE, FOLDER_VARIABLE = "SSL_CERT_FILE", "SSL_CERT_DIR"
TOKENS_VARIABLE = "SCIML_DATA_TOKENS"  # HOST=TOKEN, separated by spaces
NETRC_NAMES = (".netrc", "_netrc")
NETRC_ADVICE = "~/.netrc"
GIVEN_BY = (
    f"https://USER:PASSWORD@HOST as the mirror, {NETRC_ADVICE} or {TOKENS_VARIABLE}=HOST=TOKEN"
)


@dataclass(frozen=True)
class Proxy:
    """A proxy: its address without credentials, and those."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that gives the credentials to an HTTP proxy."""
        if self.username is None:
            return {}
        return {"proxy-authorization": _basic(self.username, self.password or "")}


@dataclass(frozen=True)
class Login:
    """The value of a header Authorization, and where it comes from."""

    header: str = field(repr=False)
    origin: str


@dataclass(frozen=True)
class User:
    """A user with a password, which may be empty, and where they come from."""

    name: str
    password: str = field(repr=False)
    origin: str


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy through which a URL is requested; None for a direct connection.

    Raises:
        SourceError: the environment names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    if host in LOOPBACK or is_exempt(host, port, _variable("no_proxy", "NO_PROXY")):
        return None
    upper = f"{parts.scheme}_proxy".upper()
    # In a CGI script HTTP_PROXY is the header "Proxy" of a stranger's request (httpoxy).
    names = [] if upper == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ else [upper]
    text = _variable(upper.lower(), *names, "all_proxy", "ALL_PROXY")
    text = text or urllib.request.getproxies().get(parts.scheme, "")  # settings of the system
    return _parse_proxy(text) if text else None


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Return whether NO_PROXY names a host.

    Args:
        host: name or address.
        port: of the request.
        no_proxy: hosts, domains (with their subdomains), addresses and networks (10.0.0.0/8),
            each with or without a port, separated by commas or spaces; `*` is every host.
    """
    host = host.lower().rstrip(".")
    address = _ip_address(host)
    for entry in no_proxy.lower().replace(",", " ").split():
        if entry == "*":
            return True
        name, entry_port = _split_port(entry)
        if entry_port not in {"", str(port)}:
            continue
        domain = name.removeprefix("*").strip(".")
        if address is not None:
            if _is_in_network(address, name):
                return True
        elif domain and (host == domain or host.endswith(f".{domain}")):
            return True
    return False


def certificate_places() -> tuple[str, str | None, str | None]:
    """Return the variable that counts, and the file and the folder with trusted authorities.

    The name is empty where the authorities are those of the system.
    """
    name = next((name for name in BUNDLE_VARIABLES if _variable(name)), "")
    bundle = _variable(name)
    if bundle:
        return (name, None, bundle) if Path(bundle).is_dir() else (name, bundle, None)
    own = {FILE_VARIABLE: _variable(FILE_VARIABLE), FOLDER_VARIABLE: _variable(FOLDER_VARIABLE)}
    if name := next((name for name, value in own.items() if value), ""):
        return name, own[FILE_VARIABLE] or None, own[FOLDER_VARIABLE] or None
    usual = ssl.get_default_verify_paths()
    file = usual.openssl_cafile if Path(usual.openssl_cafile).is_file() else None
    return "", file, usual.openssl_capath if Path(usual.openssl_capath).is_dir() else None


def certificates() -> ssl.SSLContext:
    """Return the settings for TLS, with the authorities of the environment or the system.

    Raises:
        SourceError: a variable names a file or folder without certificates.
    """
    name, file, folder = certificate_places()
    try:
        if folder and not Path(folder).is_dir():
            name, file = FOLDER_VARIABLE, folder
            raise NotADirectoryError(folder)
        return ssl.create_default_context(cafile=file, capath=folder)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not a directory"
        reason = "no certificates in it" if isinstance(error, ssl.SSLError) else reason
        raise SourceError(f"{name}={file} cannot be used: {reason}") from error


def certificate_advice() -> str:
    """Return what to do where a certificate is not trusted: which variables say whom to trust."""
    names = (FILE_VARIABLE, FOLDER_VARIABLE, *BUNDLE_VARIABLES)
    used = next((f"{name}={_variable(name)}" for name in reversed(names) if _variable(name)), "")
    now = f"; now {used} counts" if used else ""
    return (
        "if the server, or a proxy that inspects traffic, has a certificate of an authority of "
        f"your site, set {names[0]} (or {', '.join(names[1:])}) to that authority's file{now}"
    )


class Logins:
    """The credentials for each address, read when they are needed first.

    Those in a mirror's address come first, then a token of the host, then netrc.
    """

    def of(self, url: str) -> Login | None:
        """Return the credentials for a URL; None if there are none."""
        user = _user_of_address(url)
        if user is None and (token := self._token(urlsplit(url))) is not None:
            return Login(f"Bearer {token}", "token")
        user = user or self._user_of_netrc(url)
        return Login(_basic(user.name, user.password), user.origin) if user else None

    def user(self, url: str) -> User | None:
        """Return the user and the password for a URL; None if there are none."""
        return _user_of_address(url) or self._user_of_netrc(url)

    def _user_of_netrc(self, url: str) -> User | None:
        # Not the entry `default`, often an anonymous user of FTP: S3 refuses an unknown user.
        found = self._netrc.hosts.get(urlsplit(url).hostname or "") if self._netrc else None
        if not found or not found[0]:
            return None
        return User(found[0], found[2] or "", f"of {self._netrc_path}")

    def _token(self, parts: SplitResult) -> str | None:
        """Return the token of a host; over plain HTTP only where its entry says `http://`."""
        host = parts.netloc.lower()
        names = [f"{parts.scheme}://{host}"]
        if parts.scheme == "https" or parts.hostname in LOOPBACK:
            names += [host, parts.hostname or ""]
        return next((self._tokens[name] for name in names if name in self._tokens), None)

    @cached_property
    def _tokens(self) -> dict[str, str]:
        tokens = configured("tokens", {})
        if not isinstance(tokens, dict) or not all(isinstance(t, str) for t in tokens.values()):
            raise SourceError("`tokens` of the configuration must be a table of HOST = TOKEN")
        for entry in _variable(TOKENS_VARIABLE).split():
            host, separator, token = entry.partition("=")
            if not separator or not host or not token:
                raise SourceError(f"{TOKENS_VARIABLE} has an entry that is not HOST=TOKEN")
            tokens = tokens | {host: token}
        return {host.lower().rstrip("/"): token for host, token in tokens.items()}

    @cached_property
    def _netrc_path(self) -> Path | None:
        if given := _variable("NETRC"):
            return Path(given).expanduser()
        try:
            paths = [Path.home() / name for name in NETRC_NAMES]
        except RuntimeError:  # a user without a home
            return None
        return next((path for path in paths if path.is_file()), None)

    @cached_property
    def _netrc(self) -> netrc.netrc | None:
        """Return the entries of netrc; as for requests, a file that cannot be read has none."""
        try:
            return netrc.netrc(str(self._netrc_path)) if self._netrc_path else None
        except (OSError, netrc.NetrcParseError, ValueError):
            return None


def _user_of_address(url: str) -> User | None:
    if not (user := user_of(url)):
        return None
    name, _, password = user.partition(":")
    return User(unquote(name), unquote(password), "of the mirror's address")


def _parse_proxy(text: str) -> Proxy:
    url = text if "://" in text else f"http://{text}"  # as curl and requests take it
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_valid, parts = False, urlsplit("")
    if not is_valid or parts.scheme not in PROXY_SCHEMES:
        raise SourceError(
            "the proxy of the environment cannot be used: it must be [SCHEME://][USER:PASSWORD@]"
            f"HOST:PORT, with a scheme of {', '.join(PROXY_SCHEMES)}"
        )
    name, password = parts.username, parts.password
    return Proxy(
        without_user(parts._replace(path="", query="", fragment="")),
        None if name is None else unquote(name),
        None if password is None else unquote(password),
    )


def _basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def _variable(*names: str) -> str:
    """Return the first variable of the environment that is not empty."""
    return next(filter(None, (os.environ.get(name, "").strip() for name in names)), "")


def _split_port(entry: str) -> tuple[str, str]:
    """Return host and port of an entry of NO_PROXY; an IPv6 address with a port has brackets."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_in_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
