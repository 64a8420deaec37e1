"""Verification of samples: they are marked, used again while unchanged, and made again if not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sciml_data.errors import CallError, VerificationError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.synthetic.make import make_sample
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.transfer.verification import (
    differences,
    load_fetched,
    verify,
)


@pytest.fixture
def descriptor(tmp_path: Path) -> Descriptor:
    """Return a dataset of which samples are made."""
    return write_dataset(tmp_path / "registry", {"a.bin": b"a"})


class Generator:
    """Writes two files that tell the seed, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        self.calls += 1
        assert block["reader"] == "earthquake"
        write_files(root, {"one.txt": b"%d" % seed, "deep/two.txt": b"two"})


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    generator = Generator()
    monkeypatch.setattr("sciml_data.synthetic.make.load_generator", lambda _: generator)
    return generator


def test_a_sample_is_marked_and_verified(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    fetched = make_sample(descriptor, home, seed=7)

    verified = verify(load_fetched(descriptor, fetched.folder))

    assert fetched.is_synthetic
    assert verified.is_synthetic
    assert [entry.path for entry in verified.manifest] == ["deep/two.txt", "one.txt"]
    assert (fetched.root / "one.txt").read_text() == "7"
    assert '"seed": 7' in (fetched.folder.root / "SYNTHETIC.json").read_text()
    assert not fetched.folder.partial.exists()
    assert fetched.folder.root != home.dataset("tiny", "1.0").root


def test_a_sample_without_its_manifest_is_not_taken_for_the_dataset(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    fetched = make_sample(descriptor, home)
    fetched.folder.manifest.unlink()

    with pytest.raises(CallError):
        load_fetched(descriptor, fetched.folder)


def test_a_changed_sample_is_made_again_with_get(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    fetched = make_sample(descriptor, home)
    (fetched.root / "one.txt").write_text("edited")

    with pytest.raises(VerificationError) as error:
        verify(fetched)

    assert "get tiny --version 1.0 --sample" in error.value.hint
    assert generator.calls == 1


def test_a_sample_is_used_again(descriptor: Descriptor, home: Home, generator: Generator) -> None:
    first = make_sample(descriptor, home)

    assert make_sample(descriptor, home) == first
    assert generator.calls == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder.native / "one.txt").write_text("edited"),
        lambda folder: (folder.native / "one.txt").unlink(),
        lambda folder: folder.manifest.unlink(),
        lambda folder: (folder.root / "SYNTHETIC.json").write_text("{}"),
        lambda folder: folder.native.rename(folder.root / "away"),
    ],
    ids=["edited", "missing", "no manifest", "another marker", "moved away"],
)
def test_a_sample_that_is_not_whole_is_made_again(
    descriptor: Descriptor, home: Home, generator: Generator, spoil: Callable[[Any], object]
) -> None:
    made = make_sample(descriptor, home)
    for _ in range(2):  # also where an older one is in quarantine already
        spoil(made.folder)

        again = make_sample(descriptor, home)

        assert differences(again) == []
        assert again.manifest == made.manifest
        if (made.folder.root / "away").exists():
            break
    assert generator.calls >= 2


def test_samples_of_two_seeds_lie_apart(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    one, two = (make_sample(descriptor, home, seed=seed) for seed in (1, 2))

    assert one.root != two.root
    assert one.manifest != two.manifest


def test_a_sample_killed_while_written_is_made_again(
    descriptor: Descriptor, home: Home, generator: Generator
) -> None:
    folder = home.dataset("tiny", "1.0", sample_seed=0)
    write_files(folder.partial, {"half.txt": b"ha"})

    made = make_sample(descriptor, home)

    assert not (made.root / "half.txt").exists()
