"""Whole images of any size, in windows, slice by slice, and smaller than a window."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scanprior.contracts import Learner
from scanprior.data.crops import Crops
from scanprior.data.store import Volume, write_array
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation
from scanprior.predict import image_probabilities, probabilities


def test_whole_images_windows_and_slices(tiny: Callable[..., torch.nn.Module]) -> None:
    torch.manual_seed(0)
    flat = Learner(Classification(3), tiny(2)).eval()
    image = torch.randn(1, 8, 8)

    def once(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return flat.head(flat.encoder(x)).softmax(1)

    whole = image_probabilities(flat, image, (8, 8))
    torch.testing.assert_close(whole, once(image[None])[0])
    four = image_probabilities(flat, image, (4, 4), overlap=0.0)
    corners = [image[:, a : a + 4, b : b + 4] for a in (0, 4) for b in (0, 4)]
    torch.testing.assert_close(four, once(torch.stack(corners)).mean(0))
    padded = F.pad(image, (1, 1, 2, 2), value=image.min().item())
    larger = image_probabilities(flat, image, (12, 10))
    torch.testing.assert_close(larger, once(padded[None])[0])
    both = image_probabilities(flat, image, (8, 8), mirror=(1,))
    torch.testing.assert_close(both, once(torch.stack((image, image.flip(2)))).mean(0))
    stack = torch.randn(1, 5, 8, 8)
    slices = image_probabilities(flat, stack, (8, 8))
    torch.testing.assert_close(slices, once(stack[0][:, None]).mean(0))
    deep = Learner(Classification(3, "ordinal"), tiny(3))
    assert image_probabilities(deep, stack, (8, 8, 8)).sum() == pytest.approx(1)
    assert deep.training  # as it was


def test_small_images_are_surrounded_as_in_training(
    tiny: Callable[..., torch.nn.Module], tmp_path
) -> None:
    """Where the image lies in the middle of the training crop, both are the same voxels."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    array = (draw.normal(size=(2, 6, 8)) - [[[9]], [[0]]]).astype(np.float16)
    image = torch.from_numpy(array).float()
    (tmp_path / "volumes").mkdir()
    write_array(tmp_path / "volumes" / "v.image.b2nd", array)
    volume = Volume("v", tmp_path, {"shape": (2, 6, 8), "labelled": False})
    crops = Crops([volume], (8, 8), seed=0, length=30)
    wanted = next(c for i in range(30) if torch.equal((c := crops[i])[:, 1:7], image))
    learner = Learner(Segmentation(3), tiny(2, 2)).eval()
    with torch.no_grad():
        logits = learner.head(learner.encoder(wanted[None]), (8, 8))
    found = probabilities(learner, image, (8, 8))
    assert found.shape == (3, 6, 8)
    torch.testing.assert_close(found, logits.softmax(1)[0, :, 1:7])
    grader = Learner(Classification(3), tiny(2, 2)).eval()
    with torch.no_grad():
        likely = grader.head(grader.encoder(wanted[None])).softmax(1)[0]
    torch.testing.assert_close(image_probabilities(grader, image, (8, 8)), likely)


def test_slices_that_are_smaller_than_the_window(tiny: Callable[..., torch.nn.Module]) -> None:
    torch.manual_seed(0)
    learner = Learner(Segmentation(2), tiny(2))
    stack = torch.randn(1, 5, 6, 9)
    found = probabilities(learner, stack, (8, 8), mirror=(0, 2))
    assert found.shape == (2, 5, 6, 9)
    torch.testing.assert_close(found.sum(0), torch.ones(5, 6, 9))
    assert learner.training  # as it was
