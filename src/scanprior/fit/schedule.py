"""What a training is told, and the learning rate of each of its steps."""

import math
from dataclasses import dataclass
from typing import Literal

from scanprior.contracts import InputError

ELSEWHERE = frozenset(
    {
        *("accelerator", "devices", "nodes", "strategy", "workers"),
        *("log_every", "save_every", "tensorboard"),
    }
)
"""Fields of a training that say where it runs and what is seen of it, not what is learned."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a learner is trained. Impossible values raise :class:`InputError` before work starts."""

    steps: int = 1000
    """Updates of the weights."""
    batch_size: int = 4
    """Crops in a step, over all devices and accumulated micro-batches together."""
    lr: float = 1e-3
    """The highest learning rate, reached when the warm-up ends."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """Adam (weight decay as an L2 term of the loss) or AdamW (weight decay apart from it)."""
    weight_decay: float = 1e-2
    """How strongly weights are drawn to zero."""
    warmup: int = 50
    """Steps over which the learning rate rises linearly from zero."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: down to zero along half a cosine, or constant."""
    clip: float = 1.0
    """The gradients' norm is clipped to this; 0 does not clip."""
    accumulation: int = 1
    """Micro-batches a step, where a whole batch does not fit into memory."""
    precision: Literal["auto", "bf16", "32"] = "auto"
    """Number format of the arithmetic; auto is bf16 where the processor or GPU has it natively."""
    accelerator: str = "auto"
    """Where to compute: auto, cpu, cuda or mps."""
    devices: int = 1
    """Processes (one a device) on each node."""
    nodes: int = 1
    """Machines."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How devices share the work; fsdp also divides the optimizer's memory (GPUs only)."""
    workers: int = 0
    """Processes that read crops, a device; 0 reads in the training process."""
    log_every: int = 10
    """Steps between rows of metrics.jsonl."""
    save_every: int = 200
    """Steps between checkpoints."""
    tensorboard: bool = False
    """Also write TensorBoard events."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation", "devices", "nodes", "log_every"):
            self._need(name, getattr(self, name) >= 1, "at least 1")
        self._need("save_every", self.save_every >= 1, "at least 1")
        for name in ("warmup", "workers", "weight_decay", "clip"):
            number = getattr(self, name)
            self._need(name, math.isfinite(number) and number >= 0, "0 or more")
        self._need("lr", math.isfinite(self.lr) and self.lr > 0, "above 0")
        shares = self.devices * self.nodes * self.accumulation
        if self.batch_size % shares:
            larger = math.ceil(self.batch_size / shares) * shares
            raise InputError(
                f"batch_size {self.batch_size} is not divisible by devices x nodes x accumulation "
                f"= {shares}; use {larger}."
            )

    def _need(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise InputError(f"{name} {getattr(self, name)} is impossible; it must be {what}.")


def learning_rate(training: Training, step: int) -> float:
    """The learning rate of ``step`` (counted from 0); above zero at every step."""
    if step < training.warmup:
        return training.lr * (step + 1) / training.warmup
    if training.schedule == "constant":
        return training.lr
    done = (step - training.warmup) / max(1, training.steps - training.warmup)
    return training.lr * (1 + math.cos(math.pi * done)) / 2
