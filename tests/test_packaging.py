"""What a release consists of: sdist, wheel, the page on PyPI, and extras that work alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import BytesParser
from itertools import chain
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

from tests.support import extras
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REGISTRY_FOLDERS = ("catalog", "checksums", "datapackages", "runners")
NOT_RUN = {"all", "cuda"}  # a sum of others; three gigabytes for a machine with a GPU


def tracked() -> set[str]:
    """Return the files that git does not ignore; skip the test without git, as in an sdist."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ("git", "-C", str(ROOT), "ls-files", "-z")
    listed = subprocess.run(
        [*command, "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def build(source: Path, target: Path, kind: str) -> Path:
    """Build an sdist or a wheel with the project's build backend, and return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.tar.gz" if kind == "sdist" else "*.whl"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        return BytesParser().parsebytes(file.read(name))


def test_the_sdist_has_every_file_under_git(sdist: Path) -> None:
    with tarfile.open(sdist) as file:
        files = {name.partition("/")[2] for name in file.getnames()}

    assert files == tracked() | {"PKG-INFO"}


def test_the_wheel_has_package_and_registry_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = [PurePosixPath(name) for name in file.namelist()]
    files = {str(name) for name in names if not name.parts[0].endswith(".dist-info")}
    notes = {"/".join(name.parts[1:]) for name in names if name.parts[0].endswith(".dist-info")}

    package = {name for name in tracked() if name.startswith("sciml_data/")}
    registry = {
        f"sciml_data/_registry/{name}"
        for name in tracked()
        if name.partition("/")[0] in {*REGISTRY_FOLDERS, "registry.toml"}
    }
    assert files == package | registry
    assert notes == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_the_wheel_has_test_servers_for_extensions_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()

    assert "sciml_data/testing/server.py" in names  # public: docs/add-a-dataset.md
    parts = {part for name in names for part in PurePosixPath(name).parts}
    assert [part for part in parts if re.fullmatch(r"tests?|conftest\.py|test_\w+\.py", part)] == []


def test_the_sdist_builds_the_wheel_of_the_tree(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as file:
        file.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()

    again = build(source, tmp_path / "wheel", "wheel")

    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as two:
        assert {i.filename: i.CRC for i in one.infolist()} == {
            i.filename: i.CRC for i in two.infolist()
        }


def test_the_page_on_pypi_has_absolute_links_only(metadata: Message) -> None:
    renderer = pytest.importorskip("readme_renderer.markdown")
    page = renderer.render(metadata.get_payload())
    targets = re.findall(r"(?:href|src)=\"([^\"]*)\"", page)

    assert len(targets) > 25
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    # Each link to our own repository leads to a file of it.
    ours = f"{PROJECT['project']['urls']['Source']}/blob/main/"
    paths = [target.removeprefix(ours) for target in targets if target.startswith(ours)]
    assert len(paths) > 25
    assert [path for path in paths if not (ROOT / path.partition("#")[0]).exists()] == []


def test_pictures_of_the_readme_would_be_shown_on_pypi() -> None:
    rules = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    text = "[![Board](docs/board.png)](docs/board.md) [here](#start) [out](https://example.org/)"
    for rule in rules:
        text = re.sub(rule["pattern"], rule["replacement"], text)

    raw, page = (
        "https://raw.githubusercontent.com/sciml-data/sciml-data/main",
        "https://github.com/sciml-data/sciml-data/blob/main",
    )
    assert text == (
        f"[![Board]({raw}/docs/board.png)]({page}/docs/board.md) [here](#start) "
        "[out](https://example.org/)"
    )


def test_the_metadata_say_licence_versions_of_python_and_addresses(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier") or []
    labels = {line.partition(",")[0] for line in metadata.get_all("Project-URL") or []}

    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert {"Homepage", "Source", "Issues", "Documentation", "Changelog"} == labels
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in classifiers
    assert not [line for line in classifiers if line.startswith("License ::")]


def test_every_extra_has_commands_that_show_that_it_works_alone() -> None:
    declared = set(PROJECT["project"]["optional-dependencies"]) - NOT_RUN
    alone = {name for name in extras.EXTRAS if "," not in name}

    assert declared == alone


def test_every_requirement_has_a_lower_bound() -> None:
    project = PROJECT["project"]
    lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    parsed = [Requirement(line) for line in lines]

    assert [
        str(requirement)
        for requirement in parsed
        if requirement.name != "sciml-data"
        and [specifier.operator for specifier in requirement.specifier] != [">="]
    ] == []


def test_a_missing_module_of_an_extra_is_named(tmp_path: Path) -> None:
    shell = extras.Shell(tmp_path, "example")

    with pytest.raises(extras.ExtraError) as error:
        shell.run("python -c 'import no_such_module.below'")

    assert "extra example: module no_such_module is missing" in str(error.value)


@pytest.mark.parametrize("command", ["true", "echo 'not installed' && false"])
def test_a_command_that_does_not_name_its_extra_is_reported(tmp_path: Path, command: str) -> None:
    shell = extras.Shell(tmp_path, extras.BASE)

    with pytest.raises(extras.ExtraError, match="extra example"):
        shell.run_without(command, "example")

    shell.run_without("echo \"pip install 'sciml-data[example]'\" && false", "example")
