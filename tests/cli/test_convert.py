"""`sciml-data convert`, from the command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli.convert import PAIRS, command, read_options
from sciml_data.cli.get import command as get_command
from sciml_data.cli.verify import command as verify_command
from sciml_data.errors import CallError, VerificationError
from sciml_data.home import Home
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic.make import make_sample
from tests.support.damage import flip


@pytest.fixture
def _sample(home: Home) -> None:
    make_sample(load_descriptor(find_registry(), "tevolop_socal", "1.0"), home)


@pytest.mark.usefixtures("_sample")
def test_stdout_is_the_folder_of_the_ready_files() -> None:
    shown = CliRunner().invoke(command, ["tevolop_socal", "--sample"], catch_exceptions=False)

    assert [path.name for path in Path(shown.stdout.strip()).glob("*.nc")] == ["events.nc"]
    assert "MB/s" in shown.stderr


@pytest.mark.usefixtures("_sample")
def test_json_names_every_file_with_its_hash() -> None:
    shown = CliRunner().invoke(
        command, ["tevolop_socal", "--sample", "--json"], catch_exceptions=False
    )

    (file,) = json.loads(shown.stdout)["files"]

    assert file["path"] == "events.nc"
    assert file["hash"].startswith("sha256:")


@pytest.mark.usefixtures("_sample")
def test_a_changed_ready_file_is_named_and_converted_again() -> None:
    first = CliRunner().invoke(command, ["tevolop_socal", "--sample"], catch_exceptions=False)
    flip(Path(first.stdout.strip()) / "events.nc")

    again = CliRunner().invoke(command, ["tevolop_socal", "--sample"], catch_exceptions=False)

    assert again.exit_code == 0
    assert again.stderr.startswith("events.nc is changed")
    assert "nothing to convert" not in again.stderr


@pytest.mark.usefixtures("_sample")
def test_verify_says_which_files_it_covered() -> None:
    words = ["tevolop_socal", "--sample"]
    fresh = CliRunner().invoke(verify_command, words, catch_exceptions=False)
    CliRunner().invoke(command, words, catch_exceptions=False)
    native = CliRunner().invoke(verify_command, words, catch_exceptions=False)
    ready = CliRunner().invoke(
        verify_command, [*words, "--ready", "--json"], catch_exceptions=False
    )

    assert "ready" not in fresh.stderr
    assert native.stderr.endswith("ready files were not checked: --ready\n")
    assert "1 ready file, 2.7 MB, equal to their manifest (default options)" in ready.stderr
    unchecked = CliRunner().invoke(verify_command, [*words, "--json"], catch_exceptions=False)
    assert json.loads(unchecked.stdout)["ready"] is None
    (of_options,) = json.loads(ready.stdout)["ready"]
    assert (of_options["files"], of_options["options"]) == (1, {})


@pytest.mark.usefixtures("_sample")
def test_verify_ready_fails_for_a_changed_file_and_repairs_it() -> None:
    words = ["tevolop_socal", "--sample"]
    folder = CliRunner().invoke(command, words, catch_exceptions=False).stdout.strip()
    flip(Path(folder) / "events.nc")

    with pytest.raises(VerificationError, match=r"ready file"):
        CliRunner().invoke(verify_command, [*words, "--ready"], catch_exceptions=False)
    repaired = CliRunner().invoke(
        verify_command, [*words, "--ready", "--repair"], catch_exceptions=False
    )

    assert repaired.exit_code == 0
    assert "events.nc is changed" in repaired.stderr


def test_options_of_a_conversion_are_of_ready_files() -> None:
    with pytest.raises(CallError, match="--ready"):
        CliRunner().invoke(
            verify_command, ["tevolop_socal", "--set", "a=1"], catch_exceptions=False
        )


@pytest.mark.usefixtures("_sample")
def test_an_option_the_reader_does_not_know_is_refused() -> None:
    with pytest.raises(CallError, match="flor"):
        CliRunner().invoke(
            command, ["tevolop_socal", "--sample", "--set", "flor=clean"], catch_exceptions=False
        )


def test_options_are_json_or_text() -> None:
    assert read_options(["a=1", "b=true", "c=bayes", "d=x=y"]) == {
        "a": 1, "b": True, "c": "bayes", "d": "x=y",
    }  # fmt: skip


@pytest.mark.parametrize("given", [["label"], ["=1"], ["a=1", "a=2"]])
def test_an_option_without_a_value_or_given_twice_is_refused(given: list[str]) -> None:
    with pytest.raises(CallError, match="--set"):
        read_options(given)


@pytest.mark.parametrize("pair", PAIRS)
def test_options_that_exclude_each_other_are_refused(pair: tuple[str, str]) -> None:
    values = {"--share": ["1/2"], "--jobs": ["2"], "--cluster": ["tcp://127.0.0.1:1"]}
    words = [word for option in pair for word in (option, *values.get(option, ()))]

    with pytest.raises(CallError) as error:
        CliRunner().invoke(command, ["tevolop_socal", "--sample", *words], catch_exceptions=False)

    assert all(option in str(error.value) for option in pair)


@pytest.mark.usefixtures("_sample")
def test_a_share_and_the_last_step_print_the_folder_of_the_ready_files() -> None:
    common = ["tevolop_socal", "--sample"]
    share = CliRunner().invoke(
        command, [*common, "--share", "1/1", "--jobs", "2"], catch_exceptions=False
    )
    is_complete = (Path(share.stdout.strip()) / "manifest.csv").exists()

    last = CliRunner().invoke(command, [*common, "--finish", "--json"], catch_exceptions=False)

    assert not is_complete
    facts = json.loads(last.stdout)
    assert facts["root"] == share.stdout.strip()
    assert [file["path"] for file in facts["files"]] == ["events.nc"]


def test_a_share_names_the_whole_command_that_comes_after_all_of_them(home: Home) -> None:
    common = ["cloud_slstr_ds1", "--version", "1.0", "--sample", "--home", str(home.root)]
    small = ("shape=96,96", "count.training=2", "count.inference=1")
    sizes = [word for size in small for word in ("--sample-set", size)]
    CliRunner().invoke(get_command, [*common, *sizes], catch_exceptions=False)
    share = [*common, "--set", "compression=gzip", "--share", "1/1"]
    first = CliRunner().invoke(command, share, catch_exceptions=False)
    (last,) = [line for line in first.stderr.splitlines() if line.endswith("--finish")]
    words = shlex.split(last.partition("sciml-data convert ")[2])

    finished = CliRunner().invoke(command, words, catch_exceptions=False)
    again = CliRunner().invoke(command, share, catch_exceptions=False)

    assert finished.stdout == first.stdout == again.stdout
    assert (Path(finished.stdout.strip()) / "manifest.csv").is_file()
    assert "--finish" not in again.stderr


@pytest.mark.usefixtures("_sample")
def test_a_share_of_a_form_in_a_shared_home_prints_the_folder_there(
    home: Home, tmp_path: Path
) -> None:
    common = ["tevolop_socal", "--sample"]
    whole = CliRunner().invoke(command, common, catch_exceptions=False)
    homes = ["--home", str(tmp_path / "own"), "--home", str(home.root)]

    share = CliRunner().invoke(command, [*common, *homes, "--share", "1/2"], catch_exceptions=False)

    assert share.stdout == whole.stdout
    assert "--finish" not in share.stderr


@pytest.mark.usefixtures("_sample")
def test_a_cluster_that_cannot_be_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(CallError, match="neither an address nor the file"):
        CliRunner().invoke(
            command,
            ["tevolop_socal", "--sample", "--cluster", str(tmp_path / "scheduler.json")],
            catch_exceptions=False,
        )


def test_the_help_says_that_workers_must_see_the_same_folders() -> None:
    shown = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())

    assert "worker must see the home and the registry under the same paths" in shown
