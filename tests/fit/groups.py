"""Two processes that form a group, train a step and part. (Run as a script.)

``groups.py TIMES FOLDER`` does so again and again; ``groups.py TIMES FOLDER end`` in new processes
each time, which end there, told to stop.
"""

import os
import random
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from scanprior.fit import engine


def meet(rank: int, place: Path) -> nn.Module:
    distributed.init_process_group(
        "gloo", init_method=place.resolve().as_uri(), rank=rank, world_size=2
    )
    model = DistributedDataParallel(nn.Linear(4, 4))
    model(torch.ones(2, 4)).sum().backward()
    return model


def again(rank: int, times: int, folder: Path) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    for i in range(times):
        model = meet(rank, folder / str(i))
        distributed.barrier()
        engine.disband()
        del model


def end(rank: int, place: Path) -> None:
    """Train a step and leave, with threads of the group that run when nothing else does on their
    processor: they are late where this thread is not."""
    processor = random.choice(sorted(os.sched_getaffinity(0)))
    torch.set_num_threads(1)
    before = threads()
    model = meet(rank, place)
    os.sched_setaffinity(0, {processor})
    for thread in threads() - before:
        os.sched_setaffinity(thread, {processor})
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    model(torch.ones(2, 4)).sum().backward()
    distributed.all_reduce(torch.ones(2))
    group: Any = SimpleNamespace(world_size=2, is_global_zero=rank == 0)
    group.barrier, group.strategy = distributed.barrier, SimpleNamespace(launcher=None)
    engine.leave(group, SystemExit(engine.TERMINATED))


def threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def ends(times: int, folder: Path) -> None:
    """Exits with how many pairs did not both end well. They are forked: no imports."""
    bad = 0
    for i in range(times):
        children = []
        for rank in (0, 1):
            if not (child := os.fork()):
                return end(rank, folder / str(i))
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        bad += codes != [engine.TERMINATED, 0]
    sys.exit(bad)


if __name__ == "__main__":
    times, folder = int(sys.argv[1]), Path(sys.argv[2])
    if sys.argv[3:] == ["end"]:
        ends(times, folder)
    else:
        multiprocessing.spawn(again, (times, folder), nprocs=2)
