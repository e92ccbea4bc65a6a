"""Convolutions of thin levels, in float32 on a processor that computes in bf16.

There, the bf16 weight gradient of torch 2.13's oneDNN convolutions is wrong where the input has one
or two voxels along an axis: it differs from call to call, is often not finite, and memory beside it
may be overwritten. From three voxels on, for transposed convolutions, and for the output and the
input's gradient, it was measured to be right. Levels that thin cost little.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from scanprior import nd

THIN = 2
"""Voxels along an axis, of the input."""
FORWARDS = {kind.forward for kind in nd.Conv.values()}


@contextmanager
def guarded(model: nn.Module) -> Iterator[None]:
    """Within, ``model``'s convolutions of thin inputs are computed in float32 on a CPU, and rounded
    as autocast would. Layers that compute in a way of their own are left alone."""
    layers: list[Any] = [
        layer
        for layer in model.modules()
        if type(layer).forward in FORWARDS and "forward" not in vars(layer)
    ]
    for layer in layers:
        # set on the layer, not on its class, which others use too
        layer.forward = MethodType(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: Any, input: Tensor) -> Tensor:
    forward, sides = type(layer).forward, input.shape[-len(layer.kernel_size) :]
    if input.device.type != "cpu" or min(sides) > THIN or not torch.is_autocast_enabled("cpu"):
        return forward(layer, input)
    with torch.autocast("cpu", enabled=False):
        out = forward(layer, input.to(layer.weight.dtype))
    return out.to(torch.get_autocast_dtype("cpu"))  # what follows expects it
