"""S3 buckets for tests: a client, a public bucket, and objects in it.

The client is boto3, from the dependency group `test`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PART_BYTES = 8 << 20  # part size of boto3's multipart uploads
LARGE_BYTES = 16 << 20  # larger files are uploaded in parts

Client = Any  # boto3 makes its classes at run time


def s3_client(url: str, access_key: str = "", secret_key: str = "") -> Client:
    """Return a path-style client of an endpoint; without keys it is anonymous."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        signature_version="s3v4" if access_key else UNSIGNED,
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
    )
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", config=config, **keys if access_key else {}
    )


def make_public(owner: Client, bucket: str) -> None:
    """Make a bucket with a policy that lets everybody list and read it."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    owner.create_bucket(Bucket=bucket)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    owner.put_bucket_policy(Bucket=bucket, Policy=policy)


def put_folder(
    owner: Client, bucket: str, folder: Path, prefix: str = "", *, part_bytes: int = PART_BYTES
) -> None:
    """Upload the files of a folder under a prefix, large files in parts, all of them public."""
    from boto3.s3.transfer import TransferConfig

    parts = TransferConfig(LARGE_BYTES, multipart_chunksize=part_bytes, max_concurrency=2)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = prefix + path.relative_to(folder).as_posix()
            arguments = {"ACL": "public-read"}
            owner.upload_file(str(path), bucket, key, ExtraArgs=arguments, Config=parts)
