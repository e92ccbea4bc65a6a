"""Two processes that form a group, train a step and part, again and again. (Run as a script.)"""

import sys
import warnings

import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from scanprior.fit import engine


def meet(rank: int, times: int, folder: str) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    for i in range(times):
        place = f"file://{folder}/{i}"
        distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
        model = DistributedDataParallel(nn.Linear(4, 4))
        model(torch.ones(2, 4)).sum().backward()
        distributed.barrier()
        engine.disband()
        del model


if __name__ == "__main__":
    multiprocessing.spawn(meet, (int(sys.argv[1]), sys.argv[2]), nprocs=2)
