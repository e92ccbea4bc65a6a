"""Embeddings keep where things are, and small patches suit deep encoders."""

import pytest
import torch

from scanprior.nn import encoders
from scanprior.nn.heads import continued, embed, features


@pytest.mark.parametrize("dims", [2, 3])
def test_an_embedding_tells_left_from_right(dims: int) -> None:
    torch.manual_seed(0)
    encoder = encoders.build("small", dims, 1)
    image = torch.zeros(1, 1, *[32] * dims)
    image[..., :16] = 1
    z = embed(encoder, torch.stack([image, image.flip(-1)], 1))
    assert z.shape == (1, 2, features(encoder))
    there, back = z[0].detach()
    assert (there - back).norm() > 0.1 * there.norm()


@pytest.mark.parametrize("name", ["unet", "densenet121"])
def test_patches_smaller_than_the_stride_are_embedded(name: str) -> None:
    encoder = encoders.build(name, 2, 1)
    image = torch.randn(2, 3, 1, 12, 16)
    z = embed(encoder, image)
    assert z.shape == (2, 3, features(encoder))
    assert z.isfinite().all()
    assert not torch.allclose(z[0, 0], z[0, 1])


def test_what_is_small_is_continued_by_its_outermost_voxels() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert continued(x, 1) is x
    wide = continued(x, 3)  # two rows short, one column
    assert wide.shape == (1, 1, 4, 4)
    assert wide[0, 0, :, :3].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]
    assert torch.equal(wide[..., 3], wide[..., 2])
