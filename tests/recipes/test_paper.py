"""The paper's settings are those of its appendix, and run."""

from dataclasses import replace
from pathlib import Path

import pytest

from scanprior import pretext
from scanprior.contracts import InputError, Learner
from scanprior.nn import encoders
from scanprior.pretext.jigsaw import Jigsaw
from scanprior.recipes.paper import TASKS, paper
from scanprior.testing import check_task
from scanprior.verbs import parse


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_every_task_of_the_paper_has_its_settings(dims: int) -> None:
    assert set(TASKS) == set(pretext.names()) - {"voxels"}
    for name in TASKS:
        recipe = paper(name, dims, store=Path("s"), out=Path("o"))
        assert isinstance(recipe.task, pretext.find(name))
        assert recipe.crop == (128,) * 3 if dims == 3 else (224,) * 2
        encoder = encoders.build(recipe.encoder, dims, 1)
        assert Learner(recipe.task, encoder).encoder.strides[-1] >= 16


def test_jigsaw_asks_for_a_thousand_orders() -> None:
    task = paper("jigsaw", 3, store=Path("s"), out=Path("o")).task
    assert task == Jigsaw(grid=3, jitter=3, permutations=1000, embedding=64)
    check_task(replace(task, permutations=50), encoders.build("small", 2, 1), size=(48, 48))


def test_the_command_line_takes_them_and_changes_them() -> None:
    words = [
        "pretrain",
        "jigsaw",
        "--paper",
        "3",
        "--store",
        "s",
        "--out",
        "o",
        "--permutations",
        "500",
        "--steps",
        "7",
    ]
    recipe, _ = parse(words)
    whole = paper("jigsaw", 3, store=Path("s"), out=Path("o"))
    assert recipe == replace(
        whole,
        task=replace(whole.task, permutations=500),
        training=replace(whole.training, steps=7),
    )


def test_what_the_paper_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="not in the paper"):
        paper("inpainting", 3, store=Path("s"), out=Path("o"))
    with pytest.raises(InputError, match="use 2 or 3"):
        parse(["pretrain", "jigsaw", "--paper", "4", "--store", "s", "--out", "o"])
    with pytest.raises(InputError, match="--paper"):
        parse(["pretrain", "jigsaw", "--store", "s", "--out", "o", "--paper"])
