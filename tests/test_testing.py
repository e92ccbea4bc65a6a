"""The public checks accept what keeps the contracts and refuse what does not."""

from functools import partial

import pytest
import torch

from scanprior.nn import encoders
from scanprior.nn.encoders.unet import UNetEncoder
from scanprior.pretext.rotation import Rotation
from scanprior.testing import check_encoder, check_task
from tests.conftest import TinyEncoder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "unet", "residual", "paper"])
def test_the_u_nets_keep_the_encoder_contract(name):
    check_encoder(partial(encoders.build, name), side=32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "swin"])
def test_other_architectures_keep_the_encoder_contract(name):
    check_encoder(partial(encoders.build, name), side=64)


def test_an_encoder_that_misstates_its_strides_is_refused():
    def wrong(dims: int, channels: int) -> UNetEncoder:
        encoder = encoders.build("small", dims, channels)
        assert isinstance(encoder, UNetEncoder)
        encoder.strides = (1, 2, 4, 4)
        return encoder

    with pytest.raises(AssertionError, match="is not"):
        check_encoder(wrong)


def test_a_task_that_changes_its_input_is_refused():
    class Spoils(Rotation):
        def views(self, batch, rng):
            found = super().views(batch, rng)
            batch.zero_()
            return found

    torch.manual_seed(0)
    with pytest.raises(AssertionError, match="changes its input"):
        check_task(Spoils(), TinyEncoder(2), size=(16, 16))


def test_a_loss_far_from_chance_is_refused():
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match="not near chance"):
        check_task(Rotation(), TinyEncoder(2), size=(16, 16), chance_loss=5.0)
