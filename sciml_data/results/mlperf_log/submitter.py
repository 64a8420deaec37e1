"""Who submits: what a log says that no record knows."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sciml_data.errors import CallError, Problem

# Of the rule sets that check it: hpc 1.0.0 to 3.0.0, training 0.7.0 to 3.1.0 (mlperf-logging
# 4.1.68). The Science documents name the key and no values.
STATUSES = ("cloud", "onprem", "preview", "research")
LONGEST = 200  # characters; a name, not a text
LINE_MARK = ":::MLLOG "  # what begins a line; the official parser cuts a line at its last one


@dataclass(frozen=True)
class Submitter:
    """Organisation, system and status of a submission, and who answers questions.

    Attributes:
        org: the organisation.
        system: the system's name, as in the submission's folders.
        status: one of `STATUSES`.
        platform: what MLPerf calls the platform; None takes the system's name.
        poc_name: point of contact; None names nobody.
        poc_email: its address; None gives none.
    """

    org: str
    system: str
    status: str = "research"
    platform: str | None = None
    poc_name: str | None = None
    poc_email: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no log may say.

        Raises:
            CallError: a text is empty, too long or not one line, or the status is none; `.problems`
                lists everything.
        """
        problems = [
            Problem("submitter", one.name, message)
            for one in fields(self)
            if (message := _wrong_with(one.name, getattr(self, one.name)))
        ]
        if problems:
            raise CallError(
                "the submitter cannot be logged", problems=problems, untouched="nothing was written"
            )


def _wrong_with(name: str, value: object) -> str:
    """Return what is wrong with one field; an empty text where nothing is."""
    if value is None and name not in {"org", "system", "status"}:
        return ""
    if not isinstance(value, str) or not value.strip():
        return "a text is expected that is not empty"
    if len(value) > LONGEST or not value.isprintable() or LINE_MARK in value:
        return f"one line of at most {LONGEST} printable characters is expected"
    if name == "status" and value not in STATUSES:
        return f"{value!r} is none of {', '.join(STATUSES)}"
    if name == "poc_email" and "@" not in value:
        return f"{value!r} is no address"
    return ""
