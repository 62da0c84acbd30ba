"""Batches from the memory-mapped cache, in an order that depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from segbench.training.cache import Cache

Batch = tuple[Tensor, Tensor, Tensor]


class Samples(Dataset[Batch]):
    """Samples of a cache: images (3, H, W) uint8, masks (H, W) uint8, the position in the list."""

    def __init__(self, cache: Cache, positions: NDArray[np.int64]) -> None:
        self.cache, self.positions = cache, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Batch:
        at = int(self.positions[index])
        image = torch.from_numpy(self.cache.images[at].copy()).permute(2, 0, 1)
        return image, torch.from_numpy(self.cache.masks[at].copy()), torch.tensor(index)


class EpochOrder(Sampler[int]):
    """The samples of each epoch: consecutive stretches of one shuffled pass after another.

    Every sample is seen equally often, whatever the epoch's length, and the order follows from
    (seed, pass) alone. With several processes each takes every so-manieth sample.
    """

    def __init__(
        self, n: int, *, seed: int, per_epoch: int = 0, processes: int = 1, rank: int | None = None
    ) -> None:
        self.n, self.seed, self.epoch = n, seed, 0
        self.per_epoch = per_epoch or n
        self.rank, self.processes = rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.per_epoch // self.processes)

    def __iter__(self) -> Iterator[int]:
        rank = self.rank
        if rank is None:  # known only once the processes have been launched
            together = dist.is_available() and dist.is_initialized()
            rank = dist.get_rank() if together else 0
        first = self.epoch * self.per_epoch
        places = range(first + rank, first + len(self) * self.processes, self.processes)
        orders = {
            turn: np.random.default_rng((self.seed, turn)).permutation(self.n)
            for turn in {p // self.n for p in places}
        }
        return iter([int(orders[p // self.n][p % self.n]) for p in places])


def train_loader(samples: Samples, order: EpochOrder, *, batch: int) -> DataLoader[Batch]:
    """Shuffled batches; a copy out of a mapped file needs no worker processes.

    A last batch of one image is left out, another image each epoch: batch normalisation of a single
    image's pooled features has nothing to normalise by.
    """
    return DataLoader(
        samples,
        batch_size=batch,
        sampler=order,
        pin_memory=torch.cuda.is_available(),
        drop_last=_one_is_left(len(order), batch),
    )


def steps_per_epoch(order: EpochOrder, *, batch: int) -> int:
    """How many batches `train_loader` gives in an epoch."""
    return -(-len(order) // batch) - _one_is_left(len(order), batch)


def _one_is_left(n: int, batch: int) -> bool:
    return n > batch > 1 and n % batch == 1


def val_loader(samples: Samples, *, batch: int) -> DataLoader[Batch]:
    """All samples in their order."""
    return DataLoader(samples, batch_size=batch, pin_memory=torch.cuda.is_available())
