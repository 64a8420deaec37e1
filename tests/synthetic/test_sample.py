"""The size of a sample, set from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.cli.get import command as get_command
from sciml_data.errors import CallError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.synthetic.make import existing_sample, make_sample, sample_overrides
from sciml_data.testing.datasets import write_dataset


class Generator:
    """Writes as many files as it is told, and counts how often."""

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


def test_a_sample_is_used_in_the_size_it_has_until_another_is_asked_for(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    large = names(descriptor, home, "count.train=4")
    assert len(large) == 5
    assert names(descriptor, home) == large
    assert names(descriptor, home, "count.train=4") == large
    assert generator.written == 1

    assert len(names(descriptor, home, "count.train=1")) == 2
    assert generator.written == 2


def test_what_is_kept_is_told_while_another_process_works_there(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    made = make_sample(descriptor, home, overrides=("count.train=4",))

    with made.folder.lock("work"):
        assert existing_sample(descriptor, home) == made
        assert existing_sample(descriptor, home, overrides=("count.train=4",)) == made
        assert existing_sample(descriptor, home, overrides=("count.train=5",)) is None
        assert existing_sample(descriptor, home, seed=1) is None
    assert generator.written == 1


def test_what_is_not_understood_is_said_all_at_once(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    with pytest.raises(CallError, match="--sample-set") as error:
        make_sample(descriptor, home, overrides=("count.trian=3", "noise=much", "shape"))

    said = [problem.message for problem in error.value.problems]
    assert said == [
        "no such setting (did you mean 'count.train'?)",
        "a number is expected, not 'much'",
        "expected KEY=VALUE",
    ]
    assert error.value.hint == "settings of this sample: count.test, count.train, noise, shape"
    assert generator.written == 0
    assert not (home.root / "tiny").exists()


def test_the_size_of_a_sample_goes_with_a_sample(
    descriptor: Descriptor, tmp_path: Path, generator: Generator
) -> None:
    words = [descriptor.dataset, "--registry", str(tmp_path / "registry"), "--home", str(tmp_path)]
    refused = CliRunner().invoke(get_command, [*words, "--sample-set", "count.train=3"])
    made = CliRunner().invoke(get_command, [*words, "--sample", "--sample-set", "count.train=3"])

    assert isinstance(refused.exception, CallError)
    assert made.stderr.startswith("SYNTHETIC sample of tiny 1.0: 4 files")
    assert generator.written == 1


def test_a_sample_tells_what_it_was_made_with(
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
