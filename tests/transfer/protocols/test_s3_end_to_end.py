"""CloudMask's dataset from object stores, as typed: listed, fetched, verified, converted, opened.

Synthetic scenes under the real keys, on moto's server where all is well, and on ours where not.
"""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

import sciml_data
from sciml_data.cli import main
from sciml_data.home import DatasetFolder, Home
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.testing.faults import corrupted, status, truncated
from sciml_data.testing.s3_server import S3Server
from sciml_data.testing.server import Request
from sciml_data.transfer.download.engine import MIN_RANGES, RANGE_BYTES
from sciml_data.transfer.protocols import Sources, Timeouts, TransientError
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.s3 import list_bucket
from tests.support.buckets import put_folder, s3_client
from tests.support.downloads import contents
from tests.support.small_scenes import (
    BUCKET,
    DATASET,
    PREFIX,
    VERSION,
    write_native,
    write_older,
    write_registry,
)

NOWHERE = "http://127.0.0.1:1"  # nobody listens


@dataclasses.dataclass(frozen=True)
class Typed:
    """What a command line came to."""

    code: int
    out: str
    err: str


Type = Callable[..., Typed]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait no longer than nothing, and note how long it would have been."""
    noted: list[float] = []
    true_wait_s = RetryPolicy.wait_s

    def wait_s(retry: RetryPolicy, tries: int, error: TransientError) -> float:
        noted.append(true_wait_s(retry, tries, error))
        return 0.0

    monkeypatch.setattr(RetryPolicy, "wait_s", wait_s)
    return noted


@pytest.fixture
def sciml(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Type:
    def run(*words: str) -> Typed:
        monkeypatch.setattr(sys, "argv", ["sciml-data", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Typed(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("native")
    write_native(root)
    return root


@pytest.fixture(scope="module")
def buckets(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of buckets, with the scenes under both namings of the folders."""
    root = tmp_path_factory.mktemp("buckets")
    write_older(native, root / BUCKET / PREFIX)
    copy(native, root / BUCKET / PREFIX)
    return root


@pytest.fixture
def one(buckets: Path) -> Iterator[S3Server]:
    with S3Server(buckets, send_buffer_bytes=64 << 10) as server:
        yield server


@pytest.fixture
def two(buckets: Path) -> Iterator[S3Server]:
    with S3Server(buckets, send_buffer_bytes=64 << 10) as server:
        yield server


@pytest.fixture
def use(tmp_path: Path, native: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write the registry with endpoints as its mirrors, and use it."""

    def write(*endpoints: str) -> Path:
        write_registry(tmp_path / "registry", native, endpoints)
        monkeypatch.setenv("SCIML_DATA_REGISTRY", str(tmp_path / "registry"))
        return tmp_path / "registry"

    return write


@pytest.fixture
def folder(home: Home) -> DatasetFolder:
    return home.dataset(DATASET, VERSION)


def scene(native: Path, number: int = 0) -> str:
    return sorted(contents(native))[number]


@pytest.fixture(scope="module")
def moto(native: Path) -> Iterator[str]:
    """moto's server with the scenes under the older folder names, readable by everybody."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    owner = s3_client(url, "owner", "of the bucket")
    owner.create_bucket(Bucket=BUCKET, ACL="public-read")
    put_folder(owner, BUCKET, native / "training", f"{PREFIX}one-day/")
    put_folder(owner, BUCKET, native / "inference", f"{PREFIX}ssts/")
    yield url
    server.stop()


def test_from_an_independent_server_to_an_open_dataset(
    moto: str, sciml: Type, use: Callable[..., Path], folder: DatasetFolder, native: Path
) -> None:
    use(NOWHERE)

    got = sciml("get", DATASET, "--mirror", moto)
    assert got.code == 0, got.err
    assert contents(folder.native) == contents(native)
    assert "unpinned: the registry has no checksums" in got.err
    for verb in ("verify", "convert"):
        typed = sciml(verb, DATASET)
        assert typed.code == 0, typed.err
    with sciml_data.open_dataset(DATASET, split="inference") as dataset:
        assert dict(dataset.sizes)["scene"] == 2
        assert set(dataset["cloud"].to_numpy().ravel()) <= {0, 1, 255}


def test_what_an_independent_server_refuses_to_give_is_named(
    native: Path, sciml: Type, use: Callable[..., Path], moto: str, folder: DatasetFolder
) -> None:
    use(NOWHERE)
    owner = s3_client(moto, "owner", "of the bucket")
    named = {"Bucket": BUCKET, "Key": f"{PREFIX}ssts/{Path(scene(native)).name}"}
    owner.put_object_acl(**named, ACL="private")
    try:
        failed = sciml("get", DATASET, "--mirror", moto)
    finally:
        owner.put_object_acl(**named, ACL="public-read")

    assert failed.code == 1
    assert "403" in failed.err
    assert scene(native) in failed.err
    assert len(contents(folder.native)) == 4


@pytest.mark.slow
def test_an_independent_server_lists_twenty_thousand_keys() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    try:
        owner = s3_client(url, "owner", "of the bucket")
        owner.create_bucket(Bucket="many", ACL="public-read")
        for number in range(20_000):
            put_into_moto("many", f"scenes/{number:05}.hdf")
        with Sources(connections=1, timeouts=Timeouts()) as sources:
            listed = list(list_bucket(f"{url}/many/scenes/", sources.of(url), RetryPolicy()))
    finally:
        server.stop()

    assert [file.name for file in listed] == [f"{number:05}.hdf" for number in range(20_000)]
    assert {file.size_bytes for file in listed} == {4}


def put_into_moto(bucket: str, key: str) -> None:
    """Put an object into moto's memory, without its slow HTTP."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, b"1234")


def test_a_storm_of_503_is_waited_out(
    one: S3Server,
    sciml: Type,
    use: Callable[..., Path],
    folder: DatasetFolder,
    native: Path,
    waits: list[float],
) -> None:
    use(one.url)
    one.add(status(503, retry_after="7"), path=BUCKET, times=3)
    one.add(status(503), path="*.hdf", times=12)

    got = sciml("get", DATASET, "--jobs", "4")

    assert got.code == 0, got.err
    assert contents(folder.native) == contents(native)
    assert waits[:3] == [7.0, 7.0, 7.0]
    assert 3 < len(waits) <= 15  # four workers wait together


def test_a_mirror_that_lies_is_left_for_one_that_does_not(
    one: S3Server,
    two: S3Server,
    sciml: Type,
    use: Callable[..., Path],
    folder: DatasetFolder,
    native: Path,
) -> None:
    use(one.url, two.url)
    one.add(corrupted(), path=f"*{Path(scene(native)).name}", times=None)

    got = sciml("get", DATASET)

    assert got.code == 0, got.err
    assert contents(folder.native) == contents(native)
    assert one.url in got.err
    assert [Path(request.path).name for request in two.requests] == [Path(scene(native)).name]
    assert contents(folder.quarantine)


def test_a_part_of_a_large_file_that_lies_is_found_out(
    tmp_path: Path, sciml: Type, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_bytes = MIN_RANGES * RANGE_BYTES + 12_345
    content = random.Random(0).randbytes(size_bytes)  # noqa: S311 (no secret)
    write_files(tmp_path / "large" / "bucket", {"large.bin": content})
    parts = {"bucket/*": 8 << 20}
    with (
        S3Server(tmp_path / "large", part_bytes=parts) as liar,
        S3Server(tmp_path / "large", part_bytes=parts) as other,
    ):
        mirrors = [{"": f"{server.url}/bucket/"} for server in (liar, other)]
        write_unpinned(tmp_path / "registry", mirrors=mirrors)
        monkeypatch.setenv("SCIML_DATA_REGISTRY", str(tmp_path / "registry"))
        liar.add(corrupted(), path="bucket/large.bin")

        got = sciml("get", "tiny")

    assert got.code == 0, got.err
    assert contents(home.dataset("tiny", "1.0").native) == {"large.bin": content}
    assert liar.url in got.err


def test_a_listing_that_changes_between_its_pages_is_asked_for_again(
    tmp_path: Path, native: Path, sciml: Type, use: Callable[..., Path], folder: DatasetFolder
) -> None:
    top = tmp_path / "changing" / BUCKET / PREFIX
    copy(native, top)
    late = top / scene(native)
    content = late.read_bytes()
    late.unlink()  # it arrives while the first listing is under way, before the page it would be on

    with S3Server(tmp_path / "changing", keys_per_page=2) as server:

        def arrive(request: Request) -> None:
            if "continuation-token" in request.query and not late.exists():
                late.write_bytes(content)
                server.relist()

        server.before = arrive
        use(server.url)
        got = sciml("get", DATASET)

    assert got.code == 0, got.err
    assert contents(folder.native) == contents(native)


def test_a_listing_that_never_comes_twice_the_same_is_refused(
    tmp_path: Path, native: Path, sciml: Type, use: Callable[..., Path], folder: DatasetFolder
) -> None:
    top = tmp_path / "restless" / BUCKET / PREFIX
    copy(native, top)

    with S3Server(tmp_path / "restless", keys_per_page=2) as server:
        seen: list[str] = []

        def change(request: Request) -> None:
            if "continuation-token" in request.query:
                seen.append(request.query)
                (top / scene(native)).write_bytes(b"%d" % len(seen))

        server.before = change
        use(server.url)
        failed = sciml("get", DATASET)

    assert failed.code == 1
    assert "no two equal listings" in failed.err
    assert scene(native) in failed.err
    assert not folder.listing.exists()
    assert contents(folder.root) == {}


def test_pages_that_are_cut_are_asked_for_again(
    one: S3Server, sciml: Type, use: Callable[..., Path], folder: DatasetFolder, native: Path
) -> None:
    use(one.url)
    one.add(truncated(200), path=BUCKET, times=2)

    got = sciml("get", DATASET)

    assert got.code == 0, got.err
    assert contents(folder.native) == contents(native)


def test_an_endpoint_that_goes_away_midway_is_replaced_by_the_second(
    one: S3Server,
    two: S3Server,
    sciml: Type,
    use: Callable[..., Path],
    folder: DatasetFolder,
    native: Path,
) -> None:
    use(one.url, two.url)
    sizes = {path: len(content) for path, content in contents(native).items()}
    one.when_sent(2_500_000, one.vanish)

    got = sciml("get", DATASET, "--jobs", "2")

    assert got.code == 0, got.err
    assert contents(folder.native) == contents(native)
    assert 0 < two.bytes_sent < sum(sizes.values()) - 1_000_000  # one whole scene came from `one`


def test_a_bucket_that_does_not_list_itself_is_an_error_that_says_so(
    one: S3Server, sciml: Type, use: Callable[..., Path], folder: DatasetFolder
) -> None:
    use(one.url)
    one.add(status(403), path=BUCKET, times=None)

    failed = sciml("get", DATASET)

    assert (failed.code, failed.out) == (1, "")
    assert "403" in failed.err
    assert "endpoint-0" in failed.err
    assert contents(folder.root) == {}


def test_a_change_upstream_is_an_error_that_names_the_file(
    tmp_path: Path, native: Path, sciml: Type, use: Callable[..., Path], folder: DatasetFolder
) -> None:
    top = tmp_path / "changed" / BUCKET / PREFIX
    copy(native, top)
    with S3Server(tmp_path / "changed") as server:
        use(server.url)
        assert sciml("get", DATASET).code == 0
        content = bytearray((top / scene(native)).read_bytes())
        content[-1] ^= 1
        (top / scene(native)).write_bytes(content)

        failed = sciml("get", DATASET)

    assert failed.code == 1
    assert scene(native) in failed.err
    assert scene(native, 1) not in failed.err
    assert contents(folder.native) == contents(native)


def test_what_one_user_fetched_and_pinned_holds_for_the_next(
    one: S3Server,
    sciml: Type,
    use: Callable[..., Path],
    tmp_path: Path,
    native: Path,
) -> None:
    registry = use(one.url)
    assert sciml("get", DATASET).code == 0

    pinned = sciml("pin", DATASET, "--registry", str(registry))

    assert pinned.code == 0, pinned.err
    one.requests.clear()
    other = tmp_path / "other"
    got = sciml("get", DATASET, "--home", str(other))
    assert got.code == 0, got.err
    assert contents(Home(other).dataset(DATASET, VERSION).native) == contents(native)
    assert all(request.path != BUCKET for request in one.requests)  # nothing was listed
    one.add(corrupted(), path="*", times=None)
    failed = sciml("get", DATASET, "--home", str(tmp_path / "third"), "--limit", "1")
    assert failed.code == 1
    assert "sha256" in failed.err


def test_two_processes_at_once_do_not_meet(
    one: S3Server,
    use: Callable[..., Path],
    folder: DatasetFolder,
    native: Path,
) -> None:
    use(one.url)
    command = [sys.executable, "-m", "sciml_data", "get", DATASET, "--no-wait"]
    held: list[subprocess.CompletedProcess[str]] = []
    is_first = threading.Lock()

    def start_second(request: Request) -> None:
        """Let the first process wait for its first scene until a second one has ended."""
        if request.path.endswith(".hdf") and is_first.acquire(blocking=False):
            held.append(subprocess.run(command, capture_output=True, text=True, check=False))

    one.before = start_second
    first = subprocess.run(command, capture_output=True, text=True, check=False)

    assert first.returncode == 0, first.stderr
    assert held[0].returncode == 1
    assert f"(fetch {DATASET}" in held[0].stderr
    assert contents(folder.native) == contents(native)
    sent = sum(request.sent_bytes for request in one.requests if request.path.endswith(".hdf"))
    assert sent == sum(map(len, contents(native).values()))


def copy(source: Path, target: Path) -> None:
    for path, content in contents(source).items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
