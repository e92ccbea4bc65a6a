"""Scores of predictions, by kind, and how sure they are."""

from scanprior.metrics.intervals import bootstrap_interval
from scanprior.metrics.segmentation import (
    REGIONS,
    Groups,
    Score,
    case_scores,
    check_tolerance,
    groups,
)

__all__ = [
    "REGIONS",
    "Groups",
    "Score",
    "bootstrap_interval",
    "case_scores",
    "check_tolerance",
    "groups",
]
