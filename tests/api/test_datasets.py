"""The engine from Python: the whole chain on the sample."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

import sciml_data
import sciml_data.registry
from sciml_data.errors import CallError
from sciml_data.home import HOME_VARIABLE, Home
from sciml_data.registry.layout import REGISTRY_VARIABLE
from sciml_data.testing.datasets import write_dataset, write_files
from tests.support.paths import ROOT


def test_the_sample_goes_from_nothing_to_an_open_dataset() -> None:
    fetched = sciml_data.get_dataset("tevolop_socal", sample=True)
    verified = sciml_data.verify_dataset("tevolop_socal", sample=True)
    converted = sciml_data.convert_dataset("tevolop_socal", sample=True)

    dataset = sciml_data.open_dataset("tevolop_socal", sample=True)

    assert fetched.manifest == verified.manifest
    assert converted.is_synthetic
    assert dataset.attrs["synthetic"] == "true"
    assert dataset.sizes["pixel"] == 2400


def test_public_names_stay_functions_after_the_stages_were_imported() -> None:
    import sciml_data.ready.conversion
    import sciml_data.transfer.verification

    modules = [
        name
        for name in sciml_data.__all__
        if isinstance(getattr(sciml_data, name), types.ModuleType)
    ]

    assert modules == ["errors"]


def test_every_public_name_is_listed_for_completion() -> None:
    assert set(dir(sciml_data)) >= set(sciml_data.__all__) - {"__version__"}
    assert {"get_dataset", "open_dataset", "plan_dataset"} <= set(dir(sciml_data))
    assert {"find_registry", "load_descriptor"} <= set(dir(sciml_data.registry))


def test_registry_and_home_are_text_or_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every function accepts both, and uses them instead of the environment."""
    for variable in (HOME_VARIABLE, REGISTRY_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path / "unused"))
    as_text: dict[str, Any] = {"registry": str(ROOT), "home": str(tmp_path / "here")}
    as_path: dict[str, Any] = {"registry": ROOT, "home": tmp_path / "here"}

    for registry in (str(ROOT), ROOT):
        assert "tevolop_socal" in sciml_data.datasets(registry=registry)
        assert sciml_data.versions("tevolop_socal", registry=registry) == ["1.0", "live"]
        assert sciml_data.describe("tevolop_socal", registry=registry).version == "1.0"
    plans = [sciml_data.plan_dataset("tevolop_socal", **each) for each in (as_text, as_path)]
    assert [plan.folder.root for plan in plans] == [tmp_path / "here/data/tevolop_socal/1.0"] * 2
    made = [
        sciml_data.get_dataset("tevolop_socal", sample=True, **each).root
        for each in (as_text, as_path)
    ]
    assert made[0] == made[1]
    for each in (as_text, as_path):
        assert sciml_data.verify_dataset("tevolop_socal", sample=True, **each).root == made[0]
        assert sciml_data.convert_dataset("tevolop_socal", sample=True, **each).is_synthetic
        assert sciml_data.open_dataset("tevolop_socal", sample=True, **each).sizes["pixel"] == 2400
    assert not (tmp_path / "unused").exists()


def test_a_plan_names_files_and_stores_nothing(home: Home) -> None:
    plan = sciml_data.plan_dataset("tevolop_socal", version="1.0", limit=2)

    assert len(plan.files) == 2
    assert not home.root.exists()


def test_a_fetch_reports_bytes_to_a_callback_and_steps_to_a_log(tmp_path: Path) -> None:
    files = {"a.bin": b"a" * 1000, "b.bin": b"b" * 2500}
    write_files(tmp_path / "served", files)
    write_dataset(tmp_path / "registry", files)
    calls: list[tuple[int, int]] = []
    lines: list[str] = []

    fetched = sciml_data.get_dataset(
        "tiny",
        registry=tmp_path / "registry",
        mirrors=[f"file:{tmp_path}/served"],
        jobs=1,
        log=lines.append,
        progress=lambda done, total: calls.append((done, total)),
    )

    assert calls[-1] == (3500, 3500)
    assert "2 of 2 files" in lines[0]
    assert (fetched.root / "b.bin").read_bytes() == files["b.bin"]


def test_a_damaged_sample_is_repaired() -> None:
    fetched = sciml_data.get_dataset("tevolop_socal", sample=True)
    path = fetched.root / fetched.manifest.entries[0].path
    path.write_bytes(b"damaged")

    verified = sciml_data.verify_dataset("tevolop_socal", sample=True, repair=True)

    assert verified.manifest == fetched.manifest
    assert path.read_bytes() != b"damaged"


def test_what_was_not_fetched_is_not_converted() -> None:
    with pytest.raises(CallError, match="is not in") as error:
        sciml_data.convert_dataset("tevolop_socal", version="1.0")

    assert error.value.hint == "sciml-data get tevolop_socal --version 1.0"


def test_the_registry_can_be_asked() -> None:
    assert "tevolop_socal" in sciml_data.datasets()
    assert sciml_data.versions("tevolop_socal") == ["1.0", "live"]
    assert sciml_data.describe("tevolop_socal").is_pinned
