"""How well a label map agrees with the reference: Dice, HD95, NSD.

Background is never scored and never averaged in.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice

from scanprior.contracts import InputError
from scanprior.nd import bounding_box

Groups = Mapping[str, tuple[int, ...]]
"""A name, and the label values that are scored as one structure."""

REGIONS: dict[str, Groups] = {
    # The values of BraTS 2017 to 2020: 1 necrosis and non-enhancing, 2 oedema, 4 enhancing.
    "brats": {"ET": (4,), "TC": (1, 4), "WT": (1, 2, 4)},
}


class Score(NamedTuple):
    """The agreement of one structure in one case."""

    dice: float
    """Overlap, 0 to 1."""
    hd95: float
    """The larger of the two directions' 95th percentiles of the surface distance, in mm."""
    nsd: float
    """The share of both surfaces' area within the tolerance of the other surface, 0 to 1."""


def hard_dice(predicted: torch.Tensor, label: torch.Tensor, classes: int) -> list[float]:
    """Dice of each foreground class; a class that neither has counts as 1."""
    scores = []
    for k in range(1, classes):
        p, t = predicted == k, label == k
        size = int(p.sum() + t.sum())
        scores.append(2 * int((p & t).sum()) / size if size else 1.0)
    return scores


def groups(classes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Every label value as a structure of its own, named by its digits."""
    return {str(value): (int(value),) for value in classes}


def case_scores(
    prediction: np.ndarray,
    label: np.ndarray,
    classes: Sequence[int] | Groups,
    spacing: Sequence[float],
    tolerance: float = 1.0,
) -> dict[str, Score]:
    """Score a label map ``prediction (*s)`` against ``label (*s)``, a structure at a time.

    Where a structure is empty no surface exists, and the scores are set by rule. Empty in both:
    Dice 1, NSD 1, HD95 0 (nothing to find, nothing found). Empty in one: Dice 0, NSD 0, HD95 the
    image's diagonal in mm, the largest error that the image has room for.

    Args:
        classes: label values, or named groups of them such as ``REGIONS["brats"]``.
        spacing: mm per array axis.
        tolerance: of the NSD, in mm.

    Raises:
        InputError: the shapes differ, the spacing or the tolerance is impossible.
    """
    if prediction.shape != label.shape:
        raise InputError(
            f"the prediction has shape {prediction.shape}, the label {label.shape}; "
            "resample one onto the other."
        )
    size = np.array(spacing, dtype=float)
    if size.shape != (len(label.shape),) or not (np.isfinite(size) & (size > 0)).all():
        raise InputError(
            f"spacing {tuple(spacing)} does not suit an image of {len(label.shape)} axes; "
            "give a positive number of mm an axis."
        )
    check_tolerance(tolerance)
    named = classes if isinstance(classes, Mapping) else groups(classes)
    return {
        name: _score(np.isin(prediction, values), np.isin(label, values), size, tolerance)
        for name, values in named.items()
    }


def check_tolerance(tolerance: float) -> None:
    """Raise :class:`InputError` unless ``tolerance`` is a distance."""
    if not 0 <= tolerance < np.inf:
        raise InputError(f"tolerance {tolerance} is no distance; use 0 or more mm.")


def _score(found: np.ndarray, true: np.ndarray, spacing: np.ndarray, tolerance: float) -> Score:
    """Of two boolean masks ``(*s)``."""
    if not found.any() and not true.any():
        return Score(dice=1.0, hd95=0.0, nsd=1.0)
    if not found.any() or not true.any():
        return Score(dice=0.0, hd95=float(np.linalg.norm(true.shape * spacing)), nsd=0.0)
    dice = 2 * np.count_nonzero(found & true) / (np.count_nonzero(found) + np.count_nonzero(true))
    box = bounding_box(found | true)
    # One voxel of background around both, so that the border of the image is a surface too.
    pair = [torch.from_numpy(np.pad(mask[box], 1))[None, None] for mask in (found, true)]
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 pass themselves an argument that they have deprecated.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        distance = compute_hausdorff_distance(
            *pair, include_background=True, percentile=95, spacing=spacing.tolist()
        )
        # Surface elements weighted by their area: voxels counted alone would weigh the directions
        # of an anisotropic grid unequally.
        near = compute_surface_dice(
            *pair,
            class_thresholds=[tolerance],
            include_background=True,
            spacing=spacing.tolist(),
            use_subvoxels=True,
        )
    return Score(dice=float(dice), hd95=float(distance), nsd=float(near))
