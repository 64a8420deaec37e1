"""Options that several verbs share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.program import UserPath, set_trust
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data import LoadedBenchmark
    from sciml_data.home import Home


SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([MGT]B)", re.IGNORECASE)
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}

dataset_argument = click.argument("dataset", shell_complete=completion.datasets)
registry_option = click.option(
    "--registry",
    metavar="DIR",
    type=UserPath(file_okay=False),
    multiple=True,
    help="Registry folder. Repeated: the folders are searched in order; the built-in registry is "
    "always searched last. Default: SCIML_DATA_REGISTRY.",
)
home_option = click.option(
    "--home",
    metavar="DIR",
    type=UserPath(file_okay=False),
    multiple=True,
    help="Folder of all data and runs. Repeated: further folders are shared homes, which are only "
    "read. Default: SCIML_DATA_HOME, then the user's data folder.",
)
runs_option = click.option(
    "--runs",
    "runs_folder",
    metavar="DIR",
    type=UserPath(file_okay=False),
    help="Folder of the runs. Default: SCIML_DATA_RUNS, then `runs` in the home.",
)
wait_option = click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait while another process works on the same data, or fail at once.",
)
version_option = click.option(
    "--version",
    metavar="VERSION",
    help="Version of the dataset. Default: the newest.",
    shell_complete=completion.versions,
)
mirror_option = click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Mirror to try before those of the registry: file:DIR, http(s)://HOST/… or s3://BUCKET/…. "
    "Its folders follow HOST/PATH of the public URLs, the public bucket, or the dataset itself. "
    "Can be repeated; also read from SCIML_DATA_MIRRORS. Passwords and proxies: "
    "docs/how-to/networks.md.",
)
sample_option = click.option(
    "--sample",
    is_flag=True,
    help="Use the synthetic sample, which is generated offline from a seed.",
)
seed_option = click.option(
    "--sample-seed",
    metavar="N",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the synthetic sample.",
)
sample_set_option = click.option(
    "--sample-set",
    "sample_set",
    multiple=True,
    metavar="KEY=VALUE",
    help="Size of the synthetic sample. Can be repeated. A wrong KEY lists the known keys.",
)


trust_option = click.option(
    "--trust-code",
    is_flag=True,
    expose_value=False,
    callback=set_trust,
    help="Run the code of registries besides the built-in registry without a question: it has all "
    "your rights. Also SCIML_DATA_TRUST_CODE=1.",
)


class _Size(click.ParamType[int]):
    """A number of bytes with a unit: 20GB, 500MB."""

    name = "size"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 - click passes it
    ) -> int:
        """Return the number of bytes."""
        text = str(value).strip()
        match = SIZE.fullmatch(text)
        if match is None:
            option = param.opts[0] if param else ""
            # A shell gives `20 GB` as two words, of which this is the first one.
            size = f"{text}GB" if SIZE.fullmatch(f"{text}GB") else "20GB"
            raise CallError(
                f"invalid value for {option}: {value!r} is not a size such as 20GB, 500MB or 1.5TB",
                untouched="nothing was done",
                hint=f"{option} {size}, without a space".strip(),
            )
        return int(float(match[1]) * UNITS[match[2].upper()])


stream_option = click.option(
    "--stream",
    is_flag=True,
    help="Read the published ready form from a mirror while training, and fetch no files. Every "
    "chunk is checked.",
)
cache_option = click.option(
    "--cache",
    "cache_bytes",
    type=_Size(),
    metavar="SIZE",
    help="Largest size of the cache of streamed chunks in the home, such as 20GB.  [default: 20GB]",
)


variant_option = click.option(
    "--variant",
    metavar="NAME",
    help="Variant of the task, for benchmarks with several.",
    shell_complete=completion.variants,
)
task_dataset_option = click.option(
    "--dataset",
    metavar="ID",
    help="Dataset to use, for benchmarks with several.",
    shell_complete=completion.task_datasets,
)


def benchmark_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a task of a benchmark to a command."""
    options = [
        click.option(
            "--split",
            metavar="NAME",
            help="Split of the benchmark. Default: the headline split.",
            shell_complete=completion.splits,
        ),
        variant_option,
        task_dataset_option,
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a setting of the task. Can be repeated.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def load_named_benchmark(benchmark: str, options: Mapping[str, Any]) -> LoadedBenchmark:
    """Return the benchmark that the options of a verb choose, on its data."""
    from sciml_data import load_benchmark
    from sciml_data.cli.output import log

    if options["sample_set"] and not options["sample"]:
        raise CallError("--sample-set needs --sample", untouched="nothing was read")
    names = (
        "split", "variant", "dataset", "sample", "sample_seed", "sample_set", "mirrors",
        "registry", "home", "wait",
    )  # fmt: skip
    given = {name: options[name] for name in names}
    return load_benchmark(benchmark, settings=options["overrides"], log=log, **given)


def home_of(options: Mapping[str, Any]) -> Home:
    """Return the home that the options --home, --runs and --wait of a verb describe."""
    from sciml_data.cli.output import log
    from sciml_data.home import find_home

    wait = options.get("wait")
    return find_home(options["home"], runs=options["runs_folder"], wait=wait, log=log)


def refuse_options(form: str, options: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Raise an error that lists all given options which a format does not accept.

    Args:
        form: name of the format.
        options: values of all options.
        refused: parameter -> how the option is typed.
    """
    given = [typed for key, typed in refused.items() if options[key] not in (None, False, ())]
    if given:
        raise CallError(
            f"{form} does not accept {', '.join(given)}",
            untouched="nothing was written",
            hint="sciml-data export --help",
        )
