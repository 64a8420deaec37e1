"""The engine from Python: the whole chain on the sample."""

from __future__ import annotations

import types

import pytest

import sciml_data
from sciml_data.errors import CallError


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
    import sciml_data.ready.convert
    import sciml_data.transfer.verification

    modules = [
        name
        for name in sciml_data.__all__
        if isinstance(getattr(sciml_data, name), types.ModuleType)
    ]

    assert modules == ["errors"]


def test_what_was_not_fetched_is_not_converted() -> None:
    with pytest.raises(CallError, match="is not in") as error:
        sciml_data.convert_dataset("tevolop_socal", version="1.0")

    assert error.value.hint == "sciml-data get tevolop_socal --version 1.0"


def test_the_registry_can_be_asked() -> None:
    assert "tevolop_socal" in sciml_data.datasets()
    assert sciml_data.versions("tevolop_socal") == ["1.0", "live"]
    assert sciml_data.describe("tevolop_socal").is_pinned
