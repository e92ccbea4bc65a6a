"""Which crops a process reads: step s is the samples from ``s * batch_size`` on.

A resumed run simply begins at a later step, so the loader has no state to save.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from scanprior.contracts import InputError
from scanprior.fit import engine
from scanprior.fit.schedule import Training


class MicroBatches(Sampler[list[int]]):
    """The samples of one process from step ``first_step`` on, a list for each micro-batch.

    A micro-batch is ``rows`` contiguous rows of the step's global batch; ``firsts`` says where the
    process's own begin. Raises :class:`InputError` where the batch cannot be shared equally.
    """

    def __init__(self, training: Training, *, first_step: int, rank: int, world: int):
        shares = world * training.accumulation
        if training.batch_size % shares:
            raise InputError(
                f"batch_size {training.batch_size} is not divisible by processes x accumulation = "
                f"{shares}; use a multiple of {shares}."
            )
        self.rows = training.batch_size // shares
        self.firsts = [(m * world + rank) * self.rows for m in range(training.accumulation)]
        self.steps = range(first_step, training.steps)
        self.batch_size = training.batch_size

    def __len__(self) -> int:
        return len(self.steps) * len(self.firsts)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            for first in self.firsts:
                start = step * self.batch_size + first
                yield list(range(start, start + self.rows))


@contextmanager
def load(
    dataset: Dataset[Any], sampler: MicroBatches, *, workers: int, device: torch.device
) -> Iterator[Iterator[Any]]:
    """The micro-batches, collated, on the host; the processes that read them end with the block.

    Raises :class:`InputError` where one of those was ended from outside (torch says so at any
    moment, not only while it waits for a batch), and with its own sentence where it raised one.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # leaves the global one alone
        worker_init_fn=engine.stays,
    )
    found: Any = iter(loader)
    try:
        yield found
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise InputError(
            "a process that reads crops was ended from outside, most likely for want of memory; "
            "the same command continues from the last checkpoint, best with fewer --workers."
        ) from error
    except InputError as error:
        told = str(error)
        if not told.startswith("Caught InputError in DataLoader worker"):
            raise
        raise InputError(told.rstrip().rpartition("InputError: ")[2]) from error
    finally:
        if workers:  # they do not hear the SIGTERM by which Python ends what is left at its end
            found._shutdown_workers()
