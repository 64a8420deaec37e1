"""A linter of container recipes: what a build would refuse, and what it should not do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip
SECTIONS = {
    "arguments", "environment", "files", "help", "labels", "post", "pre", "runscript", "setup",
    "startscript", "test",
}  # fmt: skip
PINNED = re.compile(r"[a-z0-9./-]+:[0-9]+\.[0-9][\w.-]*")


def dockerfile_problems(text: str) -> list[str]:
    """Return what is wrong with a Dockerfile."""
    steps = list(_steps(text))
    names = [name for name, _ in steps]
    problems = [f"no such instruction: {name}" for name in names if name not in INSTRUCTIONS]
    if not names or names[0] not in {"FROM", "ARG"}:
        problems.append("FROM is not first")
    for name, body in steps:
        if name == "FROM" and not PINNED.fullmatch(body.split()[0]):
            problems.append(f"the base image has no version: {body}")
        if name == "ADD":
            problems.append("ADD may download; COPY does not")
        if name == "RUN":
            problems += shell_problems(body)
    users = [body for name, body in steps if name == "USER"]
    if not users or users[-1] in {"root", "0"}:
        problems.append("programs run as root")
    return problems


def definition_problems(text: str) -> list[str]:
    """Return what is wrong with an Apptainer definition file."""
    head, *parts = re.split(r"^%", text, flags=re.MULTILINE)
    sections = {name: body for name, _, body in (part.partition("\n") for part in parts)}
    fields = (line.partition(":") for line in head.splitlines() if not line.startswith("#"))
    header = {name.strip(): value.strip() for name, _, value in fields}
    problems = [f"no such section: %{name}" for name in sections if name not in SECTIONS]
    if header.get("Bootstrap") != "docker" or not PINNED.fullmatch(header.get("From", "")):
        problems.append("the base image has no version")
    for name in ("post", "runscript", "test"):
        if name not in sections:
            problems.append(f"%{name} is missing")
        else:
            problems += shell_problems(sections[name])
    return problems


def shell_problems(body: str) -> list[str]:
    """Return what a shell, and ShellCheck where it is installed, says of a script."""
    script = f"#!/bin/sh\n{body}\n"
    parsed = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    problems = parsed.stderr.splitlines()
    if shutil.which("shellcheck"):
        words = ["shellcheck", "--shell=sh", "--format=gcc", "-"]
        checked = subprocess.run(words, input=script, text=True, capture_output=True, check=False)
        problems += checked.stdout.splitlines()
    if "pip install" in body and "--no-cache-dir" not in body:
        problems.append("pip keeps its cache in the image")
    if "apt-get install" in body and "--no-install-recommends" not in body:
        problems.append("apt-get installs recommended packages")
    return problems


def _steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield instruction and arguments, with continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for step in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if step.strip():
            name, _, body = step.strip().partition(" ")
            yield name, body.strip()
