"""Grades as people write them down: a CSV with a row an image."""

from pathlib import Path
from typing import Any

import pandas as pd

from scanprior.contracts import InputError

COLUMNS = (("image", "grade"), ("id_code", "diagnosis"))
"""Usual names of the columns of images and of grades."""


def read_csv(path: Path) -> pd.DataFrame:
    """Every cell as it is written; :class:`InputError` where the file cannot be read."""
    try:
        # "NA" and "null" are names too
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable CSV ({error}); restore it.") from error


def grade_of(path: Path, case: str, said: Any) -> int | None:
    """The grade that a cell of ``path`` gives to ``case``; None for an empty cell.

    Raises :class:`InputError` for what is not a whole number from 0.
    """
    if pd.isna(said):
        return None
    try:
        grade = float(said)
    except ValueError:
        grade = -1.0
    if grade < 0 or grade % 1 != 0:  # infinity leaves no remainder either: NaN
        raise InputError(f"{path} gives {case} the grade {said!r}; use whole numbers from 0.")
    return int(grade)
