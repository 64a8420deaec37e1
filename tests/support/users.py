"""Other users of this computer: a function that runs as one of them, in a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

GROUP = 4000  # no such group needs to exist
FIRST, SECOND = 4001, 4002  # two of its members


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yield a folder of the group with the setgid bit, which its members may write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # Not below tmp_path: pytest's folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="sciml-data-shared-"))
    try:
        os.chown(folder, -1, GROUP)
        folder.chmod(0o2775)
        yield folder
    finally:
        shutil.rmtree(folder)


def run_as(user: int, function: Callable[[], object], *, umask: int = 0o002) -> None:
    """Run a function as a member of the group; its modules must have been imported before.

    Args:
        user: number of the user.
        function: an exception fails the test.
        umask: of the process.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(user)
            os.umask(umask)
            os.environ["XDG_CONFIG_HOME"] = "/nonexistent"  # pytest's is closed to others
            function()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not return into pytest
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
