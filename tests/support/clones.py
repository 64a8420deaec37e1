"""A user with a new installation of git, git-annex and DataLad: an empty home, no settings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# git-annex refuses servers on loopback without this. In the environment: no file is written.
LOOPBACK = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "annex.security.allowed-ip-addresses",
    "GIT_CONFIG_VALUE_0": "127.0.0.1",
}
IDENTITY = {
    "GIT_AUTHOR_NAME": "A user",
    "GIT_AUTHOR_EMAIL": "user@example.org",
    "GIT_COMMITTER_NAME": "A user",
    "GIT_COMMITTER_EMAIL": "user@example.org",
}


def fresh_user(home: Path, *, has_identity: bool = True) -> dict[str, str]:
    """Return the environment of a user whose home is an empty folder.

    Args:
        home: made if it does not exist.
        has_identity: whether the environment has a name and an e-mail address for git.
    """
    home.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    identity = IDENTITY if has_identity else {}
    return {**inherited, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "PATH": path,
            "GIT_CONFIG_NOSYSTEM": "1", **LOOPBACK, **identity}  # fmt: skip


def typed(*command: str, at: Path, user: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of a user in a folder, and return its result."""
    return subprocess.run(
        command, cwd=at, env=dict(user), capture_output=True, text=True, check=False
    )
