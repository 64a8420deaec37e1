"""Real datasets by every way that a user has to them, from a mirror folder, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import sciml_data
from sciml_data.cli import group
from sciml_data.formats.earthquake import PIXELS, active_pixels
from tests.support.paths import ROOT
from tests.support.real_files import require_real_files

pytestmark = [
    pytest.mark.reference,
    # Intake 2.0.9 says this of every parameter of a catalogue.
    pytest.mark.filterwarnings("ignore:Shell command not executed:UserWarning"),
]

# Bytes of all native files, as the mirror's list of files has them.
NATIVE_BYTES = {"cbed_si110": 1_574_165, "tevolop_japan": 1_944_072, "uno_gdsc": 28_699_620}
SPLITS = {"uno_gdsc": "cross-study"}  # what is opened of datasets with several
SLOW = {"uno_gdsc"}  # its R file takes a minute
COMMANDS = {
    "cite": ["cite", "{}"],
    "bibtex": ["cite", "{}", "--format", "bibtex"],
    "croissant": ["export", "croissant", "{}"],
    "fair": ["fair", "{}"],
    "describe": ["describe", "{}"],
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NATIVE_BYTES
    ],
)
def dataset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def home(dataset: str, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which a dataset was fetched from the mirror and converted."""
    if dataset == "cbed_si110":
        pytest.importorskip("PIL", reason="the extra `formats` is not installed")
    if dataset == "uno_gdsc":
        pytest.importorskip("rdata", reason="the extra `uno` is not installed")
        pytest.importorskip("rdkit", reason="the extra `uno` is not installed")
    mirror = require_real_files(dataset, shared)
    home = tmp_path_factory.mktemp("home")
    run("get", dataset, "--version", "1.0", "--mirror", f"file:{mirror}", "--home", str(home))
    run("convert", dataset, "--version", "1.0", "--home", str(home))
    return home


def run(*arguments: str) -> str:
    done = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def opened(dataset: str, home: Path) -> xr.Dataset:
    split = SPLITS.get(dataset)
    with sciml_data.open_dataset(dataset, version="1.0", split=split, home=home) as found:
        return found.load()


def test_native_and_ready_files_are_verified(dataset: str, home: Path) -> None:
    options = ["--version", "1.0", "--home", str(home), "--full", "--ready", "--json"]
    answer = json.loads(run("verify", dataset, *options))

    assert answer["bytes"] == NATIVE_BYTES[dataset]
    assert answer["ready"]


def test_the_ready_form_is_the_one_that_is_declared(dataset: str, home: Path) -> None:
    declared = sciml_data.describe(dataset, version="1.0").document["sciml"]["variables"]

    split = SPLITS.get(dataset)
    of_split = {name for name, v in declared.items() if split in v.get("splits", [split])}
    assert set(opened(dataset, home).variables) >= of_split


def test_intake_opens_the_same(dataset: str, home: Path) -> None:
    intake = pytest.importorskip("intake")
    catalogue = intake.open_catalog(str(ROOT / "catalog" / "sciml.yaml"))

    split = {"split": SPLITS[dataset]} if dataset in SPLITS else {}
    entry = catalogue[dataset](version="1.0", home=str(home), **split)

    xr.testing.assert_identical(entry.read(), opened(dataset, home))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_known_of_it_is_printed(dataset: str, command: str) -> None:
    assert run(*(word.format(dataset) for word in COMMANDS[command])).strip()


def test_the_pattern_of_silicon_has_the_counts_of_its_file(shared: Path, tmp_path: Path) -> None:
    from PIL import Image

    mirror = require_real_files("cbed_si110", shared)
    pattern = sciml_data.load("cbed_si110", mirrors=[f"file:{mirror}"], home=tmp_path)["image"]

    (path,) = tmp_path.rglob("F20_Si110_PACBED.tif")
    with Image.open(path) as image:
        np.testing.assert_array_equal(pattern.values[0], np.asarray(image))
    assert (pattern.shape, str(pattern.dtype)) == ((1, 618, 618), "float32")
    assert (float(pattern.min()), float(pattern.max())) == (1, 5068)
    assert float(pattern.mean()) == pytest.approx(784.537, abs=1e-3)


@pytest.fixture(scope="module")
def japan(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    mirror = require_real_files("tevolop_japan", shared)
    home = tmp_path_factory.mktemp("home")
    return sciml_data.load("tevolop_japan", mirrors=[f"file:{mirror}"], home=home).load()


def test_the_list_of_japan_has_the_great_earthquake_and_its_aftershocks(japan: xr.Dataset) -> None:
    events = japan[["time", "magnitude", "latitude", "longitude"]].to_dataframe()

    assert len(events) == 30_872
    greatest = events.nlargest(1, "magnitude").iloc[0]
    assert str(greatest["time"]) == "2011-03-11 05:46:24.120000"
    assert (greatest["magnitude"], greatest["latitude"]) == (9.1, 38.297)
    year_after = events["time"].between("2011-03-11", "2012-03-11")
    assert year_after.sum() == 4_776


def test_completeness_of_japan_changes_with_the_decade(japan: xr.Dataset) -> None:
    found = dict(
        zip(
            japan["decade"].values.tolist(),
            japan["completeness_magnitude"].values.round(1),
            strict=True,
        )
    )

    expected = {1960: 4.6, 1970: 4.9, 1980: 5.0, 1990: 4.9, 2000: 4.5, 2010: 4.8}
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_grid_of_japan_has_most_of_its_earthquakes(japan: xr.Dataset) -> None:
    assert int(japan["cell_day_count"].sum()) == 28_044
    training = japan["cell_day_date"] < np.datetime64("1998-01-01")
    counts = np.bincount(
        japan["cell_day_pixel"].values[training],
        japan["cell_day_count_ge_3_29"].values[training],
        minlength=PIXELS,
    )
    assert len(active_pixels(counts)) == 548


@pytest.mark.parametrize(
    "dataset", [pytest.param("uno_gdsc", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize(
    ("split", "rows", "of"),
    [
        ("auc", 2_152, {"cell": 308, "drug": 7}),
        ("dose", 31_823, {"cell": 308, "drug": 7}),
        ("ic50", 213_787, {"cell": 988, "drug": 265}),
        ("cross-study", 9_251, {"cell": 308, "drug": 31, "source": 2}),
    ],
)
def test_the_rows_of_gdsc_are_those_of_its_data_card(
    dataset: str, home: Path, split: str, rows: int, of: dict[str, int]
) -> None:
    with sciml_data.open_dataset(dataset, split=split, home=home) as found:
        assert found.sizes["response"] == rows
        assert {name: found.sizes[name] for name in of} == of
        if split != "ic50":
            read = [found.attrs[name] for name in ("wells_read", "lines_read", "drugs_read")]
            assert read == [873_525, 739, 7]
