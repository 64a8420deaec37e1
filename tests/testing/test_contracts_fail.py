"""A contract suite fails for an extension that breaks its promise, in the test of that promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FORMATS = '''
import random
import numpy as np, xarray as xr
from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.formats import Shard
from sciml_data.testing import FormatContract

class Log:
    """Numbers, one a line."""
    def shards(self, native, options):
        if options:
            raise CallError("no options")
        return tuple(Shard(f"all-{p[:-4]}.nc", "all", (p,)) for p in native.paths)
    def read(self, native, shard, options):
        text = (native.root / shard.inputs[0]).read_text()
        try:
            rows = [float(line) for line in text.splitlines()]
        except ValueError as error:
            raise NativeFormatError("bad", problems=[Problem("x", shard.inputs[0], "y")]) from error
        return xr.Dataset({"height": ("row", np.array(rows, "float32"), {"units": "m"})})

class Suite(FormatContract):
    block = {"reader": "log"}
    variables = {"height": {"dims": ["row"], "dtype": "float32", "units": "m", "long_name": "h"}}
    __test__ = False
    def write(self, folder):
        (folder / "a.log").write_text("1\\n2\\n")
        (folder / "b.log").write_text("3\\n")

class TestSound(Suite):
    __test__ = True
    extension = Log()

class NoRead:
    shards = Log().shards
class TestNoRead(Suite):
    __test__ = True
    extension = NoRead()

class SameName(Log):
    def shards(self, native, options):
        shards = super().shards(native, options)
        return tuple(Shard("all.nc", "all", shard.inputs) for shard in shards)
class TestSameName(Suite):
    __test__ = True
    extension = SameName()

class OtherSplit(Log):
    def shards(self, native, options):
        return tuple(Shard(s.name, "none", s.inputs) for s in super().shards(native, options))
class TestOtherSplit(Suite):
    __test__ = True
    extension = OtherSplit()

class AtRandom(Log):
    def read(self, native, shard, options):
        return super().read(native, shard, options) + random.random()
class TestAtRandom(Suite):
    __test__ = True
    extension = AtRandom()

class Writes(Log):
    def read(self, native, shard, options):
        dataset = super().read(native, shard, options)
        (native.root / shard.inputs[0]).write_text("7\\n")
        return dataset
class TestWrites(Suite):
    __test__ = True
    extension = Writes()

class Unit(Log):
    def read(self, native, shard, options):
        dataset = super().read(native, shard, options)
        dataset["height"].attrs["units"] = "km"
        return dataset
class TestUnit(Suite):
    __test__ = True
    extension = Unit()

class Unwritable(Log):
    def read(self, native, shard, options):
        return super().read(native, shard, options).assign_attrs(why={"a": 1})
class TestUnwritable(Suite):
    __test__ = True
    extension = Unwritable()

class AnyOption(Log):
    def shards(self, native, options):
        return super().shards(native, {})
class TestAnyOption(Suite):
    __test__ = True
    extension = AnyOption()

class Traceback(Log):
    def read(self, native, shard, options):
        rows = [float(line) for line in (native.root / shard.inputs[0]).read_text().splitlines()]
        return xr.Dataset({"height": ("row", np.array(rows, "float32"), {"units": "m"})})
class TestTraceback(Suite):
    __test__ = True
    extension = Traceback()
'''
PROTOCOLS = '''
import io
from dataclasses import replace
from urllib.parse import unquote
from sciml_data.testing import ProtocolContract
from sciml_data.transfer.protocols import Body, SourceError

class Memory:
    """Files in memory."""
    files = {}
    def make_source(self, connections, timeouts):
        return self
    def open(self, url, *, start=0, end=None, tag=None):
        content = self.content(unquote(url.removeprefix("mem://x/")))
        if tag not in (None, "t"):
            start, end = 0, None
        if start > len(content):
            raise SourceError("too short")
        stop = len(content) if end is None else min(end, len(content))
        stream = io.BytesIO(content[start:stop])
        return Body(start, len(content), "t", stream.read, stream.close, stop)
    def content(self, path):
        if path not in self.files:
            raise SourceError("no such file")
        return self.files[path]
    def close(self):
        pass

class Suite(ProtocolContract):
    __test__ = False
    def publish(self, files, folder):
        self.extension.files = files
        yield "mem://x"

class TestSound(Suite):
    __test__ = True
    extension = Memory()

class WrongStart(Memory):
    def open(self, url, *, start=0, end=None, tag=None):
        content = self.content(unquote(url.removeprefix("mem://x/")))
        return Body(start, len(content), "t", io.BytesIO(content).read, lambda: None, None)
class TestWrongStart(Suite):
    __test__ = True
    extension = WrongStart()

class KeyErrors(Memory):
    def content(self, path):
        return self.files[path]
class TestKeyErrors(Suite):
    __test__ = True
    extension = KeyErrors()

class IgnoresTag(Memory):
    def open(self, url, *, start=0, end=None, tag=None):
        return super().open(url, start=start, end=end)
class TestIgnoresTag(Suite):
    __test__ = True
    extension = IgnoresTag()

class NotDecoded(Memory):
    def content(self, path):
        return super().content(path.replace(" ", "%20"))
class TestNotDecoded(Suite):
    __test__ = True
    extension = NotDecoded()

class TooMuch(Memory):
    def open(self, url, *, start=0, end=None, tag=None):
        body = super().open(url, start=start, end=end, tag=tag)
        return replace(body, read=lambda n: body.read(n + 1))
class TestTooMuch(Suite):
    __test__ = True
    extension = TooMuch()
'''
EXPORTS = """
import random
from sciml_data.registry import find_registry
from sciml_data.testing import ExportContract

class Title:
    def export_dataset(self, facts):
        return {"title": facts.title, "id": facts.identifier}
class TestSound(ExportContract):
    extension = Title()

class Object:
    def export_dataset(self, facts):
        return {"facts": facts}
class TestObject(ExportContract):
    extension = Object()

class AtRandom:
    def export_dataset(self, facts):
        return f"{facts.title} {random.random()}"
class TestAtRandom(ExportContract):
    extension = AtRandom()

class Constant:
    def export_dataset(self, facts):
        return "a dataset"
class TestConstant(ExportContract):
    extension = Constant()

class Place:
    def export_dataset(self, facts):
        return f"{facts.title} {find_registry().root}"
class TestPlace(ExportContract):
    extension = Place()

class Invents:
    def export_dataset(self, facts):
        return f"https://sciml-data.github.io/sciml-data/datasets/{facts.dataset}/"
class TestInvents(ExportContract):
    extension = Invents()
"""
REGISTRY = """
from pathlib import Path
from sciml_data.testing import RegistryContract

class TestBroken(RegistryContract):
    registry = Path(__file__).parent / "registry"
"""
PROBLEMS = """
import dataclasses, numpy as np
from sciml_data.testing import ProblemContract
from tests.support.toy import toy_problem

def broken(**methods):
    problem = toy_problem()[0]
    cls = type("Broken", (type(problem),), methods)
    return cls(problem.inputs, problem.targets, problem.settings)

class TestSound(ProblemContract):
    def problem(self, folder):
        return toy_problem()[0]

class TestLosesSamples(ProblemContract):
    def problem(self, folder):
        toy = type(toy_problem()[0])
        def batches(self, part, **options):
            return list(toy.batches(self, part, **options))[1:]
        return broken(batches=batches)

class TestOneOrder(ProblemContract):
    def problem(self, folder):
        toy = type(toy_problem()[0])
        return broken(batches=lambda self, part, batch_size, seed:
                      toy.batches(self, part, batch_size=batch_size, seed=0))

class TestMixesRows(ProblemContract):
    def problem(self, folder):
        toy = type(toy_problem()[0])
        def batches(self, part, **options):
            from sciml_data.ready import SampleCache
            cache = SampleCache(lambda numbers: (numbers * 1.0,), budget_bytes=0)
            for number, (inputs, targets, weights) in enumerate(toy.batches(self, part, **options)):
                (rows,) = cache.take(np.arange(len(targets)))
                yield inputs, targets + (rows.mean() if number == 3 else 0), weights
        return broken(batches=batches)

class TestMeanLoss(ProblemContract):
    def problem(self, folder):
        toy = type(toy_problem()[0])
        def sample_loss(self, targets, predictions, weights):
            loss, total = toy.sample_loss(self, targets, predictions, weights)
            return loss / len(weights) + 1, total
        return broken(sample_loss=sample_loss)

class TestNoisyPredictions(ProblemContract):
    def problem(self, folder):
        toy = type(toy_problem()[0])
        def predict(self, model, part):
            made = toy.predict(self, model, part)
            return dataclasses.replace(made, predicted=made.predicted + np.random.rand())
        return broken(predict=predict)

class TestNoBaseline(ProblemContract):
    def problem(self, folder):
        return broken(baselines=lambda self: {})

class TestNaNDiagnostics(ProblemContract):
    def problem(self, folder):
        return broken(diagnostics=lambda self: 1 / 0)
"""


def failed(folder: Path, source: str) -> dict[str, set[str]]:
    """Run tests in a process of their own; return the names of those that failed, by class."""
    (folder / "test_broken.py").write_text(source, encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, "-W", "ignore", "--rootdir", str(folder), "-c", os.devnull, "test_broken.py"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert " passed" in done.stdout, done.stdout + done.stderr
    tests = re.findall(r"^(?:FAILED|ERROR) \S*?::(\w+)::(\w+)", done.stdout, re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, test in tests:
        found.setdefault(name, set()).add(test)
    return found


def test_broken_formats_fail_in_the_test_of_what_they_break(tmp_path: Path) -> None:
    found = failed(tmp_path, FORMATS)

    assert "TestSound" not in found
    assert {
        "TestNoRead": "test_it_has_the_functions_of_a_format",
        "TestSameName": "test_shards_are_files_of_a_split_made_of_native_files",
        "TestOtherSplit": "test_shards_are_files_of_a_split_made_of_native_files",
        "TestAtRandom": "test_reading_is_a_pure_function_of_the_inputs",
        "TestWrites": "test_native_files_are_not_changed",
        "TestUnit": "test_the_declared_variables_are_made",
        "TestUnwritable": "test_a_ready_file_can_be_written_and_read_again",
        "TestAnyOption": "test_an_unknown_option_is_refused",
        "TestTraceback": "test_damage_is_an_error_of_this_package",
    }.items() <= {(name, test) for name, tests in found.items() for test in tests}


def test_broken_protocols_fail_in_the_test_of_what_they_break(tmp_path: Path) -> None:
    found = failed(tmp_path, PROTOCOLS)

    assert "TestSound" not in found
    assert {
        "TestWrongStart": "test_a_part_of_a_file_is_where_the_body_says",
        "TestKeyErrors": "test_a_missing_file_is_a_source_error",
        "TestIgnoresTag": "test_a_tag_is_the_same_until_the_file_changes",
        "TestNotDecoded": "test_whole_files_are_read",
        "TestTooMuch": "test_whole_files_are_read",
    }.items() <= {(name, test) for name, tests in found.items() for test in tests}


def test_broken_exports_fail_in_the_test_of_what_they_break(tmp_path: Path) -> None:
    found = failed(tmp_path, EXPORTS)

    assert "TestSound" not in found
    assert {
        "TestObject": "test_it_returns_a_text_or_json",
        "TestAtRandom": "test_it_is_the_same_each_time",
        "TestConstant": "test_versions_of_several_datasets_can_be_told_apart",
        "TestPlace": "test_it_names_no_folder_of_this_computer",
        "TestInvents": "test_it_invents_no_address_for_a_registry_without_one",
    }.items() <= {(name, test) for name, tests in found.items() for test in tests}


def test_a_broken_registry_fails_in_the_test_of_what_it_breaks(tmp_path: Path) -> None:
    from tests.support.small_registry import small_registry

    registry = small_registry(tmp_path / "registry")
    (registry.root / "datapackages" / "waves" / "README.md").unlink()
    (registry.root / "catalog" / "sciml.yaml").write_text("other: text\n")

    assert failed(tmp_path, REGISTRY)["TestBroken"] == {
        "test_check_finds_no_problem",
        "test_derived_files_are_up_to_date",
    }


@pytest.mark.slow
def test_broken_problems_fail_in_the_test_of_what_they_break(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")

    found = failed(tmp_path, PROBLEMS)

    assert "TestSound" not in found
    assert {
        "TestLosesSamples": "test_an_epoch_has_every_sample_once",
        "TestOneOrder": "test_equal_seeds_give_equal_batches_and_others_another_order",
        "TestMixesRows": "test_a_row_of_a_batch_depends_on_its_own_sample_alone",
        "TestMeanLoss": "test_a_sample_of_weight_0_adds_nothing_to_the_loss",
        "TestNoisyPredictions": "test_predictions_are_the_same_each_time",
        "TestNoBaseline": "test_baselines_are_predictions_of_the_same_samples",
        "TestNaNDiagnostics": "test_diagnostics_are_json",
    }.items() <= {(name, test) for name, tests in found.items() for test in tests}
