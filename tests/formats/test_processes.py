"""Worker processes end with their parent, and leave Ctrl-C to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sciml_data.formats.processes import process_pool

CODE = """
import sys, time
from sciml_data.formats.processes import process_pool

if __name__ == "__main__":
    print("begun", flush=True)
    try:
        with process_pool(3) as pool:
            for future in [pool.submit(time.sleep, 600) for _ in range(6)]:
                future.result()
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
"""


def test_a_pool_returns_results() -> None:
    with process_pool(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_ctrl_c_in_every_process_is_seen_by_the_parent_only(seed: int, tmp_path: Path) -> None:
    """The moments are while processes start, when they import, and when they work."""
    script = tmp_path / "script.py"
    script.write_text(CODE)
    delay = random.Random(seed).uniform(0.0, 1.5)  # noqa: S311 - of a test
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.05 + delay)

    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)  # and not for the 10 minutes of its tasks

    assert (process.returncode, out, errors) == (130, "interrupted\n", "")
