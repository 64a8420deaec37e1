"""A runner that lacks methods is named before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from sciml_data.bench.interface import Benchmark
from sciml_data.bench.task.split import Split, members_digest
from sciml_data.errors import DescriptorError

MEMBERS: dict[str, Any] = {"train": {"folder": "train"}}
SPLIT = Split("folders", "as published", None, MEMBERS, members_digest(MEMBERS))


class Bare(Benchmark):
    """A benchmark that only opens its data."""

    def open(self, data: Any) -> None:
        """Fail, because nothing may be read before the check."""
        raise AssertionError(data)


OWN = ("divide_samples", "build", "batches", "sample_loss", "predict")


def test_every_missing_method_is_named_at_once() -> None:
    with pytest.raises(DescriptorError, match=r"Bare of runner\.py lacks") as error:
        Bare(None, SPLIT, {})

    assert "keys, build, batch, sample_loss, targets" in str(error.value)
    assert "docs/how-to/extend/benchmark.md" in str(error.value)


def test_methods_that_no_default_calls_may_be_absent() -> None:
    own = type("Own", (Bare,), dict.fromkeys(OWN, lambda *_: None))

    with pytest.raises(AssertionError, match="the data"):
        own("the data", SPLIT, {})
