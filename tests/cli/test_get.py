"""`sciml-data get` and `sciml-data verify`, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from sciml_data.cli.get import command as get_command
from sciml_data.cli.verify import command as verify_command
from sciml_data.errors import (
    CallError,
    FetchError,
    NotWritableError,
    SciMLDataError,
    VerificationError,
)
from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Fetched
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.faults import status
from sciml_data.testing.server import FileServer

FILES = {"train/a.bin": b"a" * 1000, "train/b.bin": b"b" * 2000, "test/c.bin": b"c" * 500}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as server:
        yield server


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    registry = tmp_path / "registry"
    mirrors = [{"": f"{server.url}/"}]
    write_dataset(registry, FILES, mirrors=mirrors, splits={"train": ["train/*"]})
    monkeypatch.setenv("SCIML_DATA_REGISTRY", str(registry))
    return registry


def run(command: click.Command, *arguments: str) -> Result:
    """Run a verb; our errors come out as they are."""
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    return result


def test_the_folder_is_all_that_stdout_has(home: Home) -> None:
    result = run(get_command, "tiny")

    assert result.exit_code == 0
    assert result.stdout == f"{home.dataset('tiny', '1.0').native}\n"
    assert result.stderr.splitlines()[-1] == "tiny 1.0: 3 files, 3.5 kB"


def test_what_is_to_come_is_said_before_it_is_fetched(server: FileServer, home: Home) -> None:
    run(get_command, "tiny", "--include", "test/*")
    server.add(status(404), path="train/a.bin", times=None)

    failed = CliRunner().invoke(get_command, ["tiny", "--limit", "2"])

    assert isinstance(failed.exception, FetchError)
    assert failed.stderr.splitlines()[0] == (
        "tiny 1.0: 2 of 3 files, 1.5 kB of 3.5 kB; 1 present, 1 file to fetch, "
        f"1.0 kB, to {home.dataset('tiny', '1.0').native}"
    )


def test_a_limit_is_a_part(home: Home) -> None:
    run(get_command, "tiny", "--limit", "2")
    assert run(verify_command, "tiny").stderr.startswith("tiny 1.0: 2 of 3 native files")

    run(get_command, "tiny", "--limit", "3")
    assert run(verify_command, "tiny").stderr.startswith("tiny 1.0: 3 of 3 native files")


def test_json_names_every_file(home: Home) -> None:
    answer = json.loads(run(get_command, "tiny", "--split", "train", "--json").stdout)

    assert answer["folder"] == str(home.dataset("tiny", "1.0").native)
    assert [one["path"] for one in answer["files"]] == ["train/a.bin", "train/b.bin"]
    assert answer["synthetic"] is False


def test_a_dry_run_prints_a_table_and_fetches_nothing(server: FileServer, home: Home) -> None:
    run(get_command, "tiny", "--include", "test/*")
    asked = len(server.requests)

    lines = run(get_command, "tiny", "--dry-run").stdout.splitlines()

    assert lines == [
        f"present    500 bytes  test/c.bin   {server.url}/test/c.bin",
        f"fetch         1.0 kB  train/a.bin  {server.url}/train/a.bin",
        f"fetch         2.0 kB  train/b.bin  {server.url}/train/b.bin",
        "total  3 files, 3.5 kB (3500 bytes); 1 present, 2 files to fetch, 3.0 kB",
    ]
    assert len(server.requests) == asked
    assert not (home.dataset("tiny", "1.0").native / "train").exists()


def test_a_dry_run_as_json_has_all_urls(tmp_path: Path, server: FileServer) -> None:
    mirror = f"file:{tmp_path}/served"

    answer = json.loads(run(get_command, "tiny", "--dry-run", "--json", "--mirror", mirror).stdout)

    first = answer["files"][0]
    assert (first["path"], first["bytes"], first["present"]) == ("test/c.bin", 500, False)
    assert first["urls"][-1] == f"{server.url}/test/c.bin"
    assert f"{tmp_path.as_uri()}/served/test/c.bin" in first["urls"]


def test_a_mirror_is_asked_before_the_registry(tmp_path: Path, server: FileServer) -> None:
    run(get_command, "tiny", "--mirror", f"file:{tmp_path}/served")

    assert server.requests == []


def test_mirrors_of_the_environment_are_asked(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_DATA_MIRRORS", f"file:{tmp_path}/served")

    run(get_command, "tiny")

    assert server.requests == []


def test_a_failing_mirror_is_named_on_stderr(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / "empty").mkdir()
    with FileServer(tmp_path / "empty") as empty:
        result = run(get_command, "tiny", "--mirror", empty.url)

    assert result.exit_code == 0
    assert result.stderr.count(f"mirror {empty.url} failed") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny", "--version", "2.0"], "it has 1.0"),
        (["tinny"], "did you mean 'tiny'"),
        (["tiny", "--split", "tran"], "did you mean 'train'"),
        (["tiny", "--include", "trian/a.bin"], "train/a.bin"),
        (["tiny", "--start", "2020-01-01"], "--start cannot be used with tiny 1.0"),
        (["tiny", "--sample", "--end", "2020-01-01"], "--end cannot be used with a sample"),
        (["tiny", "--sample", "--split", "train"], "--split cannot be used with a sample"),
        (["tiny", "--sample", "--limit", "1"], "--limit cannot be used with a sample"),
        (["tiny", "--sample", "--dry-run"], "--dry-run cannot be used with --sample"),
        (["tiny", "--sample-set", "count=2"], "--sample-set needs --sample"),
        (["tiny", "--via", "datalad"], "via datalad needs a mirror"),
        (["tiny", "--mirror", "somewhere"], "does not start with one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_says_what_there_is(arguments: list[str], said: str) -> None:
    with pytest.raises(CallError, match=said) as error:
        run(get_command, *arguments)

    assert error.value.exit_code == 2
    assert error.value.untouched.startswith("nothing was ")


def test_get_sample_and_verify_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Generator:
        def write_sample(self, root: Path, block: object, seed: int) -> None:  # noqa: ARG002
            write_files(root, {"one.txt": b"%d" % seed})

    monkeypatch.setattr("sciml_data.synthetic.make.load_generator", lambda _: Generator())

    made = run(get_command, "tiny", "--sample", "--sample-seed", "3")
    held = run(verify_command, "tiny", "--sample", "--sample-seed", "3")
    (Path(made.stdout.strip()) / "one.txt").write_text("edited")
    mended = run(verify_command, "tiny", "--sample", "--sample-seed", "3", "--repair")

    assert made.stderr.startswith("SYNTHETIC sample of tiny 1.0: 1 file, ")
    assert made.stdout == held.stdout == mended.stdout
    assert (Path(made.stdout.strip()) / "one.txt").read_text() == "3"


def test_a_live_version_is_passed_on_to_its_service(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCIML_DATA_REGISTRY")
    asked: dict[str, Any] = {}

    def fetch_live(descriptor: Any, folder: DatasetFolder, **options: Any) -> Fetched:
        asked.update(options, folder=folder)
        manifest = load_descriptor(find_registry(), "tevolop_socal", "1.0").manifest
        assert manifest is not None
        return Fetched(descriptor, folder, manifest)

    monkeypatch.setattr("sciml_data.transfer.fetch_live", fetch_live)

    run(
        get_command,
        *("tevolop_socal", "--version", "live", "--start", "2020-01-01", "--end", "2020-02-01"),
        *("--mirror", "http://127.0.0.1:9/"),
    )

    assert (asked["start"], asked["end"]) == ("2020-01-01", "2020-02-01")
    assert asked["mirrors"] == ("http://127.0.0.1:9",)
    assert asked["folder"] == home.dataset("tevolop_socal", "live")


def test_verify_says_how_much_is_right(home: Home) -> None:
    run(get_command, "tiny", "--split", "train")

    result = run(verify_command, "tiny")

    assert result.stdout == f"{home.dataset('tiny', '1.0').native}\n"
    assert result.stderr == "tiny 1.0: 2 of 3 native files, 3.0 kB, equal to the manifest\n"


def test_verify_repair_mends(home: Home) -> None:
    run(get_command, "tiny")
    victim = home.dataset("tiny", "1.0").native / "train/a.bin"
    victim.write_bytes(b"changed")
    with pytest.raises(VerificationError):
        run(verify_command, "tiny")

    result = run(verify_command, "tiny", "--repair", "--json")

    assert json.loads(result.stdout)["files"] == 3
    assert "was moved to" in result.stderr
    assert victim.read_bytes() == FILES["train/a.bin"]


def test_a_live_version_cannot_be_repaired(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCIML_DATA_REGISTRY")
    folder = home.dataset("tevolop_socal", "live")
    write_files(folder.root, {"manifest.csv": b"path,bytes,hash\n"})

    with pytest.raises(CallError, match="cannot be repaired"):
        run(verify_command, "tevolop_socal", "--version", "live", "--repair")


def test_exit_codes_and_words_of_the_whole_program(server: FileServer, tmp_path: Path) -> None:
    """One real process: an error is a sentence on stderr, exit 1, nothing on stdout."""
    server.add(status(404), path="test/c.bin", times=None)

    done = subprocess.run(
        [sys.executable, "-m", "sciml_data", "get", "tiny"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "error: 1 of 3 files of tiny 1.0 could not be fetched" in done.stderr
    assert "404 Not Found" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.reference
def test_the_catalogues_come_from_the_mirror_beside_the_checkout(
    shared: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCIML_DATA_REGISTRY")
    pinned = load_descriptor(find_registry(), "tevolop_socal", "1.0").manifest
    assert pinned is not None

    run(get_command, "tevolop_socal", "--version", "1.0", "--mirror", f"file:{shared}/mirror")
    answer = json.loads(run(verify_command, "tevolop_socal", "--version", "1.0", "--json").stdout)

    assert (answer["files"], answer["manifest"]) == (100, pinned.digest)


def test_a_home_below_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotWritableError, match=r"is not writable: Not a directory"):
        run(get_command, "tiny", "--home", str(tmp_path / "file" / "x"))
