"""`sciml-data export`: write a dataset's description, or a run, in a standard format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import home_option, registry_option, version_option

if TYPE_CHECKING:
    from sciml_data.results.exports.forms import RunForm

# Options that only some formats accept: parameter -> how it is typed.
DATASET_OPTIONS = {"version": "--version", "format_": "--format"}
RUN_OPTIONS = {"org": "--org", "with_predictions": "--with-predictions"}


@click.command(
    epilog="""\b
Dataset (ID):
  sciml-data export croissant tevolop_socal
  sciml-data export datacite uno_ccle --version 1.0 --format xml
  sciml-data export rocrate uno_ccle --to ro-crate-metadata.json
  sciml-data export dcat cloud_slstr_ds1 --format turtle

\b
Run (RUN is a path, an id or `latest`):
  sciml-data export run-crate latest --to crate.zip
  sciml-data export run-crate tevolop/latest --to crate/ --with-predictions --org "My Laboratory"
  sciml-data export mlflow latest --to sqlite:///runs.db
  sciml-data export every-eval-ever latest --to eval.json
  sciml-data export catalogue latest
"""
)
@click.argument("form", metavar="FORM")
@click.argument("name", metavar="ID|RUN")
@version_option
@registry_option
@home_option
@click.option(
    "--format",
    "format_",
    metavar="FORMAT",
    help="File format: json; also xml for datacite and turtle for dcat.",
)
@click.option(
    "--to",
    metavar="PLACE",
    help="Target file. Default: stdout. run-crate: a folder or .zip; mlflow: a URI.",
)
@click.option(
    "--org",
    metavar="NAME",
    help="Organisation that made the run; no record contains it. Not for catalogue.",
)
@click.option(
    "--with-predictions",
    is_flag=True,
    help="Include the predictions, not only their digest (run-crate, mlflow).",
)
def command(form: str, name: str, **options: Any) -> None:
    """Print the description of a dataset, or a run, in the format FORM.

    FORM of a dataset ID: croissant, datacite, schema.org, rocrate or dcat. FORM of a RUN:
    run-crate, mlflow (these two need --to), every-eval-ever or catalogue.

    No file is fetched. docs/exports.md and docs/run-exports.md list the information that each
    format carries and omits.
    """
    from sciml_data.results.exports.forms import RUN_FORMS

    if form in RUN_FORMS:
        _refuse(form, options, DATASET_OPTIONS)
        _export_run(form, name, options, RUN_FORMS[form])
    else:
        _export_dataset(form, name, options)


def _export_run(form: str, name: str, options: dict[str, Any], export: RunForm) -> None:
    from sciml_data.bench.record.record import load_record
    from sciml_data.bench.record.runs import find_run
    from sciml_data.home import find_home
    from sciml_data.registry.layout import find_registry
    from sciml_data.results.exports import Ask, export_run
    from sciml_data.results.exports.forms import check_text_place

    _refuse(
        form, options, {key: RUN_OPTIONS[key] for key in RUN_OPTIONS if key not in export.takes}
    )
    to = options["to"]
    if to is not None and not export.is_place:
        check_text_place(Path(to))
    folder = find_run(find_home(options["home"]), name)
    ask = Ask(
        folder,
        load_record(folder),
        find_registry(options["registry"]),
        to=to,
        org=options["org"],
        with_predictions=options["with_predictions"],
    )
    text = export_run(form, ask)
    _write(text if not export.is_place else f"{text}\n", None if export.is_place else to)


def _export_dataset(form: str, name: str, options: dict[str, Any]) -> None:
    from sciml_data.metadata.facts import facts_of
    from sciml_data.metadata.forms import FORMS, find_form, write_form
    from sciml_data.registry.descriptor import load_descriptor
    from sciml_data.registry.layout import find_registry
    from sciml_data.results.exports.forms import RUN_FORMS, check_text_place

    if form not in FORMS:
        _refuse_unknown(form, [*FORMS, *RUN_FORMS])
    _refuse(form, options, RUN_OPTIONS | {"home": "--home"})
    export = find_form(form, options["format_"])
    to = options["to"]
    if to is not None:
        check_text_place(Path(to), file_name=export.file_name)
    facts = facts_of(load_descriptor(find_registry(options["registry"]), name, options["version"]))
    _write(write_form(facts, export), to)


def _write(text: str, to: str | None) -> None:
    """Print a text, or write it to a file."""
    if to is None:
        click.echo(text, nl=False)
        return
    from sciml_data.home import write_atomically

    write_atomically(Path(to), text)


def _refuse_unknown(form: str, known: list[str]) -> None:
    from sciml_data.errors import CallError, nearest

    raise CallError(
        f"no such format: {form!r}{nearest(form, known)}; known formats: {', '.join(known)}",
        untouched="nothing was written",
        hint="sciml-data export croissant tevolop_socal",
    )


def _refuse(form: str, options: dict[str, Any], others: dict[str, str]) -> None:
    """Raise an error that lists all options the format does not accept."""
    from sciml_data.errors import CallError

    given = [typed for key, typed in others.items() if options[key] not in (None, False)]
    if given:
        raise CallError(
            f"{form} does not accept {', '.join(given)}",
            untouched="nothing was written",
            hint="sciml-data export --help",
        )
