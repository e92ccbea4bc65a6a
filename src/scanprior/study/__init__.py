"""A study: starts x numbers of labels x seeds, on one held-out test set, that can be continued."""

from scanprior.study.plan import Cell, Study
from scanprior.study.run import run_study

__all__ = ["Cell", "Study", "run_study"]
