"""Devices, processes and precision (Lightning Fabric), and how processes stop together."""

import atexit
import gc
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.fsdp import FSDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException

from scanprior.contracts import InputError
from scanprior.fit.checkpoint import Beside
from scanprior.fit.schedule import Training

TERMINATED = 128 + signal.SIGTERM
"""The exit code after a signal to stop, the shell's convention for SIGTERM: 143."""
STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
"""SIGTERM, and what clusters are told to send some time before (``sbatch --signal=USR1@60``)."""
_ENDED: list[Any] = []
"""The process group that ended last: see :func:`disband`."""
LAUNCHED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def start(training: Training) -> Fabric:
    """Choose the device and start the other processes, which run this same command again.

    Raises :class:`InputError` where the machine does not have what was asked for.
    """
    # Fabric's notes about its own choices; environment.json says what was chosen.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    several = training.devices * training.nodes > 1
    strategy = "auto"
    if training.strategy == "fsdp":
        strategy = FSDPStrategy(state_dict_type="full")
    elif training.strategy == "ddp" or several:
        # A frozen encoder and a level that no head reads are parameters without gradient.
        strategy = DDPStrategy(find_unused_parameters=True)
    try:
        fabric = Fabric(
            accelerator=training.accelerator,
            devices=training.devices,
            num_nodes=training.nodes,
            strategy=strategy,
            precision="bf16-mixed" if _bf16(training) else "32-true",
            plugins=[] if training.strategy == "fsdp" else [Beside()],  # fsdp takes none
        )
        fabric.launch()
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise InputError(
            f"accelerator {training.accelerator} with {training.devices} devices, {training.nodes} "
            f"nodes and strategy {training.strategy} cannot start here ({error}); choose others."
        ) from error
    return fabric


def _bf16(training: Training) -> bool:
    """Whether to compute in bf16: asked for, or native to where the training will run."""
    if training.precision != "auto":
        return training.precision == "bf16"
    if training.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return training.accelerator in ("auto", "cpu") and native_bf16()


def native_bf16() -> bool:
    """Whether this processor multiplies bf16 itself (AVX-512 BF16 or AMX)."""
    if hasattr(torch.cpu, "get_capabilities"):
        has = torch.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class _Asked(threading.Event):
    """Is set by a signal, as its handler."""

    def __call__(self, number: int, frame: Any) -> None:
        self.set()


@contextmanager
def termination() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGUSR1 set, instead of ending the process.

    Inside another one it is the same event: who is asked to stop stops at every depth. A handler of
    SIGUSR1 that is not Python's default stays, since submitit queues a job again by one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield threading.Event()  # only the main thread may listen to signals
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    outer = before[signal.SIGTERM]
    asked = outer if isinstance(outer, _Asked) else _Asked()
    mine = [n for n in STOPPING if n == signal.SIGTERM or before[n] in (signal.SIG_DFL, asked)]
    for number in mine:
        signal.signal(number, asked)
    try:
        yield asked
    finally:
        for number in mine:
            signal.signal(number, before[number] or signal.SIG_DFL)


def stays(worker: int) -> None:
    """In a process that reads crops: leave signals to the first one, which still needs crops to
    end its step. The worker ends when that one does."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def agree(fabric: Fabric, *questions: bool) -> list[bool]:
    """For each question, whether any process says yes."""
    if fabric.world_size == 1:
        return list(questions)
    votes = torch.tensor(questions, dtype=torch.float32, device=fabric.device)
    answer = fabric.all_reduce(votes, reduce_op="sum")
    return [bool(vote) for vote in answer]  # pyright: ignore[reportGeneralTypeIssues]


def close(fabric: Fabric) -> None:
    """Let the other processes go: after this only the first one runs, and may train again."""
    if fabric.world_size == 1:
        return
    fabric.barrier()
    disband()
    if not fabric.is_global_zero:
        raise SystemExit(0)
    for process in (children := getattr(fabric.strategy.launcher, "procs", [])):
        process.wait()
    if children:
        for name in LAUNCHED:
            os.environ.pop(name, None)


def disband() -> None:
    """End the process group, and keep it until the next one ends.

    The model would else be the last to hold it, and take it down with Python's lock held: torch
    then waits for the group's thread, which at that moment may wait for that same lock.
    """
    _ENDED[:] = [torch.distributed.group.WORLD]
    torch.distributed.destroy_process_group()
    atexit.unregister(_release)
    atexit.register(_release)


def _release() -> None:
    """Wait for the last group's threads while there is an interpreter, and without its lock.

    A thread that drops its last tensor while the interpreter ends is refused the lock, which aborts
    the process (signal 6); the launcher then kills the first process for it.
    """
    gc.collect()  # models whose references run in circles hold the group too
    _ENDED.clear()


def leave(fabric: Fabric, error: BaseException) -> NoReturn:
    """End together; the first process says why, so that the reason is said once."""
    close(fabric)
    raise error
