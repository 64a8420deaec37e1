"""`sciml-data config`: print the settings that are in force, and where each comes from."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from sciml_data import __version__
from sciml_data.cli.options import home_option, registry_option, runs_option
from sciml_data.cli.program import Verb

if TYPE_CHECKING:
    from pathlib import Path

    from sciml_data.registry import RegistryPath

# Variable of the environment -> what it sets.
VARIABLES: Mapping[str, str] = {
    "SCIML_DATA_HOME": "folder of data and runs; further folders are shared homes",
    "SCIML_DATA_RUNS": "folder of the runs",
    "SCIML_DATA_REGISTRY": "registry folders, which are searched before the built-in registry",
    "SCIML_DATA_MIRRORS": "mirrors to try first, separated by spaces",
    "SCIML_DATA_TOKENS": "tokens of hosts, HOST=TOKEN, separated by spaces",
    "SCIML_DATA_ANONYMOUS": "1: do not sign requests to S3",
    "SCIML_DATA_TRUST_CODE": "1: run the code of other registries without a question",
    "KERAS_BACKEND": "backend of training, unless --backend names another",
    "HTTP_PROXY": "proxy for http",
    "HTTPS_PROXY": "proxy for https",
    "ALL_PROXY": "proxy for both",
    "NO_PROXY": "hosts that are reached without a proxy",
    "REQUESTS_CA_BUNDLE": "file of trusted certificate authorities",
    "SSL_CERT_FILE": "file of trusted certificate authorities",
    "AWS_PROFILE": "profile of AWS credentials",
    "AWS_ENDPOINT_URL": "address of an object store that is not Amazon's",
}
HAS_SECRETS = re.compile(r"(?<==)\S+|(?<=//)[^/@\s]+(?=@)")  # a token; user and password
HIDDEN = "…"


@click.command(
    cls=Verb,
    epilog="""\b
Examples:
  sciml-data config
  sciml-data config --json
""",
)
@registry_option
@home_option
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    registry: RegistryPath, home: tuple[Path, ...], runs_folder: Path | None, *, as_json: bool
) -> None:
    """Print home, registries, mirrors, variables, versions and extras that are in force.

    Tokens and passwords are not printed. docs/reference/configuration.md explains each setting.
    """
    facts = configuration(registry, home, runs_folder)
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def configuration(
    registry: RegistryPath, home: tuple[Path, ...], runs_folder: Path | None
) -> dict[str, Any]:
    """Return the settings as values for JSON."""
    from sciml_data.home import find_home
    from sciml_data.registry import find_registry
    from sciml_data.transfer import configuration_path, user_mirrors

    place = find_home(home or None, runs=runs_folder)
    searched = find_registry(registry)
    file = configuration_path()
    return {
        "sciml_data": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "home": str(place.root),
        "shared_homes": [str(folder) for folder in place.shared],
        "runs": str(place.runs_folder),
        "registries": [str(folder) for folder in (searched.root, *searched.below)],
        "mirrors": list(user_mirrors()),
        "configuration_file": str(file) if file is not None and file.is_file() else None,
        "environment": {
            name: HAS_SECRETS.sub(HIDDEN, os.environ[name])
            for name in VARIABLES
            if os.environ.get(name)
        },
        "extras": dict(_extras()),
    }


def _extras() -> Iterator[tuple[str, list[str]]]:
    """Yield each extra and the packages that it lacks."""
    from packaging.requirements import Requirement

    distribution = importlib.metadata.distribution("sciml-data")
    requirements = [Requirement(text) for text in distribution.requires or ()]
    for extra in distribution.metadata.get_all("Provides-Extra") or ():
        wanted = {
            r.name
            for r in requirements
            if r.marker is not None
            and r.marker.evaluate({"extra": extra})
            and not r.marker.evaluate({"extra": ""})
        }
        yield extra, sorted(name for name in wanted if not _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _text(facts: Mapping[str, Any]) -> str:
    lines = [
        f"sciml-data     {facts['sciml_data']}, Python {facts['python']}, {facts['platform']}",
        f"home           {facts['home']}",
        *(f"shared home    {folder}" for folder in facts["shared_homes"]),
        f"runs           {facts['runs']}",
        *(f"registry       {folder}" for folder in facts["registries"]),
        *(f"mirror         {mirror}" for mirror in facts["mirrors"]),
        f"configuration  {facts['configuration_file'] or 'no file'}",
        *(f"environment    {name}={value}" for name, value in facts["environment"].items()),
    ]
    complete = [name for name, lacking in facts["extras"].items() if not lacking]
    lines.append(f"extras         {', '.join(complete) or 'none'}")
    lines += [
        f"not installed  {name}: {', '.join(lacking)}"
        for name, lacking in facts["extras"].items()
        if lacking
    ]
    return "\n".join(lines)
