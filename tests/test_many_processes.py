"""The same command in 50 processes at once, as in a job array: all succeed, one does the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sciml_data.home import Home
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.server import FileServer

PROCESSES = 50
FILES = {f"part-{number:02}.bin": bytes([number]) * 50_000 for number in range(20)}
TIMEOUT_S = 1800.0  # of a process that hangs; all take 75 s of a processor that may be busy
SAMPLE = ("uno_almanac", "--sample", "--sample-set", "rows=300")

pytestmark = pytest.mark.slow  # 50 processes import everything


def at_once(*words: str, home: Home) -> list[str]:
    """Run a command in many processes at once, and return the messages of each.

    All must exit with 0.
    """
    command = [sys.executable, "-m", "sciml_data", *words, "--home", str(home.root)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        messages = [process.communicate(timeout=TIMEOUT_S)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()  # nothing where it has ended, and no load for the next test where not
            process.wait()
    failed = [
        message
        for process, message in zip(processes, messages, strict=True)
        if process.returncode != 0
    ]
    assert failed == []
    return messages


def count(messages: list[str], words: str) -> int:
    return sum(words in message for message in messages)


def test_each_byte_is_fetched_once(tmp_path: Path, home: Home) -> None:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as server:
        write_dataset(tmp_path / "registry", FILES, mirrors=[{"": f"{server.url}/"}])

        messages = at_once("get", "tiny", "--registry", str(tmp_path / "registry"), home=home)

        assert server.bytes_sent == sum(map(len, FILES.values()))
    native = home.dataset("tiny", "1.0").native
    assert {path.name: path.read_bytes() for path in native.iterdir()} == FILES
    assert count(messages, "waiting for process") > 0


def test_a_sample_is_made_and_converted_once(home: Home) -> None:
    at_once("get", *SAMPLE, home=home)
    native = home.dataset("uno_almanac", "1.0", sample_seed=0).native
    before = {path: path.stat().st_ino for path in native.iterdir()}

    messages = at_once("convert", "uno_almanac", "--sample", home=home)

    assert count(messages, "native files into") == 1
    assert count(messages, "nothing to convert") == PROCESSES - 1
    assert {path: path.stat().st_ino for path in native.iterdir()} == before


def test_a_benchmark_is_staged_once(home: Home) -> None:
    words = ("run", "uno", "--dataset", *SAMPLE, "--stage-only")

    messages = at_once(*words, home=home)

    assert count(messages, "native files into") == 1
