"""PyTorch reads the batches of `numpy_batches`, with any number of workers and ranks."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.errors import CallError
from sciml_data.home import find_home
from sciml_data.ready import (
    PatchSamples,
    RowSamples,
    convert,
    numpy_batches,
    select_samples,
    torch_dataset,
)
from sciml_data.ready.patches import PatchGrid, find_scenes, list_patches
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Verified
from sciml_data.synthetic.make import make_sample
from tests.support.loader_samples import ROWS, open_images, open_table
from tests.support.paths import ROOT

torch = pytest.importorskip("torch")
ORDER: dict[str, Any] = {"batch_size": 8, "seed": 3}


@pytest.fixture
def rows(tmp_path: Path) -> RowSamples:
    return select_samples(open_table(tmp_path), x=["dose", "expression[cell_index]"], y="number")


@pytest.fixture
def images(tmp_path: Path) -> RowSamples:
    return select_samples(open_images(tmp_path), x="noisy", y="label", memory_bytes=0)


def as_lists(batches: Any) -> list[list[Any]]:
    return [[np.asarray(array).tolist() for array in batch] for batch in batches]


def loader(data: Any, **options: Any) -> Any:
    return torch.utils.data.DataLoader(data, **options)


def test_an_item_is_a_tuple_of_tensors(images: RowSamples) -> None:
    data = torch_dataset(images)
    x, y = data[70]

    assert (len(data), tuple(x.shape), x.dtype, int(y)) == (ROWS, (4, 6), torch.float32, 70 % 3)
    assert float(data[-1][0][0, 0]) == ROWS - 1
    assert len(list(data)) == ROWS
    with pytest.raises(IndexError):
        data[ROWS]


def test_map_style_batches_are_those_of_numpy(rows: RowSamples) -> None:
    data = torch_dataset(rows)
    sampler = data.batches(**ORDER)
    found: list[Any] = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        found = as_lists(loader(data, batch_sampler=sampler))

        assert found == as_lists(numpy_batches(rows, **ORDER, epoch=epoch))
    assert len(sampler) == len(found)


@pytest.mark.parametrize(
    ("workers", "context"),
    [
        (0, None),
        (2, "fork"),
        pytest.param(2, "spawn", marks=pytest.mark.slow),  # each worker imports PyTorch
    ],
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_iterable_batches_are_those_of_numpy(
    images: RowSamples, workers: int, context: str | None
) -> None:
    data = torch_dataset(images, **ORDER)
    options: dict[str, Any] = {"persistent_workers": True} if workers else {}
    batches = loader(
        data, batch_size=None, num_workers=workers, multiprocessing_context=context, **options
    )
    for epoch in range(2):
        data.set_epoch(epoch)

        assert as_lists(batches) == as_lists(numpy_batches(images, **ORDER, epoch=epoch))
    assert len(data) == -(-ROWS // 8)


def test_ranks_of_the_environment_share_the_samples(
    rows: RowSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setenv("WORLD_SIZE", "4")
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        of_rank = as_lists(torch_dataset(rows, **ORDER))

        assert of_rank == as_lists(numpy_batches(rows, **ORDER, ranks=(rank, 4)))
        assert of_rank == as_lists(
            loader(torch_dataset(rows), batch_sampler=torch_dataset(rows).batches(**ORDER))
        )
        found += [number for _, y in of_rank for number in y]

    assert sorted(found) == list(range(ROWS))


@pytest.mark.parametrize(("rank", "size"), [("0", ""), ("", "2"), ("2", "2"), ("a", "2")])
def test_ranks_that_are_not_valid_are_refused(
    rows: RowSamples, monkeypatch: pytest.MonkeyPatch, rank: str, size: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)

    with pytest.raises(CallError, match=f"RANK={rank} and WORLD_SIZE={size}"):
        torch_dataset(rows, **ORDER)


RANK_SCRIPT = """
import json, sys
from pathlib import Path
import torch
import torch.distributed
from sciml_data.ready import select_samples, torch_dataset
from tests.support.loader_samples import open_table
def main():
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    own = folder / str(rank)
    own.mkdir()
    samples = select_samples(open_table(own), x="number")
    data = torch_dataset(samples, batch_size=8, seed=3)  # before there is a process group
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2
    )
    batches = torch.utils.data.DataLoader(
        data, batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    (own / "found.json").write_text(json.dumps([x.tolist() for (x,) in batches]))
    torch.distributed.destroy_process_group()
if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_ranks_of_a_process_group_reach_spawned_workers(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK_SCRIPT, encoding="utf-8")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
        for rank in range(2)
    ]

    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    samples = select_samples(open_table(tmp_path), x="number")
    for rank in range(2):
        text = (tmp_path / str(rank) / "found.json").read_text(encoding="utf-8")
        expected = as_lists(numpy_batches(samples, **ORDER, ranks=(rank, 2)))

        assert text == str([x for (x,) in expected])


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys; from sciml_data.ready import torch_dataset; "
        "torch_dataset([]); assert 'torch' in sys.modules; "
        "assert not {'tensorflow', 'keras', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_order_needs_a_batch_size(rows: RowSamples) -> None:
    with pytest.raises(CallError, match="seed needs a batch size"):
        torch_dataset(rows, seed=0)  # type: ignore[call-overload]


@pytest.fixture
def patches(tmp_path: Path) -> PatchSamples:
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1")
    sample = {"count": {"training": 2}, "shape": [64, 96]}
    descriptor = replace(descriptor, native={**descriptor.native, "sample": sample})
    made = make_sample(descriptor, find_home(tmp_path))
    converted = convert(Verified(descriptor, made.folder, made.manifest, is_synthetic=True))
    return PatchSamples(list_patches(find_scenes(converted), PatchGrid(size=32, stride=32)))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_patches_are_read_by_workers(patches: PatchSamples) -> None:
    expected = as_lists(numpy_batches(patches, batch_size=5, seed=3))
    before = len(pickle.dumps(patches))
    iterable = loader(torch_dataset(patches, batch_size=5, seed=3), batch_size=None, num_workers=2)
    data = torch_dataset(patches)

    assert [len(batch[0]) for batch in expected] == [5, 5, 2]
    assert as_lists(iterable) == expected
    assert as_lists(loader(data, batch_sampler=data.batches(batch_size=5, seed=3))) == expected
    assert len(pickle.dumps(patches)) == before  # free memory of batches stays in this process
