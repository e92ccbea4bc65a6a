"""DenseNet-121 (Huang et al. 2017), MONAI's, cut into five levels.

Group norm takes the place of batch norm: a sample's features then do not depend on who shares
its batch, which several processes, accumulated gradients and patches of one volume all need.
"""

from jaxtyping import Float
from monai.networks.nets.densenet import DenseNet
from torch import Tensor, nn

from scanprior import nd


class _Halve(nn.Module):
    """The transition's mean of 2 voxels; an odd axis keeps its last one, as in the strided stem."""

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *half"]:
        size = x.shape[2:]
        return nd.AvgPool[len(size)](tuple(min(2, n) for n in size), stride=2, ceil_mode=True)(x)


class DenseNetEncoder(nn.Module):
    """Image ``(b, c, *s)`` to levels ``(b, channels[i], *ceil(s / strides[i]))``, finest first."""

    channels = (64, 128, 256, 512, 1024)
    strides = (2, 4, 8, 16, 32)

    def __init__(self, spatial_dims: int, in_channels: int):
        super().__init__()
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        whole = DenseNet(
            spatial_dims, in_channels, out_channels=1, norm=("group", {"num_groups": 8})
        )
        part = dict(whole.features.named_children())
        stages = [nn.Sequential(part["conv0"], part["norm0"], part["relu0"])]
        pool = part["pool0"]
        for i in (1, 2, 3):
            *compress, _ = part[f"transition{i}"].children()  # its pool opens the next stage
            stages.append(nn.Sequential(pool, part[f"denseblock{i}"], *compress))
            pool = _Halve()
        stages.append(nn.Sequential(pool, part["denseblock4"], part["norm5"], nn.ReLU()))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "b c *s"]) -> list[Tensor]:
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels
