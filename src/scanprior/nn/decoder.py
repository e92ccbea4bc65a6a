"""A U-Net decoder for any encoder: transposed convolutions and skips, of MONAI's DynUNet blocks."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from monai.networks.blocks.dynunet_block import (
    UnetBasicBlock,
    UnetOutBlock,
    UnetUpBlock,
    get_conv_layer,
)
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from scanprior.contracts import Encoder, InputError
from scanprior.nn.encoders.unet import ACTIVATION, NORM


class UNetDecoder(nn.Module):
    """An encoder's levels, finest first, to logits ``(b, classes, *s)`` at the image's full size.

    On a U-Net encoder it has the weights of ``DynUNet``'s ``upsamples`` and ``output_block``. An
    encoder whose finest level is coarser than the image gets one more step without a skip.
    """

    def __init__(self, encoder: Encoder, classes: int, deep_supervision: bool = False):
        super().__init__()
        dims, channels, strides = encoder.spatial_dims, encoder.channels, encoder.strides
        self.stride, self.skipped, self.deepest = strides[0], strides[-2], strides[-1]
        self.ups = nn.ModuleList(
            _Up(dims, low, high, 3, 1, coarse // fine, NORM, ACTIVATION)
            for (high, low), (fine, coarse) in reversed(
                list(zip(pairwise(channels), pairwise(strides), strict=True))
            )
        )
        width = channels[0]
        if self.stride > 1:
            width = max(8, width // self.stride)
            self.finish = nn.ModuleList(
                [
                    get_conv_layer(
                        dims, channels[0], width, self.stride, self.stride,
                        act=None, norm=None, is_transposed=True,
                    ),
                    UnetBasicBlock(dims, width, width, 3, 1, NORM, ACTIVATION),
                ]
            )  # fmt: skip
        self.out = UnetOutBlock(dims, width, classes)
        # The coarsest skip is left out, as nnU-Net does: its answer says little about voxels.
        supervised = range(0 if self.stride > 1 else 1, len(channels) - 2)
        self.heads = nn.ModuleDict(
            {str(i): UnetOutBlock(dims, channels[i], classes) for i in supervised}
            if deep_supervision
            else {}
        )
        self.apply(DynUNet.initialize_weights)

    def forward(
        self, levels: list[Tensor], size: Sequence[int] | None = None
    ) -> Tensor | list[Tensor]:
        """Logits; with deep supervision, in training, a list of them, finest first.

        ``size`` is the image's, in voxels; without it, the finest level's times its stride (an
        encoder that starts with a stride cannot tell 63 voxels from 64).

        Raises :class:`InputError` where the coarsest skip is one voxel.
        """
        if levels[-2].shape[2:].numel() == 1:  # instance norm of one voxel is undefined
            raise InputError(
                f"the image is too small for a decoder on an encoder of stride {self.deepest}; use "
                f"more than {self.skipped} voxels along an axis."
            )
        x, coarser = levels[-1], []
        for i, up in zip(reversed(range(len(levels) - 1)), self.ups, strict=True):
            x = up(x, levels[i])
            if self.training and str(i) in self.heads:
                coarser.insert(0, self.heads[str(i)](x))
        if self.stride > 1:
            raised, block = self.finish
            x = raised(x)
            x = block(x if size is None else _fit(x, size))
        finest = self.out(x)
        return [finest, *coarser] if self.training and len(self.heads) else finest


class _Up(UnetUpBlock):
    """MONAI's, for skips that are not exactly ``stride`` times as large."""

    def forward(self, inp: Float[Tensor, "b c *s"], skip: Float[Tensor, "b k *t"]) -> Tensor:
        raised = _fit(self.transp_conv(inp), skip.shape[2:])
        return self.conv_block(torch.cat((raised, skip), dim=1))


def _fit(x: Float[Tensor, "b c *s"], size: Sequence[int]) -> Float[Tensor, "b c *t"]:
    """Cut off, or add zeros, at the end of each axis: where a level of an odd size was rounded."""
    by = [n - have for n, have in zip(size, x.shape[2:], strict=True)]
    return F.pad(x, [pad for n in reversed(by) for pad in (0, n)]) if any(by) else x
