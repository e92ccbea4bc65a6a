"""What several tests share: a tiny encoder, random batches, a small labelled store."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scanprior import nd
from scanprior.data.sources.case import file_hash
from scanprior.data.store import write_array
from scanprior.saved import write_json

DATA = Path(__file__).parents[2] / "shared" / "data"


class TinyEncoder(nn.Module):
    """Two levels, a few channels: contracts are tested in milliseconds."""

    def __init__(self, spatial_dims: int, in_channels: int = 1):
        super().__init__()
        self.spatial_dims, self.in_channels = spatial_dims, in_channels
        self.channels, self.strides = (8, 16), (1, 2)
        conv = nd.Conv[spatial_dims]
        self.fine = nn.Sequential(conv(in_channels, 8, 3, 1, 1), nn.ReLU())
        self.coarse = nn.Sequential(
            conv(8, 16, 3, 2, 1), nn.ReLU(), conv(16, 16, 3, 1, 1), nn.ReLU()
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.fine(x)
        return [fine, self.coarse(fine)]


@pytest.fixture
def tiny() -> Callable[..., TinyEncoder]:
    def make(spatial_dims: int, in_channels: int = 1) -> TinyEncoder:
        torch.manual_seed(0)
        return TinyEncoder(spatial_dims, in_channels)

    return make


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def real(name: str) -> Path:
    """A real data set; a test that needs it is skipped, and says so, where it is not there."""
    if not (DATA / name).exists():
        pytest.skip(f"the real data set {name} is not beside the repository (../shared/data)")
    return DATA / name


@pytest.fixture
def data() -> Path:
    return real(".")


@pytest.fixture(scope="session")
def ball_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 labelled volumes of noise with a bright ball, whose label is 1, at a random place."""
    folder = tmp_path_factory.mktemp("balls")
    (folder / "volumes").mkdir()
    draw = np.random.default_rng(0)
    records = []
    for i in range(12):
        shape = tuple(int(side) for side in draw.integers(24, 30, 3))
        centre = draw.uniform(8, 16, 3)
        axes = np.meshgrid(*map(np.arange, shape), indexing="ij")
        inside = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) < 36
        image = draw.normal(size=(1, *shape)) * 0.3 + 2 * inside
        arrays = {"image": image.astype(np.float16), "label": inside.astype(np.uint8)}
        paths = {kind: folder / "volumes" / f"ball_{i:02}.{kind}.b2nd" for kind in arrays}
        for kind, array in arrays.items():
            write_array(paths[kind], array)
        records.append(
            {
                "id": f"ball_{i:02}",
                "patient": f"ball_{i:02}",
                "grade": None,
                "labelled": True,
                "partition": "train",
                "shape": [1, *shape],
                "spacing": [1.0, 1.0, 1.0],
                "stored": {kind: file_hash(path) for kind, path in paths.items()},
            }
        )
    write_json(
        folder / "index.json",
        {
            "version": 1,
            "recipe": {},
            "spacing": None,
            "classes": 2,
            "digest": "balls",
            "volumes": records,
        },
    )
    return folder
