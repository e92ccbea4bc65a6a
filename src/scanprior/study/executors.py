"""Where jobs run: in this process, in several processes here, or on a cluster through submitit."""

import contextlib
import multiprocessing
import os
import threading
import time
from abc import ABC, abstractmethod
from multiprocessing import connection
from pathlib import Path
from typing import Any

import submitit
import torch

from scanprior.contracts import InputError
from scanprior.data.parallel import apart_from_here
from scanprior.study.jobs import Job
from scanprior.study.plan import Slurm, Study
from scanprior.study.work import attempt


class Executor(ABC):
    """Runs jobs; each leaves its status in its own folder."""

    room = 1
    """How many jobs may run at once."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Begin ``job``."""

    @abstractmethod
    def ended(self) -> list[tuple[Job, str]]:
        """Jobs that ended since the last call, after a wait of about a second at most, each with
        the reason in case it left no status."""

    @abstractmethod
    def stop(self) -> None:
        """End what runs, so that it can be continued."""


def make(study: Study) -> Executor:
    """The executor that ``study`` asks for."""
    match study.executor:
        case "processes":
            return Processes(study.jobs)
        case "slurm":
            return Cluster(study.jobs, study.out / "slurm", study.slurm)
    return Local()


class Local(Executor):
    """One job after the other in this process."""

    def __init__(self) -> None:
        self.done: list[Job] = []

    def start(self, job: Job) -> None:
        attempt(job)
        self.done.append(job)

    def ended(self) -> list[tuple[Job, str]]:
        done, self.done = self.done, []
        return [(job, "it ended without a status.") for job in done]

    def stop(self) -> None:
        """Nothing runs between two calls."""


class Processes(Executor):
    """``jobs`` processes at once, each new, so that a job that dies takes no other with it."""

    def __init__(self, jobs: int):
        self.room = jobs
        self.running: dict[int, tuple[Any, Job]] = {}
        """Place, 0 to jobs - 1, to process and job."""

    def start(self, job: Job) -> None:
        place = next(k for k in range(self.room) if k not in self.running)
        threads = max(1, torch.get_num_threads() // self.room)
        process = multiprocessing.get_context("spawn").Process(
            target=_in_child, args=(job, threads, _device(place))
        )
        with apart_from_here():
            process.start()
        self.running[place] = process, job

    def ended(self) -> list[tuple[Job, str]]:
        connection.wait([process.sentinel for process, _ in self.running.values()], timeout=1)
        found = []
        for place, (process, job) in list(self.running.items()):
            if process.exitcode is not None:
                process.join()
                del self.running[place]
                found.append((job, f"its process ended with code {process.exitcode}; see log.txt."))
        return found

    def stop(self) -> None:
        for process, _ in self.running.values():
            process.terminate()  # a training saves a checkpoint first
        for process, _ in self.running.values():
            process.join()


class Cluster(Executor):
    """Jobs of a cluster; at its time limit a job is queued again and continues."""

    def __init__(self, jobs: int, folder: Path, slurm: Slurm):
        self.room, self.seconds = jobs, 10.0 if slurm.cluster == "slurm" else 0.5
        try:
            self.executor = submitit.AutoExecutor(folder, cluster=slurm.cluster)
        except RuntimeError as error:
            raise InputError(
                f"SLURM cannot be used here ({error}); use --executor local or processes."
            ) from error
        told: dict[str, Any] = {
            "name": "scanprior",
            "timeout_min": slurm.minutes,
            "cpus_per_task": slurm.cpus,
            "gpus_per_node": slurm.gpus,
            "mem_gb": slurm.memory_gb,
            "slurm_partition": slurm.partition,
        }
        self.executor.update_parameters(**told)
        self.running: list[tuple[submitit.Job[None], Job]] = []

    def start(self, job: Job) -> None:
        self.running.append((self.executor.submit(Continued(), job), job))

    def ended(self) -> list[tuple[Job, str]]:
        found = [(job, f"cluster job {sent.job_id} ended as {sent.state}; see {sent.paths.stderr}")
                 for sent, job in self.running if sent.done()]  # fmt: skip
        gone = {job.folder for job, _ in found}
        self.running = [pair for pair in self.running if pair[1].folder not in gone]
        if not found:
            time.sleep(self.seconds)
        return found

    def stop(self) -> None:
        for sent, _ in self.running:
            sent.cancel()


class Continued(submitit.helpers.Checkpointable):
    """A job that submitit may queue again as it is: it continues from its last checkpoint."""

    def __call__(self, job: Job) -> None:
        attempt(job)


def _device(place: int) -> str | None:
    """The one GPU that the process at ``place`` sees; None where there is none."""
    count = torch.cuda.device_count()
    if not count:
        return None
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = seen.split(",") if seen else [str(k) for k in range(count)]
    return names[place % len(names)]


def _in_child(job: Job, threads: int, device: str | None) -> None:
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job.folder.mkdir(parents=True, exist_ok=True)
    with (
        (job.folder / "log.txt").open("a") as log,
        contextlib.redirect_stderr(log),
        contextlib.redirect_stdout(log),
    ):
        attempt(job)


def _end_with_parent() -> None:
    """A killed study leaves no trainings behind: they save a checkpoint and stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), 15)
