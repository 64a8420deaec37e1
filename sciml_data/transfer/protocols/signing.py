"""Signatures of requests to S3 with the user's AWS credentials, by botocore (extra `s3`).

Requests are signed for Amazon's hosts and for the endpoint of the environment, and for no other:
the credentials belong to these. Without credentials all requests are anonymous, which is enough for
a public bucket.
"""

from __future__ import annotations

import importlib.util
import os
import re
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from sciml_data.transfer.protocols.s3 import s3_endpoint
from sciml_data.transfer.protocols.source import SourceError

if TYPE_CHECKING:
    from botocore.session import Session

ANONYMOUS_VARIABLE = "SCIML_DATA_ANONYMOUS"
EXTRA = "pip install 'sciml-data[s3]'"
# Hosts of buckets: path style, and with the name of the bucket in front; the region is group 1.
AMAZON = re.compile(
    r"(?:.+\.)?s3(?:[.-]([a-z]{2}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}))?\.amazonaws\.com"
)
GLOBAL_REGION = "us-east-1"  # of hosts that do not name one; also the default of other servers
# Any of these says that there may be credentials; botocore then looks for them in its own order.
KEY_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
KEY_FILES = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}
# What S3 answers to a signature that it refuses, besides 403 (API, "List of error codes").
REFUSALS = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
OTHER_REGION = "AuthorizationHeaderMalformed"

_told: set[str] = set()  # notices that were given; one for each process is enough


def is_signed(url: str) -> bool:
    """Return whether the user's credentials, if there are any, are for the host of a URL."""
    parts = urlsplit(url)
    if os.environ.get(ANONYMOUS_VARIABLE, "").strip() or "X-Amz-Signature=" in parts.query:
        return False
    return bool(AMAZON.fullmatch(parts.netloc)) or parts.netloc == urlsplit(s3_endpoint()).netloc


def has_credentials() -> bool:
    """Return whether the user may have AWS credentials: botocore is loaded only then."""
    if any(os.environ.get(name, "").strip() for name in KEY_VARIABLES):
        return True
    files = (os.environ.get(name, "").strip() or usual for name, usual in KEY_FILES.items())
    # Not Path.is_file, which raises an error if the home of the user is closed to this process.
    return any(os.path.isfile(Path(file).expanduser()) for file in files)  # noqa: PTH113


def unsigned_notice(url: str) -> str:
    """Return once that a request is not signed although there are credentials, else nothing."""
    if not is_signed(url) or not has_credentials() or importlib.util.find_spec("botocore"):
        return ""
    notice = (
        f"AWS credentials are set, but requests are not signed without botocore ({EXTRA}): "
        "public buckets only"
    )
    if notice in _told:
        return ""
    _told.add(notice)
    return notice


class Signer:
    """Signs requests with the credentials of the environment, a profile or ~/.aws."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._regions: dict[tuple[str, str], str] = {}  # of hosts and buckets that named theirs
        self._lock = threading.Lock()  # botocore's session is not made for several threads

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers that sign a GET request; none without credentials.

        Raises:
            SourceError: the credentials cannot be read.
        """
        if not is_signed(url) or not self._may_sign:
            return {}
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        try:
            with self._lock:
                credentials = self._credentials
                if credentials is None:
                    return {}
                frozen = credentials.get_frozen_credentials()
                region = self._region(url)
        except BotoCoreError as error:
            raise SourceError(
                f"the AWS credentials cannot be used: {error}; {_remedy()}"
            ) from error
        request = AWSRequest("GET", url)
        S3SigV4Auth(frozen, "s3", region).add_auth(request)
        return dict(request.headers.items())

    def learn_region(self, url: str, code: str, region: str) -> bool:
        """Store the region that an answer names; return whether to sign and ask again.

        Args:
            url: that was asked for.
            code: of the error, as S3 names it.
            region: that the answer names, or nothing.
        """
        key = _bucket_of(url)
        if code != OTHER_REGION or not region or self._regions.get(key) == region:
            return False
        self._regions[key] = region
        return True

    def refusal(self, reason: str) -> SourceError:
        """Return the error for a signature that a bucket refuses."""
        origin = getattr(self._credentials, "method", "environment")
        return SourceError(f"{reason}; the AWS credentials ({origin}) are refused; {_remedy()}")

    @cached_property
    def _may_sign(self) -> bool:
        return has_credentials() and importlib.util.find_spec("botocore") is not None

    @cached_property
    def _session(self) -> Session:
        from botocore.session import Session

        return Session()

    @cached_property
    def _credentials(self) -> Any:
        # Not those of the machine: asking for its role takes seconds where there is none.
        self._session.get_component("credential_provider").remove("iam-role")
        return self._session.get_credentials()

    def _region(self, url: str) -> str:
        if (learned := self._regions.get(_bucket_of(url))) is not None:
            return learned
        if (match := AMAZON.fullmatch(urlsplit(url).netloc)) is not None:
            return match[1] or GLOBAL_REGION
        own = os.environ.get("AWS_REGION", "").strip()  # which botocore alone does not read
        return own or self._session.get_config_variable("region") or GLOBAL_REGION


def _remedy() -> str:
    return (
        f"a public bucket is read without them: {ANONYMOUS_VARIABLE}=1, or unset AWS_ACCESS_KEY_ID "
        "and AWS_PROFILE"
    )


def _bucket_of(url: str) -> tuple[str, str]:
    """Return the host and the bucket of a URL in path style."""
    parts = urlsplit(url)
    return parts.netloc, unquote(parts.path).lstrip("/").partition("/")[0]
