"""Intake gives the same dataset as `open_dataset`, version and options included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

intake = pytest.importorskip("intake")

from sciml_data.errors import CallError  # noqa: E402
from sciml_data.home import Home  # noqa: E402
from sciml_data.integrations.intake.driver import SciMLSource  # noqa: E402
from sciml_data.ready import convert  # noqa: E402 - after the skip
from sciml_data.ready.open import open_dataset  # noqa: E402
from sciml_data.registry.descriptor import load_descriptor  # noqa: E402
from sciml_data.registry.layout import find_registry  # noqa: E402
from sciml_data.registry.manifest import manifest_of  # noqa: E402
from sciml_data.registry.stages import Verified  # noqa: E402
from sciml_data.synthetic import load_generator  # noqa: E402

# Intake 2.0.9 says this of every parameter of a catalogue; nothing of ours can be done about it.
pytestmark = pytest.mark.filterwarnings("ignore:Shell command not executed:UserWarning")

CATALOGUE = """\
metadata: {{version: 1}}
sources:
  tevolop_socal:
    description: earthquakes
    driver: sciml_data.integrations.intake.driver.SciMLSource
    parameters:
      version: {{description: version, type: str, default: "1.0", allowed: ["1.0", "live"]}}
    args:
      dataset: tevolop_socal
      version: "{{{{ version }}}}"
      home: {home}
      sample: true
    metadata: {{license: LicenseRef-not-stated}}
"""


@pytest.fixture(scope="module")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with the converted sample."""
    home = tmp_path_factory.mktemp("home")
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    folder = Home(home).dataset("tevolop_socal", "1.0", sample_seed=0)
    load_generator("earthquake").write_sample(folder.native, descriptor.native, 0)
    convert(Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True))
    return home


@pytest.fixture
def catalogue(sample_home: Path, tmp_path: Path) -> Any:
    path = tmp_path / "catalogue.yaml"
    path.write_text(CATALOGUE.format(home=sample_home), encoding="utf-8")
    return intake.open_catalog(str(path))


def test_a_catalogue_gives_the_dataset_that_open_dataset_gives(
    catalogue: Any, sample_home: Path
) -> None:
    expected = open_dataset("tevolop_socal", version="1.0", sample=True, home=sample_home)

    found = catalogue["tevolop_socal"].to_dask()

    xr.testing.assert_identical(expected, found)


def test_reading_brings_the_values_into_memory(catalogue: Any) -> None:
    assert catalogue["tevolop_socal"].read()["magnitude"].variable._in_memory


def test_a_version_is_handed_on(catalogue: Any) -> None:
    opened = catalogue["tevolop_socal"](version="1.0").to_dask()
    assert opened.attrs["dataset_version"] == "1.0"
    with pytest.raises(CallError, match="live"):
        catalogue["tevolop_socal"](version="live").to_dask()


def test_a_version_that_the_catalogue_does_not_allow_is_refused(catalogue: Any) -> None:
    with pytest.raises(ValueError, match=r"2\.0"):
        catalogue["tevolop_socal"](version="2.0").to_dask()


def test_an_option_that_does_not_exist_is_named(sample_home: Path) -> None:
    source = SciMLSource("tevolop_socal", "1.0", home=str(sample_home), sample=True, flor="clean")

    with pytest.raises(CallError, match="flor"):
        source.to_dask()


def test_a_view_is_opened_with_its_options(sample_home: Path) -> None:
    source = SciMLSource(
        "tevolop_socal",
        "1.0",
        home=str(sample_home),
        sample=True,
        view="fortnights",
        floor="reference",
    )

    assert source.read()["magnitude"].dims == ("time", "pixel")


def test_a_source_describes_itself(catalogue: Any) -> None:
    source = catalogue["tevolop_socal"]

    assert source.metadata["license"] == "LicenseRef-not-stated"
    assert "magnitude" in source.discover()["metadata"]["data_vars"]
    source.close()
