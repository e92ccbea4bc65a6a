import sys
import types

import pytest
import torch
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.swin_unetr import SwinUNETR

from scanprior.contracts import Encoder, InputError
from scanprior.nn import encoders
from scanprior.nn.encoders.unet import NORM, PRESETS

TINY = dict.fromkeys(PRESETS, (4, 6, 8))


def tiny(name: str, spatial_dims: int, in_channels: int = 1) -> Encoder:
    torch.manual_seed(0)
    return encoders.build(name, spatial_dims, in_channels, TINY.get(name))


def test_names_and_preset_widths() -> None:
    assert encoders.names() == ("small", "unet", "residual", "paper", "densenet121", "swin")
    assert encoders.build("small", 3, 1).channels == (16, 32, 64, 128)
    assert encoders.build("unet", 2, 1).channels == (32, 64, 128, 256, 320)
    assert encoders.build("paper", 2, 1).channels == (32, 64, 128, 256, 512)
    assert encoders.build("unet", 2, 1).strides == (1, 2, 4, 8, 16)


@pytest.mark.parametrize("size", [33, 32])
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", encoders.names())
def test_levels_are_as_announced(name: str, spatial_dims: int, size: int) -> None:
    encoder = tiny(name, spatial_dims, in_channels=4)
    assert isinstance(encoder, Encoder)
    shape = (size, 17, 9)[:spatial_dims]
    levels = encoder(torch.randn(2, 4, *shape))
    assert [tuple(level.shape) for level in levels] == [
        (2, c, *(-(-n // stride) for n in shape))
        for c, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
    assert all(bool(level.isfinite().all()) for level in levels)


@pytest.mark.slow
@pytest.mark.parametrize("name", encoders.names())
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    encoder = tiny(name, 2)
    x = torch.randn(3, 1, 24, 24)
    alone, together = encoder(x[1:2]), encoder(x)
    for one, three in zip(alone, together, strict=True):
        torch.testing.assert_close(one, three[1:2], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", encoders.names())
def test_every_weight_gets_a_gradient(name: str) -> None:
    encoder = tiny(name, 2)
    assert isinstance(encoder, torch.nn.Module)
    levels = encoder(torch.randn(1, 1, 64, 64))
    torch.stack([(level * torch.randn_like(level)).sum() for level in levels]).sum().backward()
    without = [n for n, p in encoder.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("residual", [False, True])
def test_unet_takes_the_weights_of_dynunet(spatial_dims: int, residual: bool) -> None:
    torch.manual_seed(1)
    widths = (4, 6, 8, 10)
    reference = DynUNet(
        spatial_dims, 2, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, widths, norm_name=NORM,
        res_block=residual,
    )  # fmt: skip
    encoder = encoders.build("residual" if residual else "small", spatial_dims, 2, widths)
    assert isinstance(encoder, torch.nn.Module)
    blocks = [reference.input_block, *reference.downsamples, reference.bottleneck]
    x = torch.randn(2, 2, *(16,) * spatial_dims)
    before = encoder(x)
    encoder.load_state_dict(
        {
            f"stages.{i}.{key}": value
            for i, block in enumerate(blocks)
            for key, value in block.state_dict().items()
        }
    )
    expected, y = [], x
    for block in blocks:
        y = block(y)
        expected.append(y)
    assert not torch.equal(before[-1], expected[-1])
    for mine, theirs in zip(encoder(x), expected, strict=True):
        assert torch.equal(mine, theirs)


def test_swin_takes_the_weights_of_swin_unetr() -> None:
    reference = SwinUNETR(in_channels=2, out_channels=2, feature_size=24, spatial_dims=2)
    encoder = tiny("swin", 2, in_channels=2)
    assert isinstance(encoder, torch.nn.Module)
    encoder.load_state_dict(
        {f"transformer.{k}": v for k, v in reference.swinViT.state_dict().items()}
    )
    x = torch.randn(1, 2, 64, 64)
    for mine, theirs in zip(encoder(x), reference.swinViT(x, True), strict=True):
        assert torch.equal(mine, theirs)


def test_a_patch_too_small_is_refused_with_the_fix() -> None:
    encoder = encoders.build("small", 3, 1, (2, 2, 2, 2))
    with pytest.raises(InputError, match=r"7x7x7 voxels is too small .* stride 8; use more"):
        encoder(torch.randn(2, 1, 7, 7, 7))
    assert encoder(torch.randn(2, 1, 7, 7, 9))[-1].shape[2:] == (1, 1, 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("resnet", 3, 1), "no encoder 'resnet'; use one of small, unet"),
        (("small", 4, 1), "spatial_dims 4"),
        (("small", 3, 0), "in_channels 0"),
        (("small", 3, 1, (8,)), "widths"),
        (("small", 3, 1, (8, 0)), "widths"),
        (("swin", 3, 1, (8, 8)), "widths of encoder 'swin' are fixed"),
        (("no_such_package.encoder", 3, 1), "cannot be imported"),
        (("os.path", 3, 1), "has no build"),
    ],
)
def test_impossible_encoders_are_refused(arguments: tuple, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        encoders.build(*arguments)


def test_a_module_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = types.ModuleType("own"), types.ModuleType("own.encoder")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "own", package)
    monkeypatch.setitem(sys.modules, "own.encoder", module)
    module.__dict__["build"] = lambda dims, channels: tiny("small", dims, channels)
    assert encoders.build("own.encoder", 2, 5).in_channels == 5
    module.__dict__["build"] = lambda dims, channels: object()
    with pytest.raises(InputError, match="returned a object that is no encoder"):
        encoders.build("own.encoder", 2, 5)


def test_a_missing_need_of_ones_own_module_is_not_hidden(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_two").mkdir()
    (tmp_path / "own_two" / "encoder.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        encoders.build("own_two.encoder", 2, 1)
