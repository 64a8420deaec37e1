"""Arrays of HDF5 files become what the descriptor says, or every deviation is named."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import sciml_data
from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, hdf5_arrays
from sciml_data.home import Home
from sciml_data.registry.manifest import manifest_of
from sciml_data.synthetic import load_generator
from sciml_data.synthetic.hdf5_arrays import graphene, multiple_scattering, water_clusters
from sciml_data.synthetic.hdf5_arrays.graphene import PNG_SIGNATURE, grey_png
from tests.support import native_files

VARIABLES = {
    "image": {"dims": ["n", "row", "column"], "dtype": "float32", "long_name": "image"},
    "label": {"dims": ["n"], "dtype": "int8", "units": "1", "long_name": "label"},
    "n": {"dims": ["n"], "dtype": "int64", "long_name": "number in the file"},
}
BLOCK = {
    "reader": "hdf5_arrays",
    "arrays": {
        "train": {
            "image": {"file": "a.h5", "key": "train/images", "shape": [None, 4, 5, 1]},
            "label": {"file": "a.h5", "key": "train/labels"},
        },
        "test": {
            "image": {"file": "b.h5", "key": "images"},
            "label": {"file": "b.h5", "key": "labels"},
        },
    },
}
Change = Callable[[h5py.File], None]


def native_of(
    root: Path,
    block: Mapping[str, Any] = BLOCK,
    variables: Mapping[str, Any] = VARIABLES,
) -> Native:
    return native_files.native_of(root, block=block, variables=variables)


def images(count: int) -> NDArray[np.float32]:
    return np.arange(count * 20, dtype=np.float32).reshape(count, 4, 5, 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return 7 samples in `a.h5`, with a column of labels, and 3 in `b.h5`."""
    folder = tmp_path / "native"
    folder.mkdir()
    with h5py.File(folder / "a.h5", "w") as file:
        file["train/images"] = images(7)
        file["train/labels"] = np.arange(7).reshape(7, 1) % 2
        file["idx"] = np.arange(7)
    with h5py.File(folder / "b.h5", "w") as file:
        file["images"], file["labels"] = -images(3), np.ones(3, np.float64)
    return folder


def ready(native: Native, split: str, options: Mapping[str, Any] | None = None) -> xr.Dataset:
    chosen = options or {}
    return xr.concat(
        [
            hdf5_arrays.read(native, shard, chosen)
            for shard in hdf5_arrays.shards(native, chosen)
            if shard.split == split
        ],
        "n",
    )


def problems_of(native: Native) -> list[tuple[str, str]]:
    """Return kind and place of everything that is said of some native files."""
    try:
        for shard in hdf5_arrays.shards(native, {}):
            hdf5_arrays.read(native, shard, {})
    except NativeFormatError as error:
        return [(problem.kind, problem.place) for problem in error.problems]
    return []


# --- from native to ready -----------------------------------------------------------------------


def test_each_split_has_the_values_of_its_arrays_in_the_declared_types(root: Path) -> None:
    train = ready(native_of(root), "train")
    test = ready(native_of(root), "test")

    np.testing.assert_array_equal(train["image"], images(7)[..., 0])
    assert train["label"].values.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert train["label"].dtype == np.int8
    assert train["n"].values.tolist() == list(range(7))
    np.testing.assert_array_equal(test["image"], -images(3)[..., 0])
    assert (test["label"].attrs["native_dtype"], str(test["label"].dtype)) == ("float64", "int8")
    assert train["image"].attrs["native_source"] == "a.h5:train/images"


@pytest.mark.parametrize(("count", "files"), [(0, 1), (1, 7), (3, 3), (7, 1), (100, 1)])
def test_a_split_is_the_same_in_any_number_of_files(root: Path, count: int, files: int) -> None:
    options = {"samples_per_shard": count}
    names = [s.name for s in hdf5_arrays.shards(native_of(root), options) if s.split == "train"]

    assert names == [f"train-{number:05d}.nc" for number in range(files)]
    xr.testing.assert_identical(
        ready(native_of(root), "train", options), ready(native_of(root), "train")
    )


def test_a_large_sample_is_one_chunk_and_small_ones_share_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/images"] = np.zeros((6, 300, 300), np.float32)
        file["train/labels"] = np.zeros(6, np.int8)
    block = {"arrays": {"train": {k: dict(v) for k, v in BLOCK["arrays"]["train"].items()}}}  # type: ignore[index]
    del block["arrays"]["train"]["image"]["shape"]

    native = native_of(tmp_path, block)
    (shard,) = hdf5_arrays.shards(native, {})
    dataset = hdf5_arrays.read(native, shard, {})

    assert dataset["image"].encoding["chunksizes"] == (1, 300, 300)
    assert dataset["label"].encoding["chunksizes"] == (6,)


def test_a_split_whose_files_were_not_fetched_is_left_out(root: Path) -> None:
    (root / "b.h5").unlink()

    assert {shard.split for shard in hdf5_arrays.shards(native_of(root), {})} == {"train"}


def test_all_files_are_named_where_none_was_fetched(tmp_path: Path) -> None:
    assert problems_of(native_of(tmp_path)) == [("missing", "a.h5"), ("missing", "b.h5")]


def test_gzip_gives_the_same_values(root: Path) -> None:
    packed = ready(native_of(root), "train", {"compression": "gzip"})

    xr.testing.assert_identical(packed, ready(native_of(root), "train"))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"samples": 3}, "samples_per_shard"),
        ({"samples_per_shard": -1}, "0 or more"),
        ({"samples_per_shard": "many"}, "not 'many'"),
        ({"samples_per_shard": True}, "not True"),
        ({"compression": "zip"}, "none or gzip"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    root: Path, options: Mapping[str, Any], word: str
) -> None:
    with pytest.raises(CallError) as error:
        hdf5_arrays.shards(native_of(root), options)

    assert word in str(error.value.problems)


# --- deviations ---------------------------------------------------------------------------------


def replace(key: str, values: NDArray[Any]) -> Change:
    def change(file: h5py.File) -> None:
        del file[key]
        file[key] = values

    return change


def without(key: str) -> Change:
    def change(file: h5py.File) -> None:
        del file[key]

    return change


def with_nan(file: h5py.File) -> None:
    file["train/images"][4, 1, 1, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "kind", "key"),
    [
        pytest.param(without("train/labels"), "missing", "train/labels", id="no_key"),
        pytest.param(replace("train/images", images(7)[:, :3]), "shape", "train/images", id="rows"),
        pytest.param(
            replace("train/images", images(7)[..., 0]), "shape", "train/images", id="rank"
        ),
        pytest.param(
            replace("train/labels", np.zeros((7, 2), np.int8)),
            "shape",
            "train/labels",
            id="columns",
        ),
        pytest.param(
            replace("train/labels", np.zeros(0, np.int8)), "shape", "train/labels", id="empty"
        ),
        pytest.param(
            replace("train/labels", np.array([b"cubic"] * 7)), "dtype", "train/labels", id="text"
        ),
        pytest.param(replace("train/labels", np.full(7, 0.5)), "values", "train/labels", id="half"),
        pytest.param(replace("train/labels", np.full(7, 300)), "values", "train/labels", id="int8"),
        pytest.param(
            replace("train/images", np.full((7, 4, 5, 1), 1e300)),
            "values",
            "train/images",
            id="big",
        ),
        pytest.param(with_nan, "finite", "train/images", id="nan"),
    ],
)
def test_a_deviation_is_named_with_its_file_and_key(
    root: Path, change: Change, kind: str, key: str
) -> None:
    with h5py.File(root / "a.h5", "r+") as file:
        change(file)

    assert problems_of(native_of(root)) == [(kind, f"a.h5:{key}")]


def test_every_deviation_of_all_files_is_said_at_once(root: Path) -> None:
    with h5py.File(root / "a.h5", "r+") as file:
        del file["train"]
    with h5py.File(root / "b.h5", "r+") as file:
        replace("labels", np.zeros(2, np.int8))(file)

    assert problems_of(native_of(root)) == [
        ("missing", "a.h5:train/images"),
        ("missing", "a.h5:train/labels"),
        ("length", "b.h5:images"),
        ("length", "b.h5:labels"),
    ]


def test_a_file_that_was_cut_short_is_unreadable(root: Path) -> None:
    whole = (root / "a.h5").read_bytes()
    (root / "a.h5").write_bytes(whole[: len(whole) // 2])

    assert problems_of(native_of(root)) == [("unreadable", "a.h5")]


def test_a_missing_key_is_answered_with_the_nearest(root: Path) -> None:
    with h5py.File(root / "b.h5", "r+") as file:
        file.move("labels", "label")

    with pytest.raises(NativeFormatError, match=r"did you mean 'label'\?.; it has images, label"):
        hdf5_arrays.shards(native_of(root), {})


def test_a_published_type_is_held(root: Path) -> None:
    arrays = {"train": BLOCK["arrays"]["train"] | {  # type: ignore[index]
        "label": {"file": "a.h5", "key": "train/labels", "dtype": ["uint8"]}
    }}  # fmt: skip

    assert problems_of(native_of(root, {"arrays": arrays})) == [("dtype", "a.h5:train/labels")]


def test_a_descriptor_may_tolerate_harmless_kinds_only(root: Path) -> None:
    with h5py.File(root / "a.h5", "r+") as file:
        with_nan(file)
        replace("train/labels", np.zeros(5, np.int8))(file)
    tolerant = native_of(root, BLOCK | {"tolerates": ["length", "finite", "missing"]})

    assert ready(tolerant, "train").sizes["n"] == 5
    (root / "a.h5").unlink()
    (root / "b.h5").unlink()
    assert problems_of(native_of(root, tolerant.block))[0] == ("missing", "a.h5")


# --- padding ------------------------------------------------------------------------------------

PADDED_VARIABLES = {
    "position": {"dims": ["n", "atom", "axis"], "dtype": "float32", "long_name": "position"},
    "number": {"dims": ["n", "atom"], "dtype": "uint8", "long_name": "number"},
    "count": {"dims": ["n"], "dtype": "uint8", "long_name": "count"},
}
PADDED = {
    "arrays": {"all": {name: {"file": "a.h5", "key": name} for name in PADDED_VARIABLES}},
    "padded": {"atom": "count"},
}


def molecules(root: Path, **changed: NDArray[Any]) -> Native:
    used = np.arange(4)[None, :] < np.array([1, 4])[:, None]
    arrays: dict[str, NDArray[Any]] = {
        "position": np.ones((2, 4, 3), np.float32) * used[..., None],
        "number": np.full((2, 4), 8, np.uint8) * used,
        "count": np.array([[1], [4]], np.uint8),
    }
    with h5py.File(root / "a.h5", "w") as file:
        for name, values in (arrays | changed).items():
            file[name] = values
    return native_of(root, PADDED, PADDED_VARIABLES)


def test_what_is_filled_up_is_missing_and_not_zero(tmp_path: Path) -> None:
    dataset = ready(molecules(tmp_path), "all")

    missing = np.isnan(dataset["position"].values).all(-1)
    assert missing.tolist() == [[False, True, True, True], [False] * 4]
    assert dataset["number"].values.tolist() == [[8, 0, 0, 0], [8, 8, 8, 8]]


def test_values_beyond_the_count_and_wrong_counts_are_named(tmp_path: Path) -> None:
    filled = molecules(tmp_path, number=np.full((2, 4), 8, np.uint8))
    assert problems_of(filled) == [("padding", "a.h5:number")]

    too_many = molecules(tmp_path, count=np.array([1, 5], np.uint8))
    assert problems_of(too_many) == [("count", "a.h5:position"), ("count", "a.h5:number")]


# --- the three datasets, from sample to xarray --------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "split", "sizes"),
    [
        ("em_graphene_sim", "train", {"sample": 24, "row": 256, "column": 256}),
        ("dms_sim", "test", {"sample": 8, "row": 487, "column": 195, "channel": 3}),
        ("hydronet_ds1", "min_data", {"sample": 96, "atom": 90, "axis": 3, "element": 2}),
    ],
)
def test_a_sample_goes_the_whole_way(dataset: str, split: str, sizes: dict[str, int]) -> None:
    options = {"samples_per_shard": sizes["sample"] // 2 - 1}  # three ready files of the split
    fetched = sciml_data.get_dataset(dataset, sample=True)
    sciml_data.convert_dataset(dataset, sample=True, options=options)

    opened = sciml_data.open_dataset(dataset, sample=True, split=split, options=options)

    assert dict(opened.sizes) == sizes
    assert opened.attrs["synthetic"] == "true"
    for path in fetched.root.rglob("*.h*5"):
        with h5py.File(path, "r") as file:
            assert file.attrs["synthetic"]


def test_a_dataset_without_a_reader_says_so_and_where_its_files_lie(tmp_path: Path) -> None:
    dataset = "inelastic_ds1"
    calls: list[Callable[[], object]] = [
        lambda: sciml_data.get_dataset(dataset, sample=True),
        lambda: sciml_data.convert_dataset(dataset),
        lambda: sciml_data.open_dataset(dataset),
    ]
    for call in calls:
        with pytest.raises(CallError, match="has no ready form") as error:
            call()
        assert str(Home(tmp_path / "home").dataset(dataset, "1.0").native) in str(error.value)
    assert not (tmp_path / "home").exists()


# --- the samples' physics -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (graphene, {"count": 2, "inference_count": 1}),
        (multiple_scattering, {"train_count": 2, "test_count": 2}),
        (water_clusters, {"count": 2, "most": 3}),
    ],
)
def test_the_same_seed_gives_the_same_bytes_and_another_others(
    model: Any, settings: Mapping[str, Any], tmp_path: Path
) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        model.write(tmp_path / name, settings, seed)

    one, again, other = (manifest_of(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert not {entry.hash for entry in one} & {entry.hash for entry in other}


def test_an_unknown_model_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="did you mean 'graphene'"):
        load_generator("hdf5_arrays").write_sample(tmp_path, {"sample": {"model": "graphen"}}, 0)


def test_each_carbon_atom_has_three_neighbours_at_1_42_angstrom() -> None:
    sites = graphene.lattice(10.0)
    inner = sites[np.hypot(*sites.T) < 8]
    distances = np.linalg.norm(inner[:, None] - sites[None], axis=-1)

    neighbours = (np.abs(distances - 1.42) < 1e-6).sum(1)
    assert set(neighbours.tolist()) == {3}
    assert np.sort(distances[distances > 1e-6])[0] == pytest.approx(1.42)


def test_the_noisy_image_counts_electrons_of_the_clean_one() -> None:
    clean, noisy = graphene.pair(np.random.default_rng(3))
    quantum = np.diff(np.unique(noisy))[0]  # one electron over the dose

    assert (str(clean.dtype), clean.shape) == ("float32", (256, 256))
    np.testing.assert_allclose(noisy / quantum, np.rint(noisy / quantum), atol=1e-3)
    assert np.corrcoef(clean.ravel(), noisy.ravel())[0, 1] > 0.5
    assert noisy.mean() < clean.mean()  # the beam fades outwards, and pixels are dead


def test_the_png_holds_the_image() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)

    content = grey_png(image)

    start = content.index(b"IDAT")
    length = int.from_bytes(content[start - 4 : start])
    rows = np.frombuffer(zlib.decompress(content[start + 4 : start + 4 + length]), np.uint8)
    assert content.startswith(PNG_SIGNATURE)
    np.testing.assert_array_equal(rows.reshape(3, 5)[:, 1:], image)


def test_only_the_tetragonal_crystal_looks_the_same_after_a_quarter_turn() -> None:
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])

    def is_same(phase: int) -> bool:
        basis = multiple_scattering.reciprocal(*multiple_scattering.CELLS[phase])
        vectors, strengths = multiple_scattering.reflections(basis)
        # c* is along z of both: the turn is about it
        found = {(*row.round(3), round(s)) for row, s in zip(vectors + 0.0, strengths, strict=True)}
        turned = {
            (*row.round(3), round(s)) for row, s in zip(vectors @ turn.T, strengths, strict=True)
        }
        return found == turned

    assert is_same(multiple_scattering.TETRAGONAL)
    assert not is_same(multiple_scattering.MONOCLINIC)


def test_a_line_lies_where_photons_meet_the_bragg_condition() -> None:
    pixels = multiple_scattering.directions()
    middle = pixels[243, 97].astype(np.float64)
    wave = 2 * np.pi / multiple_scattering.WAVELENGTH
    plane = 2 * wave * middle * 0.3  # |h|^2 / 2k = u . h at angles of 72.5 degrees from `middle`
    tilted = plane + wave * 0.9 * np.cross(middle, [0, 1, 0])
    tilted *= 2 * wave * (tilted @ middle) / (tilted @ tilted)  # so that the middle is on the line

    lines = multiple_scattering._lines(pixels, tilted[None], np.ones(1))

    brightest = pixels[np.unravel_index(lines.argmax(), lines.shape)].astype(np.float64)
    assert lines[243, 97] == pytest.approx(1, abs=1e-3)
    scattered = wave * brightest - tilted  # where the photon came from: as long as where it goes
    assert np.linalg.norm(scattered) == pytest.approx(wave, rel=1e-3)


def test_the_water_dimer_is_that_of_the_tip3p_paper() -> None:
    """Jorgensen et al. 1983, table of dimers: -6.50 kcal/mol at 2.74 angstrom."""
    pairs = water_clusters.annealed(np.random.default_rng(0), 8, 2, 5.0)

    energies = water_clusters.energy(pairs)
    distances = np.linalg.norm(pairs[:, 0, 0] - pairs[:, 1, 0], axis=1)
    assert energies.min() == pytest.approx(-6.5, abs=0.1)
    assert distances[energies.argmin()] == pytest.approx(2.74, abs=0.06)


def test_molecules_stay_rigid_and_far_ones_do_not_feel_each_other() -> None:
    clusters = water_clusters.annealed(np.random.default_rng(1), 2, 3, 250.0)
    apart = np.stack([water_clusters.molecule(), water_clusters.molecule() + 1e4])[None]

    bonds = clusters[:, :, 1:] - clusters[:, :, :1]
    lengths = np.linalg.norm(bonds, axis=-1)
    angles = np.arccos((bonds[..., 0, :] * bonds[..., 1, :]).sum(-1) / lengths.prod(-1))
    np.testing.assert_allclose(lengths, 0.9572, atol=1e-9)
    np.testing.assert_allclose(np.degrees(angles), 104.52, atol=1e-6)
    assert water_clusters.energy(apart)[0] == pytest.approx(0, abs=1e-6)


def test_the_energies_of_the_sample_are_those_of_its_positions(tmp_path: Path) -> None:
    water_clusters.write(tmp_path, {"count": 2, "most": 3}, seed=5)

    with h5py.File(tmp_path / "min_data.hdf5", "r") as file:
        positions = file["pos"][:, :9].astype(np.float64).reshape(2, 3, 3, 3)
        np.testing.assert_allclose(file["y"][:, 0], water_clusters.energy(positions), atol=0.01)
        assert file["size"][:, 0].tolist() == [9, 9]
        assert file["x"][0, :3].tolist() == [[0, 1], [1, 0], [1, 0]]
        assert not file["z"][:, 9:].any()
