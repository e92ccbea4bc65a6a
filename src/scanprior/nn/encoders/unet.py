"""U-Net encoders, plain and residual, of MONAI's DynUNet blocks.

One stage a width: the first keeps the size, each later one halves it. Weights are those of
``DynUNet``: ``input_block``, ``downsamples.*`` and ``bottleneck`` are stages 0, 1, ... in turn.
"""

from dataclasses import dataclass

from jaxtyping import Float
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetResBlock
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from scanprior.contracts import InputError

NORM = ("INSTANCE", {"affine": True})
ACTIVATION = ("leakyrelu", {"inplace": True, "negative_slope": 0.01})


@dataclass(frozen=True)
class Preset:
    """Channels of the stages, finest first, and the kind of block."""

    widths: tuple[int, ...]
    residual: bool = False


PRESETS = {
    "small": Preset((16, 32, 64, 128)),
    "unet": Preset((32, 64, 128, 256, 320)),
    "residual": Preset((32, 64, 128, 256, 320), residual=True),
    "paper": Preset((32, 64, 128, 256, 512), residual=True),
}


class UNetEncoder(nn.Module):
    """Image ``(b, c, *s)`` to levels ``(b, widths[i], *ceil(s / 2**i))``, finest first."""

    def __init__(
        self, spatial_dims: int, in_channels: int, widths: tuple[int, ...], residual: bool = False
    ):
        super().__init__()
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.channels = widths
        self.strides = tuple(2**i for i in range(len(widths)))
        block = UnetResBlock if residual else UnetBasicBlock
        self.stages = nn.ModuleList(
            block(spatial_dims, before, width, 3, 1 if i == 0 else 2, NORM, ACTIVATION)
            for i, (before, width) in enumerate(
                zip((in_channels, *widths[:-1]), widths, strict=True)
            )
        )
        self.apply(DynUNet.initialize_weights)

    def forward(self, x: Float[Tensor, "b c *s"]) -> list[Tensor]:
        """Raises :class:`InputError` where the deepest level would be one voxel."""
        size, stride = x.shape[2:], self.strides[-1]
        if all(n <= stride for n in size):  # instance norm of one voxel is undefined
            raise InputError(
                f"a patch of {'x'.join(map(str, size))} voxels is too small for an encoder of "
                f"stride {stride}; use more than {stride} voxels along an axis or fewer widths."
            )
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels
