"""A published ready form: pinned by a curator, fetched and checked instead of native files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sciml_data
from sciml_data.bench.run import stage
from sciml_data.bench.task import load_task
from sciml_data.cli.check import check_registry
from sciml_data.cli.get import command as get_command
from sciml_data.cli.pin import command as pin_command
from sciml_data.cli.run import command as run_command
from sciml_data.cli.verify import command as verify_command
from sciml_data.curate.derive import drift
from sciml_data.curate.pin import write_pin
from sciml_data.curate.pin_ready import pin_ready
from sciml_data.errors import (
    CallError,
    DescriptorError,
    FetchError,
    SciMLDataError,
    VerificationError,
)
from sciml_data.home import find_home
from sciml_data.ready import find_converted, ready_problems
from sciml_data.ready.streaming import Streamed, open_stream
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from tests.support.nginx import access_lines, needs_nginx, nginx
from tests.support.published_scenes import Published, publish_scenes
from tests.support.small_scenes import DATASET, SHAPE, VERSION


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    root = tmp_path_factory.mktemp("published")
    return publish_scenes(root, shape=SHAPE, counts={"training": 2, "inference": 1})


@pytest.fixture
def mirror(published: Published, tmp_path: Path) -> Iterator[str]:
    with nginx(tmp_path / "nginx", published.folder) as url:
        yield url


def get(published: Published, home: Path, *arguments: str) -> Result:
    registry = ("--registry", str(published.registry.root))
    line = (DATASET, "--ready", "--home", str(home), *registry, *arguments)
    result = CliRunner().invoke(get_command, line)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    return result


@needs_nginx
def test_a_ready_form_is_fetched_and_opened_without_native_files(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    folder = get(published, tmp_path / "home", "--mirror", mirror).stdout.strip()

    opened = sciml_data.open_dataset(
        DATASET, split="training", registry=published.registry.root, home=tmp_path / "home"
    )
    assert opened.sizes["scene"] == 2
    assert not list((tmp_path / "home").rglob("native"))
    names = {entry.path for entry in published.converted.manifest}
    assert names <= {path.name for path in Path(folder).iterdir()}


@needs_nginx
def test_a_dry_run_of_a_ready_form_prints_its_files_and_fetches_none(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    home, place = tmp_path / "home", ("--mirror", mirror)
    total = "total  5 files, "  # three ready files, record and index

    before = get(published, home, *place, "--dry-run").stdout.splitlines()
    is_untouched = not list(home.rglob("*.nc"))
    fetched = get(published, home, *place)
    after = get(published, home, *place, "--dry-run").stdout.splitlines()
    facts = json.loads(get(published, home, *place, "--dry-run", "--json").stdout)

    assert is_untouched
    assert [line.split()[0] for line in before] == ["fetch"] * 5 + ["total"]
    assert before[-1].startswith(total)
    assert "0 present, 5 files to fetch, " in before[-1]
    assert [line.split()[0] for line in after] == ["present"] * 5 + ["total"]
    assert "5 present, 0 files to fetch, 0 bytes" in after[-1]
    assert facts["folder"] == fetched.stdout.strip()
    assert f"{DATASET} {VERSION}: 3 ready files, " in fetched.stderr.splitlines()[-1]


@needs_nginx
def test_a_second_fetch_needs_no_mirror_and_a_damaged_file_is_fetched_again(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    folder = Path(get(published, home, "--mirror", mirror).stdout.strip())
    get(published, home, "--mirror", "http://127.0.0.1:9")
    path = next(folder.glob("*.nc"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    get(published, home, "--mirror", mirror)

    converted = find_converted(
        load_descriptor(published.registry, DATASET), find_home(home).dataset(DATASET, VERSION)
    )
    assert converted is not None
    assert ready_problems(converted, full=True) == []


@needs_nginx
def test_a_form_that_is_fetched_does_not_disturb_a_process_that_streams_it(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    descriptor = load_descriptor(published.registry, DATASET)
    streamed = open_stream(descriptor, find_home(home), mirrors=[mirror])
    path = next(iter(streamed.manifest)).path

    get(published, home, "--mirror", mirror)

    assert streamed.reader.read(path, 0, 8) == (published.folder / path).read_bytes()[:8]


@needs_nginx
def test_processes_that_fetch_the_same_form_at_once_do_it_once(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    call = (
        "import sys, sciml_data; sys.stdin.readline(); "
        "sciml_data.get_ready(sys.argv[1], registry=sys.argv[2], home=sys.argv[3], "
        "mirrors=[sys.argv[4]])"
    )
    words = [DATASET, str(published.registry.root), str(home), mirror]
    processes = [
        subprocess.Popen([sys.executable, "-c", call, *words], stdin=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()  # all begin now
    assert [process.wait(300) for process in processes] == [0, 0, 0]

    log = access_lines(tmp_path / "nginx")
    sent = [line for line in log if ".nc HTTP" in line and '" 404 ' not in line]
    assert len(sent) == len(published.converted.manifest)


@needs_nginx
def test_a_wrong_file_of_a_mirror_is_no_ready_file(published: Published, tmp_path: Path) -> None:
    served = Path(shutil.copytree(published.folder, tmp_path / "served"))
    path = next(served.glob("*.nc"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with nginx(tmp_path / "nginx", served) as url, pytest.raises(FetchError):
        get(published, tmp_path / "home", "--mirror", url)

    assert not (tmp_path / "home" / "data" / DATASET / VERSION / "ready").exists()


@pytest.mark.parametrize("option", [("--sample",), ("--limit", "3"), ("--start", "2020-01-01")])
def test_options_for_native_files_are_refused(
    published: Published, tmp_path: Path, option: tuple[str, ...]
) -> None:
    with pytest.raises(CallError, match=option[0]):
        get(published, tmp_path / "home", *option)


def test_a_dataset_without_a_published_form_names_the_way_with_native_files(
    tmp_path: Path,
) -> None:
    with pytest.raises(CallError) as error:
        sciml_data.get_ready(DATASET, registry=find_registry(None).root, home=tmp_path)

    assert f"sciml-data get {DATASET}" in error.value.hint


def test_a_manifest_that_was_edited_is_not_used(published: Published, tmp_path: Path) -> None:
    root = Path(shutil.copytree(published.registry.root, tmp_path / "registry"))
    manifest = root / "datapackages" / DATASET / VERSION / "ready.csv"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")

    with pytest.raises(DescriptorError):
        sciml_data.get_ready(DATASET, registry=root, home=tmp_path / "home")


# --- the curator ---------------------------------------------------------------------------------


def test_a_pinned_ready_form_leaves_a_valid_registry(published: Published) -> None:
    problems = check_registry(published.registry)

    assert [problem for problem in problems if problem.kind != "card"] == []
    assert drift(published.registry) == []


def test_a_ready_form_is_pinned_again_only_if_it_is_the_same(
    published: Published, tmp_path: Path
) -> None:
    owner = find_home(published.converted.root.parents[4]).dataset(DATASET, VERSION)
    descriptor = load_descriptor(published.registry, DATASET)
    pin_ready(descriptor, owner, ["https://example.org/again"])
    folder = Path(shutil.copytree(descriptor.folder, tmp_path / "folder"))
    (folder / "ready.csv").write_text("path,bytes,hash\n", encoding="utf-8")

    with pytest.raises(CallError, match="never change"):
        pin_ready(replace(descriptor, folder=folder), owner, ["https://example.org/again"])


def test_the_verb_prints_what_is_to_be_published(published: Published, tmp_path: Path) -> None:
    home = published.converted.root.parents[4]
    root = Path(shutil.copytree(published.registry.root, tmp_path / "registry"))
    line = [DATASET, "--registry", str(root), "--home", str(home), "--ready"]

    refused = CliRunner().invoke(pin_command, line)
    result = CliRunner().invoke(pin_command, [*line, "--url", "https://other.example/form"])

    assert isinstance(refused.exception, CallError)
    assert result.exit_code == 0, result.output
    assert "https://other.example/form/" in result.output
    assert f"{VERSION}: 5 files, " in result.output  # three ready files, record and index
    assert f" {published.converted.root}/" in result.output
    urls = load_descriptor(find_registry(root), DATASET).document["sciml"]["ready"][0]["urls"]
    assert urls == ["https://other.example/form/"]


@pytest.mark.parametrize("url", ["not_a_url", "https:///form", "ftp://other.example/form"])
def test_an_address_that_users_cannot_read_from_is_not_pinned(
    published: Published, tmp_path: Path, url: str
) -> None:
    line = [DATASET, "--registry", str(published.registry.root), "--home", str(tmp_path)]

    result = CliRunner().invoke(pin_command, [*line, "--ready", "--url", url])

    assert isinstance(result.exception, CallError)
    assert repr(url) in result.exception.message
    assert not result.exception.problems
    assert result.exception.hint.startswith("--url https://")


def test_a_version_that_was_not_converted_is_not_pinned(
    published: Published, tmp_path: Path
) -> None:
    owner = find_home(tmp_path).dataset(DATASET, VERSION)

    with pytest.raises(CallError) as error:
        pin_ready(load_descriptor(published.registry, DATASET), owner, ["https://a.example/"])

    assert "sciml-data convert" in error.value.hint


def test_a_pin_is_written_into_a_copy_that_can_be_read(
    published: Published, tmp_path: Path
) -> None:
    owner = find_home(published.converted.root.parents[4]).dataset(DATASET, VERSION)
    root = Path(shutil.copytree(published.registry.root, tmp_path / "registry"))
    registry = find_registry(root).first

    written = write_pin(
        pin_ready(load_descriptor(registry, DATASET), owner, ["https://b.example"]), registry
    )

    assert "ready.csv" in {path.name for path in written}


# --- runs ----------------------------------------------------------------------------------------


@needs_nginx
def test_a_run_is_staged_without_a_file_and_with_the_digests_of_the_files(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    registry = find_registry(published.registry.root)
    task = load_task(registry.runner("cloudmask"))

    source = stage(task, registry, home=find_home(tmp_path / "home"), mirrors=[mirror], stream=True)

    assert isinstance(source.dataset, Streamed)
    assert source.ready_digest == f"sha256:{published.converted.manifest.digest}"
    assert source.manifest_digest == f"sha256:{published.converted.native_digest}"
    assert not list((tmp_path / "home").rglob("*.nc"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cache", "5GB"], "--stream"),
        (["--stream", "--sample"], "sample"),
        (["--stream", "--cache", "five"], "20GB"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    line = ["cloudmask", "--stage-only", "--home", str(tmp_path), *arguments]

    result = CliRunner().invoke(run_command, line)

    assert result.exit_code != 0
    assert message in f"{result.output}{result.exception}"


@needs_nginx
def test_damaged_ready_files_without_native_ones_are_fetched_again(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    folder = Path(get(published, home, "--mirror", mirror).stdout.strip())
    path = next(folder.glob("*.nc"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    verify = partial(
        sciml_data.verify_dataset, DATASET, registry=published.registry.root, home=home
    )

    with pytest.raises(VerificationError) as error:
        verify(ready=True)
    assert error.value.hint.endswith(f"{VERSION} --ready fetches them again")
    with pytest.raises(CallError, match="native files of") as native:
        verify()
    assert "--ready checks the ready files" in native.value.hint
    words = (DATASET, "--ready", "--home", str(home), "--registry", str(published.registry.root))
    result = CliRunner().invoke(verify_command, (*words, "--repair", "--mirror", mirror))
    assert result.stdout.strip() == str(folder)
    assert verify(ready=True, full=True).ready


def test_hints_of_a_failed_fetch_name_options_that_ready_files_have(
    published: Published, tmp_path: Path
) -> None:
    with pytest.raises(FetchError) as error:
        get(published, tmp_path / "home", "--mirror", "http://127.0.0.1:9")

    assert "sciml-data get" not in error.value.hint
    assert "--mirror file:DIR" in error.value.hint
