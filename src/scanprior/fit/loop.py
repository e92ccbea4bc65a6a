"""The training loop."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.optim import Optimizer
from torch.utils.data import Dataset

from scanprior import draws
from scanprior.console import say
from scanprior.contracts import InputError, Learner
from scanprior.fit import batches, checkpoint, engine, environment, thin
from scanprior.fit import log as logs
from scanprior.fit.progress import Bar
from scanprior.fit.schedule import Training, learning_rate

Validate = Callable[[nn.Module, int], dict[str, float]]


def fit(
    learner: Learner,
    dataset: Dataset[Any],
    training: Training,
    *,
    out: Path,
    seed: int,
    frozen_encoder_steps: int = 0,
    validate: Validate | None = None,
    validate_every: int = 0,
    best: str = "dice",
    on_best: Callable[[nn.Module, int], None] | None = None,
) -> dict[str, Any]:
    """Train ``learner`` in place, from the newest checkpoint in ``out`` if there is one.

    ``dataset[i]`` must be a pure function of ``i``; step s takes the samples from
    s * ``batch_size`` on. The encoder is frozen for the first ``frozen_encoder_steps``, -1: always.
    ``validate(learner, steps done)`` runs without gradient, in every process, after every
    ``validate_every`` steps and after the last (0: only then); where its ``best`` rises,
    ``on_best(learner, steps done)`` is called in the first process.

    Returns the latest value of everything logged. With several processes, only the first returns;
    the others end here, having run the command from its beginning too. A run that is finished
    already is only loaded. After fsdp the whole weights are in ``newest(out)["learner"]``. Sets
    torch's global seed (for dropout) at every step, so that a resumed run is bit-identical.

    Raises :class:`InputError` where loss or gradients are not finite, a process that reads crops is
    gone, or ``out`` holds another run's checkpoint; SystemExit(143) once a checkpoint is saved
    after SIGTERM or SIGUSR1. That nobody else writes ``out`` is for the caller to see to.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = checkpoint.find(out)
    if found and checkpoint.step_of(found) >= training.steps:
        checkpoint.restore(found, learner)
        return logs.last(out)
    freeze = Freeze(learner, frozen_encoder_steps, training)
    fabric = engine.start(training)
    module, optimizer = fabric.setup(learner, _optimizer(learner, training))
    state = {
        "learner": module,
        "optimizer": optimizer,
        "step": 0,
        "best": -math.inf,
        "log": logs.NEW,
    }
    state |= {"seed": seed, "batch_size": training.batch_size}
    if found := fabric.broadcast(found):
        checkpoint.load(fabric, found, state, must_be={"seed", "batch_size"})
    first_step = state["step"]
    share = batches.MicroBatches(
        training, first_step=first_step, rank=fabric.global_rank, world=fabric.world_size
    )
    loading = batches.load(dataset, share, workers=training.workers, device=fabric.device)
    bar = Bar(first_step=first_step, steps=training.steps, visible=fabric.is_global_zero)
    if fabric.is_global_zero:
        environment.write(fabric, out)
        if training.steps < training.warmup:
            say(
                f"the warm-up of {training.warmup} steps is longer than the training of "
                f"{training.steps}: the learning rate gets no higher than "
                f"{learning_rate(training, training.steps - 1):g} of {training.lr:g}."
            )
    log = logs.Log(fabric, out, training, bar, state["log"], first_step=first_step)
    with (
        engine.termination() as terminated,
        closing(log),
        bar,
        thin.guarded(learner),
        loading as loader,
    ):
        for step in range(first_step, training.steps):
            done, last = step + 1, step + 1 == training.steps
            freeze.set(step)
            rate = learning_rate(training, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            numbers = _gradients(fabric, module, loader, share, seed, step)
            norm = fabric.clip_gradients(
                module, optimizer, max_norm=training.clip or math.inf, error_if_nonfinite=False
            )
            finite = math.isfinite(numbers["loss"]) and bool(norm is None or norm.isfinite())
            broken, stop = engine.agree(fabric, not finite, terminated.is_set())
            if broken:
                engine.leave(fabric, InputError(_not_finite(fabric, step, share, numbers["loss"])))
            optimizer.step()
            optimizer.zero_grad()

            state["step"] = done
            log.add(numbers)
            if done % training.log_every == 0 or last:
                log.write(done, lr=rate)
            if validate and (last or (validate_every and done % validate_every == 0)):
                with _whole(fabric, module, learner):
                    scores = validate(learner, done)
                    log.write_validation(done, scores)
                    if best in scores and scores[best] > state["best"]:
                        state["best"] = float(scores[best])
                        if on_best and fabric.is_global_zero:
                            on_best(learner, done)
            bar.advance(done)
            if done % training.save_every == 0 or last or stop:
                checkpoint.save(fabric, out, state | {"log": log.state()})
            if stop:
                engine.leave(fabric, SystemExit(engine.TERMINATED))
    engine.close(fabric)
    return log.last


class Freeze:
    """Keeps an encoder as it is for the first ``steps`` steps (-1: always): its parameters get no
    gradient and its layers are in evaluation mode. What was frozen before stays so."""

    def __init__(self, learner: Learner, steps: int, training: Training):
        if steps > 0 and training.strategy == "fsdp":
            raise InputError("fsdp cannot free a frozen encoder while training; use strategy ddp.")
        self.learner, self.steps = learner, steps
        self.encoder = learner.get_submodule("encoder")
        self.trainable = [p for p in self.encoder.parameters() if p.requires_grad]
        if steps < 0:  # before the processes agree on which parameters they share
            self.encoder.requires_grad_(False)

    def set(self, step: int) -> None:
        """Put the learner in training mode for ``step``."""
        frozen = self.steps < 0 or step < self.steps
        self.learner.train()
        self.encoder.train(not frozen)
        for parameter in self.trainable:
            parameter.requires_grad_(not frozen)


def _optimizer(learner: Learner, training: Training) -> Optimizer:
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[training.optimizer]
    return kind(learner.parameters(), lr=training.lr, weight_decay=training.weight_decay)


def _gradients(
    fabric: Fabric,
    module: Any,
    loader: Iterator[Any],
    share: batches.MicroBatches,
    seed: int,
    step: int,
) -> dict[str, float]:
    """Forward and backward through every micro-batch; the loss and metrics, averaged over them."""
    sums = torch.zeros(())
    names: list[str] = []
    for first in share.firsts:
        batch = fabric.to_device(next(loader))
        rng = draws.rng_of(seed, step, device=fabric.device, first=first, total=share.batch_size)
        torch.manual_seed((rng.initial_seed() + first) % 2**63)  # dropout draws from the global one
        with fabric.no_backward_sync(module, enabled=first != share.firsts[-1]):
            loss, metrics = module(batch, rng)
            fabric.backward(loss / len(share.firsts))
        names = ["loss", *metrics]
        sums = sums.to(fabric.device) + torch.stack([loss.detach(), *metrics.values()]).float()
    means = (sums / len(share.firsts)).tolist()
    return dict(zip(names, means, strict=True))


@contextmanager
def _whole(fabric: Fabric, module: Any, learner: Learner) -> Iterator[None]:
    """The learner in evaluation mode, without gradient, with all its weights at hand."""
    sharded = module._forward_module
    whole = (
        FullyShardedDataParallel.summon_full_params(sharded, writeback=False)
        if isinstance(sharded, FullyShardedDataParallel)
        else nullcontext()
    )
    learner.eval()
    with torch.no_grad(), fabric.autocast(), whole:
        yield


def _not_finite(fabric: Fabric, step: int, share: batches.MicroBatches, loss: float) -> str:
    first = step * share.batch_size
    finer = "" if fabric._precision.precision == "32-true" else " or use precision 32"
    return (
        f"The loss or its gradient is not finite at step {step + 1}, in the batch of samples "
        f"{first} to {first + share.batch_size - 1} (loss {loss:g}); lower the learning rate"
        f"{finer}, and look at those samples if it comes back."
    )
