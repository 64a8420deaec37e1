"""The classes behind `torch_dataset`: a map-style dataset, and an iterable of batches.

Both are aware of worker processes and of ranks. Ranks are those of `torch.distributed` if its
process group exists, otherwise of the variables RANK and WORLD_SIZE, which `torchrun` sets.
TensorFlow is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info

from sciml_data.errors import CallError
from sciml_data.ready.patches import batch_indices, read_ahead

if TYPE_CHECKING:
    from sciml_data.ready.loaders import Arrays, Samples

Tensors: TypeAlias = tuple[torch.Tensor, ...]
Ranks: TypeAlias = tuple[int, int]

THREADS = 2  # of each worker
PREFETCH = 2  # batches that each worker reads ahead; DataLoader has two more of each


class SampleDataset(Dataset[Tensors]):  # type: ignore[misc] # mypy does not read PyTorch
    """A map-style dataset; an item is a tuple of tensors, such as (x, y)."""

    def __init__(self, samples: Samples) -> None:
        """Store the samples."""
        self.samples = samples

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __getitem__(self, number: int) -> Tensors:
        """Return a sample."""
        if not -len(self) <= number < len(self):
            raise IndexError(number)  # ends `for sample in dataset`
        return self.__getitems__([number % len(self)])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Tensors]:
        """Return the samples of a batch, which are read together; PyTorch calls this method."""
        arrays = _as_tensors(self.samples.read(np.asarray(numbers, np.int64)))
        return list(zip(*arrays, strict=True))

    def batches(
        self,
        *,
        batch_size: int,
        seed: int | None,
        epoch: int = 0,
        ranks: Ranks | None = None,
        drop_remainder: bool = False,
    ) -> BatchSampler:
        """Return a batch sampler for `DataLoader(batch_sampler=...)`; see `torch_dataset`.

        `torch.utils.data.DistributedSampler` repeats samples if their number does not divide by the
        number of ranks. This sampler does not.
        """
        return BatchSampler(
            len(self),
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            ranks=ranks,
            drop_remainder=drop_remainder,
        )


class BatchSampler(Sampler[list[int]]):  # type: ignore[misc] # mypy does not read PyTorch
    """The numbers of the samples of each batch of this rank, in the order of `numpy_batches`."""

    def __init__(
        self, count: int, *, epoch: int = 0, ranks: Ranks | None = None, **options: Any
    ) -> None:
        """Store the order, and check it.

        Args:
            count: number of samples.
            epoch: number of the epoch; see `set_epoch`.
            ranks: (rank, number of ranks); None finds them out.
            **options: of `batch_indices`.
        """
        self.count, self.epoch, self.ranks, self.options = count, epoch, ranks, options
        self.numbers()

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch that the next iteration returns."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches of this rank."""
        return len(self.numbers())

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of the samples of each batch."""
        for numbers in self.numbers():
            yield numbers.tolist()

    def numbers(self) -> list[npt.NDArray[np.int64]]:
        """Return the numbers of the samples of each batch."""
        ranks = self.ranks or find_ranks()
        return batch_indices(self.count, epoch=self.epoch, ranks=ranks, **self.options)


class BatchDataset(IterableDataset[Tensors]):  # type: ignore[misc] # mypy does not read PyTorch
    """An iterable dataset of batches, each a tuple of tensors; use it with `batch_size=None`.

    Worker w of W workers reads batches w, w + W, ... of its rank. DataLoader takes them in turn, so
    their order is that of `numpy_batches`, for any number of workers.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        epoch: int = 0,
        ranks: Ranks | None = None,
        **options: Any,
    ) -> None:
        """Store samples and order, and check the options; see `torch_dataset`."""
        self.samples, self.options = samples, options
        self._ranks, self._found = ranks, find_ranks() if ranks is None else ranks
        # Workers that persist over epochs see a new epoch through shared memory.
        self._epoch = torch.tensor(epoch).share_memory_()
        self._sampler()

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch that the next iteration returns."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Return the number of batches of this rank."""
        return len(self._sampler())

    def __iter__(self) -> Iterator[Tensors]:
        """Yield the batches of this worker."""
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        mine = self._sampler().numbers()[first::step]
        ahead = read_ahead(mine, self.samples.read, threads=THREADS, prefetch=PREFETCH)
        for arrays in ahead:
            yield _as_tensors(arrays)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a worker, with the ranks: a spawned worker has no process group."""
        return {**self.__dict__, "_found": self._ranks or find_ranks()}

    def _sampler(self) -> BatchSampler:
        is_worker = get_worker_info() is not None
        ranks = self._found if is_worker else (self._ranks or find_ranks())
        epoch = int(self._epoch.item())
        return BatchSampler(len(self.samples), epoch=epoch, ranks=ranks, **self.options)


def find_ranks() -> Ranks:
    """Return the rank of this process and the number of ranks; (0, 1) if there is one process.

    Raises:
        CallError: RANK or WORLD_SIZE is not a number, or only one of them is set.
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    values = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")]
    if not any(values):
        return 0, 1
    if not all(value.isdecimal() for value in values) or int(values[0]) >= int(values[1]):
        raise CallError(
            f"RANK={values[0]} and WORLD_SIZE={values[1]} are not a rank and a number of ranks",
            untouched="nothing was read",
            hint="pass ranks=(0, 1), or unset both variables",
        )
    return int(values[0]), int(values[1])


def _as_tensors(arrays: Arrays) -> Tensors:
    """Return arrays as tensors that share their memory."""
    return tuple(torch.from_numpy(array) for array in arrays)
