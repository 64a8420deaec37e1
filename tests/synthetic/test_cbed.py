"""The simulated sample has upstream's layout, and depends on nothing but its seed and settings."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from sciml_data.errors import CallError
from sciml_data.formats.cbed_npz import log_intensity
from sciml_data.home import Home
from sciml_data.ready import convert, open_ready
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Fetched
from sciml_data.synthetic import load_generator
from sciml_data.synthetic.cbed_hdf5 import write_sample
from sciml_data.synthetic.diffraction import simulation as crystals
from sciml_data.synthetic.make import make_sample
from sciml_data.transfer.verification import verify

pytest.importorskip("gemmi")
pytest.importorskip("spglib")

# Three crystals, which are simulated in seconds.
TINY: dict[str, Any] = {
    "groups": [123],
    "materials": 3,
    "energies": [100, 140],
    "size": 16,
    "processes": 1,
}
TWO: dict[str, Any] = {"groups": [2, 225], "materials": 10}
FOLDERS = {"train": ["training"], "dev": ["validation"], "test": ["testing", "inference"]}


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.*"))
    }


def write(root: Path, seed: int = 0, **changed: Any) -> Path:
    root.mkdir(parents=True)
    load_generator("cbed_hdf5").write_sample(root, {"sample": {**TINY, **changed}}, seed)
    return root


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make patterns that say which crystal and energy they are of, instead of simulating."""
    plane = SimpleNamespace(z_dir=(0, 0, 1), y_dir=(0.0, 1.0, 0.0), d_angstrom=2.0)

    def simulate(task: crystals.Task) -> Any:
        crystal = SimpleNamespace(
            space_group=task.space_group,
            material=f"syn-{task.space_group:03d}-{task.number:03d}",
            formula="Si8",
            lengths=(5.0, 5.0, 5.0),
            angles=(90.0, 90.0, 90.0),
        )
        shape = (3, task.size, task.size)
        return crystal, [
            SimpleNamespace(
                patterns=np.full(shape, np.exp(-task.number - energy / 1000), np.float32),
                energy_kev=energy,
                semi_angles=(0.003, 0.003, 0.003),
                planes=(plane, plane, plane),
            )
            for energy in task.energies
        ]

    monkeypatch.setattr(crystals, "simulate", simulate)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    """Simulate a tiny sample once for all quick tests."""
    descriptor = load_descriptor(find_registry(), "stemdl_cbed")
    return make_sample(descriptor, Home(tmp_path_factory.mktemp("home")), overrides=overrides())


@pytest.fixture
def sample(fetched: Fetched) -> Path:
    """Return the native files of the tiny sample."""
    return fetched.root


def stacks_of(root: Path) -> dict[tuple[str, str], Any]:
    """Return the patterns of all stacks by split and name."""
    return {(split, name): group["cbed_stack"][...] for split, name, group in groups_of(root)}


def groups_of(root: Path) -> Iterator[tuple[str, str, h5py.Group]]:
    for path in sorted(root.rglob("*.h5")):
        with h5py.File(path, "r") as file:
            for name, group in file.items():
                yield path.parent.name, name, group


def test_plain_h5py_finds_what_upstreams_notebook_describes(sample: Path) -> None:
    stacks = list(_described(sample))

    assert len(stacks) == 3 * 2
    assert {shape for shape, _ in stacks} == {(3, 16, 16)}
    assert all(kinds == KINDS for _, kinds in stacks)


# Of each attribute the type and shape with which h5py gives it back.
KINDS = {
    "space_group": ("bytes_", ()),
    "material": ("bytes_", ()),
    "formula": ("str", ()),
    "energy_keV": ("int64", ()),
    "z_dirs": ("int64", (1, 3, 3)),
    "y_dirs": ("float64", (1, 3, 3)),
    "semi_angles_rad": ("float64", (3,)),
    "d_hkls_angstrom": ("float64", (3,)),
    "abc_angstrom": ("float64", (3,)),
    "angles_degree": ("float64", (3,)),
}


def _described(root: Path) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    for _, name, group in groups_of(root):
        prefix, index, energy = name.split("_")
        assert (prefix, index.isdigit(), energy.isdigit()) == ("sample", True, True)
        assert list(group) == ["cbed_stack"]
        stack = group["cbed_stack"]
        assert (stack.dtype, stack.chunks, stack.compression) == (np.float32, None, None)
        assert 1 <= int(group.attrs["space_group"]) <= 230
        kinds = {}
        for key, value in group.attrs.items():
            kind = value.dtype.name if np.ndim(value) else type(value).__name__
            kinds[key] = (kind, np.shape(value))
        yield stack.shape, kinds


def test_intensity_is_a_share_of_the_beam_and_nothing_outside_the_circle(sample: Path) -> None:
    rows, columns = np.indices((16, 16)) - 8
    outside = np.hypot(rows, columns) > 8.5
    for _, _, group in groups_of(sample):
        stack = group["cbed_stack"][...]
        assert (stack >= 0).all()
        assert (stack.sum(axis=(1, 2)) <= 1 + 1e-6).all()
        assert (stack.max(axis=(1, 2)) > 0).all()
        assert (stack[:, outside] == 0).all()


@pytest.mark.usefixtures("quick")
def test_a_material_is_in_one_split_and_a_class_in_all(tmp_path: Path) -> None:
    sample = write(tmp_path / "native", **TWO)
    parts: dict[str, set[str]] = {}
    classes: dict[str, set[bytes]] = {}
    for split, _, group in groups_of(sample):
        parts.setdefault(split, set()).add(group.attrs["material"].decode())
        classes.setdefault(split, set()).add(group.attrs["space_group"])

    assert sorted(parts) == ["dev", "test", "train"]
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 20
    assert all(groups == {b"2", b"225"} for groups in classes.values())


@pytest.mark.parametrize(
    ("materials", "shares"),
    [(10, (6, 2, 2)), (5, (3, 1, 1)), (3, (1, 1, 1)), (2, (1, 0, 1)), (1, (1, 0, 0))],
)
def test_materials_of_a_class_are_shared_out_six_two_two(
    materials: int, shares: tuple[int, int, int]
) -> None:
    chosen = {**TINY, **TWO, "materials": materials}
    splits = crystals.tasks_of(chosen, seed=0, size=16)

    counts = Counter((split, task.space_group) for split, own in splits.items() for task in own)
    for split, share in zip(("train", "dev", "test"), shares, strict=True):
        assert [counts[split, group] for group in (2, 225)] == [share, share]
    numbers = [(task.space_group, task.number) for own in splits.values() for task in own]
    assert len(set(numbers)) == len(numbers) == 2 * materials


def test_the_patterns_of_a_crystal_depend_on_the_seed_alone(sample: Path, tmp_path: Path) -> None:
    # The highest energy sets the simulation's grid, so it has to be the same.
    alone: dict[str, Any] = {"materials": 1, "energies": [140]}
    (same,) = stacks_of(write(tmp_path / "again", **alone)).values()
    (other,) = stacks_of(write(tmp_path / "other", seed=1, **alone)).values()

    assert same.tobytes() == stacks_of(sample)["train", "sample_0_1"].tobytes()
    assert same.tobytes() != other.tobytes()


@pytest.mark.slow
def test_the_bytes_of_the_files_depend_on_the_seed_alone(sample: Path, tmp_path: Path) -> None:
    assert digests(write(tmp_path / "again")) == digests(sample)
    assert digests(write(tmp_path / "other", seed=1)) != digests(sample)


@pytest.mark.slow
def test_the_bytes_are_the_same_for_any_number_of_processes(sample: Path, tmp_path: Path) -> None:
    assert digests(write(tmp_path / "two", processes=2)) == digests(sample)


@pytest.mark.usefixtures("quick")
def test_files_have_a_number_of_materials_and_gaps_in_their_indices(tmp_path: Path) -> None:
    write(tmp_path / "native", groups=[2], materials=8, energies=[100], materials_per_file=5)

    names = {path.name: _names(path) for path in sorted((tmp_path / "native").rglob("*.h5"))}
    assert names == {
        "batch_dev_0.h5": ["sample_0_0", "sample_1_0"],
        "batch_test_0.h5": ["sample_0_0", "sample_1_0"],
        "batch_train_0.h5": ["sample_0_0", "sample_1_0", "sample_2_0", "sample_3_0"],
    }
    write(tmp_path / "more", groups=[2], materials=10, energies=[100], materials_per_file=5)
    assert _names(tmp_path / "more/train/batch_train_0.h5")[-1] == "sample_5_0"
    assert _names(tmp_path / "more/train/batch_train_1.h5") == ["sample_0_0"]


def _names(path: Path) -> list[str]:
    with h5py.File(path, "r") as file:
        return sorted(file)


@pytest.mark.usefixtures("quick")
def test_progress_counts_crystals(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []

    write_sample(tmp_path, {"sample": TINY}, 0, progress=lambda *step: steps.append(step))

    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"groups": []},
        {"groups": [231]},
        {"groups": [2, 2]},
        {"materials": 0},
        {"energies": []},
        {"energies": [0]},
        {"size": 15},
        {"processes": -1},
        {"materials_per_file": 0},
    ],
    ids=str,
)
def test_an_invalid_setting_is_refused_by_name(tmp_path: Path, wrong: Mapping[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(CallError, match=f"no sample can be made with {name}"):
        write(tmp_path / "native", **wrong)
    assert list((tmp_path / "native").iterdir()) == []


def test_without_the_extra_nothing_is_written_and_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "spglib" else object()
    )

    with pytest.raises(CallError, match="spglib not installed") as error:
        write(tmp_path / "native")
    assert error.value.hint == "pip install 'sciml-data[stemdl]'"


# --- npz -----------------------------------------------------------------------------------------


def write_npz_sample(root: Path, folders: Mapping[str, Sequence[str]], **changed: Any) -> None:
    settings = {**TINY, "materials": 5, **changed}
    load_generator("cbed_npz").write_sample(root, {"sample": settings, "folders": folders}, 0)


@pytest.mark.usefixtures("quick")
def test_npz_files_are_numbered_through_train_test_and_dev(tmp_path: Path) -> None:
    write_npz_sample(tmp_path, FOLDERS, groups=[225])

    numbers = {
        folder.name: sorted(int(path.stem.split("-")[1]) for path in folder.iterdir())
        for folder in tmp_path.iterdir()
    }
    assert numbers == {
        "training": [0, 1, 2, 3, 4, 5],
        "testing": [6],
        "inference": [7],
        "validation": [8, 9],
    }


@pytest.mark.usefixtures("quick")
def test_plain_numpy_finds_levels_and_the_label_inside(tmp_path: Path) -> None:
    write_npz_sample(tmp_path, FOLDERS, groups=[225])

    for number, (crystal, energy) in enumerate([(0, 100), (0, 140), (1, 100)]):
        with np.load(tmp_path / "training" / f"sample-{number}.npz", allow_pickle=False) as file:
            assert sorted(file) == ["data", "label"]
            assert (file["data"].dtype, file["data"].shape) == (np.float32, (3, 128, 128))
            assert (file["label"].dtype, file["label"].tolist()) == (np.int64, [225])
            expected = 10 * (17 - crystal - energy / 1000)
            np.testing.assert_allclose(file["data"], expected, rtol=1e-6)


@pytest.mark.usefixtures("quick")
def test_a_folder_can_have_two_splits(tmp_path: Path) -> None:
    folders = {"train": ["training"], "dev": ["testing"], "test": ["testing"]}
    write_npz_sample(tmp_path, folders, groups=[225])

    counts = {folder.name: len(list(folder.iterdir())) for folder in tmp_path.iterdir()}
    assert counts == {"training": 6, "testing": 4}


# --- from the sample to the opened dataset -------------------------------------------------------


def overrides(**changed: Any) -> list[str]:
    return [
        f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in {**TINY, **changed}.items()
    ]


def test_the_sample_is_verified_converted_and_opened_as_it_was_written(fetched: Fetched) -> None:
    converted = convert(verify(fetched))

    native = {
        (f"{split}/batch_{split}_0.h5", name): stack
        for (split, name), stack in stacks_of(fetched.root).items()
    }
    count = 0
    for split in ("train", "dev", "test"):
        with open_ready(converted, split=split) as dataset:
            count += len(dataset.sample)
            assert dataset.attrs["synthetic"] == "true"
            for at in range(len(dataset.sample)):
                key = (
                    dataset["native_file"].values[at].decode(),
                    dataset["native_sample"].values[at].decode(),
                )
                np.testing.assert_array_equal(dataset["cbed_stack"][at], native[key])
    assert count == len(native) == 6


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("version", ["1.0", "1.0a"])
def test_the_npz_sample_of_both_versions_is_converted_and_opened(home: Home, version: str) -> None:
    descriptor = load_descriptor(find_registry(), "stemdl_ds1", version)
    settings = ("groups=2", "materials=3", "energies=100,190", "processes=1")
    converted = convert(verify(make_sample(descriptor, home, overrides=settings)))

    with open_ready(converted, split="training") as dataset:
        assert dataset["cbed_stack"].shape == (2, 3, 128, 128)
        assert dataset["space_group"].values.tolist() == [2, 2]
        levels_of = dataset["cbed_stack"].values[:, 0, 0, 0]
    np.testing.assert_allclose(levels_of, [169.0, 168.1], rtol=1e-6)


def test_fractions_of_the_beam_use_the_lower_two_thirds_of_the_scale() -> None:
    assert log_intensity(np.ones(1, np.float32)).tolist() == [170]
