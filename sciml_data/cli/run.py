"""`sciml-data run`: train and score a benchmark, and write its record."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import (
    cache_option,
    home_of,
    home_option,
    mirror_option,
    registry_option,
    runs_option,
    sample_option,
    sample_set_option,
    seed_option,
    stream_option,
    task_dataset_option,
    trust_option,
    variant_option,
    wait_option,
)
from sciml_data.cli.output import log, log_one_left_out
from sciml_data.cli.program import Verb
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sciml_data.bench import OwnModel, Request, Sample, Source
    from sciml_data.home import Home

    Log = Callable[[str], None]


# Parameters that a resumed run keeps -> how they are typed.
FIXED = {
    "model": "--model",
    "variant": "--variant",
    "dataset": "--dataset",
    "split": "--split",
    "seed": "--seed",
    "seeds": "--seeds",
    "overrides": "--set",
    "name": "--name",
    "sample": "--sample",
    "sample_set": "--sample-set",
}


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data run tevolop --sample
  sciml-data run tevolop --model reference-lstm --split temporal --seed 1
  sciml-data run tevolop --split spatial-400-100 --seeds 0-4
  sciml-data run tevolop --help-settings
  sciml-data run tevolop --set epochs=20 --set learning_rate=0.001
  sciml-data run cloudmask --model reference --budget 10min
  sciml-data run uno --variant dose --dataset uno_ccle --split drug
  sciml-data run uno --model my_model.py:build --set width=128
  sciml-data run tevolop --resume latest
  sciml-data run tevolop --strategy mirrored:2 --threads 2
  sciml-data run tevolop --stage-only
  sciml-data run cloudmask --stream --cache 50GB
  srun --nodes=2 sciml-data run tevolop --nodes 2 --name first
""",
)
@click.argument("benchmark", shell_complete=completion.benchmarks)
@click.option(
    "--model",
    metavar="NAME | FILE.py[:FUNCTION]",
    help="Model to train: a model of the benchmark, or a function of your Python file, `build` by "
    "default; docs/how-to/own-model.md explains it. Default: the first model of the benchmark.",
    shell_complete=completion.models,
)
@click.option(
    "--split",
    metavar="NAME",
    help="Split to train and score on. Default: the headline split.",
    shell_complete=completion.splits,
)
@variant_option
@task_dataset_option
@click.option(
    "--seed", metavar="N", type=int, help="Seed of weights, dropout and batch order.  [default: 0]"
)
@click.option(
    "--seeds",
    metavar="A-B",
    help="Seeds of several runs, as 0-4 or 0,2,5; their median is printed.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting of the task. Can be repeated.",
)
@click.option(
    "--budget",
    metavar="TIME",
    help="Longest time of training and validation, as 90s, 10min or 2h, for each seed. The run "
    "stops at the end of a step and is scored as usual; its record says how far it came. --resume "
    "with a longer time continues it.",
)
@click.option(
    "--help-settings",
    is_flag=True,
    help="Print every setting with its default, allowed values, unit and meaning, and stop.",
)
@sample_option
@seed_option
@sample_set_option
@mirror_option
@stream_option
@cache_option
@click.option(
    "--resume",
    metavar="RUN",
    help="Run to resume: a path, an id or `latest`.",
    shell_complete=completion.runs,
)
@click.option(
    "--strategy",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Distribution strategy: auto, default, mirrored, mirrored:N or multiworker.",
)
@click.option(
    "--backend", metavar="NAME", help="Backend of Keras: tensorflow, or jax (experimental)."
)
@click.option(
    "--threads", metavar="N", type=click.IntRange(1), help="Number of threads of the backend."
)
@click.option(
    "--nodes",
    metavar="N",
    type=click.IntRange(1),
    help="Number of nodes of the Slurm step around this command; see `sbatch`.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the run's folder. An existing run with this name is resumed.",
)
@click.option(
    "--clear-cache",
    is_flag=True,
    help="Evict the data from the page cache first; the record says so.",
)
@click.option(
    "--monitor",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Sampling interval of the resource monitor (0 disables it).",
)
@click.option(
    "--stage-only", is_flag=True, help="Stop after the data are fetched, verified and converted."
)
@registry_option
@trust_option
@home_option
@runs_option
@wait_option
@click.option("--json", "as_json", is_flag=True, help="Print the record (or records) as JSON.")
def command(benchmark: str, *, as_json: bool, **options: Any) -> None:
    """Train and score BENCHMARK; print the scores beside every baseline, then the run's folder.

    The dataset is fetched, verified and converted if necessary. The model is trained on the
    training part of the split, the weights with the best validation score are used, and every part
    is scored. --resume resumes an interrupted run. In a Slurm step with several tasks, the tasks
    are the workers of a single run; the first worker writes and prints.
    """
    from sciml_data.bench import load_record, run_headline, spread_table

    if options["help_settings"]:
        _print_settings(benchmark, options, as_json=as_json)
        return
    folders = _run(
        benchmark,
        options,
        home_of(options),
    )
    if not folders:  # staged only, or a worker that does not write
        return
    records = [load_record(folder) for folder in folders]
    if as_json:
        click.echo(json.dumps(records if options["seeds"] else records[0], indent=2))
        return
    for record in records[:1] if len(records) == 1 else []:
        click.echo(run_headline(record, leakage=False))  # printed when the data were prepared
    if len(records) > 1:
        click.echo(spread_table(records))
    for folder in folders:
        click.echo(folder)


def _print_settings(benchmark: str, options: dict[str, Any], *, as_json: bool) -> None:
    from sciml_data.bench import (
        choose_variant,
        is_own_model,
        load_task,
        outline_of,
        setting_rows,
        settings_help,
        with_own_model,
    )
    from sciml_data.registry import find_registry

    task = load_task(find_registry(options["registry"]).runner(benchmark))
    chosen = choose_variant(task, options["variant"], options["dataset"])
    if is_own_model(options["model"]):
        outline_of(options["model"])
        chosen = with_own_model(chosen, _own_model(options))
    if as_json:
        click.echo(json.dumps(setting_rows(chosen), indent=2, ensure_ascii=False))
    else:
        click.echo(settings_help(chosen))


def read_seeds(text: str) -> list[int]:
    """Return the seeds of `0-4` or `0,2,5`.

    Raises:
        CallError: the text has neither form, or repeats a seed.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) != len(seeds):
        raise CallError(
            f"--seeds {text!r} is not a list of different seeds",
            untouched="nothing was run",
            hint="--seeds 0-4 or --seeds 0,2,5",
        )
    return seeds


def _run(benchmark: str, options: dict[str, Any], home: Home) -> list[Path]:
    """Run once for each seed; return the folders, an empty list in workers after the first."""
    from sciml_data.bench import named_run_folder, prepare, require_runs_folder, run_once

    if options["cache_bytes"] is not None and not options["stream"]:
        raise CallError("--cache needs --stream", untouched="nothing was run")
    folder, request, seeds, sample = read_request(benchmark, options, home)
    if options["stage_only"]:
        _stage(request, options, home, sample, log)
        return []
    require_runs_folder(home)
    worker_log = _join_workers(request, options["nodes"])
    stage = partial(_stage, request, options, home, sample, worker_log)
    prepared = prepare(request, lambda _task: stage(), log=worker_log)
    folders = []
    for seed in seeds:
        name = options["name"] and options["name"] + (f"-s{seed}" if len(seeds) > 1 else "")
        folder = named_run_folder(home, benchmark, name) if name else folder
        folders.append(
            run_once(
                prepared,
                seed,
                home=home,
                resume=folder,
                is_shared=len(seeds) > 1,
                monitor_s=options["monitor"],
                log=worker_log,
            )
        )
    return [folder for folder in folders if folder is not None]


def _join_workers(request: Request, nodes: int | None) -> Log:
    """Check the request, join the workers of a Slurm step, and return this worker's log."""
    from sciml_data.bench import (
        check_nodes,
        check_request,
        import_tensorflow_quietly,
        is_first_worker,
        join_cluster,
    )
    from sciml_data.bench.training import backend

    if nodes:
        check_nodes(os.environ, nodes, benchmark=request.benchmark, strategy=request.strategy)
    check_request(request)
    join_cluster(os.environ, request.strategy)
    if os.environ[backend.VARIABLE] == "tensorflow":
        import_tensorflow_quietly()
    return log if is_first_worker(os.environ) else _discard


def _stage(
    request: Request, options: dict[str, Any], home: Home, sample: Sample | None, log: Log
) -> Source:
    """Fetch and convert the data of the request, or its sample, and return them."""
    from sciml_data.bench import check_names, stage

    return stage(
        check_names(request),
        request.registry,
        home=home,
        mirrors=options["mirrors"],
        clear_cache=options["clear_cache"],
        stream=options["stream"],
        cache_bytes=options["cache_bytes"],
        sample=sample,
        log=log,
    )


def read_request(
    benchmark: str, options: dict[str, Any], home: Home
) -> tuple[Path | None, Request, list[int], Sample | None]:
    """Return (run to resume, request, seeds, synthetic sample)."""
    from dataclasses import replace

    from sciml_data.bench import Request, Sample, check_outline, is_own_model, read_duration
    from sciml_data.registry import find_registry

    common = {name: options[name] for name in ("strategy", "threads", "backend")}
    if options["budget"]:
        common["budget_s"] = read_duration(options["budget"])
    registry = find_registry(options["registry"])
    if options["resume"]:
        return _resumed(benchmark, options, home, Request(benchmark, registry, **common))
    if options["name"]:
        from sciml_data.bench import named_run_folder

        named_run_folder(home, benchmark, options["name"])  # raises an error for an unusable name
    if options["seed"] is not None and options["seeds"]:
        raise CallError("--seed and --seeds cannot be used together", untouched="nothing was run")
    request = Request(
        benchmark,
        registry,
        model=None if is_own_model(options["model"]) else options["model"],
        split=options["split"],
        variant=options["variant"],
        dataset=options["dataset"],
        overrides=options["overrides"],
        is_sample=options["sample"],
        **common,
    )
    if options["sample_set"] and not options["sample"]:
        raise CallError("--sample-set needs --sample", untouched="nothing was run")
    seeds = read_seeds(options["seeds"]) if options["seeds"] else [options["seed"] or 0]
    sample = Sample(options["sample_seed"], options["sample_set"]) if options["sample"] else None
    if is_own_model(options["model"]):
        check_outline(request, options["model"])
        own = _own_model(options)
        request = replace(request, own=own, model=own.name)
    return None, request, seeds, sample


def _own_model(options: dict[str, Any]) -> OwnModel:
    """Return the user's own model: the file that --model names is executed."""
    from sciml_data.bench import import_tensorflow_quietly, read_own_model
    from sciml_data.bench.training import backend

    backend.choose(options["backend"])  # the file may import Keras
    import_tensorflow_quietly()
    return read_own_model(options["model"])


def _resumed(
    benchmark: str, options: dict[str, Any], home: Home, request: Request
) -> tuple[Path, Request, list[int], Sample | None]:
    """Return the values of `read_request` for a resumed run, from its record."""
    from dataclasses import replace

    from sciml_data.bench import LATEST, Sample, find_run, is_own_model, load_record

    _refuse_fixed(options, is_own=is_own_model(options["model"]))
    name = f"{benchmark}/{LATEST}" if options["resume"] == LATEST else options["resume"]
    folder = find_run(home, name, on_left_out=log_one_left_out)
    record = load_record(folder)
    if record["benchmark"]["name"] != benchmark:
        raise CallError(f"run {folder.name} belongs to benchmark {record['benchmark']['name']!r}")
    used = record["distribution"].get("backend", "tensorflow")
    if options["backend"] not in {None, used}:
        raise CallError(f"run {folder.name} was started with --backend {used}")
    own = _resumed_model(options, record, folder)
    variant = record["benchmark"].get("variant")
    request = replace(
        request,
        backend=used,
        own=own,
        variant=variant,
        dataset=record["dataset"]["id"] if variant else None,
        model=record["model"]["name"],
        split=record["split"]["name"],
        settings=record["settings"],
        overridden=tuple(record["settings_overridden"]),
        is_sample=record["synthetic"],
        budget_s=request.budget_s or record.get("budget", {}).get("budget_seconds"),
    )
    return folder, request, [record["seeds"]["seed"]], Sample.of(record["dataset"])


def _refuse_fixed(options: dict[str, Any], *, is_own: bool) -> None:
    """Raise CallError if an option is given that a resumed run keeps."""
    # Seed 0 was typed, although it counts as false and equals False.
    given = [
        typed
        for name, typed in FIXED.items()
        if not (options[name] is None or options[name] is False or options[name] == ())
        and not (name == "model" and is_own)
    ]
    if given:
        raise CallError(
            f"{', '.join(given)} cannot be used with --resume: a resumed run keeps its options",
            untouched="the run was not changed",
        )


def _resumed_model(
    options: dict[str, Any], record: dict[str, Any], folder: Path
) -> OwnModel | None:
    """Return the user's own model with the name that it has in the settings of the run."""
    from dataclasses import replace

    from sciml_data.bench import is_own_model, outline_of, require_same_model
    from sciml_data.bench.record import is_external

    if is_external(record):
        raise CallError(
            f"run {folder.name} has external predictions: nothing was trained, so nothing can be "
            "resumed",
            untouched="the run was not changed",
        )
    source = record["model"]["source"]
    is_own = is_own_model(options["model"])
    if source and not is_own:
        # The copy in the run's folder is not executed unasked: a stranger may have sent the run.
        raise CallError(
            f"run {folder.name} trains a model of {source['file']}, which is needed to resume it",
            untouched="the run was not changed",
            hint=f"--model {source['file']}:{source['function']}",
        )
    if not is_own:
        return None
    outline_of(options["model"])
    own = _own_model(options)
    require_same_model(record, own.origin)
    return replace(own, name=record["model"]["name"], file=source["file"])


def _discard(_line: str) -> None:
    """Print nothing: only the first worker of a run prints."""
