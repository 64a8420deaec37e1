"""kill -9 at any moment, then the same again: nothing wrong is published, little is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.home import Home
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download.engine import RANGE_BYTES

KILLS = 10
JOBS = 4
# What a killed process had asked for and not yet written lies in buffers of the kernel on both
# sides of each connection; these are made small here (Linux doubles what it is told).
BUFFER_BYTES = 32 << 10
SLACK_BYTES = JOBS * 4 * BUFFER_BYTES + JOBS * (64 << 10)  # and a block on its way
CHANCE = random.Random(0)  # noqa: S311 (contents and moments, no secrets)
FILES = {
    **{f"small/{n}.bin": CHANCE.randbytes(50_000) for n in range(40)},
    **{f"large/{n}.bin": CHANCE.randbytes(16_000_000) for n in range(4)},
}
# Imports once; each line on stdin makes a child that fetches, whose pid and exit are printed.
HATCHERY = """
import os, socket, sys
from pathlib import Path
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.transfer.download import fetch
from sciml_data.transfer.download.engine import RANGE_BYTES
from sciml_data.home import Home
from sciml_data.transfer.plan import make_plan
import sciml_data.transfer.protocols.https, filelock, urllib3.connection
urllib3.connection.HTTPConnection.default_socket_options += [
    (socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[4]))
]
plan = make_plan(read_descriptor(Path(sys.argv[1])), Home(Path(sys.argv[2])))
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        fetch(plan, jobs=int(sys.argv[3]), range_bytes=int(sys.argv[5]))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Hatchery:
    """Starts one fetching process after another."""

    def __init__(self, package: Path, home: Path, range_bytes: int) -> None:
        numbers = map(str, (JOBS, BUFFER_BYTES, range_bytes))
        self._process = subprocess.Popen(
            [sys.executable, "-c", HATCHERY, str(package), str(home), *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> int:
        """Return the pid of a new process."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """Return the exit code of the process started last."""
        return self._read()

    def close(self) -> None:
        self._process.communicate()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served", send_buffer_bytes=BUFFER_BYTES) as server:
        yield server


@pytest.fixture
def hatchery(tmp_path: Path, server: FileServer, home: Home) -> Iterator[Hatchery]:
    write_dataset(tmp_path / "registry", FILES, mirrors=[{"": f"{server.url}/"}])
    package = tmp_path / "registry" / "datapackages" / "tiny" / "1.0"
    hatchery = Hatchery(package, home.root, RANGE_BYTES)
    yield hatchery
    hatchery.close()


def kill_after(server: FileServer, hatchery: Hatchery, size_bytes: int) -> int:
    """Start a process, kill it once the server has sent so much more; return its exit code."""
    pids: list[int] = []
    is_known = threading.Event()

    def kill() -> None:
        is_known.wait()
        os.kill(pids[0], signal.SIGKILL)

    server.when_sent(server.bytes_sent + size_bytes, kill)
    pids.append(hatchery.start())
    is_known.set()
    return hatchery.wait()


def test_killed_ten_times_nothing_is_wrong_and_little_is_lost(
    server: FileServer, hatchery: Hatchery, home: Home
) -> None:
    total = sum(map(len, FILES.values()))
    native = home.dataset("tiny", "1.0").native
    published: dict[str, int] = {}
    for _ in range(KILLS):
        code = kill_after(server, hatchery, CHANCE.randrange(1, total // (KILLS + 2)))
        assert code == -signal.SIGKILL
        found = {path: path.read_bytes() for path in native.rglob("*") if path.is_file()}
        names = {path.relative_to(native).as_posix(): path for path in found}
        assert all(FILES[name] == found[path] for name, path in names.items())
        assert {name: path.stat().st_ino for name, path in names.items()}.items() >= (
            published.items()
        )
        published = {name: path.stat().st_ino for name, path in names.items()}

    hatchery.start()
    assert hatchery.wait() == 0

    assert {
        path.relative_to(native).as_posix(): path.read_bytes()
        for path in native.rglob("*")
        if path.is_file()
    } == FILES
    lost = server.bytes_sent - total
    assert lost <= KILLS * SLACK_BYTES, f"{lost / KILLS / JOBS:.0f} bytes a kill and connection"


@pytest.mark.slow
def test_a_large_file_killed_again_and_again_loses_less_than_a_range_a_worker(
    tmp_path: Path, home: Home
) -> None:
    size, range_bytes = 64_000_000, 2_000_000
    content = CHANCE.randbytes(size)
    write_files(tmp_path / "one", {"large.bin": content})
    native = home.dataset("tiny", "1.0").native
    with FileServer(tmp_path / "one", send_buffer_bytes=BUFFER_BYTES) as server:
        mirrors = [{"": f"{server.url}/"}]
        write_dataset(tmp_path / "registry", {"large.bin": content}, mirrors=mirrors)
        package = tmp_path / "registry" / "datapackages" / "tiny" / "1.0"
        hatchery = Hatchery(package, home.root, range_bytes)
        for _ in range(KILLS):
            code = kill_after(server, hatchery, CHANCE.randrange(1, size // (KILLS + 4)))
            assert code == -signal.SIGKILL
            assert not native.exists()
        hatchery.start()
        assert hatchery.wait() == 0
        hatchery.close()
        lost = server.bytes_sent - size
        ranges = [request.range for request in server.requests]

    assert (native / "large.bin").read_bytes() == content
    assert len({asked for asked in ranges if asked}) > 2 * JOBS
    assert lost < (KILLS + 1) * (JOBS * range_bytes + SLACK_BYTES), f"{lost / KILLS / JOBS:.0f}"
    print(f"{lost / KILLS / JOBS:.0f} bytes a kill and worker")  # noqa: T201 (shown by pytest -s)
