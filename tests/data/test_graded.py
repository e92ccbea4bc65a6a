"""Graded crops: the grade is the image's, and every place of every image is seen."""

from pathlib import Path

import numpy as np
import pytest
import torch

from scanprior.data.graded import GradedCrops
from scanprior.data.store import Volume, write_array


@pytest.fixture
def volumes(tmp_path: Path) -> list[Volume]:
    """Three ramps whose hundreds are their grade."""
    (tmp_path / "volumes").mkdir()
    found = []
    for grade in range(3):
        image = (100 * grade + np.arange(12.0)).reshape(1, 1, 12).repeat(4, 1)
        write_array(tmp_path / "volumes" / f"v{grade}.image.b2nd", image.astype(np.float16))
        found.append(Volume(f"v{grade}", tmp_path, {"shape": [1, 4, 12], "grade": grade}))
    return found


def test_the_grade_is_the_image_s(volumes: list[Volume]) -> None:
    crops = GradedCrops(volumes, (4, 3), seed=0, length=300)
    assert len(crops) == 300
    starts: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for i in range(300):
        crop, grade = crops[i]
        assert (crop.shape, crop.dtype, grade.dtype) == ((1, 4, 3), torch.float32, torch.int64)
        first = int(crop[0, 0, 0])
        assert first // 100 == grade
        starts[int(grade)].add(first % 100)
    assert starts == {grade: set(range(10)) for grade in range(3)}


def test_a_crop_is_a_function_of_seed_and_number(volumes: list[Volume]) -> None:
    one, same, other = (GradedCrops(volumes, (4, 3), seed=s, length=9) for s in (0, 0, 1))
    assert all(torch.equal(one[i][0], same[i][0]) for i in reversed(range(9)))
    assert any(not torch.equal(one[i][0], other[i][0]) for i in range(9))


def test_whole_images(volumes: list[Volume]) -> None:
    crop, grade = GradedCrops(volumes, (4, 12), seed=0, length=1)[0]
    assert crop[0, 0].tolist() == [100 * int(grade) + k for k in range(12)]
