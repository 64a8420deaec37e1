"""What is wrong and where, without the prose: errors as (kind, place) of each problem."""

from __future__ import annotations

import pytest

from sciml_data.errors import SciMLDataError


def kinds_and_places(error: pytest.ExceptionInfo[SciMLDataError]) -> list[tuple[str, str]]:
    """Return kind and place of each problem of an error that `pytest.raises` caught."""
    return [(problem.kind, problem.place) for problem in error.value.problems]
