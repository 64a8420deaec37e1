"""The same flow against Ceph's object gateway, the server that the datasets' sites run."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import urllib3

import sciml_data
from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.manifest import read_manifest
from sciml_data.testing.datasets import write_unpinned
from sciml_data.transfer.download.engine import RANGE_BYTES
from sciml_data.transfer.protocols import Sources, Timeouts
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.s3 import list_bucket
from tests.support.buckets import Client, make_public, put_folder
from tests.support.ceph import Ceph, kill_gateway, start_gateway
from tests.support.downloads import contents
from tests.support.proxy import CountingProxy
from tests.support.small_scenes import (
    BUCKET,
    DATASET,
    PREFIX,
    VERSION,
    write_native,
    write_older,
    write_registry,
)

pytestmark = pytest.mark.gateway

KEYS = 20_000
LARGE_BYTES, LARGE_PART_BYTES = 5_000_000_000, 64 << 20
MEDIUM = {f"{number}.bin": 150_000_000 for number in range(4)}
MOST_PEAK_BYTES = 300e6
NOWHERE = "http://127.0.0.1:1"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    err: str
    peak_bytes: int


# Peak memory is written when the program ends. `ru_maxrss`, which `os.wait4` returns, would be that
# of the tests: a program inherits it from the program that started it.
MEASURED = """
import atexit, runpy, sys
from pathlib import Path
from sciml_data.bench.monitoring.machine import peak_memory_bytes
peak = Path(sys.argv.pop(1))
atexit.register(lambda: peak.write_text(str(peak_memory_bytes())))
runpy.run_module("sciml_data", run_name="__main__", alter_sys=True)
"""


def start(*words: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a command line whose stderr goes to a file."""
    return _start("-m", "sciml_data", *words, log=log)


def _start(*words: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        command = [sys.executable, *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream)


def sciml(*words: str, log: Path) -> Ended:
    """Run a command line, and return how it ended and its peak memory."""
    log.unlink(missing_ok=True)
    peak = log.with_suffix(".peak")
    code = _start("-c", MEASURED, str(peak), *words, log=log).wait()
    return Ended(code, log.read_text(), int(peak.read_text()))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("native")
    write_native(root)
    return root


@contextmanager
def bucket(owner: Client, name: str, folder: Path, prefix: str = "") -> Iterator[None]:
    """Have a folder as a bucket that everybody may list and read, for a while."""
    make_public(owner, name)
    put_folder(owner, name, folder, prefix)
    try:
        yield
    finally:
        empty(owner, name)


def empty(owner: Client, name: str) -> None:
    for page in owner.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys = [{"Key": one["Key"]} for one in page.get("Contents", ())]
        owner.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    owner.delete_bucket(Bucket=name)


@pytest.mark.parametrize("naming", ["of the manifest", "until 2026"])
def test_scenes_are_fetched_verified_converted_and_opened(
    naming: str, ceph: Ceph, owner: Client, native: Path, tmp_path: Path
) -> None:
    write_registry(tmp_path / "registry", native, [NOWHERE])
    served, log = native, tmp_path / "log"
    if naming == "until 2026":
        served = tmp_path / "served"
        write_older(native, served)
    words = (DATASET, "--registry", str(tmp_path / "registry"), "--home", str(tmp_path / "home"))

    with bucket(owner, BUCKET, served, PREFIX):
        got = sciml("get", *words, "--mirror", ceph.urls["one"], log=log)

    assert got.code == 0, got.err
    folder = Home(tmp_path / "home").dataset(DATASET, VERSION)
    assert contents(folder.native) == contents(native)
    assert sciml("verify", *words, log=log).code == 0
    assert sciml("convert", *words, log=log).code == 0
    with sciml_data.open_dataset(
        DATASET, split="training", registry=tmp_path / "registry", home=tmp_path / "home"
    ) as dataset:
        assert dict(dataset.sizes)["scene"] == 3


def test_a_bucket_that_is_not_public_is_an_error_that_says_so(
    ceph: Ceph, owner: Client, native: Path, tmp_path: Path
) -> None:
    write_registry(tmp_path / "registry", native, [ceph.urls["one"]])
    with bucket(owner, BUCKET, native, PREFIX):
        owner.delete_bucket_policy(Bucket=BUCKET)
        failed = sciml(
            "get", DATASET, "--registry", str(tmp_path / "registry"),
            "--home", str(tmp_path / "home"), log=tmp_path / "log",
        )  # fmt: skip

    assert failed.code == 1
    assert "403" in failed.err
    assert "AccessDenied" in failed.err


def test_twenty_thousand_keys_are_listed(ceph: Ceph, owner: Client) -> None:
    name, url = "many", ceph.urls["one"]
    owner.create_bucket(Bucket=name, ACL="public-read-write")
    keys = [f"{number // 1000:02}/scene {number:05}+ü.hdf" for number in range(KEYS)]
    try:
        with ThreadPoolExecutor(8) as threads, urllib3.PoolManager(maxsize=8) as pool:
            puts = threads.map(
                lambda key: pool.request("PUT", f"{url}/{name}/{quote(key)}", body=b"1234"), keys
            )
            assert {answer.status for answer in puts} == {200}
        with Sources(connections=1, timeouts=Timeouts()) as sources:
            listed = list(list_bucket(f"{url}/{name}/", sources.of(url), RetryPolicy()))
    finally:
        with ThreadPoolExecutor(8) as threads, urllib3.PoolManager(maxsize=8) as pool:
            list(threads.map(
                lambda key: pool.request("DELETE", f"{url}/{name}/{quote(key)}"), keys
            ))  # fmt: skip
        owner.delete_bucket(Bucket=name)

    assert [file.name for file in listed] == sorted(keys, key=str.encode)
    assert {(file.size_bytes, file.etag) for file in listed} == {
        (4, hashlib.md5(b"1234", usedforsecurity=False).hexdigest())
    }


def make_file(path: Path, size_bytes: int) -> str:
    """Write bytes of which no two blocks are the same, and return their sha256."""
    block = bytearray(random.Random(size_bytes).randbytes(1 << 20))  # noqa: S311 (no secrets)
    found = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        for number, start_byte in enumerate(range(0, size_bytes, len(block))):
            block[:8] = number.to_bytes(8, "big")
            piece = block[: size_bytes - start_byte]
            found.update(piece)
            stream.write(piece)
    return f"sha256:{found.hexdigest()}"


@dataclasses.dataclass(frozen=True)
class Large:
    """A dataset of large files: how to get it, and what must come."""

    words: tuple[str, ...]
    folder: DatasetFolder
    hashes: Mapping[str, str]
    log: Path

    @property
    def arrived_bytes(self) -> int:
        """Return the bytes on the disk, of whole files and of parts."""
        files = (path for path in self.folder.root.rglob("*.bin*") if path.is_file())
        return sum(path.stat().st_blocks * 512 for path in files)

    def wait_for(self, size_bytes: int, process: subprocess.Popen[bytes]) -> None:
        """Return once so many bytes have arrived."""
        while self.arrived_bytes < size_bytes:
            assert process.poll() is None, self.log.read_text()
            time.sleep(0.01)  # what is waited for is another program's disk

    def check(self) -> None:
        """Hold what was fetched, and what the kept manifest says, against what was uploaded."""
        manifest = read_manifest(self.folder.manifest)
        assert {entry.path: entry.hash for entry in manifest} == self.hashes
        for path, expected in self.hashes.items():
            with (self.folder.native / path).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            assert f"sha256:{found}" == expected


@pytest.fixture
def large(owner: Client, tmp_path: Path) -> Iterator[Callable[..., Large]]:
    """Upload files in parts, and describe them with endpoints as mirrors."""

    def upload(sizes: Mapping[str, int], endpoints: list[str], part_bytes: int) -> Large:
        hashes = {name: make_file(tmp_path / "made" / name, n) for name, n in sizes.items()}
        make_public(owner, "large")
        put_folder(owner, "large", tmp_path / "made", part_bytes=part_bytes)
        for name in sizes:
            (tmp_path / "made" / name).unlink()
        write_unpinned(
            tmp_path / "registry",
            mirrors=[{"": f"{url}/large/"} for url in endpoints],
            expected={"files": {"**": {"count": len(sizes)}}},
        )
        words = ("tiny", "--registry", str(tmp_path / "registry"), "--home", str(tmp_path / "home"))
        folder = Home(tmp_path / "home").dataset("tiny", "1.0")
        return Large(words, folder, hashes, tmp_path / "log")

    yield upload
    empty(owner, "large")
    for path in tmp_path.rglob("*.bin*"):
        path.unlink(missing_ok=True)


def test_five_gigabytes_in_parts_come_with_little_memory(
    ceph: Ceph, owner: Client, large: Callable[..., Large]
) -> None:
    dataset = large({"large.bin": LARGE_BYTES}, [ceph.urls["one"]], LARGE_PART_BYTES)
    count = -(-LARGE_BYTES // LARGE_PART_BYTES)
    assert owner.head_object(Bucket="large", Key="large.bin")["ETag"].endswith(f'-{count}"')

    began = time.monotonic()
    got = sciml("get", *dataset.words, log=dataset.log)
    rate = LARGE_BYTES / 1e6 / (time.monotonic() - began)

    assert got.code == 0, got.err
    dataset.check()
    (row,) = dataset.folder.listing.read_text().splitlines()[1:]
    assert f"-{count}" in row
    print(f"{rate:.0f} MB/s, peak {got.peak_bytes / 1e6:.0f} MB")  # noqa: T201 (shown by pytest -s)
    assert got.peak_bytes < MOST_PEAK_BYTES


def test_a_killed_transfer_goes_on_where_it_was(ceph: Ceph, large: Callable[..., Large]) -> None:
    jobs = 4
    with CountingProxy(ceph.urls["one"]) as proxy:
        dataset = large(MEDIUM, [proxy.url], LARGE_PART_BYTES)
        total = sum(MEDIUM.values())
        before = proxy.received_bytes
        for share in (0.2, 0.5, 0.8):
            process = start("get", *dataset.words, "--jobs", str(jobs), log=dataset.log)
            dataset.wait_for(int(share * total), process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        got = sciml("get", *dataset.words, "--jobs", str(jobs), log=dataset.log)
        fetched = proxy.received_bytes - before

    assert got.code == 0, got.err
    dataset.check()
    print(f"{fetched - total} bytes fetched again")  # noqa: T201 (shown by pytest -s)
    assert fetched - total < 3 * jobs * RANGE_BYTES


def test_a_gateway_that_dies_is_replaced_by_the_second(
    ceph: Ceph, large: Callable[..., Large]
) -> None:
    dataset = large(MEDIUM, [ceph.urls["one"], ceph.urls["two"]], LARGE_PART_BYTES)
    process = start("get", *dataset.words, log=dataset.log)
    try:
        dataset.wait_for(sum(MEDIUM.values()) // 3, process)
        kill_gateway(ceph, "one")
        assert process.wait() == 0, dataset.log.read_text()
    finally:
        process.kill()
        start_gateway(ceph, "one")

    dataset.check()
    assert ceph.urls["one"] in dataset.log.read_text()  # it is said that it was left
