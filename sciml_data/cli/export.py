"""`sciml-data export`: what the registry says of a dataset, in a standard other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from sciml_data.cli.options import registry_option, version_option


@click.command(
    epilog="""\b
Examples:
  sciml-data export croissant tevolop_socal
  sciml-data export datacite uno_ccle --version 1.0 --format xml
  sciml-data export rocrate uno_ccle --to ro-crate-metadata.json
  sciml-data export dcat cloud_slstr_ds1 --format turtle
"""
)
@click.argument("form", metavar="FORM")
@click.argument("dataset")
@version_option
@registry_option
@click.option("--format", "format_", metavar="FORMAT", help="json; datacite also xml, dcat turtle.")
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="FILE", help="Write there, not to stdout."
)
def command(
    form: str,
    dataset: str,
    version: str | None,
    registry: Path | None,
    format_: str | None,
    to: Path | None,
) -> None:
    """Print a dataset's description as FORM: croissant, datacite, schema.org, rocrate or dcat.

    Nothing is fetched; everything stands in the registry. docs/exports.md says what each form can
    and cannot tell.
    """
    from sciml_data.descriptor import load_descriptor
    from sciml_data.fair.facts import facts_of
    from sciml_data.fair.forms import find_form, write_form
    from sciml_data.registry import find_registry

    found = find_form(form, format_)
    _refuse_place(to, found.file_name)
    facts = facts_of(load_descriptor(find_registry(registry), dataset, version))
    text = write_form(facts, found)
    if to is None:
        click.echo(text, nl=False)
        return
    from sciml_data.home import write_atomically

    write_atomically(to, text)


def _refuse_place(to: Path | None, file_name: str) -> None:
    from sciml_data.errors import CallError

    if to is None:
        return
    if to.is_dir():
        raise CallError(
            f"{to} is a folder; --to names the file",
            untouched="nothing was written",
            hint=f"--to {to / file_name}",
        )
    if not to.parent.is_dir():
        raise CallError(
            f"the folder {to.parent} is not there",
            untouched="nothing was written",
            hint=f"mkdir -p {to.parent}",
        )
