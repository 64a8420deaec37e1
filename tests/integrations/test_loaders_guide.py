"""The examples of docs/how-to/loaders.md run, in their order."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import numpy as np
import pytest

from sciml_data import convert_dataset, get_dataset
from tests.support.paths import ROOT

BLOCK = re.compile(r"```python ?(\w*)\n(.*?)```", re.DOTALL)


def test_the_examples_run() -> None:
    pytest.importorskip("rdata")  # of the extra uno
    get_dataset("uno_ccle", sample=True)
    convert_dataset("uno_ccle", sample=True)
    text = (ROOT / "docs" / "how-to" / "loaders.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    done = []
    for module, code in BLOCK.findall(text):
        if not module or importlib.util.find_spec(module):
            exec(compile(code, "docs/how-to/loaders.md", "exec"), names)  # noqa: S102 - our own document
            done.append(module)

    assert done.count("") == 2
    assert names["x"].shape[1:] == (5000,)
    if "torch" in done:
        full, rest = divmod(len(names["samples"]), 32)
        assert full > 10
        assert [len(y) for _, y in names["loader"]] == [32] * full + [rest]
    if "tensorflow" in done:
        from sciml_data.ready import numpy_batches

        ours = numpy_batches(names["samples"], batch_size=32, seed=0, epoch=1)
        for (x, _), (expected, _) in zip(names["dataset"], ours, strict=True):
            np.testing.assert_array_equal(x.numpy(), expected)
