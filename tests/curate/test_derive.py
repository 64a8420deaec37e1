"""Derived files follow from the registry, and every difference is found."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from sciml_data.cli import group
from sciml_data.curate.derive import BEGIN, END, drift, write_derived
from sciml_data.errors import CallError, DescriptorError
from sciml_data.registry.layout import Registry, find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return small_registry(tmp_path / "registry")


def package(registry: Registry) -> Path:
    return registry.package("waves", "1.0")


def test_nothing_drifts_after_derive_and_a_second_one_changes_nothing(registry: Registry) -> None:
    assert drift(registry) == []
    assert write_derived(registry) == []


def test_the_built_in_registry_has_not_drifted() -> None:
    assert [str(problem) for problem in drift(find_registry())] == []


def test_every_drift_is_named_with_its_place(registry: Registry) -> None:
    (registry.root / "checksums" / "waves-1.0.sha256").unlink()
    (registry.root / "checksums" / "gone-1.0.sha256").write_text("")
    catalog = registry.root / "catalog" / "sciml.yaml"
    catalog.write_text(catalog.read_text().replace("Heights", "Depths"))
    change_descriptor(package(registry), lambda document: document["resources"][0].update(bytes=1))

    problems = drift(registry)

    assert [(problem.kind, problem.place.split(":")[0]) for problem in problems] == [
        ("stale", "catalog/sciml.yaml"),
        ("missing", "checksums/waves-1.0.sha256"),
        ("stale", "datapackages/waves/1.0/datapackage.json"),
        ("left over", "checksums/gone-1.0.sha256"),
    ]
    write_derived(registry)
    assert drift(registry) == []


def test_sizes_and_hashes_of_files_beside_the_descriptor_are_refreshed(registry: Registry) -> None:
    manifest = package(registry) / "manifest.csv"
    manifest.write_text("path,bytes,hash\n" + f"deep/a.csv,1,sha256:{'c' * 64}\n")

    write_derived(registry)

    resource = json.loads((package(registry) / "datapackage.json").read_text())["resources"][0]
    assert resource["bytes"] == manifest.stat().st_size
    assert resource["hash"] == f"sha256:{hashlib.sha256(manifest.read_bytes()).hexdigest()}"


def test_sha256sum_reads_the_checksums(registry: Registry, tmp_path: Path) -> None:
    native = tmp_path / "native"
    (native / "deep").mkdir(parents=True)
    (native / "deep" / "two words.csv").write_text("1.5\n")
    (package(registry) / "manifest.csv").write_text(manifest_of(native).dump())
    change_descriptor(package(registry), lambda document: document["sciml"].pop("mirrors"))
    write_derived(registry)
    command = ["sha256sum", "-c", str(registry.root / "checksums" / "waves-1.0.sha256")]

    good = subprocess.run(command, cwd=native, capture_output=True, text=True, check=False)
    (native / "deep" / "two words.csv").write_text("2.5\n")
    bad = subprocess.run(command, cwd=native, capture_output=True, text=True, check=False)

    assert (good.returncode, good.stdout) == (0, "deep/two words.csv: OK\n")
    assert bad.returncode == 1


def test_other_hashes_are_left_out_of_the_checksums(registry: Registry) -> None:
    md5 = "0" * 32
    (package(registry) / "manifest.csv").write_text(f"path,bytes,hash\na.csv,1,md5:{md5}\n")

    write_derived(registry)

    assert not (registry.root / "checksums" / "waves-1.0.sha256").exists()


def test_the_readme_table_stands_between_its_markers(registry: Registry) -> None:
    readme = registry.root / "README.md"
    readme.write_text(f"# Ours\n\n{BEGIN}\nold\n{END}\n\nafter\n")

    write_derived(registry)

    text = readme.read_text()
    assert text.startswith(f"# Ours\n\n{BEGIN}\n| dataset |")
    assert text.endswith(f"{END}\n\nafter\n")
    row = "| [waves](datapackages/waves/README.md) | 1.0 | 2 files, 3.4 kB | CC0-1.0 | Heights of"
    assert row in text
    assert "old" not in text


def test_tables_of_a_page_in_docs_lead_to_the_cards(registry: Registry) -> None:
    page = registry.root / "docs" / "datasets" / "index.md"
    page.parent.mkdir(parents=True)
    page.write_text(f"# Datasets\n\n{BEGIN}\n{END}\n")

    write_derived(registry)

    assert "| [waves](../../datapackages/waves/README.md) | 1.0 |" in page.read_text()
    assert (page.parent / "../../datapackages/waves/README.md").exists()


def test_a_readme_without_markers_is_left_alone(registry: Registry) -> None:
    readme = registry.root / "README.md"
    readme.write_text("# Ours\n")

    write_derived(registry)

    assert readme.read_text() == "# Ours\n"


def test_an_unsound_descriptor_stops_derive(registry: Registry) -> None:
    change_descriptor(package(registry), lambda document: document.update(title=""))
    before = manifest_of(registry.root)

    with pytest.raises(DescriptorError, match=r"waves/1\.0/datapackage\.json is not valid"):
        write_derived(registry)
    assert manifest_of(registry.root) == before


@pytest.mark.filterwarnings("ignore")  # Intake's own
def test_intake_opens_the_v1_catalogue_and_knows_the_versions(registry: Registry) -> None:
    intake = pytest.importorskip("intake")

    catalog = intake.open_catalog(str(registry.root / "catalog" / "sciml.yaml"))

    assert list(catalog) == ["waves"]
    assert catalog["waves"].metadata["license"] == ["CC0-1.0"]
    with pytest.raises(CallError, match=r"cannot open waves 1\.0: no ready files"):
        catalog["waves"].to_dask()
    with pytest.raises(ValueError, match=r"not one of the allowed values: 1\.0"):
        catalog["waves"](version="2.0")


@pytest.mark.filterwarnings("ignore")  # Intake's own
def test_intake_opens_the_v2_catalogue(registry: Registry) -> None:
    intake = pytest.importorskip("intake")

    catalog = intake.open_catalog(str(registry.root / "catalog" / "sciml.v2.yaml"))

    assert catalog["waves-1.0"].metadata["title"] == "Heights of waves at two buoys"
    for entry in (catalog["waves"], catalog["waves-1.0"]):
        with pytest.raises(CallError, match=r"cannot open waves 1\.0: no ready files"):
            entry.read()


def test_the_command_prints_what_it_wrote_and_check_exits_with_one(registry: Registry) -> None:
    (registry.root / "catalog" / "sciml.yaml").write_text("")
    arguments = ["derive", "--registry", str(registry.root)]
    runner = CliRunner()

    stale = runner.invoke(group, [*arguments, "--check"])
    written = runner.invoke(group, arguments)
    clean = runner.invoke(group, [*arguments, "--check"])

    assert stale.stdout == ("stale      catalog/sciml.yaml:1  does not follow from the registry\n")
    assert getattr(stale.exception, "exit_code", None) == 1
    assert written.stdout == f"{registry.root}/catalog/sciml.yaml\n"
    assert (clean.exit_code, clean.stdout) == (0, "")
