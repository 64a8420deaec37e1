"""What a user gets of a published mirror with git, git-annex and DataLad alone; and `get` of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli.get import command as get
from sciml_data.cli.verify import command as verify
from sciml_data.errors import CallError, FetchError, ListingError, VerificationError
from sciml_data.home import Home
from sciml_data.integrations import datalad
from sciml_data.integrations.datalad import verify_clone
from sciml_data.registry.descriptor import Descriptor, read_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.testing.datasets import (
    change_descriptor,
    write_dataset,
    write_files,
    write_unpinned,
)
from sciml_data.testing.faults import corrupted, status, truncated, wrong_bytes
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.verification import load_fetched
from sciml_data.transfer.verification import verify as verify_home
from tests.support.clones import IDENTITY, fresh_user, typed
from tests.support.paths import ROOT
from tests.support.ports import closed_port

FILES = {
    "training/a b.hdf": b"A" * 70_000,
    "training/c.hdf": b"C" * 1_500_000,
    "inference/d.hdf": b"D" * 10,
    "empty.bin": b"",
}
RETRY = RetryPolicy(tries=2, pause=lambda _: None)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Be a user with an empty home, and let git-annex ask servers on loopback."""
    environment = fresh_user(tmp_path / "user")
    for name, value in environment.items():
        if name not in IDENTITY:
            monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[FileServer, FileServer]]:
    """Serve the same files at two addresses."""
    write_files(tmp_path / "files", FILES)
    with FileServer(tmp_path / "files") as first, FileServer(tmp_path / "files") as second:
        yield first, second


@pytest.fixture
def tiny(
    tmp_path: Path, user: dict[str, str], servers: tuple[FileServer, FileServer]
) -> Descriptor:
    return write_dataset(
        tmp_path / "registry", FILES, mirrors=[{"": f"{server.url}/"} for server in servers]
    )


@pytest.fixture
def website(tmp_path: Path, tiny: Descriptor) -> Iterator[FileServer]:
    """Serve the published mirror."""
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    datalad.publish_mirror(tmp_path / "m", tmp_path / "www")
    datalad.publish_mirror(tmp_path / "m", tmp_path / "www" / "store", ria=True)
    with FileServer(tmp_path / "www") as server:
        yield server


@pytest.fixture
def clone(tmp_path: Path, website: FileServer, user: dict[str, str]) -> Path:
    """Return a clone that git made; nothing was got."""
    done = typed("git", "clone", "-q", f"{website.url}/tiny.git", "clone", at=tmp_path, user=user)
    assert done.returncode == 0, done.stderr
    return tmp_path / "clone"


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_stock_datalad_clones_and_gets_files_that_are_right(
    website: FileServer, tmp_path: Path, user: dict[str, str], tiny: Descriptor
) -> None:
    cloned = typed("datalad", "clone", f"{website.url}/tiny.git", "c", at=tmp_path, user=user)
    got = typed("datalad", "get", "training", at=tmp_path / "c", user=user)

    assert (cloned.returncode, got.returncode) == (0, 0), cloned.stderr + got.stderr
    assert (tmp_path / "c" / "training" / "c.hdf").read_bytes() == FILES["training/c.hdf"]
    assert not (tmp_path / "c" / "inference" / "d.hdf").exists()
    held = verify_clone(tiny, tmp_path / "c")
    assert [entry.path for entry in held.fetched] == ["training/a b.hdf", "training/c.hdf"]
    assert held.absent == ("empty.bin", "inference/d.hdf")
    fsck = typed("sha256sum", "-c", "--ignore-missing", "checksums.sha256", at=tmp_path / "c",
                 user=user)  # fmt: skip
    assert fsck.stdout.count(": OK") == 2


@pytest.mark.slow
@pytest.mark.parametrize("fault", [wrong_bytes(5), truncated(3), corrupted(), status(404)])
def test_a_mirror_that_lies_is_left_for_the_next_by_stock_git_annex(
    clone: Path,
    servers: tuple[FileServer, FileServer],
    user: dict[str, str],
    fault: object,
) -> None:
    servers[0].add(fault, times=None)  # type: ignore[arg-type]

    got = typed("git", "annex", "get", "training/c.hdf", at=clone, user=user)

    assert got.returncode == 0, got.stderr
    assert (clone / "training" / "c.hdf").read_bytes() == FILES["training/c.hdf"]
    assert servers[1].bytes_sent >= len(FILES["training/c.hdf"])


@pytest.mark.slow
def test_where_every_mirror_lies_stock_git_annex_keeps_nothing(
    clone: Path, servers: tuple[FileServer, FileServer], user: dict[str, str], tiny: Descriptor
) -> None:
    for server in servers:
        server.add(wrong_bytes(5), times=None)

    got = typed("git", "annex", "get", "training/c.hdf", at=clone, user=user)

    assert got.returncode == 1
    assert "Verification of content failed" in got.stderr + got.stdout
    assert not (clone / "training" / "c.hdf").exists()
    assert len(verify_clone(tiny, clone).fetched) == 0


@pytest.mark.slow
def test_the_first_mirror_is_asked_alone_where_it_is_honest(
    clone: Path, servers: tuple[FileServer, FileServer], user: dict[str, str]
) -> None:
    typed("git", "annex", "get", ".", at=clone, user=user)

    assert servers[0].bytes_sent == sum(map(len, FILES.values()))
    assert servers[1].requests == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{url}/datasets.git", "ria+{url}/store#~datasets"])
def test_the_superdataset_finds_its_datasets_where_it_was_cloned_from(
    website: FileServer, tmp_path: Path, user: dict[str, str], form: str
) -> None:
    address = form.format(url=website.url)
    cloned = typed("datalad", "clone", address, "c", at=tmp_path, user=user)
    installed = typed("datalad", "get", "-n", "tiny", at=tmp_path / "c", user=user)
    got = typed("datalad", "get", "tiny/empty.bin", at=tmp_path / "c", user=user)
    listed = typed("datalad", "-f", "json", "subdatasets", at=tmp_path / "c", user=user)

    codes = [one.returncode for one in (cloned, installed, got, listed)]
    assert codes == [0, 0, 0, 0], cloned.stderr + installed.stderr + got.stderr
    assert (tmp_path / "c" / "tiny" / "empty.bin").read_bytes() == b""
    assert json.loads(listed.stdout.splitlines()[0])["gitmodule_datalad-id"]


@pytest.mark.slow
def test_a_ria_store_gives_the_version_that_is_asked_for(
    website: FileServer, tmp_path: Path, user: dict[str, str]
) -> None:
    address = f"ria+{website.url}/store#~tiny@1.0"
    cloned = typed("datalad", "clone", address, "c", at=tmp_path, user=user)
    described = typed("git", "describe", "--exact-match", at=tmp_path / "c", user=user)

    assert cloned.returncode == 0, cloned.stderr
    assert described.stdout.strip() == "1.0"


@pytest.mark.slow
def test_who_has_told_git_no_name_is_told_to(website: FileServer, tmp_path: Path) -> None:
    """What git-annex itself says; our own commands need no name: see the other tests."""
    nobody = fresh_user(tmp_path / "nobody", has_identity=False)
    nobody |= {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_1": "user.useConfigOnly",
               "GIT_CONFIG_VALUE_1": "true"}  # fmt: skip
    cloned = typed("datalad", "clone", f"{website.url}/tiny.git", "c", at=tmp_path, user=nobody)

    assert "git config --global user.email" in cloned.stderr


def test_get_takes_files_through_a_clone_and_hashes_them_again(
    tiny: Descriptor, clone: Path, home: Home, servers: tuple[FileServer, FileServer]
) -> None:
    servers[0].add(status(404), times=None)
    plan = make_plan(tiny, home, mirrors=[f"datalad:{clone}"])
    said: list[str] = []

    fetched = fetch(plan, jobs=2, log=said.append, retry=RETRY)

    assert contents(fetched.root) == FILES
    assert said == []  # git-annex went on to the second mirror by itself
    assert plan.files[0].urls[0] == f"datalad:{clone}#tiny/1.0/empty.bin"
    assert (clone / "training" / "c.hdf").read_bytes() == FILES["training/c.hdf"]  # it stays there
    assert verify_home(load_fetched(tiny, home.dataset("tiny", "1.0"))).manifest == tiny.manifest


@pytest.mark.slow
def test_get_takes_files_from_an_address_and_leaves_no_clone(
    tiny: Descriptor,
    website: FileServer,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    registry = ["--registry", str(tmp_path / "registry")]
    for form in ("{}/tiny.git", "{}/datasets.git", "ria+{}/store#~tiny"):
        folder = ["--home", str(tmp_path / f"home-{len(form)}")]
        address = form.format(website.url)
        done = CliRunner().invoke(
            get, ["tiny", "--via", "datalad", "--mirror", address, *registry, *folder]
        )

        assert done.exit_code == 0, done.stderr
        assert contents(Path(done.stdout.strip())) == FILES
        assert "mirror" not in done.stderr  # none failed
        assert list(scratch.iterdir()) == []


def test_a_clone_whose_bytes_are_wrong_is_left_for_the_next_mirror(
    tiny: Descriptor, clone: Path, home: Home, user: dict[str, str]
) -> None:
    typed("git", "annex", "get", "training/c.hdf", at=clone, user=user)
    content = clone / "training" / "c.hdf"
    overwrite(content.resolve(), b"X" * len(FILES["training/c.hdf"]))
    said: list[str] = []
    plan = make_plan(tiny, home, mirrors=[f"datalad:{clone}"], include=["training/c.hdf"])

    fetched = fetch(plan, log=said.append, retry=RETRY)

    assert contents(fetched.root) == {"training/c.hdf": FILES["training/c.hdf"]}
    assert said[0].startswith(f"mirror datalad:{clone} sent wrong bytes: training/c.hdf")


def overwrite(path: Path, content: bytes) -> None:
    """Write into a file that git-annex has made read-only, and keep it so."""
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


@pytest.mark.parametrize("place", ["empty", "gone/gone"])
def test_a_folder_that_is_no_dataset_is_said(
    tiny: Descriptor, home: Home, tmp_path: Path, place: str,
    servers: tuple[FileServer, FileServer],
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    for server in servers:
        server.add(status(404), times=None)
    if place != "empty":
        with pytest.raises(CallError, match="no such folder"):
            make_plan(tiny, home, mirrors=[f"datalad:{tmp_path / place}"])
        return
    plan = make_plan(tiny, home, mirrors=[f"datalad:{tmp_path / place}"])

    with pytest.raises(FetchError) as error:
        fetch(plan, retry=RETRY)
    assert "is not a DataLad dataset" in str(error.value)


def test_a_version_is_taken_from_its_tag_whatever_is_checked_out(
    tmp_path: Path, tiny: Descriptor, home: Home
) -> None:
    write_dataset(tmp_path / "other", {"inference/d.hdf": b"new"}, mirrors=[])
    folder = tmp_path / "registry" / "datapackages" / "tiny" / "1.1"
    shutil.move(tmp_path / "other" / "datapackages" / "tiny" / "1.0", folder)
    change_descriptor(folder, lambda document: document.update(version="1.1"))
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny, read_descriptor(folder)]})
    plan = make_plan(tiny, home, mirrors=[f"datalad:{tmp_path / 'm'}"], include=["inference/d.hdf"])

    said: list[str] = []
    fetched = fetch(plan, log=said.append, retry=RETRY)

    assert contents(fetched.root) == {"inference/d.hdf": FILES["inference/d.hdf"]}
    assert said == []


def test_a_file_that_git_itself_holds_is_taken_too(
    tmp_path: Path, tiny: Descriptor, home: Home, user: dict[str, str]
) -> None:
    write_files(tmp_path / "small", {"inference/d.hdf": FILES["inference/d.hdf"]})
    for line in ("init -q -b main", "add .", "commit -q -m x"):
        assert typed("git", *line.split(), at=tmp_path / "small", user=user).returncode == 0
    plan = make_plan(
        tiny, home, mirrors=[f"datalad:{tmp_path / 'small'}"], include=["inference/d.hdf"]
    )
    said: list[str] = []

    fetched = fetch(plan, log=said.append, retry=RETRY)

    assert contents(fetched.root) == {"inference/d.hdf": FILES["inference/d.hdf"]}
    assert said == []


def test_an_unpinned_version_is_not_listed_by_a_clone(tmp_path: Path, home: Home) -> None:
    loose = write_unpinned(tmp_path / "registry", mirrors=[])
    said: list[str] = []

    with pytest.raises(ListingError) as error:
        make_plan(loose, home, mirrors=[f"datalad:{tmp_path}"], log=said.append)
    assert "pinned versions only" in str(error.value)


def test_via_datalad_asks_where() -> None:
    done = CliRunner().invoke(get, ["tevolop_socal", "--version", "1.0", "--via", "datalad"])

    assert isinstance(done.exception, CallError)
    assert "--via datalad --mirror" in done.exception.hint


def test_verify_accepts_a_clone_of_which_nothing_or_some_was_got(
    tiny: Descriptor, clone: Path, tmp_path: Path, user: dict[str, str]
) -> None:
    arguments = ["tiny", "--registry", str(tmp_path / "registry"), "--clone", str(clone)]
    before = CliRunner().invoke(verify, arguments)
    typed("git", "annex", "get", "training", at=clone, user=user)
    after = CliRunner().invoke(verify, [*arguments, "--json"])

    assert (before.exit_code, before.stdout.strip()) == (0, str(clone))
    assert "0 of 4 files" in before.stderr
    facts = json.loads(after.stdout)
    assert (facts["files"], facts["absent"], facts["bytes"]) == (2, 2, 1_570_000)
    unlocked = typed("git", "annex", "unlock", "training/c.hdf", at=clone, user=user)
    assert unlocked.returncode == 0, unlocked.stderr
    assert len(verify_clone(tiny, clone).fetched) == 2


def test_verify_names_what_differs_in_a_clone(
    tiny: Descriptor, clone: Path, tmp_path: Path, user: dict[str, str]
) -> None:
    typed("git", "annex", "get", "training", at=clone, user=user)
    overwrite((clone / "training" / "c.hdf").resolve(), b"X" * len(FILES["training/c.hdf"]))
    (clone / "inference" / "d.hdf").unlink()
    (clone / "inference" / "d.hdf").symlink_to(tmp_path / "user")
    (clone / "notes.txt").write_text("mine")
    link = (clone / "training" / "a b.hdf").readlink()
    (clone / "empty.bin").unlink()
    (clone / "empty.bin").symlink_to(Path(*link.parts[1:]))

    with pytest.raises(VerificationError) as error:
        verify_clone(tiny, clone)

    assert [(problem.place, problem.kind) for problem in error.value.problems] == [
        ("empty.bin", "changed"),  # another file's content under its name
        ("inference/d.hdf", "changed"),  # leads out of the annex
        ("notes.txt", "unexpected"),
        ("training/c.hdf", "changed"),
    ]
    assert "annex fsck" in error.value.hint


def test_verify_of_a_folder_that_is_no_clone_is_refused(tiny: Descriptor, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="is not a clone"):
        verify_clone(tiny, tmp_path)


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize(
    ("dataset", "wanted"),
    [
        ("tevolop_socal", ["comcat/2015-2025_california.csv", "scedc/2001.catalog",
                           "scedc-a9049026/2019.catalog"]),
        ("uno_ccle", ["ccle/CCLE_NP24.2009_Drug_data_2015.02.24.csv", "swnet/CCLE_smiles.csv",
                      "igtd/Example_Drug_Descriptor_Image_Data/Drug_1.txt"]),
    ],
)  # fmt: skip
def test_a_fresh_user_clones_a_real_dataset_and_gets_files_that_verify_accepts(
    shared: Path, tmp_path: Path, user: dict[str, str], dataset: str, wanted: list[str]
) -> None:
    """The registry's own descriptors, their addresses those of a server on loopback."""
    built_in = ROOT / "datapackages" / dataset
    folder = tmp_path / "registry" / "datapackages" / dataset
    shutil.copytree(built_in, folder)
    with FileServer(shared / "mirror") as public, FileServer(tmp_path / "www") as website:
        change_descriptor(folder / "1.0", lambda document: redirect(document, public.url))
        versions = datalad.select_versions(Registry(tmp_path / "registry"), [dataset], "1.0", print)
        datalad.create_mirror(tmp_path / "m", versions)
        datalad.publish_mirror(tmp_path / "m", tmp_path / "www")
        asked = len(public.requests)
        cloned = typed("datalad", "clone", f"{website.url}/{dataset}.git", "c", at=tmp_path,
                       user=user)  # fmt: skip
        got = typed("datalad", "get", *wanted, at=tmp_path / "c", user=user)

    assert asked == 0
    assert (cloned.returncode, got.returncode) == (0, 0), cloned.stderr + got.stderr
    done = CliRunner().invoke(
        verify, [dataset, "--version", "1.0", "--clone", str(tmp_path / "c")]
    )  # the built-in registry, whose manifest has nothing of ours
    assert done.exit_code == 0, done.output
    assert "3 of " in done.stderr


def redirect(document: dict[str, object], url: str) -> None:
    """Let every address be one of a server that has the trees of all hosts."""
    block = document["sciml"]
    assert isinstance(block, dict)
    for one in block["mirrors"]:
        one["prefixes"] = {
            prefix: address.replace("https:/", url, 1)
            for prefix, address in one["prefixes"].items()
        }


def test_nothing_of_the_user_was_written(tmp_path: Path, clone: Path) -> None:
    assert list((tmp_path / "user").iterdir()) == []


def test_a_host_that_is_not_there_is_reported_once(tiny: Descriptor, home: Home) -> None:
    with closed_port() as port:
        place = f"http://127.0.0.1:{port}/x.git"
        plan = make_plan(tiny, home, mirrors=[f"datalad:{place}"])
        urls = [file.urls[:1] for file in plan.files]
        files = [replace(file, urls=url) for file, url in zip(plan.files, urls, strict=True)]
        lines: list[str] = []
        with pytest.raises(FetchError) as error:
            fetch(replace(plan, files=tuple(files)), jobs=1, log=lines.append)

    assert len(lines) == 1
    assert {each.place for each in error.value.problems} == {
        file.path for file in files if file.size_bytes
    }
    assert len(error.value.summary) == 1
    assert str(error.value).count("cannot be cloned: ") == 1
    assert len(str(error.value).splitlines()) <= 5
