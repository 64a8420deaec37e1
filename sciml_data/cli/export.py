"""`sciml-data export`: write a dataset, a benchmark or a run in a standard format.

The export of benchmarks and runs is a module of its own, because a dataset's export needs no
benchmark code.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    home_option,
    refuse_options,
    registry_option,
    runs_option,
    sample_option,
    seed_option,
    version_option,
)
from sciml_data.cli.output import check_output, print_or_write
from sciml_data.cli.program import Verb

# Options for runs only: parameter -> how it is typed.
RUN_OPTIONS = {
    "home": "--home",
    "runs_folder": "--runs",
    "org": "--org",
    "with_predictions": "--with-predictions",
}
# Options for the data themselves only, in the same way.
DATA_OPTIONS = {"sample": "--sample", "sample_seed": "--sample-seed", "shard_mb": "--shard-mb"}


@click.command(
    cls=Verb,
    epilog="""\b
Dataset (ID):
  sciml-data export croissant tevolop_socal
  sciml-data export datacite uno_ccle --version 1.0 --format xml
  sciml-data export rocrate uno_ccle --to ro-crate-metadata.json
  sciml-data export dcat cloud_slstr_ds1 --format turtle
  sciml-data export pooch uno_ccle --version 1.0 --to registry.txt

\b
Data of a converted dataset (ID), for Hugging Face datasets, polars and DuckDB:
  sciml-data export parquet uno_ccle --to uno_ccle-parquet
  sciml-data export parquet em_graphene_sim --sample --to graphene --shard-mb 100

\b
References to chunks of a ready form (ID), for kerchunk, fsspec and zarr:
  sciml-data export kerchunk cloud_slstr_ds1 --to references.json

\b
Run (RUN is a path, an id or `latest`):
  sciml-data export run-crate latest --to crate.zip
  sciml-data export run-crate tevolop/latest --to crate/ --with-predictions --org "My Laboratory"
  sciml-data export mlflow latest --to sqlite:///runs.db
  sciml-data export every-eval-ever latest --to eval.json
  sciml-data export catalogue latest
  sciml-data export croissant-task uno/latest --org "My Laboratory"
  sciml-data export spdx latest --to spdx.json

\b
Benchmark (BENCHMARK):
  sciml-data export croissant-task uno --to croissant-task.json
  sciml-data export catalogue tevolop --to tevolop.yaml
  sciml-data export formal cloudmask --to cloudmask.md
""",
)
@click.argument("form", metavar="FORM")
@click.argument("name", metavar="ID|RUN|BENCHMARK", shell_complete=completion.exported)
@version_option
@registry_option
@home_option
@runs_option
@click.option(
    "--format",
    "format_",
    metavar="FORMAT",
    help="File format: json; also xml for datacite and turtle for dcat.",
)
@click.option(
    "--to",
    metavar="PLACE",
    # A URI is not a path: UserPath would turn `file:///x` into `file:/x`.
    callback=lambda _context, _param, value: value and os.path.expanduser(value),  # noqa: PTH111
    help="Target file. Default: stdout. parquet: a folder; run-crate: a folder or .zip; "
    "mlflow: a URI.",
)
@sample_option
@seed_option
@click.option(
    "--shard-mb",
    type=click.IntRange(1),
    metavar="MB",
    help="Largest size of a Parquet file before compression, in MB. Default: 537.",
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
    """Print the description of a dataset, a benchmark or a run in the format FORM.

    FORM of a dataset ID: croissant, datacite, schema.org, rocrate, dcat or pooch (a registry file
    for pooch.Pooch.load_registry). FORM of a RUN: run-crate, mlflow (these two need --to),
    every-eval-ever, catalogue, croissant-task or spdx (an AI bill of materials). FORM of a
    BENCHMARK: croissant-task, catalogue or formal (Markdown in the working group's seven headings).
    FORM parquet of an ID writes the ready files as Parquet into the folder --to; an interrupted
    export is resumed. FORM kerchunk of an ID writes references to the chunks of its published ready
    form, else of the ready files here. Installed packages may offer further forms.

    No file of data is fetched. docs/reference/exports.md and docs/reference/run-exports.md list the
    information that each format carries and omits.
    """
    from sciml_data.metadata import FORMS
    from sciml_data.registry import installed

    own = {
        **dict.fromkeys(FORMS, _export_dataset),
        "pooch": _export_pooch,
        "parquet": _export_parquet,
        "kerchunk": _export_kerchunk,
    }
    if form in own:
        installed("exports", own)  # names an installed export with the name of one of these
        own[form](form, name, options)
        return
    from sciml_data.cli.export_run import export_benchmark, export_run
    from sciml_data.results.exports import load_export

    module = load_export(form)
    if hasattr(module, "export_dataset"):
        _export_with(module, form, name, options)
    elif not export_benchmark(form, name, options):
        export_run(form, name, options)


def _export_dataset(form: str, name: str, options: dict[str, Any]) -> None:
    from sciml_data import describe
    from sciml_data.metadata import facts_of, find_form, write_form

    refuse_options(form, options, RUN_OPTIONS | DATA_OPTIONS)
    export = find_form(form, options["format_"])
    to = None if options["to"] is None else Path(options["to"])
    if to is not None:
        check_output(to, file_name=export.file_name)
    descriptor = describe(name, version=options["version"], registry=options["registry"])
    print_or_write(write_form(facts_of(descriptor), export), to)


def _export_with(module: Any, form: str, name: str, options: dict[str, Any]) -> None:
    """Write the description of a dataset with the export of an installed package."""
    from sciml_data import describe
    from sciml_data.metadata import facts_of
    from sciml_data.results.exports import as_text

    refuse_options(form, options, RUN_OPTIONS | DATA_OPTIONS | {"format_": "--format"})
    to = None if options["to"] is None else Path(options["to"])
    if to is not None:
        check_output(to)
    descriptor = describe(name, version=options["version"], registry=options["registry"])
    print_or_write(as_text(form, module.export_dataset(facts_of(descriptor))), to)


def _export_pooch(_form: str, name: str, options: dict[str, Any]) -> None:
    from sciml_data import describe
    from sciml_data.integrations import to_pooch_registry

    refuse_options("pooch", options, RUN_OPTIONS | DATA_OPTIONS | {"format_": "--format"})
    to = None if options["to"] is None else Path(options["to"])
    if to is not None:
        check_output(to, file_name="registry.txt")
    descriptor = describe(name, version=options["version"], registry=options["registry"])
    print_or_write(to_pooch_registry(descriptor), to)


def _export_kerchunk(_form: str, name: str, options: dict[str, Any]) -> None:
    from sciml_data import kerchunk_references

    runs = {key: typed for key, typed in RUN_OPTIONS.items() if key != "home"}
    refuse_options("kerchunk", options, runs | {"format_": "--format", "shard_mb": "--shard-mb"})
    to = None if options["to"] is None else Path(options["to"])
    if to is not None:
        check_output(to, file_name="references.json")
    names = ("version", "sample", "sample_seed", "registry", "home")
    references = kerchunk_references(name, **{key: options[key] for key in names})
    print_or_write(json.dumps(references, separators=(",", ":")) + "\n", to)


def _export_parquet(_form: str, name: str, options: dict[str, Any]) -> None:
    from sciml_data.cli.export_parquet import export_parquet

    export_parquet(name, options)
