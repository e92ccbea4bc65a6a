"""On white noise there is nothing to know: a task that learns there has a shortcut."""

import pytest
import torch

from scanprior import draws, pretext
from scanprior.contracts import Learner
from tests.conftest import TinyEncoder


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "chance"),
    [("rotation", {2: 4, 3: 10}), ("rpl", {2: 8, 3: 26}), ("jigsaw", {2: 100, 3: 100})],
)
def test_stays_at_chance_after_300_steps(name, chance, dims):
    torch.manual_seed(0)
    side = {2: 40, 3: 33}[dims]
    learner = Learner(pretext.find(name)(), TinyEncoder(dims))
    optimizer = torch.optim.Adam(learner.parameters(), 1e-3)
    noise = torch.Generator().manual_seed(1)
    accuracy = []
    for step in range(400):
        batch = torch.randn(4, 1, *[side] * dims, generator=noise)
        rng = draws.rng_of(0, step, device=batch.device, first=0, total=4)
        learner.train(step < 300)
        with torch.set_grad_enabled(step < 300):
            loss, metrics = learner(batch, rng)
        if step < 300:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            accuracy.append(metrics["accuracy"].item())
    rows = 400 * (4 if name == "rpl" else 1)
    p = 1 / chance[dims]
    above = sum(accuracy) / len(accuracy) - p
    assert above < 4 * (p * (1 - p) / rows) ** 0.5
