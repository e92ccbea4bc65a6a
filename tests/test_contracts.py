"""What the contracts promise of the sentences a user reads."""

import ast
import math
from pathlib import Path

import pytest
import torch

from scanprior.contracts import InputError, Learner, Step, Views, at_least, shares
from scanprior.pretext.rotation import Rotation
from tests.conftest import TinyEncoder, rng

SOURCES = sorted((Path(__file__).parents[1] / "src" / "scanprior").rglob("*.py"))
ROOMS = [
    path for path in SOURCES if path.parent.name in ("nn", "encoders", "pretext", "downstream")
]


@pytest.mark.parametrize("value", [0, -3, 0.5, math.nan, math.inf])
def test_what_is_too_little_or_no_number_is_refused_by_name(value: int | float) -> None:
    with pytest.raises(InputError, match=rf"^augment\.patch {value} is .*use 1 or more\.$"):
        at_least(1, **{"augment.patch": value})
    at_least(1, patch=1, context=128)


@pytest.mark.parametrize("value", [-0.1, 1.5, 7, math.nan])
def test_what_is_no_share_is_refused_by_name(value: int | float) -> None:
    with pytest.raises(InputError, match=rf"^flip {value} is .*from 0 to 1\.$"):
        shares(zoom=0.2, flip=value)
    shares(flip=0.0, zoom=1.0)


def test_there_are_sentences() -> None:
    assert sum(len(sentences(path)) for path in ROOMS) > 15


@pytest.mark.parametrize("path", ROOMS, ids=[f"{p.parent.name}/{p.name}" for p in ROOMS])
def test_sentences_end_with_a_full_stop(path: Path) -> None:
    assert [text for text in sentences(path) if not text.endswith(".")] == []


def sentences(path: Path) -> list[str]:
    """The literal ends of what a file's ``InputError``s say."""
    found = []
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "InputError":
            (said,) = call.args
            last = said.values[-1] if isinstance(said, ast.JoinedStr) else said
            assert isinstance(last, ast.Constant), ast.unparse(last)
            found.append(str(last.value))
    return found


def test_views_are_drawn_in_full_precision() -> None:
    """A place in bf16 is a voxel off in an image of 224."""
    precise = []

    class Watched(Rotation):
        def views(self, batch: torch.Tensor, rng: torch.Generator) -> Views:
            precise.append(not torch.is_autocast_enabled("cpu"))
            return super().views(batch, rng)

        def loss(self, encoder: TinyEncoder, head: torch.nn.Module, views: Views) -> Step:
            precise.append(not torch.is_autocast_enabled("cpu"))
            return super().loss(encoder, head, views)

    with torch.autocast("cpu", torch.bfloat16):
        Learner(Watched(), TinyEncoder(2))(torch.randn(2, 1, 16, 16), rng())
    assert precise == [True, False]
