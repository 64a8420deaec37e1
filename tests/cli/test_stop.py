"""Ctrl-C and SIGTERM at any moment: a sentence, the usual exit code, and nothing half done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import pytest

from sciml_data.curate.derive import write_derived
from sciml_data.home import LOCK_NAME, Home
from sciml_data.registry.layout import Registry
from sciml_data.testing.datasets import write_dataset
from tests.support.raw_server import RawRequest, RawServer

SEED = 20261130
FILES = {f"part_{number}.bin": os.urandom(200_000) for number in range(3)}
COMMAND = [sys.executable, "-m", "sciml_data"]
BEGIN_S = 60.0  # far more than a command takes to begin
# Far more than a stop takes, and less than the command would wait for a silent server (30 s).
END_S = 20.0


@contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process group of its own, as a terminal does."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a process, and return its stderr."""
    _, text = process.communicate(timeout=END_S)
    return text


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def slow(request: RawRequest, stopping: threading.Event) -> Iterable[bytes]:
    """Answer with the right bytes of a file, of which the last ones never come."""
    content = FILES[request.target.lstrip("/")]
    start = request.start or 0
    status = "206 Partial Content" if request.start is not None else "200 OK"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content) - start}\r\n"
    if request.start is not None:
        head += f"Content-Range: bytes {start}-{len(content) - 1}/{len(content)}\r\n"
    yield f"{head}\r\n".encode()
    yield content[start : start + 100_000]
    stopping.wait()


def wait_until(condition: object, seconds: float = BEGIN_S) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_get_from_a_slow_server_stops_and_resumes(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    registry, home = tmp_path / "registry", tmp_path / "home"
    with RawServer(lambda request: slow(request, server.stopping)) as server:
        write_dataset(registry, FILES, mirrors=[{"": f"{server.url}/"}])
        with running("get", "tiny", "--registry", registry, "--home", home) as process:
            wait_until(lambda: len(server.requests) >= len(FILES))
            os.killpg(process.pid, number)
            text = ended(process)

    assert process.returncode == code
    assert "complete files and the parts of others are kept; the same command resumes" in text
    assert "Traceback" not in text
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    where = ["--registry", str(registry), "--home", str(home), "--mirror", f"file:{folder}"]
    subprocess.run([*COMMAND, "get", "tiny", *where], check=True, timeout=60)
    native = Home(home).dataset("tiny", "1.0").native
    assert {path.name: path.read_bytes() for path in native.iterdir()} == FILES


@pytest.mark.parametrize(
    ("verb", "kept"),
    [("get", "no file was left half written"), ("convert", "finished files are kept; the same")],
)
def test_a_stopped_sample_or_conversion_says_what_is_kept_and_is_done_by_the_same_command(
    tmp_path: Path, verb: str, kept: str
) -> None:
    words = ("tevolop_socal", "--sample", "--home", str(tmp_path / "home"))
    if verb == "convert":
        subprocess.run([*COMMAND, "get", *words], check=True, timeout=60)
    begun = {"get": "samples/*/*/*/partial", "convert": "samples/*/*/*/ready/*"}[verb]
    with running(verb, *words) as process:
        wait_until(lambda: any((tmp_path / "home").glob(begun)))
        os.killpg(process.pid, signal.SIGINT)
        text = ended(process)

    assert process.returncode == 130
    assert kept in text
    assert "Traceback" not in text
    subprocess.run([*COMMAND, verb, *words], check=True, timeout=120)


def test_a_check_of_links_does_not_wait_for_a_silent_server(tmp_path: Path) -> None:
    registry, reports = tmp_path / "registry", tmp_path / "reports"

    def silent(_: RawRequest) -> Iterable[bytes]:
        server.stopping.wait()
        yield b""

    with RawServer(silent) as server:
        write_dataset(registry, FILES, mirrors=[{"": f"{server.url}/"}])
        with running("check", "--live", "--registry", registry, "--to", reports) as process:
            wait_until(lambda: server.requests)
            press_ctrl_c(process)
            text = ended(process)

    assert process.returncode == 130
    assert "no file was left half written" in text
    assert "Traceback" not in text
    assert not reports.exists()


def test_a_second_ctrl_c_at_once_is_the_same_wish(tmp_path: Path) -> None:
    registry, home = tmp_path / "registry", tmp_path / "home"
    with RawServer(lambda request: slow(request, server.stopping)) as server:
        write_dataset(registry, FILES, mirrors=[{"": f"{server.url}/"}])
        with running("get", "tiny", "--registry", registry, "--home", home) as process:
            wait_until(lambda: server.requests)
            for _ in range(3):
                press_ctrl_c(process)
                time.sleep(0.05)
            text = ended(process)

    assert process.returncode == 130
    assert text.count("stopped") == 1
    assert "Traceback" not in text


def test_a_command_that_waits_for_a_lock_stops(tmp_path: Path) -> None:
    registry, home = tmp_path / "registry", tmp_path / "home"
    write_dataset(registry, FILES, mirrors=[{"": "http://127.0.0.1:9/"}])
    folder = Home(home).dataset("tiny", "1.0").root
    folder.mkdir(parents=True)
    with (
        filelock.FileLock(folder / LOCK_NAME),
        running("get", "tiny", "--registry", registry, "--home", home) as process,
    ):
        assert process.stderr is not None
        line = process.stderr.readline()
        while "waiting for" not in line:
            line = process.stderr.readline()
        press_ctrl_c(process)
        text = ended(process)

    assert process.returncode == 130
    assert "Traceback" not in text


def test_verify_of_a_large_file_stops_at_once_and_keeps_hashes(tmp_path: Path) -> None:
    registry, home = tmp_path / "registry", tmp_path / "home"
    write_dataset(registry, {"a.bin": b"1", "b.bin": b"2"})
    folder = registry / "datapackages" / "tiny" / "1.0"
    size = 256 << 30  # of a sparse file, which takes minutes to read and no room on the disk
    manifest = (folder / "manifest.csv").read_text().replace("b.bin,1,", f"b.bin,{size},")
    (folder / "manifest.csv").write_text(manifest)
    write_derived(Registry(registry))
    data = Home(home).dataset("tiny", "1.0")
    data.native.mkdir(parents=True)
    (data.native / "a.bin").write_bytes(b"1")
    with (data.native / "b.bin").open("wb") as stream:
        stream.truncate(size)
    with running("verify", "tiny", "--registry", registry, "--home", home) as process:
        wait_until(lambda: is_reading(process.pid, "b.bin"))
        press_ctrl_c(process)
        text = ended(process)

    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert "a.bin" in data.stat_cache.read_text()


def is_reading(pid: int, name: str) -> bool:
    """Return whether a process has a file of this name open."""
    with suppress(OSError):  # a descriptor that was closed meanwhile
        return any(path.readlink().name == name for path in Path(f"/proc/{pid}/fd").iterdir())
    return False


# Run before the first statement of ours that answers Ctrl-C, in `cli/__init__.py`. Later errors are
# in other modules, too.
FIRST_MODULES = ("sciml_data/__init__.py", "sciml_data/__main__.py", "sciml_data/cli/__init__.py")


def is_early(text: str) -> bool:
    """Return whether Python itself was still starting, before any code of ours could answer."""
    frames = [line for line in text.splitlines() if line.lstrip().startswith("File ")]
    ours = [line for line in frames if "/sciml_data/" in line]
    return all(any(name in line for name in FIRST_MODULES) for line in ours)


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["check"], ["--help"], ["describe", "tiny"], ["fair", "tiny"], ["get", "tiny"]],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_at_a_random_moment_is_never_a_traceback(
    arguments: list[str], tmp_path: Path
) -> None:
    registry = tmp_path / "registry"
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    write_dataset(registry, FILES, mirrors=[{"": "http://127.0.0.1:9/"}])
    moments = random.Random(f"{SEED} {arguments}")  # noqa: S311 - of a test
    where: list[str | Path] = ["--registry", registry] if arguments != ["--help"] else []
    if arguments[0] == "get":
        where += ["--home", tmp_path / "home", "--mirror", f"file:{folder}"]
    for _ in range(6):
        delay = moments.uniform(0.05, 1.2)
        with running(*arguments, *where) as process:
            time.sleep(delay)
            press_ctrl_c(process)
            text = ended(process)

        assert "Traceback" not in text or is_early(text), (delay, text)
        if "Traceback" not in text and "stopped" in text:
            assert process.returncode == 130, (delay, text)


def test_a_question_that_is_interrupted_or_has_no_answer_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.stdin.isatty = lambda: True; sys.argv = ['sciml-data', 'new', "
        f"'--registry', {str(tmp_path / 'new')!r}]; from sciml_data.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "nothing was written" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_sigterm_that_a_run_handles_itself_has_its_exit_code() -> None:
    code = """
import os, signal, sys
from sciml_data.bench.run.interruptions import sigterm_as_interrupt
from sciml_data.cli import main
from sciml_data.cli.list_ import command

def stopped(**_):
    with sigterm_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)

command.callback = stopped
sys.argv = ["sciml-data", "list"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 143
    assert "stopped by SIGTERM" in done.stderr
    assert "Traceback" not in done.stderr
