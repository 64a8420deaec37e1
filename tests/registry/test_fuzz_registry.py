"""A few mutations of registries and homes in every build; `nox -s attack` tries many."""

from __future__ import annotations

from pathlib import Path

from tests.support.fuzz_records import Fuzz
from tests.support.fuzz_registry import fuzz_registry


def test_a_mutated_registry_or_home_is_a_sentence_or_sound(tmp_path: Path) -> None:
    fuzz = Fuzz(seed=2)

    fuzz_registry(fuzz, tmp_path, 12)

    assert fuzz.tried == {"registry": 12}
    assert fuzz.failures == []
