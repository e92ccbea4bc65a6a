"""Impossible hyper-parameters are refused in a sentence, before any work."""

import dataclasses
from typing import Any

import pytest
import torch

from scanprior.contracts import InputError, Learner
from scanprior.nn.patches import patch_grid
from scanprior.pretext import find, names
from scanprior.pretext.cpc import CPC
from scanprior.pretext.exemplar import Exemplar
from scanprior.pretext.jigsaw import Jigsaw, distant_permutations
from scanprior.pretext.rotation import Rotation
from scanprior.pretext.rpl import RelativePatchLocation
from tests.conftest import TinyEncoder, rng

IMPOSSIBLE = {
    "jigsaw": {"grid": (1, 0, -2), "jitter": (-1,), "permutations": (1, 0), "embedding": (0,)},
    "rpl": {"grid": (2, 4, 1, 0, -3), "jitter": (-1,), "queries": (0,), "embedding": (0,)},
    "cpc": {
        "patch": (0, -4),
        "overlap": (1.0, 1.5, -0.5, float("nan")),
        "ahead": (0,),
        "code": (0,),
        "context": (0,),
    },
    "rotation": {"versions": (0, -1)},
    "exemplar": {
        "bank": (0, -3),
        "momentum": (-0.1, 1.5),
        "margin": (0.0, -1.0, float("inf")),
        "temperature": (0.0, -1.0, float("nan")),
        "code": (0,),
        "flip": (7.0, -0.1),
        "rotate": (1.1,),
        "intensity": (float("nan"),),
        "zoom": (2.0,),
        "max_angle": (-1.0, 400.0),
    },
    "voxels": {
        "points": (1, 0, 4097),
        "temperature": (0.0, -1.0, float("inf")),
        "code": (0,),
        "offset": (-0.1, 0.6, float("nan")),
    },
}
CASES = [
    (name, field, value)
    for name, fields in IMPOSSIBLE.items()
    for field, values in fields.items()
    for value in values
]


@pytest.mark.parametrize(("name", "field", "value"), CASES)
def test_impossible_values_are_refused(name: str, field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{field} {value} .*\.$"):
        find(name)(**{field: value})


def test_every_number_is_looked_at() -> None:
    for name in names():
        numbers = {f.name for f in dataclasses.fields(find(name)) if f.type in (int, float)}
        assert numbers == set(IMPOSSIBLE[name]), name


def test_the_limits_are_possible() -> None:
    Jigsaw(grid=2, jitter=0, permutations=2, embedding=1)
    RelativePatchLocation(grid=5, jitter=0, queries=1)
    CPC(patch=1, overlap=0.0, ahead=1, code=1, context=1)
    Exemplar(bank=1, momentum=1.0, flip=1.0, zoom=0.0, max_angle=0.0)


@pytest.mark.parametrize(("dims", "all_turns"), [(2, 4), (3, 10)])
def test_more_versions_than_turns_are_refused(dims: int, all_turns: int) -> None:
    x = torch.randn(2, 1, *[8] * dims)
    assert Rotation(versions=all_turns).views(x, rng()).target.shape == (2, all_turns)
    with pytest.raises(InputError, match=rf"^versions {all_turns + 1} .* {all_turns} or fewer\.$"):
        Rotation(versions=all_turns + 1).views(x, rng())


@pytest.mark.parametrize(("dims", "places"), [(2, 8), (3, 26)])
def test_more_queries_than_places_are_refused(dims: int, places: int) -> None:
    x = torch.randn(2, 1, *[33] * dims)
    task = RelativePatchLocation(queries=places)
    assert task.views(x, rng()).target.shape == (2, places)
    with pytest.raises(InputError, match=rf"^queries {places + 1} .* {places} or fewer\.$"):
        dataclasses.replace(task, queries=places + 1).views(x, rng())


def test_a_grid_of_many_pieces_has_orders() -> None:
    found = distant_permutations.__wrapped__(144, 3)  # more than a byte can count
    assert torch.equal(found.sort(1).values, torch.arange(144).expand(3, -1))


@pytest.mark.parametrize("grid", [2, 3, 5])
@pytest.mark.parametrize("jitter", [0, 1, 2, 3, 4, 11, 50])
def test_the_smallest_grid_is_told(grid: int, jitter: int) -> None:
    def fits(side: int) -> bool:
        try:
            patch_grid(torch.zeros(1, 1, side, side), grid, jitter, rng())
        except InputError:
            return False
        return True

    least = next(side for side in range(1, 1000) if fits(side))
    with pytest.raises(InputError, match=rf"use a crop of at least {least}x{least}, or a smaller"):
        patch_grid(torch.zeros(1, 1, 8, 8), grid, jitter, rng())


@pytest.mark.parametrize("sides", [(8, 64), (64, 8), (8, 8, 8)])
@pytest.mark.parametrize(("patch", "overlap"), [(16, 0.5), (16, 0.0), (10, 0.75)])
def test_the_smallest_crop_for_cpc_is_told(
    sides: tuple[int, ...], patch: int, overlap: float
) -> None:
    task = CPC(patch=patch, overlap=overlap)
    least = (patch + round(patch * (1 - overlap)), *[patch] * (len(sides) - 1))
    told = "x".join(map(str, least))
    with pytest.raises(InputError, match=f"use a crop of at least {told} or a smaller patch"):
        task.views(torch.zeros(1, 1, *sides), rng())
    task.views(torch.zeros(1, 1, *least), rng())
    for axis in range(len(least)):
        less = [side - (i == axis) for i, side in enumerate(least)]
        with pytest.raises(InputError, match="holds too few patches"):
            task.views(torch.zeros(1, 1, *less), rng())


@pytest.mark.parametrize("objective", ["triplet", "contrastive"])
@pytest.mark.parametrize("negatives", ["batch", "dataset"])
def test_exemplar_without_a_negative_is_refused(objective: str, negatives: str) -> None:
    learner = Learner(Exemplar(objective=objective, negatives=negatives, bank=4), TinyEncoder(2))
    with pytest.raises(InputError, match=r"no negative.*micro-batch of 2 or more"):
        learner(torch.randn(1, 1, 12, 12), rng())
    assert learner(torch.randn(2, 1, 12, 12), rng()).loss.isfinite()
    if negatives == "dataset":  # the bank now has some
        assert learner(torch.randn(1, 1, 12, 12), rng()).metrics["accuracy"].isfinite()
