"""Samples: settings from the command line, reuse of existing samples, progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.bench.run import staging
from sciml_data.cli.get import command as get_command
from sciml_data.errors import CallError
from sciml_data.home import Home, read_toml
from sciml_data.progress import format_bytes
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic import make
from sciml_data.synthetic.make import (
    COSTS,
    existing_sample,
    make_sample,
    progress_lines,
    sample_overrides,
)
from sciml_data.testing.datasets import write_dataset

WITHOUT_SAMPLE = {"cloud_csmask/1.0", "inelastic_ds1/1.0", "slstr_real_mini/1.0"}


class Generator:
    """Writes the number of files in its settings, and counts its calls."""

    written = 0

    DEFAULTS: Mapping[str, Any] = {"count": {"train": 2, "test": 1}, "shape": [4, 5], "noise": 0.5}

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        self.written += 1
        settings = {**self.DEFAULTS, **block.get("sample", {})}
        for split, count in settings["count"].items():
            for number in range(count):
                text = f"{seed} {settings['shape']} {settings['noise']}"
                (root / f"{split}-{number}.txt").write_text(text)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    generator = Generator()
    monkeypatch.setattr("sciml_data.synthetic.make.load_generator", lambda _: generator)
    return generator


@pytest.fixture
def descriptor(tmp_path: Path) -> Descriptor:
    return write_dataset(tmp_path / "registry", {"a": b""}, mirrors=[{"": "https://x.example/"}])


def names(descriptor: Descriptor, home: Home, *overrides: str) -> list[str]:
    fetched = make_sample(descriptor, home, overrides=overrides)
    return [entry.path for entry in fetched.manifest.entries]


def test_settings_are_set_by_dotted_names(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    fetched = make_sample(
        descriptor, home, overrides=("count.train=3", "shape=7,8", "noise=0.25", "count.test=0")
    )

    assert [entry.path for entry in fetched.manifest.entries] == [
        "train-0.txt", "train-1.txt", "train-2.txt",
    ]  # fmt: skip
    assert (fetched.root / "train-0.txt").read_text() == "0 [7, 8] 0.25"
    assert generator.written == 1


def test_what_a_sample_takes_is_announced_before_it_is_made(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """The announced numbers were measured once; they are still those of the sample."""
    tevolop = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    with caplog.at_level("INFO", "sciml_data.synthetic"):
        fetched = make_sample(tevolop, home)
        make_sample(tevolop, home)

    size = format_bytes(fetched.manifest.total_bytes)
    files = len(fetched.manifest.entries)
    (announced,) = (each.getMessage() for each in caplog.records if each.name == make.__name__)
    assert announced.startswith(f"making the sample of tevolop_socal: {files} files, {size}, about")


def test_each_sample_of_this_registry_has_measured_costs() -> None:
    registry = find_registry()
    costs = read_toml(COSTS)
    known = {
        f"{dataset}/{version}"
        for dataset in registry.datasets()
        for version in registry.versions(dataset)
    }

    assert not costs.keys() - known
    assert known - costs.keys() == WITHOUT_SAMPLE


def test_an_existing_sample_is_used_until_other_settings_are_given(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    large = names(descriptor, home, "count.train=4")
    assert len(large) == 5
    assert names(descriptor, home) == large
    assert names(descriptor, home, "count.train=4") == large
    assert generator.written == 1

    assert len(names(descriptor, home, "count.train=1")) == 2
    assert generator.written == 2


def test_an_existing_sample_is_found_while_another_process_holds_the_lock(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    made = make_sample(descriptor, home, overrides=("count.train=4",))

    with made.folder.lock("work"):
        assert existing_sample(descriptor, home) == made
        assert existing_sample(descriptor, home, overrides=("count.train=4",)) == made
        assert existing_sample(descriptor, home, overrides=("count.train=5",)) is None
        assert existing_sample(descriptor, home, seed=1) is None
    assert generator.written == 1


def test_all_wrong_overrides_are_named_at_once(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    with pytest.raises(CallError, match="--sample-set") as error:
        make_sample(descriptor, home, overrides=("count.trian=3", "noise=much", "shape"))

    messages = [problem.message for problem in error.value.problems]
    assert messages == [
        "no such setting (did you mean 'count.train'?)",
        "a number is expected, not 'much'",
        "expected KEY=VALUE",
    ]
    assert error.value.hint == "settings of this sample: count.test, count.train, noise, shape"
    assert generator.written == 0
    assert not (home.root / "tiny").exists()


def test_settings_of_a_sample_need_the_option_for_samples(
    descriptor: Descriptor, tmp_path: Path, generator: Generator
) -> None:
    words = [descriptor.dataset, "--registry", str(tmp_path / "registry"), "--home", str(tmp_path)]
    refused = CliRunner().invoke(get_command, [*words, "--sample-set", "count.train=3"])
    made = CliRunner().invoke(get_command, [*words, "--sample", "--sample-set", "count.train=3"])

    assert isinstance(refused.exception, CallError)
    assert made.stderr.startswith("SYNTHETIC sample of tiny 1.0: 4 files")
    assert generator.written == 1


def test_the_overrides_of_a_sample_make_it_again(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=0)
    make_sample(descriptor, home)
    assert sample_overrides(folder) == ()

    first = make_sample(descriptor, home, overrides=("count.train=3", "shape=7,8"))
    texts = sample_overrides(folder)

    assert texts == ("count.train=3", "count.test=1", "shape=7,8", "noise=0.5")
    other = Home(home.root / "other")
    assert make_sample(descriptor, other, overrides=texts).manifest == first.manifest


# --- progress ------------------------------------------------------------------------------------


class GeneratorWithProgress:
    """Makes three parts and reports each."""

    def write_sample(
        self, root: Path, block: Mapping[str, Any], seed: int, *, progress: Any = None
    ) -> None:
        for number in range(3):
            (root / f"{number}.txt").write_text(f"{seed} {block['reader']}")
            if progress is not None:
                progress(number + 1, 3)


class GeneratorWithoutProgress:
    """Has no argument `progress`."""

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        (root / "0.txt").write_text(f"{seed} {block['reader']}")


def test_a_generator_with_progress_reports_its_parts(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = load_descriptor(find_registry(), "stemdl_cbed")
    steps: list[tuple[int, int]] = []

    for seed, generator in enumerate((GeneratorWithProgress(), GeneratorWithoutProgress())):
        monkeypatch.setattr(
            "sciml_data.synthetic.make.load_generator", lambda _, chosen=generator: chosen
        )
        make_sample(descriptor, home, seed=seed, progress=lambda *parts: steps.append(parts))

    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_progress_is_logged_at_intervals_with_the_time_that_is_left() -> None:
    lines: list[str] = []
    seconds = iter([0.0, 4.0, 11.0, 12.0, 30.0])
    show = progress_lines("sample", lines.append, every_s=10, clock=lambda: next(seconds))

    for done in (1, 2, 3, 5):
        show(done, 8)

    assert lines == [
        "sample: 2 of 8 parts, 33 s left",
        "sample: 5 of 8 parts, 18 s left",
    ]


def test_a_run_logs_the_progress_of_its_sample(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = load_descriptor(find_registry(), "stemdl_cbed")
    monkeypatch.setattr(
        "sciml_data.synthetic.make.load_generator", lambda _: GeneratorWithProgress()
    )
    monkeypatch.setattr(
        progress_lines, "__kwdefaults__", {"every_s": 0.0, "clock": iter(range(99)).__next__}
    )
    lines: list[str] = []

    staging._fetch(descriptor, home, mirrors=(), sample=staging.Sample(0), log=lines.append)

    assert [line.partition(",")[0] for line in lines[1:]] == [
        f"sample: {done} of 3 parts" for done in (1, 2, 3)
    ]
