"""Write codemeta.json and .zenodo.json, which follow from pyproject.toml and CITATION.cff.

`python -m tests.support.software` writes both again. With a version, it first writes version and
date into `sciml_data/__init__.py` and CITATION.cff, and the version into the workflow that checks
the published submissions, as a release needs it:

    python -m tests.support.software 0.2.0
"""

from __future__ import annotations

import datetime
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT

CODEMETA = ROOT / "codemeta.json"
ZENODO = ROOT / ".zenodo.json"
CITATION = ROOT / "CITATION.cff"
WORKFLOW = ROOT / "results" / "submissions" / ".github" / "workflows" / "sciml-data-submissions.yml"
PACKAGE = Path("sciml_data", "__init__.py")  # in a checkout
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


def code_version(checkout: Path = ROOT) -> str:
    """Return the version that the package of a checkout says."""
    found = VERSION.search((checkout / PACKAGE).read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def documents() -> dict[Path, dict[str, Any]]:
    """Return both documents by their path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    urls = project["urls"]
    names = [author["name"] for author in citation["authors"]]
    codemeta = {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": project["name"],
        "description": project["description"],
        "version": code_version(),
        "dateModified": str(citation["date-released"]),
        "license": f"https://spdx.org/licenses/{project['license']}",
        "codeRepository": urls["Source"],
        "issueTracker": urls["Issues"],
        "softwareHelp": urls["Documentation"],
        "releaseNotes": urls["Changelog"],
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {project['requires-python']}",
        "operatingSystem": "Linux",
        "developmentStatus": "wip",
        "keywords": project["keywords"],
        "softwareRequirements": project["dependencies"],
        "author": [{"@type": "Organization", "name": name} for name in names],
    }
    zenodo = {
        "title": citation["title"],
        "description": project["description"],
        "upload_type": "software",
        "access_right": "open",
        "license": project["license"],
        "version": code_version(),
        "publication_date": str(citation["date-released"]),
        "creators": [{"name": name} for name in names],
        "keywords": project["keywords"],
        "related_identifiers": [
            {"identifier": urls["Source"], "relation": "isSupplementTo", "scheme": "url"}
        ],
    }
    return {CODEMETA: codemeta, ZENODO: zenodo}


def as_text(document: dict[str, Any]) -> str:
    """Return a document as it is written."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def set_version(version: str, day: datetime.date) -> None:
    """Write a version into the package, CITATION.cff (with its date) and the workflow."""
    package = ROOT / PACKAGE
    text = package.read_text(encoding="utf-8")
    package.write_text(VERSION.sub(f'__version__ = "{version}"', text), encoding="utf-8")
    text = CITATION.read_text(encoding="utf-8")
    text = re.sub(r"^version: .*$", f"version: {version}", text, flags=re.MULTILINE)
    text = re.sub(r"^date-released: .*$", f"date-released: {day}", text, flags=re.MULTILINE)
    CITATION.write_text(text, encoding="utf-8")
    text = WORKFLOW.read_text(encoding="utf-8")
    text = re.sub(r"(sciml-data\[submit\]==)[^']+", rf"\g<1>{version}", text)
    WORKFLOW.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the version, if one is given, and both documents."""
    if len(sys.argv) > 1:
        set_version(sys.argv[1], datetime.datetime.now(datetime.UTC).date())
    for path, document in documents().items():
        path.write_text(as_text(document), encoding="utf-8")


if __name__ == "__main__":
    main()
