import pytest
import torch
from monai.networks.nets.dynunet import DynUNet

from scanprior.contracts import InputError
from scanprior.nn import encoders
from scanprior.nn.decoder import UNetDecoder
from scanprior.nn.encoders.unet import NORM


class Pooled(torch.nn.Module):
    """An encoder of somebody else's: strides 4 and 12, sizes rounded down."""

    in_channels, channels, strides = 1, (6, 10), (4, 12)

    def __init__(self, spatial_dims: int):
        super().__init__()
        self.spatial_dims = spatial_dims

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        sizes = [[n // stride for n in x.shape[2:]] for stride in self.strides]
        return [
            torch.nn.functional.interpolate(x, size).repeat_interleave(c, 1)
            for c, size in zip(self.channels, sizes, strict=True)
        ]


def tiny(name: str, spatial_dims: int) -> encoders.Encoder:
    torch.manual_seed(0)
    if name == "pooled":
        return Pooled(spatial_dims)
    return encoders.build(name, spatial_dims, 1, (4, 6, 8) if name == "small" else None)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 24, 32), (29, 31, 17)])
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", ["small", "densenet121", "swin", "pooled"])
def test_logits_have_the_size_of_the_image(
    name: str, spatial_dims: int, shape: tuple[int, ...]
) -> None:
    if spatial_dims == 3 and name in ("densenet121", "swin"):
        shape = (17, *shape[1:])
    size = shape[:spatial_dims]
    encoder = tiny(name, spatial_dims)
    decoder = UNetDecoder(encoder, classes=3)
    logits = decoder(encoder(torch.randn(1, 1, *size)), size)
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


def test_without_a_size_the_finest_level_decides() -> None:
    encoder = tiny("swin", 2)
    assert UNetDecoder(encoder, 3)(encoder(torch.randn(1, 1, 31, 33))).shape == (1, 3, 32, 34)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_encoder_and_decoder_are_dynunet(spatial_dims: int) -> None:
    torch.manual_seed(1)
    widths = (4, 6, 8, 10)
    reference = DynUNet(spatial_dims, 2, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, widths, norm_name=NORM)
    encoder = encoders.build("small", spatial_dims, 2, widths)
    assert isinstance(encoder, torch.nn.Module)
    decoder = UNetDecoder(encoder, classes=3)
    for mine, theirs in zip(
        [*encoder.stages, *decoder.ups, decoder.out],
        [
            reference.input_block,
            *reference.downsamples,
            reference.bottleneck,
            *reference.upsamples,
            reference.output_block,
        ],
        strict=True,
    ):
        mine.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 2, *(16,) * spatial_dims)
    assert torch.equal(decoder(encoder(x)), reference(x))


@pytest.mark.parametrize(("name", "sizes"), [("small", [32, 16]), ("swin", [32, 16, 8, 4])])
def test_deep_supervision_answers_at_several_levels_while_training(
    name: str, sizes: list[int]
) -> None:
    encoder = encoders.build(name, 2, 1, (4, 6, 8, 10) if name == "small" else None)
    decoder = UNetDecoder(encoder, classes=2, deep_supervision=True)
    levels = encoder(torch.randn(1, 1, 32, 32))
    answers = decoder(levels)
    assert [tuple(answer.shape) for answer in answers] == [(1, 2, n, n) for n in sizes]
    finest = decoder.eval()(levels)
    torch.testing.assert_close(finest, answers[0])


def test_every_weight_and_every_level_gets_a_gradient() -> None:
    encoder = tiny("small", 2)
    decoder = UNetDecoder(encoder, classes=2)
    levels = [level.detach().requires_grad_() for level in encoder(torch.randn(1, 1, 16, 16))]
    decoder(levels).square().sum().backward()
    assert all(level.grad is not None and bool(level.grad.any()) for level in levels)
    assert all(p.grad is not None for p in decoder.parameters())


def test_an_image_too_small_is_refused_with_the_fix() -> None:
    encoder = tiny("swin", 2)
    with pytest.raises(InputError, match=r"stride 32; use more than 16 voxels"):
        UNetDecoder(encoder, 2)(encoder(torch.randn(1, 1, 16, 16)))
