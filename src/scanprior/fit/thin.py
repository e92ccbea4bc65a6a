"""Convolutions of thin levels, in float32 on a processor that computes in bf16.

There, the bf16 weight gradient of torch 2.13's oneDNN convolutions is wrong where the input has one
or two voxels along an axis: it differs from call to call, is often not finite, and memory beside it
may be overwritten. Values and the input's gradient are right. Levels that thin cost little.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from scanprior import nd

THIN = 2
"""Voxels along an axis, of the input."""


def guard(model: nn.Module) -> None:
    """From now on ``model`` computes the convolutions of thin levels in float32 on a CPU."""
    for module in model.modules():
        if isinstance(module, tuple(nd.Conv.values())):
            # of this one layer: it may be of any library's class, in anybody's encoder
            module.forward = MethodType(_guarded, module)


def _guarded(layer: Any, x: Tensor) -> Tensor:
    forward = type(layer).forward
    if x.device.type != "cpu" or min(x.shape[2:]) > THIN:
        return forward(layer, x)
    with torch.autocast("cpu", enabled=False):
        return forward(layer, x.float())
