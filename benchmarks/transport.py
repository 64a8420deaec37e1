"""Which HTTP client to stand on: urllib3 against obstore, and what `fetch` adds to it.

    python benchmarks/transport.py [--small 1000x1000000] [--large 4x250000000] [--rounds 3]

A loopback server in a process of its own serves random files; each client runs in a process of its
own, 8 threads, 1 MiB blocks, sha256 in the stream, files written to the same disk, the clients in
turn. `fetch` is the whole engine: parts, manifest held, published one by one and flushed to the
disk (fsync), receipt. Printed: medians of MB/s and of the client's CPU seconds, and the ratio to
urllib3. obstore is no dependency: `pip install obstore`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

BLOCK_BYTES = 1 << 20
JOBS = 8


def with_urllib3(base: str, root: Path, *, method: str = "read1") -> Callable[[str], str]:
    """Return a function that brings one file with urllib3 and returns its sha256.

    `read1` takes what has arrived, `read` gathers whole blocks.
    """
    import urllib3

    pool = urllib3.PoolManager(maxsize=JOBS)

    def bring(name: str) -> str:
        found = hashlib.sha256()
        response = pool.request("GET", f"{base}/{name}", preload_content=False)
        with (root / name).open("wb", buffering=0) as stream:
            while block := getattr(response, method)(BLOCK_BYTES):
                found.update(block)
                stream.write(block)
        response.release_conn()
        return found.hexdigest()

    return bring


def with_obstore(base: str, root: Path) -> Callable[[str], str]:
    """Return a function that brings one file with obstore and returns its sha256."""
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(base, client_options={"allow_http": True})

    def bring(name: str) -> str:
        found = hashlib.sha256()
        with (root / name).open("wb", buffering=0) as stream:
            for block in obstore.get(store, name).stream(min_chunk_size=BLOCK_BYTES):
                found.update(block)
                stream.write(block)
        return found.hexdigest()

    return bring


CLIENTS = {
    "urllib3": with_urllib3,
    "urllib3-read": partial(with_urllib3, method="read"),
    "obstore": with_obstore,
}


def run_client(client: str, base: str, registry: Path, root: Path) -> None:
    """Bring every file of the described dataset, and print wall and CPU seconds."""
    from sciml_data.descriptor import read_descriptor
    from sciml_data.fetch import fetch
    from sciml_data.home import Home
    from sciml_data.plan import make_plan

    descriptor = read_descriptor(registry / "datapackages" / "tiny" / "1.0")
    assert descriptor.manifest is not None  # noqa: S101 (written by this script)
    expected = {entry.path: entry.hash for entry in descriptor.manifest}
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    if client == "fetch":
        fetch(make_plan(descriptor, Home(root)), jobs=JOBS)
    else:
        bring = CLIENTS[client](base, root)
        with ThreadPoolExecutor(JOBS) as pool:
            found = dict(zip(expected, pool.map(bring, expected), strict=True))
        if any(expected[name] != f"sha256:{digest}" for name, digest in found.items()):
            sys.exit(f"{client} brought wrong bytes")
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(client: str, base: str, registry: Path, work: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of a client in a process and a folder of its own."""
    root = work / "received"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, __file__, "--client", client, base, str(registry), str(root)],
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(root)
    os.sync()
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu)


def measure_all(
    base: str, files: dict[str, bytes], rounds: int, work: Path
) -> dict[str, list[tuple[float, float]]]:
    """Return wall and CPU seconds of each client, the clients in turn."""
    from sciml_data.testing.datasets import write_dataset

    write_dataset(work / "registry", files, mirrors=[{"": f"{base}/"}])
    seconds: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for client in (*CLIENTS, "fetch"):
            seconds.setdefault(client, []).append(measure(client, base, work / "registry", work))
    return seconds


def compare(shape: str, rounds: int, work: Path) -> None:
    """Print a table for files of a shape, NUMBERxBYTES."""
    from sciml_data.testing.datasets import write_files

    number, size = map(int, shape.split("x"))
    chance = random.Random(0)  # noqa: S311 (contents, no secrets)
    files = {f"{n}.bin": chance.randbytes(size) for n in range(number)}
    served = work / "served"
    write_files(served, files)
    with subprocess.Popen(
        [sys.executable, "-m", "sciml_data.testing.server", str(served)],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None  # noqa: S101 (piped above)
        try:
            seconds = measure_all(server.stdout.readline().strip(), files, rounds, work)
        finally:
            server.terminate()
    print(
        f"\n{number} files of {size / 1e6:g} MB, median of {rounds} (load {os.getloadavg()[0]:.1f})"
    )
    print(f"{'client':<14}{'MB/s':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}")
    wall_0, cpu_0 = (statistics.median(column) for column in zip(*seconds["urllib3"], strict=True))
    for client, rows in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        rate = number * size / 1e6 / wall
        print(f"{client:<14}{rate:>8.0f}{wall_0 / wall:>8.2f}{cpu:>8.2f}{cpu / cpu_0:>8.2f}")


def main() -> None:
    """Parse the command line and compare both shapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", default="1000x1000000")
    parser.add_argument("--large", default="4x250000000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client, base, registry, root = options.client
        run_client(client, base, Path(registry), Path(root))
        return
    for shape in (options.small, options.large):
        with tempfile.TemporaryDirectory() as work:
            compare(shape, options.rounds, Path(work))


if __name__ == "__main__":
    main()
