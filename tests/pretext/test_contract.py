"""Every pretext task keeps the contract, in 2D and 3D; a new file is picked up by itself."""

import math

import pytest
import torch

from scanprior import pretext
from scanprior.contracts import InputError
from scanprior.testing import check_task
from tests.conftest import TinyEncoder, rng

TASKS = pretext.names()
SIZE = {2: (48, 48), 3: (33, 33, 33)}
# voxels has none: a random encoder already tells places apart
CHANCE = {
    ("rotation", 2): math.log(4),
    ("rotation", 3): math.log(10),
    ("rpl", 2): math.log(8),
    ("rpl", 3): math.log(26),
    ("jigsaw", 2): math.log(100),
    ("jigsaw", 3): math.log(100),
    ("cpc", 2): math.log(25),
    ("cpc", 3): math.log(27),
    ("exemplar", 2): 1.0,
    ("exemplar", 3): 1.0,
}


def test_the_papers_five_are_there():
    assert set(TASKS) >= {"cpc", "rpl", "jigsaw", "rotation", "exemplar"}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", TASKS)
def test_contract(name, dims, channels):
    task = pretext.find(name)()
    torch.manual_seed(0)
    encoder = TinyEncoder(dims, channels)
    check_task(task, encoder, size=SIZE[dims], chance_loss=CHANCE.get((name, dims)))


@pytest.mark.parametrize("name", ["cpc", "rpl", "jigsaw"])
def test_a_crop_too_small_is_named_with_the_fix(name):
    with pytest.raises(InputError, match="use a crop of at least"):
        pretext.find(name)().views(torch.zeros(1, 1, 16, 16), rng())


def test_unknown_tasks_are_named_with_the_known():
    with pytest.raises(InputError, match="choose one of cpc, exemplar"):
        pretext.find("rotatoin")
    with pytest.raises(InputError, match="cannot be imported"):
        pretext.find("no_such_package.task")
