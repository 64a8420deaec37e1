r"""Contract suites: pytest classes that an extension inherits to prove that it keeps its promises.

    from sciml_data.testing import FormatContract
    from mylab import buoys

    class TestBuoys(FormatContract):
        extension = buoys
        block = {"reader": "buoys"}

        def write(self, folder):
            (folder / "2001.log").write_text("0 1.5\n1 1.7\n")

pytest then runs every test of the suite on the extension. A suite checks what the engine relies on,
and no more; what the values mean, only tests of the extension can know. `problem_contract.py` has
the suite of benchmarks. pytest is needed, and no other package that sciml-data does not need.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from sciml_data.errors import CallError, SciMLDataError
from sciml_data.formats import Format, Native, Shard

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.metadata import Facts
    from sciml_data.transfer.protocols import Source

PIECE = 7  # bytes of a read; small and odd, so that a file takes several


class FormatContract:
    """A native format; see `sciml_data.formats.Format` and docs/how-to/extend/format.md.

    Attributes:
        extension: module or object with the functions `shards` and `read`.
        block: `sciml.native` of a descriptor.
        variables: `sciml.variables` of a descriptor, by name; {} leaves their tests out.
        splits: globs of native paths by split.
        options: of the conversion.
    """

    extension: ClassVar[Any] = None
    block: ClassVar[Mapping[str, Any]] = {}
    variables: ClassVar[Mapping[str, Any]] = {}
    splits: ClassVar[Mapping[str, Sequence[str]]] = {"all": ("**",)}
    options: ClassVar[Mapping[str, Any]] = {}

    def write(self, folder: Path) -> None:
        """Write small native files into an empty folder."""
        raise NotImplementedError  # the suite of a third party has its own

    @pytest.fixture
    def native(self, tmp_path: Path) -> Native:
        """Return the files of `write` as the engine gives them to a format."""
        root = tmp_path / "native"
        root.mkdir()
        self.write(root)
        return Native(
            root=root,
            folder=tmp_path / "registry" / "datapackages" / "contract" / "1.0",
            block=self.block,
            paths=_files(root),
            variables=self.variables,
            splits=self.splits,
        )

    def test_it_has_the_functions_of_a_format(self) -> None:
        """The engine calls `shards` and `read`."""
        assert callable(getattr(self.extension, "shards", None)), "no function shards"
        assert callable(getattr(self.extension, "read", None)), "no function read"

    def test_shards_are_files_of_a_split_made_of_native_files(self, native: Native) -> None:
        """Names are unique, in one folder, and end with .nc; inputs exist."""
        shards = self._shards(native)
        names = [shard.name for shard in shards]

        assert shards, "the native files make no ready file"
        assert len(set(names)) == len(names), f"two ready files have one name: {names}"
        for shard in shards:
            assert Path(shard.name).name == shard.name, shard.name
            assert shard.name.endswith(".nc"), shard.name
            assert shard.split in (self.block.get("arrays") or self.splits), shard.split
            assert shard.inputs, f"{shard.name} is made of no file"
            assert set(shard.inputs) <= set(native.paths), shard.inputs

    def test_shards_are_the_same_each_time(self, native: Native) -> None:
        """A conversion that was interrupted resumes by the names of the shards."""
        assert self._shards(native) == self._shards(native)

    def test_reading_is_a_pure_function_of_the_inputs(self, native: Native) -> None:
        """Workers read shards in any order, each with its own inputs only."""
        for shard in self._shards(native):
            first, second = self._read(native, shard), self._read(native, shard)
            assert first.identical(second), f"{shard.name} differs when it is read again"

    def test_native_files_are_not_changed(self, native: Native) -> None:
        """Native files are those that were verified."""
        before = _digests(native.root)
        for shard in self._shards(native):
            self._read(native, shard).close()

        assert _digests(native.root) == before

    def test_the_declared_variables_are_made(self, native: Native) -> None:
        """Each is in a ready file of its splits, with the declared dimensions and units."""
        made: dict[str, set[str]] = {}
        for shard in self._shards(native):
            dataset = self._read(native, shard)
            made.setdefault(shard.split, set()).update(map(str, dataset.variables))
            for name in set(self.variables) & set(dataset.variables):
                declared, variable = self.variables[name], dataset[name]
                assert list(variable.dims) == list(declared["dims"]), name
                units = variable.attrs.get("units", variable.encoding.get("units"))
                # Dates have no units until they are written.
                if declared.get("units") is not None and variable.dtype.kind not in "mM":
                    assert units == declared["units"], f"{name} has units {units!r}"
        for name, declared in self.variables.items():
            for split in set(declared.get("splits", made)) & set(made):
                assert name in made[split] or declared.get("optional"), f"{split} lacks {name}"

    def test_a_ready_file_can_be_written_and_read_again(
        self, native: Native, tmp_path: Path
    ) -> None:
        """Attributes and encodings are those that NetCDF can hold."""
        from sciml_data.formats import open_netcdf
        from sciml_data.ready import write_netcdf

        for shard in self._shards(native):
            dataset = self._read(native, shard)
            write_netcdf(dataset, tmp_path / shard.name)
            with open_netcdf(tmp_path / shard.name) as stored:
                assert set(stored.variables) == set(dataset.variables)
                assert dict(stored.sizes) == dict(dataset.sizes)

    def test_an_unknown_option_is_refused(self, native: Native) -> None:
        """A typing error in an option must not convert with the defaults."""
        with pytest.raises(CallError):
            self.extension.shards(native, {"no_such_option_of_a_format": 1})

    @pytest.mark.parametrize("damage", ["cut in half", "empty", "zeros", "gone"])
    def test_damage_is_an_error_of_this_package(self, native: Native, damage: str) -> None:
        """A damaged file is named by a SciMLDataError; a traceback would stop the conversion."""
        for path in dict.fromkeys(path for shard in self._shards(native) for path in shard.inputs):
            content = (native.root / path).read_bytes()
            _damage(native.root / path, content, damage)
            present = replace(native, paths=_files(native.root))
            try:
                for shard in self._shards(present):
                    if path in shard.inputs or damage == "gone":
                        self._read(present, shard).load()
            except SciMLDataError:
                pass  # the expected answer; a format may also find that the rest is sound
            (native.root / path).write_bytes(content)

    def _shards(self, native: Native) -> tuple[Shard, ...]:
        native_format: Format = self.extension
        return native_format.shards(native, dict(self.options))

    def _read(self, native: Native, shard: Shard) -> xr.Dataset:
        native_format: Format = self.extension
        inputs = replace(native, paths=tuple(sorted(shard.inputs)))
        return native_format.read(inputs, shard, dict(self.options))


class ProtocolContract:
    """A protocol; see `sciml_data.transfer.protocols.Source` and docs/how-to/extend/protocol.md.

    Attributes:
        extension: module or object with the function `make_source(connections, timeouts)`.
    """

    extension: ClassVar[Any] = None
    FILES: ClassVar[Mapping[str, bytes]] = {
        "a.bin": bytes(range(256)) * 40,
        "deep/b.csv": b"1,2\n3,4\n",
        "deep/with space.txt": b"x",
    }

    def publish(self, files: Mapping[str, bytes], folder: Path) -> Iterator[str]:
        """Publish files, yield the URL to which `/PATH` (percent-encoded) is appended, clean up.

        Args:
            files: content by path.
            folder: an empty folder for the files of the server.
        """
        raise NotImplementedError  # the suite of a third party has its own

    @pytest.fixture
    def base(self, tmp_path: Path) -> Iterator[str]:
        """Yield the base URL of the published files."""
        yield from self.publish(self.FILES, tmp_path)

    @pytest.fixture
    def source(self) -> Iterator[Source]:
        """Yield a source, which is closed afterwards."""
        from sciml_data.transfer.protocols import Timeouts

        with closing(self.extension.make_source(2, Timeouts(2, 5))) as source:
            yield source

    def test_whole_files_are_read(self, base: str, source: Source) -> None:
        """All bytes come in pieces, then an empty one; the stated size is right."""
        for path, content in self.FILES.items():
            body = source.open(_url(base, path))
            assert body.start == 0
            assert body.size_bytes in (None, len(content))
            assert _rest(body) == content, path
            assert body.read(PIECE) == b"", "bytes come after the end"
            body.close()

    @pytest.mark.parametrize(("start", "end"), [(1, None), (100, 200), (0, 50), (10239, None)])
    def test_a_part_of_a_file_is_where_the_body_says(
        self, base: str, source: Source, start: int, end: int | None
    ) -> None:
        """The body may begin earlier or end later than requested, but it says where."""
        from sciml_data.transfer.protocols import RangeRefusedError

        content = self.FILES["a.bin"]
        try:
            body = source.open(_url(base, "a.bin"), start=start, end=end)
        except RangeRefusedError:
            return  # then the engine reads the whole file
        assert body.start in (0, start)
        stop = len(content) if body.stop is None else body.stop
        assert _rest(body) == content[body.start : stop]
        assert stop >= (len(content) if end is None else end) or body.start == 0
        body.close()

    def test_a_start_behind_the_end_gives_no_wrong_bytes(self, base: str, source: Source) -> None:
        """A file that became shorter is refused, or sent from its beginning."""
        from sciml_data.transfer.protocols import SourceError

        content = self.FILES["a.bin"]
        try:
            body = source.open(_url(base, "a.bin"), start=len(content) + 10)
        except SourceError:
            return
        assert _rest(body) == (content if body.start == 0 else b"")
        body.close()

    def test_a_missing_file_is_a_source_error(self, base: str, source: Source) -> None:
        """The engine asks the next mirror after a SourceError, and stops after any other."""
        from sciml_data.transfer.protocols import SourceError

        with pytest.raises(SourceError):
            source.open(_url(base, "no/such/file")).read(1)

    def test_a_tag_is_the_same_until_the_file_changes(self, base: str, source: Source) -> None:
        """With another tag the body begins at 0, because earlier bytes are of another file."""
        from sciml_data.transfer.protocols import RangeRefusedError

        first, second = (source.open(_url(base, "a.bin")) for _ in range(2))
        assert first.tag == second.tag
        for body in (first, second):
            body.close()
        if first.tag is None:
            return
        try:
            body = source.open(_url(base, "a.bin"), start=100, tag=f"not-{first.tag}")
        except RangeRefusedError:
            return
        assert body.start == 0
        body.close()

    def test_a_body_may_be_closed_before_its_end(self, base: str, source: Source) -> None:
        """A later request gets the bytes of its own file."""
        body = source.open(_url(base, "a.bin"))
        body.read(PIECE)
        body.close()

        other = source.open(_url(base, "deep/b.csv"))
        assert _rest(other) == self.FILES["deep/b.csv"]
        other.close()

    def test_several_threads_read_at_once(self, base: str, source: Source) -> None:
        """Each gets the bytes of its own file."""

        def read(path: str) -> bytes:
            body = source.open(_url(base, path))
            with closing(body):
                return _rest(body)

        paths = [*self.FILES] * 4
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, paths)) == [self.FILES[path] for path in paths]


class ExportContract:
    """An export of a dataset; see docs/how-to/extend/export.md.

    Attributes:
        extension: module or object with the function `export_dataset(facts)`.
        datasets: ids of the built-in registry that are exported.
    """

    extension: ClassVar[Any] = None
    datasets: ClassVar[Sequence[str]] = ("uno_ccle", "tevolop_socal", "cloud_slstr_ds1")

    def test_it_returns_a_text_or_json(self) -> None:
        """`export` prints it, or writes it into a file."""
        for facts in self._facts():
            assert self._text(facts).strip(), f"{facts.dataset} has an empty export"

    def test_it_is_the_same_each_time(self) -> None:
        """An export that follows from the registry can be compared and put under git."""
        for facts in self._facts():
            assert self._text(facts) == self._text(facts)

    def test_versions_of_several_datasets_can_be_told_apart(self) -> None:
        """The text names the dataset in some way."""
        texts = [self._text(facts) for facts in self._facts()]

        assert len(set(texts)) == len(texts)

    def test_it_names_no_folder_of_this_computer(self) -> None:
        """Facts are public; the place of a registry is not."""
        from sciml_data.registry import find_registry

        for facts in self._facts():
            assert str(find_registry().root) not in self._text(facts)

    def test_it_invents_no_address_for_a_registry_without_one(self) -> None:
        """The built-in registry's address is not that of another registry's dataset."""
        from sciml_data.metadata import Identity, registry_identity
        from sciml_data.registry import find_registry

        ours = registry_identity(find_registry().root).base_url
        for facts in self._facts():
            resources = tuple(replace(file, url=file.path) for file in facts.resources)
            foreign = replace(
                facts,
                registry=Identity("lab"),
                page=None,
                identifier="urn:uuid:0",
                resources=resources,
            )
            assert ours not in self._text(foreign), f"{ours} in the export of another registry"

    def _facts(self) -> list[Facts]:
        from sciml_data.metadata import facts_of
        from sciml_data.registry import find_registry, load_descriptor

        registry = find_registry()
        return [facts_of(load_descriptor(registry, name)) for name in self.datasets]

    def _text(self, facts: Facts) -> str:
        from sciml_data.results.exports import as_text

        return as_text("contract", self.extension.export_dataset(facts))


class RegistryContract:
    """A registry: `check`, `derive --check` and every export pass; its code can be imported.

    Attributes:
        registry: its folder.
        others: folders of registries that it uses besides the built-in registry.
    """

    registry: ClassVar[Path | str] = ""
    others: ClassVar[Sequence[Path | str]] = ()

    def test_check_finds_no_problem(self) -> None:
        """Descriptors, manifests, cards, tasks and code are sound."""
        done = self._sciml("check", "--code", "--trust-code", "--json")
        problems = json.loads(done.stdout or "{}").get("problems", [done.stderr])

        assert [p for p in problems if not _is_of_others(p, self.others)] == []

    def test_derived_files_are_up_to_date(self) -> None:
        """Catalogue and checksums follow from the descriptors."""
        done = self._sciml("derive", "--check")

        assert done.returncode == 0, done.stdout + done.stderr

    def test_every_version_can_be_described_cited_and_exported(self) -> None:
        """No export names the address of another registry as that of these datasets."""
        from sciml_data.metadata import CITATIONS, FORMS, facts_of, registry_identity, write_form
        from sciml_data.registry import find_registry, load_descriptor

        own = find_registry(self.registry).first
        ours, theirs = find_registry().root, registry_identity(own.root).base_url
        forms = [form for formats in (*FORMS.values(), CITATIONS) for form in formats.values()]
        for name in own.datasets():
            for version in own.versions(name):
                facts = facts_of(load_descriptor(own, name, version))
                for form in forms:
                    text = write_form(facts, form)
                    if own.root != ours:
                        assert registry_identity(ours).base_url not in text, form.file_name
                    assert not theirs or facts.identifier.startswith(theirs)

    def _sciml(self, *words: str) -> subprocess.CompletedProcess[str]:
        folders = [
            str(word) for path in (self.registry, *self.others) for word in ("--registry", path)
        ]
        return subprocess.run(  # noqa: S603 - this program, without a shell
            [sys.executable, "-m", "sciml_data", *words, *folders],
            capture_output=True,
            text=True,
            check=False,
        )


def _is_of_others(problem: Any, others: Sequence[Path | str]) -> bool:
    return isinstance(problem, dict) and problem["place"].startswith(tuple(map(str, others)))


def _files(root: Path) -> tuple[str, ...]:
    files = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return tuple(sorted(files))


def _digests(root: Path) -> dict[str, str]:
    return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in _files(root)}


def _damage(path: Path, content: bytes, damage: str) -> None:
    if damage == "gone":
        path.unlink()
        return
    damaged = {"cut in half": content[: len(content) // 2], "empty": b""}
    path.write_bytes(damaged.get(damage, bytes(len(content))))


def _url(base: str, path: str) -> str:
    from urllib.parse import quote

    return f"{base}/{quote(path)}"


def _rest(body: Any) -> bytes:
    """Return all bytes that a body still has, read in small pieces."""
    pieces = []
    while piece := body.read(PIECE):
        assert len(piece) <= PIECE, "read gave more bytes than requested"
        pieces.append(piece)
    return b"".join(pieces)
