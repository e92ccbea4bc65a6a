"""The smallest learner with everything a real one has, and runs of it in processes of their own.

As a program it trains: ``python small.py '{"out": ..., "training": {...}, ...}'``.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from scanprior import draws
from scanprior.contracts import Encoder, InputError, Learner, Step, Task, Views
from scanprior.fit import Training, fit


class Small(nn.Module):
    """An encoder of two levels, with a norm that remembers and a dropout."""

    spatial_dims, in_channels, channels, strides = 2, 1, (4, 8), (1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.norm = nn.Linear(64, 4), nn.BatchNorm1d(4)
        self.coarse, self.drop = nn.Linear(4, 8), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.norm(self.fine(x.flatten(1))).relu()
        return [fine[..., None, None], self.drop(self.coarse(fine))[..., None, None]]


class Plain(Small):
    """Without what differs between a batch and its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.Identity(), nn.Identity()


@dataclass(frozen=True, kw_only=True)
class Noisy(Task):
    """Predict an image's mean from it with noise; ``flat`` says that the embedding collapsed."""

    flat: bool = False

    def views(self, batch: Tensor, rng: torch.Generator) -> Views:
        noise = draws.normal(rng, len(batch), *batch.shape[1:])
        return Views(batch + 0.1 * noise.to(batch), batch.mean((1, 2, 3)))

    def head(self, encoder: Encoder) -> nn.Module:
        return nn.Linear(encoder.channels[-1], 1)

    def loss(self, encoder: Encoder, head: nn.Module, views: Views) -> Step:
        z = encoder(views.inputs)[-1].flatten(1)
        loss = (head(z)[:, 0] - views.target).square().mean()
        spread = torch.zeros(()) if self.flat else z.detach().std()
        return Step(loss, {"error": loss.detach().sqrt(), "spread": spread})


class Images(Dataset[Tensor]):
    """Image ``i`` is a pure function of ``i``; ``wait`` seconds to read; ``bad`` is not finite."""

    def __init__(self, wait: float = 0.0, bad: int | None = None):
        self.wait, self.bad = wait, bad

    def __getitem__(self, i: int) -> Tensor:
        time.sleep(self.wait)
        if i == self.bad:
            return torch.full((1, 8, 8), float("nan"))
        return torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(i)) + i % 3

    def __len__(self) -> int:
        return 10**9


def learner(*, plain: bool = False, flat: bool = False) -> Learner:
    torch.manual_seed(0)
    return Learner(Noisy(flat=flat), Plain() if plain else Small())


def command(out: Path, training: dict[str, Any], **more: Any) -> list[str]:
    told = {"out": str(out), "training": {"precision": "32", "accelerator": "cpu"} | training}
    return [sys.executable, str(Path(__file__).resolve()), json.dumps(told | more)]


def run(out: Path, training: dict[str, Any], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(out, training, **more), capture_output=True, text=True, timeout=200
    )


def main(told: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    model = learner(plain=told.get("plain", False))
    images = Images(told.get("wait", 0.0), told.get("bad"))
    out = Path(told["out"])
    for name in told.get("runs", [""]):
        try:
            last = fit(
                model,
                images,
                Training(**told["training"]),
                out=out / name,
                seed=3,
                frozen_encoder_steps=told.get("frozen", 0),
            )
        except InputError as error:
            sys.exit(str(error))
        print(json.dumps({"step": last["step"]}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
