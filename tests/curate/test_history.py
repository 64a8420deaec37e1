"""`check --since`: files of versions that git has as pinned do not change, in a real repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.curate.derive import write_derived
from sciml_data.curate.history import changed_since
from sciml_data.errors import CallError, DescriptorError, Problem
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import hash_file
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import FILES, small_registry

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
PLACE = "datapackages/waves/1.0"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A user", "-c", "user.email=user@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return a registry below the top of a repository, its one version tagged."""
    registry = small_registry(tmp_path / "repository" / "registry")
    (registry.package("waves", "1.0") / "buoys.csv").write_text("buoy\n1\n")
    change_descriptor(
        registry.package("waves", "1.0"),
        lambda document: document["resources"].append(
            document["resources"][0] | {"name": "buoys", "path": "buoys.csv"}
        ),
    )
    write_derived(registry)
    git(tmp_path / "repository", "init", "--quiet")
    git(tmp_path / "repository", "add", "--all")
    git(tmp_path / "repository", "commit", "--quiet", "--message=waves 1.0")
    git(tmp_path / "repository", "tag", "published")
    return registry


def changes(registry: Registry, reference: str = "published") -> list[str]:
    return [str(problem) for problem in changed_since(registry, reference)]


def check(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["check", "--registry", str(registry.root), *arguments])


def test_nothing_was_changed(registry: Registry) -> None:
    assert changes(registry) == []
    assert check(registry, "--since", "published").exit_code == 0


def test_a_name_that_is_not_utf8_does_not_hide_changes(registry: Registry) -> None:
    folder = registry.package("waves", "1.0")
    Path(os.fsdecode(bytes(folder) + b"/\xff.txt")).write_text("x")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=a name")
    (folder / "buoys.csv").write_text("buoy\n2\n")

    assert any("buoys.csv" in change for change in changes(registry, "HEAD"))


def test_a_changed_hash_is_refused_even_after_commits(registry: Registry) -> None:
    manifest = registry.package("waves", "1.0") / "manifest.csv"
    manifest.write_text(FILES.dump().replace("b" * 64, "c" * 64))
    change_descriptor(  # by hand: `derive` refuses to
        manifest.parent,
        lambda document: document["resources"][0].update(hash=hash_file(manifest)),
    )
    git(registry.root, "commit", "--all", "--quiet", "--message=quietly changed, half of it")
    write_derived(registry)
    git(registry.root, "commit", "--all", "--quiet", "--message=quietly changed")
    assert check(registry).exit_code == 0

    result = check(registry, "--since", "published")

    assert result.stdout == (
        f"published  {PLACE}/manifest.csv  was changed in 1 entry (shore/2001.csv); "
        "a fix is a new version; since published\n"
    )
    assert getattr(result.exception, "exit_code", None) == 1
    assert changes(registry, "HEAD") == []


def test_a_change_that_is_not_committed_yet_is_found(registry: Registry) -> None:
    manifest = registry.package("waves", "1.0") / "manifest.csv"
    manifest.write_text(FILES.dump() + f"zz.csv,1,sha256:{'d' * 64}\n")

    assert changes(registry, "HEAD") == [
        f"published  {PLACE}/manifest.csv  was changed in 1 entry (zz.csv); "
        "a fix is a new version; since HEAD"
    ]


def test_a_removed_version_is_refused(registry: Registry) -> None:
    shutil.rmtree(registry.root / "datapackages" / "waves")

    assert changes(registry) == [
        f"published  {PLACE}  a pinned version was removed since published"
    ]


def test_a_version_cannot_be_unpinned(registry: Registry) -> None:
    folder = registry.package("waves", "1.0")
    (folder / "manifest.csv").unlink()
    change_descriptor(folder, lambda document: document["sciml"].update(trust="unpinned"))

    assert changes(registry) == [
        f"published  {PLACE}/datapackage.json  trust was changed from pinned to unpinned "
        "since published",
        f"published  {PLACE}/manifest.csv  was removed since published",
    ]


def test_a_file_that_the_descriptor_lists_stays_as_it_was(registry: Registry) -> None:
    (registry.package("waves", "1.0") / "buoys.csv").write_bytes(b"\xff")

    assert changes(registry) == [f"published  {PLACE}/buoys.csv  was changed since published"]


def test_words_may_be_corrected_and_versions_added(registry: Registry) -> None:
    change_descriptor(
        registry.package("waves", "1.0"), lambda document: document.update(title="Sea waves")
    )
    newer = registry.root / "datapackages/waves/1.1"
    shutil.copytree(registry.package("waves", "1.0"), newer)
    (newer / "manifest.csv").write_text("path,bytes,hash\n")

    assert changes(registry) == []


def test_an_unpinned_version_may_change(registry: Registry) -> None:
    folder = registry.package("waves", "1.0")
    change_descriptor(folder, lambda document: document["sciml"].update(trust="unpinned"))
    git(registry.root, "commit", "--all", "--quiet", "--message=not pinned")
    (folder / "manifest.csv").write_text("path,bytes,hash\n")

    assert changes(registry, "HEAD") == []


@pytest.mark.parametrize("reference", ["no-such-tag", "--all", ""])
def test_an_unknown_commit_is_an_error(registry: Registry, reference: str) -> None:
    with pytest.raises(CallError, match="git has no commit"):
        changed_since(registry, reference)


def test_a_registry_outside_of_git_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    with pytest.raises(CallError, match="not in a git repository"):
        changed_since(small_registry(tmp_path / "alone"), "HEAD")


def test_without_git_the_error_says_what_to_install(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CallError, match="git cannot be started"):
        changed_since(registry, "published")


def test_line_ends_that_git_changed_are_named_and_can_be_undone(
    registry: Registry, tmp_path: Path
) -> None:
    clone = Registry(tmp_path / "clone" / "registry")
    repository = registry.root.parent
    (registry.root / ".gitattributes").unlink()
    git(repository, "commit", "--quiet", "--all", "--message=no attributes")
    git(tmp_path, "clone", "--quiet", "-c", "core.autocrlf=true", str(repository), "clone")
    descriptor = (clone.package("waves", "1.0") / "datapackage.json").read_bytes()

    result = check(clone)

    assert result.exit_code == 1
    assert {line.split("  ")[0] for line in result.stdout.splitlines()} == {"line ends"}
    derived = CliRunner().invoke(group, ["derive", "--registry", str(clone.root)])
    assert derived.exit_code == 1
    assert (clone.package("waves", "1.0") / "datapackage.json").read_bytes() == descriptor

    git(clone.root.parent, "config", "core.autocrlf", "false")
    git(clone.root.parent, "rm", "-rq", "--cached", ".")
    git(clone.root.parent, "reset", "-q", "--hard")
    assert check(clone).exit_code == 0


def test_a_registry_is_started_with_attributes_that_keep_line_ends(
    registry: Registry, tmp_path: Path
) -> None:
    repository = str(registry.root.parent)
    git(tmp_path, "clone", "--quiet", "-c", "core.autocrlf=true", repository, "clone")

    assert check(Registry(tmp_path / "clone" / "registry"), "--since", "HEAD").exit_code == 0


def test_a_published_hash_is_not_derived_again(registry: Registry) -> None:
    folder = registry.package("waves", "1.0")
    before = (folder / "datapackage.json").read_bytes()
    (folder / "buoys.csv").write_text("buoy\n2\n")

    left_out: list[Problem] = []
    write_derived(registry, left_out)

    assert "buoys.csv" in left_out[0].message
    assert (folder / "datapackage.json").read_bytes() == before
    with pytest.raises(DescriptorError):
        write_derived(registry)


def test_a_hash_that_was_mistyped_is_derived_from_the_published_file(registry: Registry) -> None:
    folder = registry.package("waves", "1.0")
    before = (folder / "datapackage.json").read_bytes()
    change_descriptor(folder, lambda document: document["resources"][1].update(bytes=0))

    write_derived(registry)

    assert (folder / "datapackage.json").read_bytes() == before
