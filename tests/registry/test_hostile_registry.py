"""A stranger's registry: what is wrong with one entry is a sentence in each verb that reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.cli.check import check_registry
from sciml_data.errors import SciMLDataError
from sciml_data.registry.descriptor import (
    check_address,
    check_descriptor,
    check_reference,
    examine_descriptor,
)
from sciml_data.registry.layout import (
    Registry,
    check_dataset_id,
    check_version,
    find_registry,
)
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry

# Verbs that read descriptors, with their arguments; each is run on the broken version.
VERBS = [
    "list",
    "check",
    "derive --check",
    "describe tides",
    "get tides --dry-run",
    "verify tides",
    "convert tides",
    "cite tides",
    "fair tides",
    "fair --all",
    "export dcat tides",
    "export croissant tides",
    "diff tides 1.0 1.0",
    "catalog",
    "new tides 1.1 --like 1.0",
]


def wrapped(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda content: change(content.decode()).encode(errors="surrogateescape")


def extra(value: str) -> Callable[[bytes], bytes]:
    return wrapped(lambda text: text.rstrip()[:-1] + f', "x": {value}}}')


DESCRIPTORS: dict[str, Callable[[bytes], bytes]] = {
    "nested 200,000 times": lambda _: b"[" * 200_000 + b"]" * 200_000,
    "an object nested 20,000 times": extra('{"a":' * 20_000 + "1" + "}" * 20_000),
    "an array nested 700 times": extra("[" * 700 + "1" + "]" * 700),
    "5,000 digits": extra("9" * 5000),
    "NaN": extra("NaN"),
    "infinite": extra("-1e999"),
    "a key twice": extra('1, "x": 2'),
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "Latin-1": wrapped(lambda text: text.replace("buoys", "b\udcfcys")),
    "half of a surrogate pair": wrapped(lambda text: text.replace("waves at", "\\ud800 at")),
    "NUL": wrapped(lambda text: text.replace("waves at", "\\u0000 at")),
    "NUL byte": wrapped(lambda text: text.replace("waves at", "\0 at")),
    "escape sequence": wrapped(lambda text: text.replace("waves at", "\\u001b[31mred")),
    "link of a terminal": wrapped(
        lambda text: text.replace("waves at", "\\u001b]8;;http://e.org\\u0007at")
    ),
    "override of direction": wrapped(lambda text: text.replace("waves at", "\\u202e at")),
    "empty": lambda _: b"",
    "too large": extra('"' + "a" * (5 << 20) + '"'),
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return a registry with the valid dataset `waves`, and its copy `tides`."""
    registry = small_registry(tmp_path / "registry")
    copy = registry.root / "datapackages" / "tides"
    shutil.copytree(registry.root / "datapackages" / "waves", copy)
    change_descriptor(copy / "1.0", lambda document: document.update(name="tides"))
    return registry


def run(registry: Registry, verb: str, home: Path) -> tuple[int, str]:
    """Run a verb; return exit code and output. An exception that is no sentence is raised."""
    result = CliRunner().invoke(
        group,
        [*verb.split(), "--registry", str(registry.root)],
        env={"SCIML_DATA_HOME": str(home), "SCIML_DATA_REGISTRY": str(registry.root)},
    )
    error = result.exception
    if isinstance(error, SciMLDataError):
        return error.exit_code, f"{result.output}{error}"
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return result.exit_code, result.output


@pytest.mark.parametrize("change", DESCRIPTORS.values(), ids=DESCRIPTORS)
def test_a_hostile_descriptor_is_a_sentence_in_every_verb(
    registry: Registry, change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = registry.root / "datapackages" / "tides" / "1.0" / "datapackage.json"
    path.write_bytes(change(path.read_bytes()))

    outputs = {verb: run(registry, verb, tmp_path / "home") for verb in VERBS}

    without_mention = {verb: out for verb, (_, out) in outputs.items() if "tides" not in out}
    assert set(without_mention) <= {"catalog"}  # nothing of it is converted
    assert {verb for verb, (code, _) in outputs.items() if code == 0} == {"list", "fair --all"}
    assert "waves" in outputs["list"][1]
    assert "\x1b" not in "".join(out for _, out in outputs.values())
    assert {problem.place.split(":")[0] for problem in check_registry(registry)} == {
        "datapackages/tides/1.0"
    }


TASKS = {
    "nested 20,000 times": b"a = " + b"[" * 20_000 + b"]" * 20_000,
    "dotted 20,000 times": b"a." * 20_000 + b"a = 1",
    "dotted 1,000,000 times": b'"a" . ' * 500_000 + b"a." * 500_000 + b"a = 1",
    "5,000 digits": b"a = " + b"9" * 5000,
    "1,000 digits": b"a = " + b"9" * 1000,
    "nan": b"a = nan",
    "not UTF-8": b'a = "\xff"',
    "NUL byte": b'a = "\0"',
    "a key twice": b"a = 1\na = 2",
    "a long line": b"a" * 1_000_000,
}


@pytest.mark.parametrize("content", TASKS.values(), ids=TASKS)
def test_a_hostile_task_is_a_sentence(registry: Registry, content: bytes, tmp_path: Path) -> None:
    runner = registry.root / "runners" / "surf"
    runner.mkdir(parents=True)
    (runner / "task.toml").write_bytes(content)

    codes = {verb: run(registry, verb, tmp_path / "home") for verb in ("list", "check", "board")}

    assert {verb: code for verb, (code, _) in codes.items()} == {
        "list": 0,
        "check": 1,
        "board": 0,
    }
    assert all("surf" in out for _, out in codes.values())
    assert len(codes["check"][1]) < 5000
    assert all(len(line) < 1000 for _, out in codes.values() for line in out.splitlines())


def test_a_card_that_is_not_utf_8_is_named(registry: Registry) -> None:
    (registry.root / "datapackages" / "waves" / "README.md").write_bytes(b"# \xff\n")

    assert [(problem.kind, problem.place) for problem in check_registry(registry)] == [
        ("syntax", "datapackages/waves/README.md")
    ]


def test_derive_goes_on_without_a_broken_version_and_keeps_its_checksums(
    registry: Registry, tmp_path: Path
) -> None:
    run(registry, "derive", tmp_path)
    checksums = {path.name for path in (registry.root / "checksums").iterdir()}
    (registry.root / "datapackages" / "tides" / "1.0" / "datapackage.json").write_text("{")
    (registry.root / "catalog" / "sciml.yaml").unlink()

    code, output = run(registry, "derive", tmp_path)

    assert code == 1
    assert "1 entry left out: tides 1.0" in output
    assert "waves" in (registry.root / "catalog" / "sciml.yaml").read_text()
    assert {path.name for path in (registry.root / "checksums").iterdir()} == checksums


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../../etc/shadow", "link", "folder/x"])
def test_a_resource_outside_the_package_is_refused(registry: Registry, path: str) -> None:
    folder = registry.root / "datapackages" / "waves" / "1.0"
    (folder / "link").symlink_to("/proc/version")
    (folder / "folder").symlink_to("/etc")

    def point(document: dict[str, Any]) -> None:
        document["resources"].append({**document["resources"][0], "name": "x", "path": path})

    change_descriptor(folder, point)

    assert [(item.kind, item.place) for item in check_descriptor(folder)] == [
        ("path", "$.resources[1].path")
    ]


def test_a_descriptor_that_is_a_pipe_is_not_waited_for(registry: Registry) -> None:
    path = registry.root / "datapackages" / "tides" / "1.0" / "datapackage.json"
    path.unlink()
    os.mkfifo(path)

    assert [problem.kind for problem in check_descriptor(path.parent)] == ["syntax"]


ADDRESSES = [
    "https://example.org/a b",
    "https://example.org/<a>",
    'https://example.org/a"b',
    "https://example.org/%zz",
    "https://example.org/#a#b",
    "https://example.org/a[1]",
    "https://[::1",
    "https://exämple.org/",
    "https://example.org/\n",
    "https://example.org/\x1b",
    "https://example.org:99999/",
    "https://user:password@example.org/",
    "https://",
    "https:/example.org/",
    "//example.org/",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "data:text/html,x",
    "https://example.org/" + "a" * 2000,
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_not_an_address_is_refused(address: str) -> None:
    for check in (check_address, check_reference):
        with pytest.raises(ValueError, match=r"\w+"):
            check(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org",
        "http://127.0.0.1:8000/a/b.csv?x=1&y=%20#top",
        "https://[2001:db8::1]:443/~me/(a)/*'!$,;=@:+",
        "ftp://example.org/pub/",
        "s3://bucket/folder/",
    ],
)
def test_an_address_is_accepted(address: str) -> None:
    assert check_address(address)
    assert check_reference(address)


PLACES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "$.homepage": lambda d, url: d.update(homepage=url),
    "$.licenses[0].path": lambda d, url: d["licenses"][0].update(path=url),
    "$.sources[0].path": lambda d, url: d["sources"][0].update(path=url),
    "$.contributors[0].path": lambda d, url: d["contributors"][0].update(path=url),
    "$.sciml.mirrors[0].s3": lambda d, url: d["sciml"]["mirrors"][0].update(s3=url),
    "$.sciml.mirrors[0].prefixes": lambda d, url: d["sciml"]["mirrors"][0].update(
        prefixes={"": url}
    ),
    "$.sciml.live.base": lambda d, url: d["sciml"].update(
        live={"protocol": "fdsn", "base": f"{url}/", "parameters": {}, "earliest": "2001-01-01"}
    ),
    "$.sciml.related[0].identifier": lambda d, url: d["sciml"].update(
        related=[{"identifier": url, "relation": "References"}]
    ),
    "$.resources[1].path": lambda d, url: d["resources"].append(
        {**d["resources"][0], "name": "x", "path": url}
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("address", ["https://example.org/a b", 'https://e.org/"', "javascript:0"])
def test_every_address_of_a_descriptor_is_checked(
    registry: Registry, place: str, address: str
) -> None:
    folder = registry.root / "datapackages" / "waves" / "1.0"
    change_descriptor(folder, lambda document: PLACES[place](document, address))

    problems = [(item.kind, item.place.removesuffix("['']")) for item in check_descriptor(folder)]

    assert ("schema", place) in problems


@pytest.mark.parametrize(
    "name", ["runs", "samples", "data", "latest", "con", "nul", "com1", "lpt9", "a" * 65, "a\n"]
)
def test_a_reserved_name_is_not_a_dataset(name: str, tmp_path: Path) -> None:
    registry = Registry(tmp_path)

    assert check_dataset_id(name)
    assert run(registry, f"new {name!r} 1.0", tmp_path)[0] == 2
    assert not list(tmp_path.iterdir())


def test_check_names_a_reserved_dataset(registry: Registry) -> None:
    folder = registry.root / "datapackages" / "runs"
    (registry.root / "datapackages" / "tides").rename(folder)
    change_descriptor(folder / "1.0", lambda document: document.update(name="runs"))

    assert [problem.place for problem in check_registry(registry)] == [
        "datapackages/runs/1.0: $.name"
    ]


@pytest.mark.parametrize("version", ["live", "1.0", "1.0a", "2024-01-01", "1.0+local_3", "a" * 64])
def test_a_version_is_accepted(version: str) -> None:
    assert not check_version(version)


@pytest.mark.parametrize(
    "version",
    ["", ".", "..", "-x", "1 0", "1.0 ", "1.", "é", "a/b", "1\n", "nul", "con.1", "a" * 65],
)
def test_what_is_not_a_version_is_refused(version: str) -> None:
    assert check_version(version)


@pytest.mark.parametrize("verb", ["get", "describe", "verify", "convert", "cite", "fair", "pin"])
def test_a_version_that_is_a_path_is_refused_before_a_path_is_made(
    registry: Registry, verb: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"

    code, output = run(registry, f"{verb} waves --version ../../x", home)

    assert code == 2
    assert "has no version '../../x'" in output
    assert not home.exists()


def test_the_messages_of_a_large_wrong_value_are_short(registry: Registry) -> None:
    folder = registry.root / "datapackages" / "waves" / "1.0"
    change_descriptor(
        folder, lambda document: document.update(keywords={"a": ["k" * 10] * 100_000})
    )

    assert max(len(problem.message) for problem in check_descriptor(folder)) < 600


def test_a_manifest_is_read_once(registry: Registry) -> None:
    """The descriptor is checked and read in one pass; a second one would double the time."""
    code = (
        "import sys; from sciml_data.cli import main; import sciml_data.registry.manifest as m\n"
        "parse = m._parse; calls = []\n"
        "m._parse = lambda *given: calls.append(1) or parse(*given)\n"
        "try: main()\nexcept SystemExit: pass\nprint(len(calls), file=sys.stderr)"
    )
    verbs = ("check", "list", "get waves --limit 1 --dry-run")
    built_in = len(list(find_registry().root.glob("datapackages/*/*/manifest.csv")))
    counts = []
    for verb in verbs:
        arguments = [sys.executable, "-c", code, *verb.split(), "--registry", str(registry.root)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        counts.append(int(done.stderr.split()[-1]))

    assert counts == [2, 2 + built_in, 1]  # the registry has two versions


def test_a_descriptor_with_other_sizes_beside_it_is_read_and_named(registry: Registry) -> None:
    folder = registry.root / "datapackages" / "waves" / "1.0"
    change_descriptor(folder, lambda document: document["resources"][0].update(bytes=1))

    examined = examine_descriptor(folder)

    assert [problem.kind for problem in examined.problems] == ["resource"]
    assert examined.descriptor is not None
    assert json.loads((folder / "datapackage.json").read_text()) == examined.document


@pytest.mark.parametrize("value", [[], {}, 3, None, "x"])
def test_a_hash_that_is_no_text_is_a_problem(tmp_path: Path, value: object) -> None:
    """Found by `nox -s attack`: a list is not hashable."""
    registry = small_registry(tmp_path)
    folder = registry.package("waves", "1.0")
    change_descriptor(folder, lambda document: document["resources"][0].update(hash=value))

    places = {problem.place for problem in check_descriptor(folder)}

    assert "$.resources[0].hash" in places
