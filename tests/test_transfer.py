"""A start is loaded whole or refused by name: never a silent start from scratch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from scanprior import transfer
from scanprior.contracts import InputError
from scanprior.nn import encoders
from scanprior.saved import save_weights

ABOUT = {"encoder": "small", "spatial_dims": 3, "in_channels": 1, "widths": (4, 8)}


def encoder(
    dims: int = 3, channels: int = 1, widths: tuple[int, ...] = (4, 8), seed: int = 0
) -> Any:
    torch.manual_seed(seed)
    return encoders.build("small", dims, channels, widths)


def written(folder: Path, module: nn.Module) -> Path:
    save_weights(folder / "encoder.safetensors", module, ABOUT)
    return folder


def test_all_is_loaded(tmp_path: Path) -> None:
    start, mine = encoder(), encoder(seed=1)
    first = next(iter(start.state_dict()))
    assert not torch.equal(start.state_dict()[first], mine.state_dict()[first])
    assert transfer.load_start(written(tmp_path, start), mine) == 1.0
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    "other",
    [encoder(dims=2), encoder(channels=2), encoder(widths=(4, 6)), encoder(widths=(4, 8, 8))],
)
def test_what_does_not_fit_is_named(other: Any, tmp_path: Path) -> None:
    start = encoder()
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    theirs = start.state_dict()
    names = sorted(theirs.keys() | before.keys())
    first = next(
        n for n in names if n not in theirs or n not in before or theirs[n].shape != before[n].shape
    )
    with pytest.raises(InputError, match="does not fit") as caught:
        transfer.load_start(written(tmp_path, start), other)
    assert first in str(caught.value)
    assert "1 channels in 3D" in str(caught.value)
    for name, tensor in other.state_dict().items():  # nothing was half loaded
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    class Lacking(nn.Module):
        def state_dict(self, *_: Any, **__: Any) -> Any:
            state = encoder().state_dict()
            self.gone = list(state)[3]
            del state[self.gone]
            return state

    lacking = Lacking()
    run = written(tmp_path, lacking)
    with pytest.raises(InputError, match="missing in the file") as caught:
        transfer.load_start(run, encoder())
    assert lacking.gone in str(caught.value)


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        transfer.load_start(tmp_path, encoder())


def test_the_description_builds_the_encoder() -> None:
    built = transfer.build(ABOUT | {"widths": [4, 8]})
    assert built.channels == (4, 8)
    assert built.spatial_dims == 3
