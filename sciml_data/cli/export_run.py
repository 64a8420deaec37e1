"""The half of `sciml-data export` for benchmarks and their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sciml_data.cli.options import home_of, refuse_options
from sciml_data.cli.output import check_output, log_one_left_out, print_or_write
from sciml_data.errors import CallError, nearest

# Options for datasets only, and options that some formats of a run accept: parameter -> as typed.
DATASET_OPTIONS = {
    "version": "--version",
    "format_": "--format",
    "sample": "--sample",
    "sample_seed": "--sample-seed",
    "shard_mb": "--shard-mb",
}
RUNS_OPTIONS = {"home": "--home", "runs_folder": "--runs"}
OPTIONS_OF_SOME = {"org": "--org", "with_predictions": "--with-predictions"}


def export_benchmark(form: str, name: str, options: dict[str, Any]) -> bool:
    """Print or write a benchmark in a format, if the format has benchmarks and NAME is one.

    Args:
        form: name of the format.
        name: of a benchmark, or of anything else.
        options: values of the command's options.

    Returns:
        Whether NAME is a benchmark that was exported.

    Raises:
        CallError: no such target, or an option the format does not accept.
        DescriptorError: the benchmark is not valid.
    """
    from sciml_data.bench import load_task
    from sciml_data.registry import find_registry
    from sciml_data.results.exports import BENCHMARK_FORMS, BenchmarkRequest
    from sciml_data.results.exports import export_benchmark as export

    registry = find_registry(options["registry"])
    if form not in BENCHMARK_FORMS or name not in registry.benchmarks():
        return False
    refuse_options(
        f"{form} of a benchmark", options, DATASET_OPTIONS | OPTIONS_OF_SOME | RUNS_OPTIONS
    )
    to = None if options["to"] is None else Path(options["to"])
    if to is not None:
        check_output(to)
    request = BenchmarkRequest(load_task(registry.runner(name)), registry)
    print_or_write(export(form, request), to)
    return True


def export_run(form: str, name: str, options: dict[str, Any]) -> None:
    """Print or write a run in a format.

    Args:
        form: name of the format.
        name: path or id of the run, or `latest`.
        options: values of the command's options.

    Raises:
        CallError: no such format, run or target, or an option the format does not accept.
        RecordError: the run cannot be exported in this format.
    """
    from sciml_data.bench import load_record
    from sciml_data.registry import find_registry
    from sciml_data.results.exports import RUN_FORMS, ExportRequest, installed_exports
    from sciml_data.results.exports import export_run as export

    offered = installed_exports()
    if form not in {*RUN_FORMS, *offered}:
        _refuse_unknown(form, [*RUN_FORMS, *offered], name, options)
    run_form = RUN_FORMS.get(form)  # None for the export of an installed package
    accepted = run_form.options if run_form is not None else tuple(OPTIONS_OF_SOME)
    writes_target = run_form is not None and run_form.writes_target
    not_accepted = {key: text for key, text in OPTIONS_OF_SOME.items() if key not in accepted}
    refuse_options(form, options, DATASET_OPTIONS | not_accepted)
    to = options["to"]
    if to is not None and not writes_target:
        check_output(Path(to))
    folder = _find_run(form, name, options)
    request = ExportRequest(
        folder,
        load_record(folder),
        find_registry(options["registry"]),
        to=to,
        org=options["org"],
        with_predictions=options["with_predictions"],
    )
    text = export(form, request)
    if writes_target:  # the export wrote the target itself, and returned its path
        print_or_write(f"{text}\n", None)
    else:
        print_or_write(text, None if to is None else Path(to))


def _find_run(form: str, name: str, options: dict[str, Any]) -> Path:
    """Return the folder of a run; an error names the benchmark that was meant, if there is one."""
    from sciml_data.bench import find_run
    from sciml_data.registry import find_registry
    from sciml_data.results.exports import BENCHMARK_FORMS

    try:
        return find_run(home_of(options), name, on_left_out=log_one_left_out)
    except CallError as error:
        registry = find_registry(options["registry"])
        known = registry.benchmarks()
        if form in BENCHMARK_FORMS:
            what, hint = "benchmark or run", f"benchmarks: {', '.join(known)}; or {error.hint}"
        elif name in {*known, *registry.datasets()}:
            kind = "benchmark" if name in known else "dataset"
            what, hint = "run", f"{name} is a {kind}, and {form} is a format of runs: {error.hint}"
        else:
            raise
        raise CallError(
            f"no such {what}: {name!r}{nearest(name, known)}",
            untouched="nothing was written",
            hint=hint,
        ) from error


def _refuse_unknown(form: str, run_forms: list[str], name: str, options: dict[str, Any]) -> None:
    from sciml_data.metadata import FORMS
    from sciml_data.registry import find_registry
    from sciml_data.results.exports import BENCHMARK_FORMS

    if form in BENCHMARK_FORMS:
        benchmarks = find_registry(options["registry"]).benchmarks()
        raise CallError(
            f"{form} is a format of benchmarks, and {name!r} is not one"
            f"{nearest(name, benchmarks)}; there are {', '.join(benchmarks) or 'none'}",
            untouched="nothing was written",
        )
    known = list(dict.fromkeys([*FORMS, "pooch", "parquet", *run_forms, *BENCHMARK_FORMS]))
    raise CallError(
        f"no such format: {form!r}{nearest(form, known)}; known formats: {', '.join(known)}",
        untouched="nothing was written",
        hint="sciml-data export croissant tevolop_socal",
    )
