"""What stands in the sections of a landing page; each function returns HTML made of `Facts`."""

from __future__ import annotations

from html import escape

from sciml_data.metadata.cite import to_text
from sciml_data.metadata.facts import Facts
from sciml_data.metadata.forms import CITATIONS, FORMS
from sciml_data.metadata.landing.html_parts import code, items, link, table, terms
from sciml_data.metadata.parts import Agent, Beside, FileGroup, NativeFile
from sciml_data.metadata.schema_org import MOST_FILES
from sciml_data.registry.descriptor import DESCRIPTOR_NAME


def about(facts: Facts) -> str:
    """Return the description and the facts that fit in a line."""
    pairs = {
        "Dataset": code(facts.dataset),
        "Version": escape(facts.version),
        "Identifier": f"{link(facts.identifier)}; no DOI is registered",
        "Date": f"{facts.issued} ({escape(facts.issued_remark)})",
        "Made by": _agents(facts.creators),
        "Published by": _agents(facts.publishers),
        "Described by": _agents(facts.curators),
        "Homepage": "" if facts.homepage is None else link(facts.homepage),
        "Keywords": escape(", ".join(facts.keywords)),
        "Size": escape(_size(facts)),
    }
    pairs = {term: cell or "not stated" for term, cell in pairs.items()}
    return f"<p>{escape(facts.description)}</p>\n{terms(pairs)}"


def access(facts: Facts) -> str:
    """Return who may have the files, and what to type."""
    version = f"{facts.dataset} --version {facts.version}"
    lines = [f"sciml-data get {version}", f"sciml-data convert {version}"]
    if not facts.mirrors and not facts.is_live:
        lines[0] = f"sciml-data adopt {facts.dataset} DIR --version {facts.version}"
    statement = f"<p>{escape(facts.access.statement)}</p>"
    steps = items(escape(step) for step in facts.access.steps) if facts.access.steps else ""
    commands = escape("\n".join(lines))
    then = "" if facts.variables else "<p>Nothing converts these files yet.</p>"
    return f"{statement}\n{steps}\n<pre>{commands}</pre>\n{then}"


def licences(facts: Facts) -> str:
    """Return each licence with what it covers; one that is not stated says so."""
    return items(
        f"{link(one.url, _name(one.name)) if one.url and one.is_stated else _name(one.name)}: "
        f"{escape(one.text)}"
        for one in facts.licences
    )


def citation(facts: Facts) -> str:
    """Return the citation as text, and where it lies in other forms."""
    others = items(f"{link(one.file_name)}: {escape(name)}" for name, one in CITATIONS.items())
    return f"<pre>{escape(to_text(facts))}</pre>\n{others}"


def variables(facts: Facts) -> str:
    """Return the variables of the ready form."""
    if not facts.variables:
        return f"<p>Not described: {escape(facts.native_format or 'nothing reads them yet')}</p>"
    rows = [
        [
            code(name),
            escape(one.long_name),
            code(f"{one.dtype} ({', '.join(one.dims)})"),
            escape(one.units or "none"),
            escape(one.standard_name or "none"),
            escape(one.missing or "none"),
        ]
        for name, one in facts.variables.items()
    ]
    columns = ["name", "what", "type (dimensions)", "units", "CF standard name", "missing value"]
    return table("Variables that sciml-data convert makes", columns, rows)


def files(facts: Facts) -> str:
    """Return what the registry has beside this page, and the native files or what is expected."""
    beside = table(
        "Files beside this page",
        ["file", "what", "bytes", "sha256"],
        [_beside_row(one) for one in facts.beside],
    )
    if facts.groups:
        columns = ["files", "what is expected", "type", "where"]
        return beside + table("Native files", columns, [_group_row(one) for one in facts.groups])
    if facts.is_live:
        return f"{beside}\n<p>The files are asked of {link(facts.service or '')}</p>"
    if len(facts.files) > MOST_FILES:
        return f"{beside}\n<p>{escape(_size(facts))}: manifest.csv names each.</p>"
    columns = ["file", "bytes", "type", "hash"]
    return beside + table("Native files", columns, [_file_row(one) for one in facts.files])


def descriptions(facts: Facts) -> str:
    """Return links to the descriptor and to each export, relative to the page."""
    exports = [
        f"{link(one.file_name)}: {escape(name)}, {escape(format_)}"
        for name, formats in FORMS.items()
        for format_, one in formats.items()
    ]
    return items([f"{link(DESCRIPTOR_NAME)}: Data Package v2 of {escape(facts.dataset)}", *exports])


def _agents(agents: tuple[Agent, ...]) -> str:
    return "; ".join(link(one.url, one.name) if one.url else escape(one.name) for one in agents)


def _name(licence: str) -> str:
    return (
        licence.removeprefix("LicenseRef-").replace("-", " ")
        if licence[:10] == "LicenseRef"
        else licence
    )


def _size(facts: Facts) -> str:
    if facts.total_bytes is not None:
        return f"{len(facts.files)} files, {facts.total_bytes:,} bytes"
    return "asked of a service" if facts.is_live else "not pinned: no size and no hash is published"


def _beside_row(one: Beside) -> list[str]:
    return [link(one.path), escape(one.title), f"{one.size_bytes:,}", code(one.sha256)]


def _file_row(file: NativeFile) -> list[str]:
    name = link(file.urls[0], file.path) if file.urls else escape(file.path)
    return [name, f"{file.size_bytes:,}", escape(file.media_type), code(file.hash)]


def _group_row(group: FileGroup) -> list[str]:
    places = ", ".join(link(folder) for folder in group.folders) or "no mirror has them"
    return [code(group.glob), escape(group.sentence), escape(group.media_type), places]
