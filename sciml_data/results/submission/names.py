"""The names of a submission's files and folders: the tree of the working group's submit.adoc.

    {org}/{application}/{system}/{descriptor}/result-n.txt ...

The tree is what that text asks for; the record, the predictions and the manifest beside it are
ours, so that a score can be computed again by whoever reads it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, Problem

TERMS = "submission.json"  # what the submitter says: names, status, contact
MANIFEST = "manifest.csv"  # path, bytes and hash of every file but itself and the verdict
VERIFICATION = "verification.json"  # what checks found; written by whoever checks
CONFIG = "config.yaml"
README = "README.md"
VERSION = "VERSION.txt"
SYSTEM = "system.json"
REFERENCE = "reference.json"  # record of a run of the reference model, where one was given
CONTRIBUTION = "scientific_contribution.md"
CONTRIBUTION_PDF = "scientific_contribution.pdf"
CONTRIBUTION_PDF_AS_IN_POLICY = "sientific_contribution.pdf"  # submit.adoc spells it so

ALWAYS = (
    TERMS,
    MANIFEST,
    CONFIG,
    README,
    VERSION,
    SYSTEM,
    CONTRIBUTION,
    CONTRIBUTION_PDF,
    CONTRIBUTION_PDF_AS_IN_POLICY,
)
SOMETIMES = (REFERENCE, VERIFICATION)
NUMBERED = re.compile(r"(result|record|predictions)-([1-9][0-9]{0,3})\.(txt|json|nc)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# MLPerf's words for a system's availability (system_desc_checker, training rules 4 and later).
STATUSES = {
    "research": "Research, Development, or Internal (RDI)",
    "onprem": "Available on-premise",
    "cloud": "Available cloud",
    "preview": "Preview",
}


def result_name(number: int) -> str:
    """Return the name of the log of the n-th run, from 1."""
    return f"result-{number}.txt"


def record_name(number: int) -> str:
    """Return the name of the record of the n-th run, from 1."""
    return f"record-{number}.json"


def predictions_name(number: int) -> str:
    """Return the name of the predictions of the n-th run, from 1."""
    return f"predictions-{number}.nc"


@dataclass(frozen=True)
class Terms:
    """What a submitter says of a submission, beside what the records say.

    Attributes:
        org, system, descriptor: folders of the tree, and keys of the log.
        status: of the system, one of `STATUSES`.
        platform: key of the log; None takes the system's name.
        poc_name, poc_email: whom to ask; None where nobody is named.
        allow_dirty: that the code had uncommitted changes is accepted, and said.
    """

    org: str
    system: str
    descriptor: str
    status: str = "research"
    platform: str | None = None
    poc_name: str | None = None
    poc_email: str | None = None
    allow_dirty: bool = False

    def check(self) -> None:
        """Refuse names that cannot be folders.

        Raises:
            CallError: `.problems` has every one.
        """
        named = {"org": self.org, "system": self.system, "descriptor": self.descriptor}
        problems = [
            Problem("name", f"--{key}", f"{value!r} cannot be the name of a folder")
            for key, value in named.items()
            if not NAME.fullmatch(value)
        ]
        if self.status not in STATUSES:
            problems.append(
                Problem("name", "--status", f"one of {', '.join(STATUSES)} is expected")
            )
        if problems:
            raise CallError(
                "a submission cannot be named so",
                problems=problems,
                untouched="nothing was written",
                hint="letters, digits, '.', '_' and '-', as in --descriptor experiment-1",
            )

    def folder(self, application: str) -> Path:
        """Return the submission's folder, relative to the tree's root."""
        return Path(self.org, application, self.system, self.descriptor)

    def document(self) -> dict[str, Any]:
        """Return the terms as they stand in `submission.json`."""
        return asdict(self)
