"""DataLad mirrors: what is registered, committed and tagged, and what a killed run leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sciml_data.cli.mirror import command
from sciml_data.errors import CallError, DescriptorError, NoSpaceError
from sciml_data.home import Home
from sciml_data.integrations import datalad
from sciml_data.integrations.datalad.annex import annex_files, web_remotes
from sciml_data.registry.descriptor import Descriptor, read_descriptor
from sciml_data.registry.descriptor import Mirror as Place
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import Entry, hash_file
from sciml_data.testing.datasets import (
    change_descriptor,
    write_dataset,
    write_files,
    write_unpinned,
)
from sciml_data.testing.server import FileServer
from sciml_data.transfer.protocols.annex import ProgramError, require_programs
from tests.support.clones import IDENTITY, fresh_user, typed
from tests.support.paths import ROOT

FILES = {
    "training/a b.hdf": b"A" * 1000,
    "training/deep/ünï.tar.gz": b"B" * 2000,
    'say "hi".csv': b"x,y\n",
    "empty.bin": b"",
}
MIRRORS = [{"": "https://a.example.org/data/"}, {"": "https://b.example.org/other/"}]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be a user with an empty home, of whose name git knows nothing."""
    for name, value in fresh_user(tmp_path / "user", has_identity=False).items():
        monkeypatch.setenv(name, value)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME", raising=False)
        monkeypatch.delenv(f"GIT_{who}_EMAIL", raising=False)
    return tmp_path / "user"


@pytest.fixture
def tiny(tmp_path: Path) -> Descriptor:
    return write_dataset(tmp_path / "registry", FILES, mirrors=MIRRORS)


def git(folder: Path, *arguments: str) -> str:
    done = typed("git", *arguments, at=folder, user=os.environ | IDENTITY)
    assert done.returncode == 0, done.stderr
    return done.stdout


def urls(repository: Path) -> dict[str, list[str]]:
    """Return what git-annex says where each file can be had."""
    shown = git(repository, "annex", "whereis", "--json").splitlines()
    rows = (json.loads(line) for line in shown)
    return {
        row["file"]: sorted(url for place in row["whereis"] for url in place["urls"])
        for row in rows
    }


def new_version(registry: Path, version: str, files: Mapping[str, bytes]) -> Descriptor:
    """Add a version of `tiny` to a registry."""
    write_dataset(registry / "other", files, mirrors=MIRRORS)
    folder = registry / "datapackages" / "tiny" / version
    (registry / "other" / "datapackages" / "tiny" / "1.0").rename(folder)
    change_descriptor(folder, lambda document: document.update(version=version))
    return read_descriptor(folder)


def test_a_mirror_registers_every_address_and_downloads_nothing(tmp_path: Path) -> None:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as server:
        tiny = write_dataset(
            tmp_path / "registry",
            FILES,
            mirrors=[{"": f"{server.url}/"}, {"": "https://b.example.org/other/"}],
        )
        made = datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
        asked = server.requests

    repository = tmp_path / "m" / "tiny"
    registered = urls(repository)
    assert made == ["tiny: made, 1.0", "superdataset: committed"]
    assert asked == []
    assert sorted(registered) == sorted(FILES)
    assert registered["training/a b.hdf"] == [
        f"{server.url}/training/a%20b.hdf",
        "https://b.example.org/other/training/a%20b.hdf",
    ]
    assert not any((repository / path).exists() for path in FILES)  # links to nothing, so far


def test_a_version_is_a_tag_and_what_describes_it_ordinary_files(
    tmp_path: Path, tiny: Descriptor, user: Path
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})

    repository = tmp_path / "m" / "tiny"
    assert git(repository, "tag").split() == ["1.0"]
    assert git(repository, "rev-parse", "1.0^{}") == git(repository, "rev-parse", "main")
    assert (repository / "manifest.csv").read_bytes() == (tiny.folder / "manifest.csv").read_bytes()
    assert json.loads((repository / "datapackage.json").read_text())["name"] == "tiny"
    assert "git checkout 1.0" in (repository / "README.md").read_text()
    assert (repository / "checksums.sha256").read_text().count("\n") == len(FILES)
    assert git(tmp_path / "m", "status", "--porcelain") == ""
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "log", "--format=%an", "main").strip() == "sciml-data"
    assert not (user / ".gitconfig").exists()


@pytest.mark.slow
def test_the_same_version_is_the_same_commit_wherever_it_is_made(
    tmp_path: Path, tiny: Descriptor
) -> None:
    for name in ("one", "two"):
        datalad.create_mirror(tmp_path / name, {"tiny": [tiny]})

    commits = [git(tmp_path / name / "tiny", "rev-parse", "main") for name in ("one", "two")]
    assert commits[0] == commits[1]


def test_keys_are_what_git_annex_makes_of_the_files_themselves(tmp_path: Path) -> None:
    write_files(tmp_path / "files", FILES)
    git(tmp_path, "init", "--quiet", ".")
    entries = [
        Entry(path, len(content), hash_file(tmp_path / "files" / path))
        for path, content in FILES.items()
    ]
    calculated = [
        git(tmp_path, "annex", "calckey", "--backend=SHA256E", f"files/{path}").strip()
        for path in FILES
    ]

    assert [one.key for one in annex_files(tmp_path, entries)] == calculated


@pytest.mark.parametrize(
    ("held", "key", "is_weak"),
    [
        (f"sha256:{'a' * 64}", f"SHA256E-s7--{'a' * 64}.csv", False),
        (f"md5:{'b' * 32}", f"MD5-s7--{'b' * 32}", False),
        (f"s3etag:{'b' * 32}", f"MD5-s7--{'b' * 32}", False),
        (f"s3etag:{'c' * 32}-2:8388608", f"URL-s7--s3etag-{'c' * 32}-2-8388608", True),
        (f"gitblob:{'d' * 40}", f"URL-s7--gitblob-{'d' * 40}", True),
    ],
)
def test_each_kind_of_hash_has_the_strongest_key_that_fits(
    tmp_path: Path, held: str, key: str, *, is_weak: bool
) -> None:
    git(tmp_path, "init", "--quiet", ".")

    (found,) = annex_files(tmp_path, [Entry("one/two.csv", 7, held)])

    assert (found.key, found.is_weak) == (key, is_weak)
    assert found.link.startswith("../.git/annex/objects/")
    assert found.link.endswith(f"/{key}")


@pytest.mark.slow
def test_a_weak_hash_is_said_and_a_file_at_home_gives_a_strong_one(
    tmp_path: Path, home: Home
) -> None:
    tiny = write_dataset(tmp_path / "registry", {"a.csv": b"abc", "b.csv": b"b"}, mirrors=MIRRORS)
    blob = "gitblob:f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"  # `printf abc | git hash-object`
    tiny = with_hash(tiny, "a.csv", blob)
    said: list[str] = []
    datalad.create_mirror(tmp_path / "weak", {"tiny": [tiny]}, log=said.append)
    write_files(home.dataset("tiny", "1.0").native, {"a.csv": b"abc"})
    datalad.create_mirror(
        tmp_path / "strong",
        {"tiny": [tiny]},
        hashes=datalad.sha256_from_home(home, said.append),
        log=said.append,
    )

    keys = [(tmp_path / name / "tiny" / "a.csv").readlink().name for name in ("weak", "strong")]
    assert keys[0] == f"URL-s3--gitblob-{blob.removeprefix('gitblob:')}"
    assert keys[1] == (
        "SHA256E-s3--ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.csv"
    )
    assert any("1 of 2 files are pinned by a hash that git-annex does not know" in s for s in said)
    assert datalad.update_mirror(tmp_path / "strong", {"tiny": [tiny]}) == []  # the hash is kept


def with_hash(descriptor: Descriptor, path: str, held: str) -> Descriptor:
    """Pin a file by another hash."""
    place = descriptor.folder / "manifest.csv"
    lines = [
        f"{line.rpartition(',')[0]},{held}" if line.startswith(f"{path},") else line
        for line in place.read_text().splitlines()
    ]
    place.write_text("\n".join([*lines, ""]))
    refresh(descriptor.folder)
    return read_descriptor(descriptor.folder)


def refresh(folder: Path) -> None:
    """Write size and hash of the manifest into the descriptor, as `derive` does."""
    place = folder / "manifest.csv"
    change_descriptor(
        folder,
        lambda document: document["resources"][0].update(
            bytes=place.stat().st_size, hash=hash_file(place)
        ),
    )


def test_what_nobody_pinned_is_refused_by_name_and_left_out_otherwise(
    tmp_path: Path, tiny: Descriptor
) -> None:
    write_unpinned(tmp_path / "registry", mirrors=MIRRORS, dataset="loose")
    registry, said = Registry(tmp_path / "registry"), list[str]()

    assert list(datalad.select_versions(registry, [], None, said.append)) == ["tiny"]
    assert "loose 1.0" in said[0]
    with pytest.raises(CallError, match="needs pinned hashes") as error:
        datalad.select_versions(registry, ["tiny", "loose"], None, said.append)
    assert "sciml-data pin loose" in error.value.hint


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path, tiny: Descriptor) -> None:
    write_files(tmp_path / "mine", {"thesis.tex": b"!"})

    with pytest.raises(CallError, match="is not an empty folder"):
        datalad.create_mirror(tmp_path / "mine", {"tiny": [tiny]})
    with pytest.raises(CallError, match="is not a mirror"):
        datalad.update_mirror(tmp_path / "mine", {"tiny": [tiny]})
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_without_git_annex_the_extra_is_named(
    tmp_path: Path, tiny: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.transfer.protocols.annex._path", lambda: str(tmp_path))

    with pytest.raises(CallError, match="git and git-annex cannot be started") as error:
        datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    assert "sciml-data[datalad]" in error.value.hint
    assert "apt-get install git" in error.value.hint
    assert not (tmp_path / "m").exists()
    with pytest.raises(CallError, match="datalad"):
        require_programs("datalad")


def test_update_finds_nothing_to_do_where_nothing_changed(tmp_path: Path, tiny: Descriptor) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    before = git(tmp_path / "m" / "tiny", "for-each-ref")

    assert datalad.update_mirror(tmp_path / "m", {"tiny": [tiny]}) == []
    assert git(tmp_path / "m" / "tiny", "for-each-ref") == before


def test_update_registers_new_addresses_and_takes_old_ones_back(
    tmp_path: Path, tiny: Descriptor
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    repository = tmp_path / "m" / "tiny"
    key = git(repository, "annex", "lookupkey", "empty.bin").strip()
    git(repository, "annex", "registerurl", key, "https://somebody.example.org/empty.bin")
    change_descriptor(
        tiny.folder,
        lambda document: document["sciml"]["mirrors"][1].update(
            prefixes={"": "https://c.example.org/new/"}
        ),
    )

    changes = datalad.update_mirror(tmp_path / "m", {"tiny": [read_descriptor(tiny.folder)]})

    assert changes == [
        "tiny: remote mirror-1 has the addresses https://c.example.org/new/*",
        "tiny: 4 addresses registered, 4 at c.example.org",
        "tiny: 4 addresses removed, 4 at b.example.org",
        "tiny: description updated",
        "superdataset: committed",
    ]
    assert urls(repository)["empty.bin"] == [
        "https://a.example.org/data/empty.bin",
        "https://c.example.org/new/empty.bin",
        "https://somebody.example.org/empty.bin",
    ]


@pytest.mark.slow
def test_update_adds_a_version_and_leaves_the_old_one_at_its_tag(
    tmp_path: Path, tiny: Descriptor
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    repository = tmp_path / "m" / "tiny"
    before = git(repository, "rev-parse", "1.0")
    newer = new_version(tmp_path / "registry", "1.1", {"empty.bin": b"", "new.csv": b"new"})

    changes = datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]})

    assert "tiny: version 1.1: 2 files" in changes
    assert git(repository, "rev-parse", "1.0") == before
    assert sorted(urls(repository)) == ["empty.bin", "new.csv"]
    assert "say" in git(repository, "ls-tree", "-r", "1.0")
    assert datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]}) == []
    assert "| tiny | 1.0, 1.1 | 2 |" in (tmp_path / "m" / "README.md").read_text()


@pytest.mark.slow
def test_an_older_version_that_comes_later_does_not_become_the_newest(
    tmp_path: Path, tiny: Descriptor
) -> None:
    newer = new_version(tmp_path / "registry", "1.1", {"new.csv": b"new"})
    datalad.create_mirror(tmp_path / "m", {"tiny": [newer]})

    datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]})

    assert (tmp_path / "m" / "tiny" / "new.csv").is_symlink()
    assert git(tmp_path / "m" / "tiny", "tag").split() == ["1.0", "1.1"]


def test_a_published_version_that_changed_is_refused(tmp_path: Path, tiny: Descriptor) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    changed = with_hash(tiny, "empty.bin", f"sha256:{'0' * 64}")

    with pytest.raises(DescriptorError, match="never changes") as error:
        datalad.update_mirror(tmp_path / "m", {"tiny": [changed]})

    assert [problem.place for problem in error.value.problems] == ["empty.bin"]


def test_what_somebody_changed_in_the_mirror_is_not_overwritten(
    tmp_path: Path, tiny: Descriptor
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    card = tmp_path / "m" / "tiny" / "README.md"
    card.write_text("mine")

    with pytest.raises(CallError, match="uncommitted changes"):
        datalad.update_mirror(tmp_path / "m", {"tiny": [tiny]})
    assert card.read_text() == "mine"


class Stopped(Exception):  # noqa: N818 - it stands for a kill
    """Stands for a kill."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    ["annex_files", "set_remotes", "register_addresses", "_commit_version", "check_out"],
)
def test_a_create_that_was_cut_anywhere_goes_on(
    tmp_path: Path, tiny: Descriptor, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    whole = tmp_path / "whole"
    datalad.create_mirror(whole, {"tiny": [tiny]})

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(f"sciml_data.integrations.datalad.mirror.{step}", stop)
        with pytest.raises(Stopped):
            datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})

    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})

    assert urls(tmp_path / "m" / "tiny") == urls(whole / "tiny")
    trees = [git(root / "tiny", "rev-parse", "main") for root in (whole, tmp_path / "m")]
    assert trees[0] == trees[1]
    assert not (tmp_path / "m" / ".git" / "sciml-data" / "making").exists()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["register_addresses", "_commit_version", "check_out"])
def test_an_update_that_was_cut_anywhere_goes_on(
    tmp_path: Path, tiny: Descriptor, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    newer = new_version(tmp_path / "registry", "1.1", {"new.csv": b"new"})

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(f"sciml_data.integrations.datalad.mirror.{step}", stop)
        with pytest.raises(Stopped):
            datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]})
    datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]})

    assert sorted(urls(tmp_path / "m" / "tiny")) == ["new.csv"]
    assert git(tmp_path / "m" / "tiny", "status", "--porcelain") == ""
    assert datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]}) == []


@pytest.mark.slow
def test_native_files_keep_their_names_where_ours_would_clash(tmp_path: Path) -> None:
    tiny = write_dataset(tmp_path / "registry", {"README.md": b"# theirs"}, mirrors=MIRRORS)

    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})

    assert (tmp_path / "m" / "tiny" / "README.md").is_symlink()
    assert (tmp_path / "m" / "tiny" / "sciml-data" / "README.md").is_file()
    assert datalad.update_mirror(tmp_path / "m", {"tiny": [tiny]}) == []


def test_a_file_that_git_cannot_hold_is_refused(tmp_path: Path) -> None:
    tiny = write_dataset(tmp_path / "registry", {".datalad/config": b"!"}, mirrors=MIRRORS)

    with pytest.raises(DescriptorError, match="cannot hold"):
        datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})


def test_each_mirror_has_a_remote_of_its_own_urls() -> None:
    stfc = "https://s3.echo.stfc.ac.uk/bucket/"
    places = [
        Place("stfc", {"training/": f"{stfc}training/", "inference/": f"{stfc}inference/"}),
        Place("origin", {"training/": f"{stfc}one-day/", "inference/": f"{stfc}ssts/"}),
        Place(
            "osn", {"training/": "https://osn.example/x/", "inference/": "https://osn.example/y/"}
        ),
    ]

    assert web_remotes(places[:1]) == {}
    assert web_remotes(places) == {
        "stfc-1": f"{stfc}training/*",
        "stfc-2": f"{stfc}inference/*",
        "mirror-origin-1": f"{stfc}one-day/*",
        "mirror-origin-2": f"{stfc}ssts/*",
        "osn": "https://osn.example/*",
    }


@pytest.mark.slow
def test_a_published_mirror_that_did_not_change_stays_as_it_is(
    tmp_path: Path, tiny: Descriptor
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    to = tmp_path / "www"
    first = datalad.publish_mirror(tmp_path / "m", to)
    inode = (to / "tiny.git").stat().st_ino
    second = datalad.publish_mirror(tmp_path / "m", to)

    assert [(one.name, one.is_new) for one in first] == [("tiny", True), ("datasets", True)]
    assert [one.is_new for one in second] == [False, False]
    assert (to / "tiny.git").stat().st_ino == inode
    newer = new_version(tmp_path / "registry", "1.1", {"new.csv": b"new"})
    datalad.update_mirror(tmp_path / "m", {"tiny": [tiny, newer]})
    assert [one.is_new for one in datalad.publish_mirror(tmp_path / "m", to)] == [True, True]
    assert git(to / "tiny.git", "tag").split() == ["1.0", "1.1"]
    assert sorted(path.name for path in to.iterdir()) == ["datasets.git", "tiny.git"]


@pytest.mark.slow
def test_what_else_lies_where_a_mirror_is_published_is_left_alone(
    tmp_path: Path, tiny: Descriptor
) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    git(tmp_path, "init", "--quiet", "--bare", "www/tiny.git")

    with pytest.raises(CallError, match="was not published by"):
        datalad.publish_mirror(tmp_path / "m", tmp_path / "www")


@pytest.mark.slow
def test_publishing_that_was_killed_goes_on(tmp_path: Path, tiny: Descriptor) -> None:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    to = tmp_path / "www"
    datalad.publish_mirror(tmp_path / "m", to)
    (to / "tiny.git").rename(to / ".tiny.git.old")  # killed between the two renames
    (to / ".tiny.git.partial").mkdir()

    published = datalad.publish_mirror(tmp_path / "m", to)

    assert [one.is_new for one in published] == [False, False]
    assert sorted(path.name for path in to.iterdir()) == ["datasets.git", "tiny.git"]


@pytest.mark.parametrize("kilobytes", [200, 300])
def test_a_full_disk_is_named_and_the_same_call_resumes(
    tmp_path: Path, tiny: Descriptor, kilobytes: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        with pytest.raises(NoSpaceError, match=f"no space left on the disk of {disk}"):
            datalad.create_mirror(disk / "mirror", {"tiny": [tiny]})
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        datalad.create_mirror(disk / "mirror", {"tiny": [tiny]})

        assert len(urls(disk / "mirror" / "tiny")) == len(FILES)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_create_that_is_killed_while_it_registers_goes_on(tmp_path: Path, home: Home) -> None:
    files = {f"{number:04d}.csv": b"%d" % number for number in range(2000)}
    write_dataset(tmp_path / "registry", files, mirrors=MIRRORS)
    command_line = [sys.executable, "-m", "sciml_data", "mirror", "create", str(tmp_path / "m"),
                    "tiny", "--registry", str(tmp_path / "registry")]  # fmt: skip
    with subprocess.Popen(command_line, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("m/.git/sciml-data/making/*/.git/annex/journal/*")):
            assert process.poll() is None, "it ended before it could be killed"
        process.kill()
    assert not (tmp_path / "m" / "tiny").exists()

    again = subprocess.run(command_line, check=False, capture_output=True, text=True)

    assert again.returncode == 0, again.stderr
    found = urls(tmp_path / "m" / "tiny")
    assert sorted(found) == sorted(files)
    assert {len(each) for each in found.values()} == {2}


@pytest.fixture
def website(tmp_path: Path, tiny: Descriptor) -> Iterator[FileServer]:
    datalad.create_mirror(tmp_path / "m", {"tiny": [tiny]})
    datalad.publish_mirror(tmp_path / "m", tmp_path / "www")
    with FileServer(tmp_path / "www") as server:
        yield server


def test_a_static_web_server_is_enough_for_git_with_few_requests(
    website: FileServer, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"{website.url}/tiny.git", str(clone))

    assert len(website.requests) < 15
    assert git(clone, "tag").split() == ["1.0"]
    assert (clone / "empty.bin").is_symlink()
    assert git(clone, "branch", "--remotes", "--list", "origin/git-annex").strip()


@pytest.mark.slow
def test_the_command_line_makes_publishes_and_updates(tmp_path: Path, tiny: Descriptor) -> None:
    registry, folder = ["--registry", str(tmp_path / "registry")], str(tmp_path / "m")

    made = CliRunner().invoke(command, ["create", folder, "tiny", *registry])
    published = CliRunner().invoke(command, ["publish", folder, "--to", str(tmp_path / "www")])
    updated = CliRunner().invoke(command, ["update", folder, *registry])
    again = CliRunner().invoke(command, ["create", folder, *registry])

    assert made.stdout.splitlines() == ["tiny: made, 1.0", "superdataset: committed"]
    assert published.stdout.splitlines() == [
        str(tmp_path / "www" / name) for name in ("tiny.git", "datasets.git")
    ]
    assert (updated.stdout, updated.exit_code) == ("", 0)
    assert "nothing changed" in updated.stderr
    assert isinstance(again.exception, CallError)
    assert "mirror update" in again.exception.hint


def test_the_commands_of_the_document_can_be_typed() -> None:
    text = (ROOT / "docs" / "how-to" / "mirrors.md").read_text()
    lines = [line.split("#")[0] for line in text.splitlines() if "    sciml-data mirror" in line]

    assert len(lines) >= 5
    for line in lines:
        verb, *arguments = line.split()[2:]
        assert isinstance(command, click.Group)
        command.commands[verb].make_context(verb, arguments)


def test_what_git_says_of_a_failure_is_passed_on(tmp_path: Path) -> None:
    from sciml_data.transfer.protocols.annex import git as run_git

    with pytest.raises(ProgramError, match=r"(?s)`git rev-parse HEAD` ended with 128.*not a git"):
        run_git(tmp_path, "rev-parse", "HEAD")
