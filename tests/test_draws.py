"""Draws do not depend on how the rows of a batch are shared out."""

import pytest
import torch

from scanprior import draws


@pytest.mark.parametrize(
    "draw",
    [
        lambda g, n: draws.uniform(g, n, 3, low=-1.0, high=2.0),
        lambda g, n: draws.normal(g, n, 2, 2),
        lambda g, n: draws.integers(g, 7, n, 4),
        lambda g, n: draws.distinct(g, 10, n, 5),
    ],
)
def test_shares_make_up_the_whole(draw):
    cpu = torch.device("cpu")
    whole = draw(draws.rng_of(3, 9, device=cpu, first=0, total=6), 6)
    parts = [draw(draws.rng_of(3, 9, device=cpu, first=f, total=6), 2) for f in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), whole)
    other = draw(draws.rng_of(3, 10, device=cpu, first=0, total=6), 6)
    assert not torch.equal(whole, other)


def test_ranges():
    g = torch.Generator().manual_seed(0)
    x = draws.uniform(g, 1000, low=-1.0, high=2.0)
    assert -1 <= x.min() < -0.9
    assert 1.9 < x.max() <= 2
    assert draws.integers(g, 3, 100).unique().tolist() == [0, 1, 2]
    rows = draws.distinct(g, 10, 50, 6).sort(1).values
    assert (rows[:, 1:] > rows[:, :-1]).all()
