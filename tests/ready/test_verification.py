"""Ready files are checked before their values are used: by convert, open, verify and run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

import sciml_data
import sciml_data.ready.open
from sciml_data.errors import CallError, VerificationError
from sciml_data.home import HOME_VARIABLE, DatasetFolder, Home
from sciml_data.ready import find_converted, ready_folder, ready_problems
from sciml_data.ready.folder import STAT_CACHE_NAME
from sciml_data.registry.stages import Converted
from tests.support.damage import DAMAGE, flip, flip_unnoticed

DATASET = "tevolop_socal"
FILE = "events.nc"
Lines = list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with a converted sample."""
    home = tmp_path_factory.mktemp("made")
    sciml_data.get_dataset(DATASET, sample=True, home=home)
    sciml_data.convert_dataset(DATASET, sample=True, home=home)
    return home


@pytest.fixture
def converted(made: Path, home: Home) -> Converted:
    """Return the ready files in the home of this test."""
    shutil.copytree(made, home.root)
    return find(home)


def find(home: Home) -> Converted:
    folder = home.dataset(DATASET, "1.0", sample_seed=0)
    converted = find_converted(sciml_data.describe(DATASET, version="1.0"), folder)
    assert converted is not None
    return converted


def convert_again(**options: object) -> tuple[Converted, Lines]:
    lines: Lines = []
    return sciml_data.convert_dataset(DATASET, sample=True, log=lines.append, **options), lines  # type: ignore[arg-type]


def open_and_close() -> None:
    sciml_data.open_dataset(DATASET, sample=True).close()


def places(error: pytest.ExceptionInfo[VerificationError]) -> list[tuple[str, str]]:
    return [(problem.kind, problem.place) for problem in error.value.problems]


@pytest.fixture(params=DAMAGE)
def damage(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return DAMAGE[request.param]


def test_a_damaged_file_is_not_opened(converted: Converted, damage: Callable[[Path], None]) -> None:
    open_and_close()
    damage(converted.root / FILE)

    with pytest.raises(VerificationError, match=r"tevolop_socal 1\.0: 1 ready file ") as error:
        open_and_close()

    kind = "missing" if damage is DAMAGE["remove"] else "changed"
    assert places(error) == [(kind, FILE)]
    assert "sciml-data convert tevolop_socal --version 1.0 --sample" in error.value.hint


def test_a_file_that_changes_while_it_is_opened_is_not_served(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flip_and_open(paths: list[Path]) -> xr.Dataset:
        flip(paths[0])
        return open_files(paths)

    open_files = sciml_data.ready.open._open_files
    monkeypatch.setattr(sciml_data.ready.open, "_open_files", flip_and_open)

    with pytest.raises(VerificationError) as error:
        open_and_close()

    assert places(error) == [("changed", FILE)]


def test_a_damaged_file_is_named_and_converted_again(
    converted: Converted, damage: Callable[[Path], None]
) -> None:
    damage(converted.root / FILE)

    again, lines = convert_again()

    assert again.manifest == converted.manifest
    assert ready_problems(again, full=True) == []
    assert lines[0].startswith(FILE)
    assert not any("nothing to convert" in line for line in lines)
    open_and_close()


def test_an_unchanged_file_is_hashed_once(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_again()  # the copy of the home has other inodes
    read: list[Path] = []
    monkeypatch.setattr(
        "sciml_data.transfer.verification.hash_like", lambda path, _: read.append(path)
    )

    _, lines = convert_again()
    open_and_close()

    assert lines == ["nothing to convert: 1 ready file found"]
    assert read == []


def test_a_file_that_was_just_converted_is_not_hashed_again(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, _ = convert_again(again=True)
    read: list[Path] = []
    monkeypatch.setattr(
        "sciml_data.transfer.verification.hash_like", lambda path, _: read.append(path)
    )

    assert ready_problems(again) == []
    assert again.manifest == converted.manifest
    assert read == []


def test_damage_without_a_trace_is_found_by_a_full_check_and_stays_found(
    converted: Converted,
) -> None:
    open_and_close()
    flip_unnoticed(converted.root / FILE)
    open_and_close()

    assert [problem.place for problem in ready_problems(converted, full=True)] == [FILE]

    with pytest.raises(VerificationError):
        open_and_close()
    assert convert_again()[0].manifest == converted.manifest
    open_and_close()


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_changed_or_removed_line_of_the_manifest_is_named(
    converted: Converted, *, is_listed: bool
) -> None:
    manifest = converted.root / "manifest.csv"
    header, line, _ = manifest.read_text().split("\n")
    changed = line[:-1] + ("0" if line[-1] != "0" else "1")
    manifest.write_text(f"{header}\n{changed}\n" if is_listed else f"{header}\n")

    with pytest.raises(VerificationError) as error:
        open_and_close()

    assert places(error) == [("changed" if is_listed else "missing", FILE)]
    again, lines = convert_again()
    assert again.manifest == converted.manifest
    assert lines[0].startswith("manifest.csv")
    open_and_close()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"path,bytes,hash\n../x,1,sha256:0\n"])
def test_a_damaged_manifest_is_named_and_written_again(
    converted: Converted, content: bytes
) -> None:
    (converted.root / "manifest.csv").write_bytes(content)

    with pytest.raises(VerificationError, match=r"manifest\.csv"):
        open_and_close()

    assert convert_again()[0].manifest == converted.manifest
    open_and_close()


RECORDS = [
    "", "[]", "{}", "nonsense", '{"splits": 1}', '{"splits": {"a": 1}}', '{"splits": {"a": [1]}}',
    '{"splits": {}}', "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", RECORDS, ids=lambda content: content[:20])
def test_a_damaged_record_is_named_and_written_again(converted: Converted, content: str) -> None:
    record = converted.root / "conversion.json"
    before = record.read_text()
    record.write_text(content)

    with pytest.raises(VerificationError, match=r"conversion\.json"):
        open_and_close()

    assert convert_again()[0].manifest == converted.manifest
    assert record.read_text() == before
    open_and_close()


JOURNALS = [
    "[" * 5000 + "\n",
    '{"path": "x", "bytes": 1e999, "hash": "x", "of": "x"}\n',
    "",
    "nonsense\n",
    "[]\n",
    "{}\n",
    '{"path": 1, "bytes": "x", "hash": 3, "of": null}\n',
]


@pytest.mark.parametrize("content", JOURNALS)
def test_a_damaged_journal_costs_a_conversion(converted: Converted, content: str) -> None:
    (converted.root / "shards.jsonl").write_text(content)

    again, _ = convert_again()

    assert again.manifest == converted.manifest
    assert ready_problems(again, full=True) == []


@pytest.mark.parametrize(
    "content", [b"[" * 5000, b"", b"\xff", b"[]\n", b'["events.nc", "file"]\n', b"{}\n1\n"]
)
def test_a_damaged_stat_cache_costs_a_hash(converted: Converted, content: bytes) -> None:
    (converted.root / STAT_CACHE_NAME).write_bytes(content)

    open_and_close()
    flip(converted.root / FILE)

    with pytest.raises(VerificationError):
        open_and_close()


# --- verify ---------------------------------------------------------------------------------------


def copy_with_options(converted: Converted, options: dict[str, object]) -> Path:
    """Copy ready files as those of other options; this format has no option of its own."""
    root = ready_folder(DatasetFolder(converted.root.parents[1]), options)
    shutil.copytree(converted.root, root)
    record = json.loads((root / "conversion.json").read_text())
    (root / "conversion.json").write_text(json.dumps(record | {"options": options}))
    return root


def test_verify_checks_every_set_of_options_or_those_given(converted: Converted) -> None:
    other = copy_with_options(converted, {"strict": True})
    flip(other / FILE)

    with pytest.raises(VerificationError) as error:
        sciml_data.verify_dataset(DATASET, sample=True, ready=True)

    assert places(error) == [("changed", f"ready/{other.name}/{FILE}")]
    assert error.value.hint.endswith("--set strict=true makes them again")
    verified = sciml_data.verify_dataset(DATASET, sample=True, ready=True, options={})
    assert [each.root for each in verified.ready] == [converted.root]


def test_verify_names_native_and_ready_files_at_once(converted: Converted) -> None:
    native = sciml_data.verify_dataset(DATASET, sample=True)
    path = native.manifest.entries[0].path
    flip(native.root / path)
    flip(converted.root / FILE)

    with pytest.raises(VerificationError) as error:
        sciml_data.verify_dataset(DATASET, sample=True, ready=True)

    place = f"ready/{converted.root.name}/{FILE}"
    assert places(error) == [("changed", path), ("changed", place)]


def test_verify_repairs_ready_files(converted: Converted) -> None:
    open_and_close()
    flip_unnoticed(converted.root / FILE)
    lines: Lines = []

    verified = sciml_data.verify_dataset(
        DATASET, sample=True, ready=True, repair=True, full=True, log=lines.append
    )

    assert [each.manifest for each in verified.ready] == [converted.manifest]
    assert ready_problems(converted, full=True) == []
    assert lines[0].startswith(FILE)


def test_ready_files_are_verified_without_native_files(converted: Converted) -> None:
    native = sciml_data.verify_dataset(DATASET, sample=True).root
    shutil.rmtree(native)

    verified = sciml_data.verify_dataset(DATASET, sample=True, ready=True)

    assert (len(verified.manifest), len(verified.ready)) == (0, 1)


def test_verify_says_that_nothing_was_converted() -> None:
    sciml_data.get_dataset(DATASET, sample=True)

    with pytest.raises(CallError, match="no ready files") as error:
        sciml_data.verify_dataset(DATASET, sample=True, ready=True)

    assert "sciml-data convert" in error.value.hint


def test_the_stat_cache_is_kept_with_the_files(converted: Converted) -> None:
    open_and_close()

    lines = (converted.root / STAT_CACHE_NAME).read_text().split("\n")

    rows = [json.loads(line) for line in lines if line]
    assert rows[-1][-1] == converted.manifest.by_path[FILE].hash
    assert rows[-1][3] == (converted.root / FILE).stat().st_mtime_ns


# --- shared homes ---------------------------------------------------------------------------------


@pytest.fixture
def site(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a shared home with the ready files, behind the own home of this test."""
    site = Home(tmp_path / "site")
    shutil.copytree(made, site.root)
    monkeypatch.setenv(HOME_VARIABLE, f"{tmp_path / 'home'}{os.pathsep}{site.root}")
    return site


def state_of(home: Home) -> dict[str, tuple[int, int]]:
    """Return what any write into a home changes."""
    paths = [home.root, *home.root.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}


def test_shared_files_are_hashed_once_and_the_own_home_remembers_it(
    site: Home, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(site)
    open_and_close()  # the copy has other inodes than its stat cache
    monkeypatch.setattr("sciml_data.transfer.verification.hash_like", lambda *_: "another hash")

    open_and_close()

    assert state_of(site) == before
    (cache,) = home.dataset(DATASET, "1.0", sample_seed=0).ready.iterdir()
    assert cache.name.endswith(".verified.jsonl")


def test_a_changed_shared_file_is_named_and_converted_into_the_own_home(
    site: Home, home: Home
) -> None:
    (path,) = site.dataset(DATASET, "1.0", sample_seed=0).ready.glob(f"*/{FILE}")
    flip(path)
    before = state_of(site)
    with pytest.raises(VerificationError, match=str(site.root)):
        open_and_close()

    again, lines = convert_again()

    assert lines[0].startswith(FILE)
    assert again.root.is_relative_to(home.root)
    assert state_of(site) == before
    open_and_close()


def test_an_own_stat_cache_does_not_hide_the_shared_files(site: Home) -> None:
    open_and_close()

    again, lines = convert_again()

    assert again.root.is_relative_to(site.root)
    assert lines == [f"nothing to convert: 1 ready file in {again.root}"]
