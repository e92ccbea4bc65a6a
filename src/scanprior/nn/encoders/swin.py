"""The shifted-window transformer of SwinUNETR (Hatamizadeh et al. 2022), MONAI's, feature size 24.

Weights are those of ``SwinUNETR(feature_size=24).swinViT``.
"""

from jaxtyping import Float
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor, nn

FEATURES = 24


class SwinEncoder(nn.Module):
    """Image ``(b, c, *s)`` to levels ``(b, channels[i], *ceil(s / strides[i]))``, finest first."""

    channels = tuple(FEATURES * 2**i for i in range(5))
    strides = (2, 4, 8, 16, 32)

    def __init__(self, spatial_dims: int, in_channels: int):
        super().__init__()
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.transformer = SwinTransformer(
            in_chans=in_channels,
            embed_dim=FEATURES,
            window_size=(7,) * spatial_dims,
            patch_size=(2,) * spatial_dims,
            depths=(2, 2, 2, 2),
            num_heads=(3, 6, 12, 24),
            spatial_dims=spatial_dims,
        )

    def forward(self, x: Float[Tensor, "b c *s"]) -> list[Tensor]:
        return self.transformer(x.contiguous())  # its windows are cut by views of plain memory
