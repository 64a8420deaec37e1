"""Formats, protocols, exports and metrics of installed packages and of registries are found."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from sciml_data.bench.scoring import metrics
from sciml_data.bench.scoring.metrics import require_functions, task_metrics
from sciml_data.cli import group
from sciml_data.cli.check import check_registry, code_problems
from sciml_data.errors import CallError, DescriptorError, SciMLDataError
from sciml_data.formats import find_format, load_format
from sciml_data.registry import layout
from sciml_data.registry.layout import find_registry
from sciml_data.testing.datasets import change_descriptor
from tests.support.plugins import install
from tests.support.small_registry import small_registry

FORMAT = "def shards(native, options): return ()\ndef read(native, shard, options): return 'ours'\n"
METRIC = """
import numpy as np
from sciml_data.bench.scoring.metrics import metric

@metric("harbour_bias", name="bias", formula="mean of predicted - observed")
def bias(observed, predicted):
    return predicted - observed
"""
EXPORT = """
def export_dataset(facts):
    return {"title": facts.title, "where": facts.identifier}
"""
PROTOCOL = """
import io, zipfile
from sciml_data.transfer.protocols import Body, SourceError

class Source:
    def open(self, url, *, start=0, end=None, tag=None):
        archive, _, name = url.removeprefix("zip:").partition("!/")
        try:
            content = zipfile.ZipFile(archive).read(name)
        except (KeyError, OSError) as error:
            raise SourceError(f"no such file: {name}") from error
        stream = io.BytesIO(content[start:])
        return Body(start, len(content), "1", stream.read, stream.close, len(content))

    def close(self):
        pass

def make_source(connections, timeouts):
    return Source()
"""
TABLE = {
    "id": "worst", "metric": "worst", "name": "largest error", "version": "1", "unit": "1",
    "lower_is_better": True, "formula": "max of |observed - predicted|",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_cache() -> Iterator[None]:
    """Forget the packages of other tests, and the metrics that they registered."""
    before = dict(metrics.registered_metrics())
    layout._entry_points.cache_clear()
    yield
    layout._entry_points.cache_clear()
    metrics._REGISTRY.clear()
    metrics._REGISTRY.update(before)


def test_a_format_of_an_installed_package_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"sciml_data.formats": {"harbour_log": "harbour_log"}}
    install(tmp_path / "plugin", monkeypatch, {"harbour_log": FORMAT}, points)
    registry = small_registry(tmp_path / "registry", reader="harbour_log")

    assert load_format("harbour_log").read(None, None, {}) == "ours"  # type: ignore[arg-type]
    assert check_registry(find_registry(registry.root)) == []


def test_a_format_of_a_registry_is_found_for_its_own_datasets_only(tmp_path: Path) -> None:
    mine = small_registry(tmp_path / "mine")
    (mine.root / "formats").mkdir()
    (mine.root / "formats" / "harbour_log.py").write_text(FORMAT)
    change_descriptor(mine.package("waves", "1.0"), _read_by("harbour_log"))
    other = small_registry(tmp_path / "other")

    package = mine.package("waves", "1.0")
    assert find_format("harbour_log", package) == mine.root / "formats"
    assert load_format("harbour_log", package).read(None, None, {}) == "ours"  # type: ignore[arg-type]
    with pytest.raises(CallError, match="no native format 'harbour_log'"):
        load_format("harbour_log", other.package("waves", "1.0"))


def test_formats_of_two_registries_may_have_one_name(tmp_path: Path) -> None:
    packages = []
    for name in ("first", "second"):
        registry = small_registry(tmp_path / name)
        (registry.root / "formats").mkdir()
        source = FORMAT.replace("ours", name)
        (registry.root / "formats" / "log.py").write_text(source)
        packages.append(registry.package("waves", "1.0"))

    loaded = [load_format("log", package) for package in packages]

    assert [each.read(None, None, {}) for each in loaded] == ["first", "second"]  # type: ignore[arg-type]


def _read_by(reader: str) -> Any:
    return lambda document: document["sciml"]["native"].update(reader=reader)


def test_a_metric_of_an_installed_package_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"sciml_data.metrics": {"harbour_bias": "harbour_metrics"}}
    install(tmp_path / "plugin", monkeypatch, {"harbour_metrics": METRIC}, points)

    (bias,) = task_metrics([{"id": "harbour_bias"}], "toy")

    assert bias.name == "bias"
    assert bias.function is not None
    assert bias.function(np.zeros(2), np.ones(2)).tolist() == [1, 1]


def test_a_metric_of_a_registry_is_defined_by_the_task_and_loaded_when_it_is_needed(
    tmp_path: Path,
) -> None:
    (tmp_path / "metrics.py").write_text("def worst(observed, predicted): return 3.0\n")

    (worst,) = task_metrics([TABLE], "toy", tmp_path)
    require_functions([worst])

    assert (worst.id, worst.formula) == ("worst", TABLE["formula"])
    assert worst.function is not None
    assert worst.function(np.zeros(1), np.zeros(1)) == 3.0


def test_a_metric_that_metrics_py_lacks_is_named_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text("")

    with pytest.raises(DescriptorError, match="no function worst"):
        require_functions(task_metrics([TABLE], "toy", tmp_path))
    with pytest.raises(DescriptorError) as error:
        task_metrics([{"id": "worst", "metric": "worst"}], "toy", tmp_path)
    assert error.value.problems[0].place == "metric[0].metric"


def test_an_export_of_an_installed_package_is_written_by_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"sciml_data.exports": {"harbour": "harbour_export"}}
    install(tmp_path / "plugin", monkeypatch, {"harbour_export": EXPORT}, points)

    result = CliRunner().invoke(group, ["export", "harbour", "uno_ccle"])

    assert json.loads(result.stdout)["title"].startswith("CCLE")
    unknown = CliRunner().invoke(group, ["export", "harbor", "uno_ccle"])
    assert "did you mean 'harbour'" in str(unknown.exception)


def test_a_protocol_of_an_installed_package_serves_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"sciml_data.protocols": {"zip": "harbour_zip"}}
    install(tmp_path / "plugin", monkeypatch, {"harbour_zip": PROTOCOL}, points)
    from sciml_data import get_dataset
    from sciml_data.testing.datasets import write_dataset

    files = {"a.csv": b"1,2\n" * 1000, "b/c.csv": b"3\n"}
    write_dataset(tmp_path / "registry", files, mirrors=[{"": "https://example.invalid/x/"}])
    with zipfile.ZipFile(tmp_path / "mirror.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)

    fetched = get_dataset(
        "tiny",
        registry=tmp_path / "registry",
        mirrors=[f"zip:{tmp_path}/mirror.zip!"],
        home=tmp_path / "home",
    )

    assert {name: (fetched.root / name).read_bytes() for name in files} == files


CLASHES: dict[str, tuple[str, Callable[[], object]]] = {
    "formats": ("earthquake", lambda: load_format("earthquake")),
    "metrics": ("mae", lambda: task_metrics([{"id": "mae"}], "toy")),
    "exports": ("croissant", lambda: _export("croissant")),
    "protocols": ("https", lambda: _open("https://example.org/a")),
}


def _export(form: str) -> None:
    result = CliRunner().invoke(group, ["export", form, "uno_ccle"])
    assert isinstance(result.exception, Exception)
    raise result.exception


def _open(url: str) -> None:
    from sciml_data.transfer.protocols import Sources, Timeouts

    with Sources(connections=1, timeouts=Timeouts()) as sources:
        sources.of(url)


@pytest.mark.parametrize("kind", CLASHES)
def test_a_name_of_a_package_and_of_ours_is_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name, use = CLASHES[kind]
    install(tmp_path / "plugin", monkeypatch, {}, {f"sciml_data.{kind}": {name: "harbour_x"}})

    with pytest.raises(DescriptorError, match=f"'{name}'") as error:
        use()

    assert "harbour-plugin" in error.value.message
    assert "sciml-data itself" in error.value.message


def test_a_name_of_two_packages_is_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("harbour-plugin", "coast-plugin"):
        points = {"sciml_data.formats": {"log": f"{package[:5]}_log"}}
        install(tmp_path / package, monkeypatch, {}, points, package=package)

    with pytest.raises(DescriptorError, match="harbour-plugin") as error:
        load_format("uno_ccle")

    assert "coast-plugin" in error.value.message


def test_a_name_of_a_registry_and_of_ours_is_an_error_that_names_both(tmp_path: Path) -> None:
    registry = small_registry(tmp_path)
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "earthquake.py").write_text(FORMAT)

    with pytest.raises(DescriptorError, match="earthquake") as error:
        load_format("earthquake", registry.package("waves", "1.0"))
    assert str(tmp_path / "formats") in error.value.message
    assert "sciml-data itself" in error.value.message
    assert [problem.kind for problem in check_registry(find_registry(tmp_path))] == ["reader"]


BROKEN = {
    "no module": {},
    "an import that fails": {"harbour_log": "import no_such_module_of_ours\n"},
    "no functions": {"harbour_log": "shards = 1\n"},
}


@pytest.mark.parametrize("modules", BROKEN.values(), ids=BROKEN)
def test_a_broken_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: dict[str, str]
) -> None:
    points = {"sciml_data.formats": {"harbour_log": "harbour_log"}}
    install(tmp_path / "plugin", monkeypatch, modules, points)
    monkeypatch.delitem(__import__("sys").modules, "harbour_log", raising=False)

    with pytest.raises(SciMLDataError) as error:
        load_format("harbour_log")

    assert "harbour_log" in error.value.message
    assert "\n" not in error.value.message


def test_check_of_code_names_what_cannot_be_imported(tmp_path: Path) -> None:
    registry = small_registry(tmp_path)
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "harbour_log.py").write_text("1 / 0\n")
    change_descriptor(registry.package("waves", "1.0"), _read_by("harbour_log"))

    problems = code_problems(find_registry(tmp_path))

    assert [problem.kind for problem in problems] == ["code"]
    assert "ZeroDivisionError" in problems[0].message
    assert problems[0].place.startswith("datapackages/waves/1.0")
