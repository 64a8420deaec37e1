"""The container recipes are sound, agree with each other, and install what exists."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.containers import definition_problems, dockerfile_problems
from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "how-to" / "containers"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
DEFINITION = (FOLDER / "sciml-data.def").read_text(encoding="utf-8")


def test_the_dockerfile_is_sound() -> None:
    assert dockerfile_problems(DOCKERFILE) == []


def test_the_definition_of_apptainer_is_sound() -> None:
    assert definition_problems(DEFINITION) == []


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("python:3.12-slim-bookworm", "python:latest", "no version"),
        ("USER science", "USER root", "as root"),
        ("USER science\n", "", "as root"),
        ("WORKDIR", "WORKDIRECTORY", "no such instruction"),
        ("&& rm -rf /tmp/dist", "&& && rm", "yntax error"),
        ("--no-cache-dir ", "", "cache"),
        ("COPY constraints.txt", "ADD constraints.txt", "ADD may download"),
    ],
)
def test_a_broken_dockerfile_is_found(before: str, after: str, problem: str) -> None:
    assert before in DOCKERFILE

    found = dockerfile_problems(DOCKERFILE.replace(before, after))

    assert problem in " ".join(found)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("From: python:3.12-slim-bookworm", "From: python", "no version"),
        ("%post", "%postinstall", "no such section"),
        ("set -eu", "if true; do", "yntax error"),
        ("--no-install-recommends ", "", "recommended"),
    ],
)
def test_a_broken_definition_is_found(before: str, after: str, problem: str) -> None:
    assert before in DEFINITION

    assert problem in " ".join(definition_problems(DEFINITION.replace(before, after)))


def test_both_have_the_same_base_and_system_packages() -> None:
    images = [re.search(r"python:\S+", text) for text in (DOCKERFILE, DEFINITION)]
    packages = [
        re.search(r"--no-install-recommends ([\w. -]+)", t) for t in (DOCKERFILE, DEFINITION)
    ]

    assert len({found[0] for found in images if found}) == 1
    assert len({found[1].strip() for found in packages if found}) == 1


def test_the_extras_and_the_python_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = re.findall(r"EXTRAS=([\w,-]+)|\}\[([\w,-]+)\]", DOCKERFILE + DEFINITION)
    extras = {name for pair in lists for words in pair for name in words.split(",") if name}

    assert extras - set(project["optional-dependencies"]) == set()
    assert len(extras) >= 5
    assert "Programming Language :: Python :: 3.12" in project["classifiers"]
