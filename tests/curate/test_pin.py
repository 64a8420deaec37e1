"""`sciml-data pin`: checksums of fetched files become part of the registry."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli.check import check_registry
from sciml_data.cli.pin import command as pin_command
from sciml_data.curate.derive import drift
from sciml_data.curate.pin import pin_fetched, pin_listing, write_pin
from sciml_data.errors import (
    CallError,
    DescriptorError,
    ListingError,
    SciMLDataError,
    VerificationError,
)
from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import manifest_of, read_manifest
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.transfer.listing import ListedFile, Listing
from sciml_data.transfer.plan import make_plan

FILES = {f"train/{number}.bin": b"0123456789" for number in range(3)} | {"test/a.bin": b"a"}
EXPECTED = {
    "files": {"train/**": {"count": 3, "bytes_each": 10}},
    "total_bytes": {"least": 31, "most": 31},
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    write_unpinned(
        tmp_path / "registry",
        mirrors=[{"": "https://one.example/bucket/"}],
        splits={"train": ["train/*"]},
        expected=EXPECTED,
    )
    return Registry(tmp_path / "registry")


@pytest.fixture
def folder(registry: Registry, tmp_path: Path, home: Home) -> DatasetFolder:
    """The folder of the version in the home, with a stored listing; its mirror is a folder."""
    write_files(tmp_path / "served", FILES)
    mirror = f"file:{tmp_path / 'served'}"
    return make_plan(load_descriptor(registry, "tiny"), home, mirrors=[mirror]).folder


def arrive(folder: DatasetFolder, *paths: str) -> None:
    """Write the files and the manifest that a fetch would write."""
    write_files(folder.native, {path: FILES[path] for path in paths or FILES})
    folder.manifest.write_text(manifest_of(folder.native).dump(), encoding="utf-8")


def pin(registry: Registry, *arguments: str) -> Result:
    """Run the verb; errors of sciml-data are raised."""
    line = ("tiny", "--registry", str(registry.root), *arguments)
    result = CliRunner().invoke(pin_command, line)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    assert result.exception is None
    return result


def state(registry: Registry) -> dict[str, bytes]:
    """Return every file of a registry."""
    root = registry.root
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_a_pin_leaves_a_valid_registry(registry: Registry, folder: DatasetFolder) -> None:
    arrive(folder)

    result = pin(registry)

    pinned = load_descriptor(registry, "tiny")
    assert pinned.is_pinned
    assert pinned.manifest == read_manifest(folder.manifest)
    assert pinned.expected == EXPECTED
    assert [problem for problem in check_registry(registry) if problem.kind != "card"] == []
    assert drift(registry) == []
    assert f"written: {registry.root}/checksums/tiny-1.0.sha256" in result.stderr


def test_the_text_of_the_pull_request_has_the_numbers(
    registry: Registry, folder: DatasetFolder
) -> None:
    arrive(folder)

    lines = pin(registry).stdout.splitlines()

    assert lines[0] == "Pin tiny 1.0: 4 files, 31 bytes"
    assert f"- manifest: sha256 {read_manifest(folder.manifest).digest}" in lines
    assert "- hashes: sha256, computed from every byte as it arrived" in lines
    assert "- expected and found: train/**: count 3, bytes_each 10; 31 to 31 bytes in all" in lines
    assert str(folder.root) not in "\n".join(lines)


def test_a_dry_run_writes_nothing(registry: Registry, folder: DatasetFolder) -> None:
    arrive(folder)
    before = state(registry)

    result = pin(registry, "--dry-run")

    assert result.stdout.startswith("Pin tiny 1.0: 4 files")
    assert state(registry) == before


def test_a_part_is_not_pinned(registry: Registry, folder: DatasetFolder) -> None:
    arrive(folder, "train/0.bin", "train/2.bin", "test/a.bin")
    before = state(registry)

    with pytest.raises(VerificationError, match="1 of 4 files differ") as error:
        pin(registry)

    problems = [(problem.kind, problem.place) for problem in error.value.problems]
    assert problems == [("missing", "train/1.bin")]
    assert state(registry) == before


def test_files_that_changed_since_they_arrived_are_not_pinned(
    registry: Registry, folder: DatasetFolder
) -> None:
    arrive(folder)
    (folder.native / "train/1.bin").write_bytes(b"9876543210")

    with pytest.raises(VerificationError) as error:
        pin(registry)

    assert [(p.kind, p.place) for p in error.value.problems] == [("changed", "train/1.bin")]


def test_files_that_no_mirror_listed_are_not_pinned(
    registry: Registry, folder: DatasetFolder
) -> None:
    write_files(folder.native, {"train/9.bin": b"mine"})
    arrive(folder)

    with pytest.raises(VerificationError) as error:
        pin(registry)

    assert [(p.kind, p.place) for p in error.value.problems] == [("unexpected", "train/9.bin")]


def test_a_listing_that_is_not_as_expected_is_not_pinned(
    registry: Registry, folder: DatasetFolder
) -> None:
    arrive(folder)
    lines = folder.listing.read_text().splitlines(keepends=True)
    folder.listing.write_text("".join(line for line in lines if "train/1.bin" not in line))

    with pytest.raises(ListingError, match="3 files expected, 2 listed"):
        pin(registry)


def test_a_version_that_was_never_fetched_is_not_pinned(registry: Registry) -> None:
    with pytest.raises(CallError, match=r"nothing of tiny 1\.0 was fetched"):
        pin(registry)


def test_a_pinned_version_is_never_pinned_again(registry: Registry, folder: DatasetFolder) -> None:
    arrive(folder)
    pin(registry)

    for arguments in ([], ["--listing"], ["--dry-run"]):
        with pytest.raises(CallError, match="published versions never change"):
            pin(registry, *arguments)


def test_a_live_version_cannot_be_pinned() -> None:
    with pytest.raises(CallError, match="live: a service answers differently each time"):
        CliRunner().invoke(
            pin_command, ["tevolop_socal", "--version", "live"], catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["tinny"], "did you mean 'tiny'"), (["tiny", "--version", "2.0"], "it has 1.0")],
)
def test_a_wrong_name_says_what_there_is(
    registry: Registry, arguments: list[str], message: str
) -> None:
    with pytest.raises(CallError, match=message):
        CliRunner().invoke(
            pin_command, [*arguments, "--registry", str(registry.root)], catch_exceptions=False
        )


def test_a_split_without_files_would_not_be_valid(tmp_path: Path, home: Home) -> None:
    registry = tmp_path / "registry"
    descriptor = write_unpinned(
        registry, mirrors=[{"": "https://one.example/"}], splits={"none": ["none/*"]}
    )
    write_files(tmp_path / "served", FILES)
    folder = make_plan(descriptor, home, mirrors=[f"file:{tmp_path / 'served'}"]).folder
    arrive(folder)
    before = state(Registry(registry))

    with pytest.raises(DescriptorError, match="would not be valid") as error:
        pin(Registry(registry))

    assert [problem.place for problem in error.value.problems] == ["$.sciml.splits.none"]
    assert state(Registry(registry)) == before


def test_the_registry_of_an_installed_wheel_is_not_written_to(
    registry: Registry, folder: DatasetFolder
) -> None:
    arrive(folder)
    installed = registry.root.rename(registry.root.with_name("_registry"))

    with pytest.raises(CallError, match="read-only") as error:
        pin(Registry(installed))

    assert "--registry DIR" in error.value.hint


def test_a_registry_that_may_not_be_written_to_says_so(
    registry: Registry, folder: DatasetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(folder)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("sciml_data.curate.pin.write_atomically", refuse)

    with pytest.raises(CallError, match="read-only"):
        write_pin(pin_fetched(load_descriptor(registry, "tiny"), folder), registry)


def test_after_a_kill_between_the_two_files_the_version_can_be_pinned(
    registry: Registry, folder: DatasetFolder
) -> None:
    arrive(folder)
    whole = pin_fetched(load_descriptor(registry, "tiny"), folder)
    (whole.descriptor.folder / "manifest.csv").write_text(whole.texts["manifest.csv"])

    pin(registry)

    assert load_descriptor(registry, "tiny").is_pinned


MD5 = hashlib.md5(b"x", usedforsecurity=False).hexdigest()


def listing(*etags: str) -> Listing:
    """Return a listing of files of 20 MiB with these ETags."""
    return Listing(
        tuple(
            ListedFile(f"train/{number}.bin", 20 << 20, etag, "", f"https://one.example/{number}")
            for number, etag in enumerate(etags)
        ),
        "2026-01-02T03:04:05Z",
    )


def test_a_listing_is_pinned_by_its_etags(registry: Registry) -> None:
    descriptor = load_descriptor(registry, "tiny")

    write_pin(pin_listing(descriptor, listing(MD5, f"{MD5}-3")), registry)

    manifest = load_descriptor(registry, "tiny").manifest
    assert manifest is not None
    assert [entry.hash for entry in manifest] == [f"md5:{MD5}", f"s3etag:{MD5}-3:{8 << 20}"]
    assert drift(registry) == []


def test_etags_that_bytes_cannot_be_verified_against_are_not_pinned(registry: Registry) -> None:
    descriptor = load_descriptor(registry, "tiny")

    with pytest.raises(ListingError, match="2 of 3 files") as error:
        pin_listing(descriptor, listing(MD5, f"{MD5}-2", ""))

    assert [(problem.place, problem.message) for problem in error.value.problems] == [
        ("train/1.bin", f"bytes cannot be verified against {MD5}-2"),
        ("train/2.bin", "bytes cannot be verified against no ETag"),
    ]


def test_a_folder_has_no_etags_to_pin(registry: Registry, tmp_path: Path) -> None:
    write_files(tmp_path / "served", FILES)

    with pytest.raises(ListingError, match=r"4 of 4 files .* lack an ETag"):
        pin(registry, "--listing", "--mirror", f"file:{tmp_path / 'served'}")


def test_the_descriptor_changes_in_nothing_else(registry: Registry, folder: DatasetFolder) -> None:
    arrive(folder)
    path = load_descriptor(registry, "tiny").folder / "datapackage.json"
    before = json.loads(path.read_text())

    pin(registry)

    after = json.loads(path.read_text())
    assert after["sciml"].pop("trust") == "pinned"
    assert before["sciml"].pop("trust") == "unpinned"
    assert after["resources"].pop(0)["name"] == "manifest"
    assert after == before
