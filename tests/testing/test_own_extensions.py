"""Our own formats, protocols, exports, runners and registry pass the suites that we ship."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from sciml_data.bench import (
    choose_variant,
    load_runner,
    load_split,
    load_task,
    resolve_settings,
)
from sciml_data.formats import Native, load_format
from sciml_data.metadata import FORMS, Facts, Form, write_form
from sciml_data.registry import find_registry
from sciml_data.testing import (
    ExportContract,
    FileServer,
    FormatContract,
    ProblemContract,
    ProtocolContract,
    RegistryContract,
    write_files,
)
from sciml_data.transfer.protocols import file, https
from tests.support.raw_files import RAW
from tests.support.small_formats import FORMATS, small_native, write_small
from tests.support.small_registry import small_registry
from tests.support.toy import toy_problem
from tests.support.uno_samples import ready

# Their small native files are made in seconds.
CHEAP = ("candle_joined", "earthquake", "hdf5_arrays", "uno_almanac", *RAW)


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name in CHEAP else pytest.mark.slow)
        for name in dict.fromkeys([*CHEAP, *FORMATS])
    ]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestFormats(FormatContract):
    """The name of the format is a parameter; all else comes from its dataset."""

    @pytest.fixture
    def native(self, tmp_path: Path, name: str) -> Native:
        root = tmp_path / "native"
        root.mkdir()
        write_small(name, root)
        native = small_native(name, root)
        cls: Any = type(self)
        cls.extension, cls.options = _format_of(name, native), FORMATS[name].options
        cls.block, cls.variables, cls.splits = native.block, native.variables, native.splits
        return native

    @pytest.fixture(autouse=True)
    def _format(self, native: Native) -> None:
        assert native.paths


def _format_of(name: str, native: Native) -> Any:
    return load_format(native.block.get("reader", name))


class TestFiles(ProtocolContract):
    extension: ClassVar[Any] = file

    def publish(self, files: Mapping[str, bytes], folder: Path) -> Iterator[str]:
        write_files(folder, files)
        yield folder.as_uri()


class TestHttp(ProtocolContract):
    extension: ClassVar[Any] = https

    def publish(self, files: Mapping[str, bytes], folder: Path) -> Iterator[str]:
        write_files(folder, files)
        with FileServer(folder) as server:
            yield server.url.rstrip("/")


def _export(form: Form) -> Any:
    def export_dataset(facts: Facts) -> str:
        return write_form(facts, form)

    return SimpleNamespace(export_dataset=export_dataset)


class TestCroissant(ExportContract):
    extension = _export(FORMS["croissant"]["json"])


class TestDatacite(ExportContract):
    extension = _export(FORMS["datacite"]["xml"])


class TestSchemaOrg(ExportContract):
    extension = _export(FORMS["schema.org"]["json"])


class TestRoCrate(ExportContract):
    extension = _export(FORMS["rocrate"]["json"])


class TestDcat(ExportContract):
    extension = _export(FORMS["dcat"]["json"])


class TestToy(ProblemContract):
    def problem(self, _folder: Path) -> Any:
        return toy_problem()[0]


@pytest.mark.slow
class TestUno(ProblemContract):
    def problem(self, _folder: Path) -> Any:
        runner = find_registry().runner("uno")
        task = choose_variant(load_task(runner), "auc")
        settings = {**resolve_settings(task, model="pooled", split="cell"), "boosting_trees": 5}
        split = load_split(runner, "cell")
        return load_runner(find_registry(), "uno").prepare(ready("auc"), split, settings)


class TestSmallRegistry(RegistryContract):
    registry: ClassVar[Path | str] = ""

    @pytest.fixture(autouse=True)
    def _registry(self, tmp_path: Path) -> None:
        type(self).registry = small_registry(tmp_path / "registry").root


@pytest.mark.slow  # imports the code of every runner
class TestBuiltIn(RegistryContract):
    registry = find_registry().root
