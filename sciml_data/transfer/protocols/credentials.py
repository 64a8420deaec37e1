"""Users and passwords in web addresses: taken out of them, and found again for a request.

They are taken out before anything else sees an address. So no error, log line, listing or record
can contain them.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

from sciml_data.errors import CallError, redacted

# Ends of the schemes of addresses that may have a password: also those of `ria+https` and `sftp`.
PASSWORD_SCHEMES = ("http", "https", "ftp")
# Address without credentials -> USER:PASSWORD as it was written. Filled by `take_credentials`; an
# entry is replaced when the same address is given with others.
_taken: dict[str, str] = {}


def take_credentials(url: str) -> str:
    """Return a web address without its user and password, which are kept for `Logins`.

    Other addresses are returned as they are: in `ssh://git@HOST` the user is part of the place.

    Raises:
        CallError: the address is not valid, as when a password has a character that separates
            parts of an address.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise CallError(
            f"the address {redacted(url)!r} is not valid",
            untouched="nothing was fetched or changed",
            hint="characters such as / : @ # ? in a user or a password are written as %2F %3A "
            "%40 %23 %3F",
        ) from error
    if "@" not in parts.netloc or not parts.scheme.endswith(PASSWORD_SCHEMES):
        return url
    clean = without_user(parts)
    if parts.username:
        _taken[clean.rstrip("/")] = parts.netloc.rpartition("@")[0]
    return clean


def with_credentials(url: str) -> str:
    """Return an address with the user and the password that were taken from it: for git only."""
    user = _taken.get(url.rstrip("/"))
    return url.replace("://", f"://{user}@", 1) if user else url


def user_of(url: str) -> str | None:
    """Return USER:PASSWORD, percent-encoded, of the longest address that a URL begins with."""
    fitting = [base for base in tuple(_taken) if f"{url}/".startswith(f"{base}/")]
    return _taken[max(fitting, key=len)] if fitting else None


def without_user(parts: SplitResult) -> str:
    """Return an address without its user and password."""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
