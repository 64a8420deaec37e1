"""A conversion in shares from Python: all steps before the conversion, and all keywords."""

from __future__ import annotations

import pytest

import sciml_data
from sciml_data.errors import CallError, ConversionError, VerificationError
from sciml_data.home import Home
from sciml_data.ready import find_converted
from sciml_data.registry import find_registry, load_descriptor
from tests.support.damage import flip

DATASET = "cloud_slstr_ds1"
SIZES = ["shape=96,96", "count.training=2", "count.inference=1"]


@pytest.fixture
def sample_home(home: Home) -> Home:
    """Return a home with a sample of three scenes that is not converted."""
    sciml_data.get_dataset(DATASET, sample=True, sample_set=SIZES, home=home)
    return home


def test_shares_and_a_last_step_make_the_files_of_one_conversion(sample_home: Home) -> None:
    lines: list[str] = []
    done: list[tuple[int, int]] = []

    folders = [
        sciml_data.convert_share(
            DATASET,
            share,
            sample=True,
            home=sample_home,
            log=lines.append,
            progress=lambda *step: done.append(step),
        )
        for share in ("1/2", "2/2")
    ]
    finished = sciml_data.finish_conversion(
        DATASET, sample=True, home=sample_home, log=lines.append
    )

    assert folders == [finished.root] * 2
    assert finished.is_synthetic
    assert lines[-1] == "complete: 3 ready files"
    assert any(step == total > 0 for step, total in done)
    made = finished.manifest
    alone = sciml_data.convert_dataset(DATASET, sample=True, home=sample_home, again=True)
    assert alone.manifest == made


def test_a_wrong_share_is_refused_before_files_are_verified(sample_home: Home) -> None:
    folder = sample_home.dataset(DATASET, "1.0", sample_seed=0)
    flip(next(folder.native.rglob("*.hdf")))

    with pytest.raises(CallError, match="is not a share K/N"):
        sciml_data.convert_share(DATASET, "4/3", sample=True, home=sample_home)
    with pytest.raises(VerificationError):
        sciml_data.convert_share(DATASET, "1/3", sample=True, home=sample_home)
    assert not folder.ready.exists()


def test_finishing_without_shares_names_what_is_missing(sample_home: Home) -> None:
    with pytest.raises(ConversionError) as error:
        sciml_data.finish_conversion(DATASET, sample=True, home=sample_home)

    assert {problem.kind for problem in error.value.problems} == {"missing"}
    assert len(error.value.problems) == 3
    descriptor = load_descriptor(find_registry(), DATASET, "1.0")
    assert find_converted(descriptor, sample_home.dataset(DATASET, "1.0", sample_seed=0)) is None
