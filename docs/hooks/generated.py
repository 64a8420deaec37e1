"""Pages that are made when the site is built: command line, Python API, schemas, cards.

None of them is typed, so none of them can be out of date: the command line comes from click and
from commands that are run, the functions from their docstrings, schemas from the package, cards
from the registry.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from links import CARDS, ROOT, page_of, rewrite
from mkdocs.structure.files import File, Files

from sciml_data.cli.program import GROUPS

PACKAGE = ROOT / "sciml_data"
# Packages that an extension may import -> what for.
FOR_EXTENSIONS = {
    "bench": "A benchmark is a subclass of `Benchmark`.",
    "formats": "A format turns native files into `xarray.Dataset`s.",
    "ready": "Ready files as numbered samples and batches.",
    "testing": "Contract suites, and servers on loopback, for the tests of an extension.",
}
ESCAPED = re.compile(r"[*_<\[]")  # what Markdown would take for markup
PICTURES = (".png", ".svg", ".webp")
# Commands of which a page shows the output at 80 columns.
STORED = "results/uno/auc-cell/record-1.json"
CAPTURED = {
    "sciml-data --help": "The verbs, by topic.",
    "sciml-data list": "Datasets and benchmarks; `~` marks an expected size.",
    "sciml-data info uno_ccle": "A dataset before a fetch: size, licence, variables, mirrors.",
    f"sciml-data show {STORED}": "Scores of a published run on real data, beside baselines.",
}
MODULES = {"list": "list_"}  # verb -> module, where they differ


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the generated pages."""
    pages = {
        **dict(command_pages()),
        "reference/cli/output.md": output_page(),
        "reference/api.md": api_page(),
        "reference/extension-api.md": extension_page(),
        "reference/schemas.md": schema_page(),
        "contributing.md": card("CONTRIBUTING.md", "contributing.md"),
        **dict(card_pages()),
    }
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    for folder in CARDS:
        for path in sorted((ROOT / folder).glob("*/*")):
            if path.suffix in PICTURES and (uri := page_of(path.relative_to(ROOT).as_posix())):
                files.append(File.generated(config, uri, abs_src_path=str(path)))
    for path in schemas():
        uri = f"reference/schemas/{path.name}"
        files.append(File.generated(config, uri, content=path.read_text(encoding="utf-8")))
    return files


def on_config(config: Any, **_: Any) -> None:
    """Put the cards of datasets and benchmarks into the navigation."""
    for section in config.nav:
        for folder, site in CARDS.items():
            if site.capitalize() in section:
                names = sorted(path.parent.name for path in (ROOT / folder).glob("*/README.md"))
                section[site.capitalize()][1:1] = [{name: f"{site}/{name}.md"} for name in names]


def command_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each section of `sciml-data --help`, made from the click commands."""
    for section, verbs in GROUPS.items():
        lines = [f"# Command line: {section.lower()}", "", "| command | purpose |", "|---|---|"]
        lines += [
            f"| [`sciml-data {verb}`](#sciml-data-{verb}) | {text} |"
            for verb, text in verbs.items()
        ]
        lines += [
            "",
            "Exit codes and variables that set defaults: [settings](../configuration.md).",
            "",
        ]
        for verb in verbs:
            module = importlib.import_module(
                f"sciml_data.cli.{MODULES.get(verb, verb.replace('-', '_'))}"
            )
            lines += command_lines(module.command, f"sciml-data {verb}", 2)
        yield f"reference/cli/{section.lower()}.md", "\n".join(lines)


def output_page() -> str:
    """Return a page with what some commands print, made by running them."""
    lines = [
        "# What commands print",
        "",
        "Printed by the commands when this site was built, in a terminal of 80 columns.",
        "",
    ]
    for command, text in CAPTURED.items():
        lines += [f"## {command}", "", text, "", "```text", *printed(command), "```", ""]
    return "\n".join(lines)


def printed(command: str) -> list[str]:
    """Run a command in an empty home, and return the lines that it prints on a terminal.

    Raises:
        CalledProcessError: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = command.split()[1:]
        known = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        terminal, end = pty.openpty()  # tables are cut to the width of a terminal, not of a pipe
        process = subprocess.Popen(  # noqa: S603 - our own program, words of CAPTURED
            [sys.executable, "-m", "sciml_data", *words],
            env={**known, "COLUMNS": "80", "NO_COLOR": "1", "SCIML_DATA_HOME": f"{folder}/home"},
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=end,
        )  # fmt: skip
        os.close(end)
        text = b""
        with contextlib.suppress(OSError):  # Linux: the other end was closed
            while part := os.read(terminal, 1 << 16):
                text += part
        os.close(terminal)
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
    return text.decode("utf-8").strip().splitlines()


def command_lines(command: click.Command, name: str, level: int) -> list[str]:
    """Return the documentation of a command and of the commands below it."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [
        f"{'#' * level} {name}",
        "",
        *prose(command.help or ""),
        "",
        "```text",
        usage,
        "```",
        "",
    ]
    if examples := prose(command.epilog or ""):
        lines += [*examples, ""]
    records = [
        record
        for option in command.get_params(context)
        if (record := option.get_help_record(context))
    ]
    if records:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| {code(names)} | {cell(text)} |" for names, text in filter(None, records)]
        lines.append("")
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            inner = command.get_command(context, below)
            assert inner is not None  # noqa: S101 - it was listed
            lines += command_lines(inner, f"{name} {below}", level + 1)
    return lines


def prose(text: str) -> list[str]:
    """Return the lines of a help text; a block that click does not wrap becomes code."""
    lines = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b"):
            lines += ["", *(ESCAPED.sub(r"\\\g<0>", line) for line in paragraph.splitlines())]
            continue
        block = paragraph.removeprefix("\b").strip("\n").splitlines()
        if block and not block[0].startswith(" ") and block[0].endswith(":"):
            lines += ["", f"**{block.pop(0)}**"]
        lines += ["", "```bash", *textwrap.dedent("\n".join(block)).splitlines(), "```"]
    return lines


def code(names: str) -> str:
    """Return the names of an option as code, without breaks inside a name."""
    return "`" + names.replace("|", "\\|") + "`{ .nowrap }"


def cell(text: str) -> str:
    """Return a text that may be in a cell of a table."""
    return ESCAPED.sub(r"\\\g<0>", " ".join(text.split())).replace("|", "\\|")


def public_names(package: Path) -> dict[str, str]:
    """Return the public names of a package and where each is defined, from `__init__.pyi`."""
    tree = ast.parse((package / "__init__.pyi").read_text(encoding="utf-8"))
    prefix = ".".join(package.relative_to(ROOT).parts)
    return {
        alias.name: f"{prefix}.{node.module}.{alias.name}"
        if node.module
        else f"{prefix}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def reference(shown: str, path: str, *, members: bool) -> list[str]:
    """Return the lines that mkdocstrings replaces by the documentation of an object."""
    return [
        f"::: {path}",
        "    options:",
        f"      heading: {shown}",
        f"      toc_label: {shown.rpartition('.')[2]}",
        *([] if members else ["      members: false"]),
        "",
    ]


def api_page() -> str:
    """Return the reference of the public functions of `sciml_data`."""
    lines = [
        "# Python functions",
        "",
        "Public names of `sciml_data`, by topic. [The Python API by example](python.md) shows how "
        "they work together.",
        "",
    ]
    titles = {
        "datasets": "Datasets", "loading": "Datasets", "open": "Datasets", "layout": "Datasets",
        "benchmarks": "Benchmarks", "results": "Scores, runs and boards",
        "exports": "Exports", "sample_report": "Exports",
    }  # fmt: skip
    topics: dict[str, list[tuple[str, str]]] = {title: [] for title in titles.values()}
    for name, path in public_names(PACKAGE).items():
        if name != "errors":
            title = titles.get(path.split(".")[-2], "Further functions")
            topics.setdefault(title, []).append((name, path))
    for title, names in topics.items():
        lines += [f"## {title}", ""]
        for name, path in names:
            lines += reference(f"sciml_data.{name}", path, members=name[0].isupper())
    lines += ["## Errors", ""]
    lines += reference("sciml_data.errors", "sciml_data.errors", members=True)
    return "\n".join(lines)


def extension_page() -> str:
    """Return the reference of what an extension imports."""
    lines = [
        "# Python for extensions",
        "",
        "Names that benchmarks, formats, protocols and exports of your own may use. The guides "
        "under *How-to guides, Extend* show each at work.",
        "",
    ]
    for package, text in FOR_EXTENSIONS.items():
        lines += [f"## sciml_data.{package}", "", text, ""]
        for name, path in sorted(public_names(PACKAGE / package).items()):
            if package == "ready" or (name[0].isupper() and not name.isupper()):
                lines += reference(f"sciml_data.{package}.{name}", path, members=name[0].isupper())
    return "\n".join(lines)


def schemas() -> list[Path]:
    """Return the JSON schemas of the package."""
    return sorted(PACKAGE.rglob("*.schema.json"), key=lambda path: path.name)


def schema_page() -> str:
    """Return a page with a table for each schema: the keys of its first level."""
    lines = [
        "# Schemas",
        "",
        "The files that sciml-data reads and writes have JSON schemas. They are in the package, "
        "and each is used before a file is written or believed.",
        "",
    ]
    for path in schemas():
        schema = json.loads(path.read_text(encoding="utf-8"))
        lines += [f"## {path.name.removesuffix('.schema.json')}", ""]
        lines += [schema.get("description") or schema.get("title", ""), ""]
        place = path.relative_to(ROOT).as_posix()
        lines += [f"[{path.name}](schemas/{path.name}), in the package `{place}`.", ""]
        rows = schema.get("properties", {})
        required = set(schema.get("required", ()))
        if rows:
            lines += ["| key | type | required | |", "|---|---|---|---|"]
        for key, value in rows.items():
            kind = value.get("type", "object" if "$ref" in value else "any")
            kind = " or ".join(kind) if isinstance(kind, list) else kind
            meaning = str(value.get("description", "")).replace("|", "\\|").replace("\n", " ")
            lines.append(f"| `{key}` | {kind} | {'yes' if key in required else ''} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def card(source: str, page: str) -> str:
    """Return the text of a Markdown file of the repository as a page."""
    text = (ROOT / source).read_text(encoding="utf-8")
    task = ROOT / Path(source).with_name("task.toml")
    return rewrite(with_overview(text, task) if task.exists() else text, source, page)


def with_overview(text: str, task: Path) -> str:
    """Return the README of a benchmark with the overview of its dataset below the title."""
    dataset = tomllib.loads(task.read_text(encoding="utf-8"))["task"]["dataset"]
    path = f"datapackages/{dataset}/overview.webp"
    if not (ROOT / path).exists():
        return text
    title, _, rest = text.partition("\n")
    return f"{title}\n\n![Overview of {dataset}](../../{path})\n{rest}"


def card_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each dataset and each benchmark."""
    for folder, site in CARDS.items():
        for path in sorted((ROOT / folder).glob("*/README.md")):
            page = f"{site}/{path.parent.name}.md"
            yield page, card(path.relative_to(ROOT).as_posix(), page)
