"""The contracts as a public test suite: run these on a task or an encoder of your own.

Each raises ``AssertionError`` with a sentence that says what does not hold.
"""

import copy
import dataclasses
import json
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanprior.contracts import Encoder, Learner, Task
from scanprior.saved import freeze, thaw


def check_task(
    task: Task,
    encoder: Encoder,
    *,
    size: tuple[int, ...],
    batch_size: int = 4,
    chance_loss: float | None = None,
    steps: int = 60,
) -> None:
    """Check a pretext task's contract with ``encoder`` on crops of ``size`` voxels.

    Args:
        chance_loss: what the loss should be near before any training; by default it need only be
            finite.
        steps: how many steps on one fixed batch must lower the loss.
    """
    torch.manual_seed(0)
    batch = smooth_images(batch_size, encoder.in_channels, size)
    before = batch.clone()
    first = task.views(batch, torch.Generator().manual_seed(5))
    assert torch.equal(batch, before), "views() changes its input"
    second = task.views(batch, torch.Generator().manual_seed(5))
    assert torch.equal(first.inputs, second.inputs), "the same generator gives other views"
    assert torch.equal(first.target, second.target), "the same generator gives another target"
    assert len(first.inputs) == batch_size, "views have no row a sample"
    assert not first.inputs.requires_grad, "views carry a gradient"

    learner = Learner(task, encoder)
    loss = task.loss(encoder, learner.head, first).loss
    assert loss.isfinite(), f"the first loss is {loss.item()}"
    if chance_loss is not None:
        near = math.isclose(loss.item(), chance_loss, rel_tol=0.25, abs_tol=0.1)
        assert near, f"the first loss is {loss.item():.3f}, not near chance ({chance_loss:.3f})"

    loss.backward()
    for part in (learner.encoder, learner.head):
        assert isinstance(part, nn.Module)
        grads = [p.grad for p in part.parameters()]
        reached = [g for g in grads if g is not None and g.isfinite().all() and g.abs().sum() > 0]
        assert reached, f"no gradient reaches {type(part).__name__}"

    learner.zero_grad()
    optimizer = torch.optim.Adam(learner.parameters(), 3e-3)
    lowest = loss.item()
    for _ in range(steps):
        step = task.loss(encoder, learner.head, first)
        lowest = min(lowest, step.loss.item())
        if lowest < 0.9 * loss.item():
            break
        optimizer.zero_grad()
        step.loss.backward()
        optimizer.step()
    assert lowest < 0.95 * loss.item(), f"the loss stays at {lowest:.3f} on one fixed batch"

    frozen = json.loads(json.dumps(freeze(task)))
    assert thaw(Task, frozen) == task, "the task does not survive JSON"
    assert hash(task) == hash(copy.deepcopy(task)), "equal tasks have different hashes"
    assert dataclasses.is_dataclass(task), "a task is a frozen dataclass"


def smooth_images(n: int, channels: int, size: tuple[int, ...], seed: int = 0) -> Tensor:
    """``(n, channels, *size)`` images with something to recognise: blobs and a little noise."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(n, channels, *[5] * len(size), generator=rng)
    fine = torch.randn(n, channels, *size, generator=rng)
    return 2 * F.interpolate(coarse, size) + 0.1 * fine


def check_encoder(build: Callable[[int, int], Encoder], *, side: int = 32) -> None:
    """Check the encoder contract of ``build(spatial_dims, in_channels)`` in 2D and 3D."""
    for dims in (2, 3):
        for channels in (1, 3):
            encoder = build(dims, channels)
            assert isinstance(encoder, Encoder), "an attribute of the Encoder protocol is missing"
            assert (encoder.spatial_dims, encoder.in_channels) == (dims, channels)
            x = torch.randn(2, channels, *[side] * dims, requires_grad=True)
            levels = encoder(x)
            assert len(levels) == len(encoder.channels) == len(encoder.strides)
            assert list(encoder.strides) == sorted(encoder.strides), "levels run finest first"
            for level, width, stride in zip(levels, encoder.channels, encoder.strides, strict=True):
                expected = (2, width, *[math.ceil(side / stride)] * dims)
                assert tuple(level.shape) == expected, f"{tuple(level.shape)} is not {expected}"
            torch.stack([level.float().square().mean() for level in levels]).sum().backward()
            assert isinstance(encoder, nn.Module)
            assert x.grad is not None
            assert x.grad.isfinite().all(), "the gradient is not finite"
