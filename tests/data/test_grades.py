"""Grades as they stand in a CSV, read the same for preparing and for scoring."""

from pathlib import Path

import pytest

from scanprior.contracts import InputError
from scanprior.data.grades import grade_of, read_csv
from scanprior.data.sources import SourceOptions, photographs
from scanprior.recipes.grades import true_grades


@pytest.mark.parametrize("said", ["inf", "-inf", "1e999", "-1", "1.5", "two", " nan"])
def test_what_is_no_grade(said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whole numbers from 0"):
        grade_of(Path("x.csv"), "a", said)
    table = tmp_path / "x.csv"
    table.write_text(f"image,grade\na,{said}\n")
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="gives a the grade"):
        photographs.cases(tmp_path, SourceOptions())
    with pytest.raises(InputError, match="gives a the grade"):
        true_grades(table)


def test_every_name_is_a_name(tmp_path: Path) -> None:
    """pandas takes some words for an empty cell, and they are names too."""
    names = ["NA", "null", "None", "nan", "007"]
    table = tmp_path / "x.csv"
    table.write_text("image,grade\n" + "".join(f"{name},1\n" for name in names) + "a,\n,2\n")
    assert read_csv(table)["image"].tolist()[:-1] == [*names, "a"]
    assert read_csv(table).isna().sum().tolist() == [1, 1]
    for name in [*names, "a"]:
        (tmp_path / f"{name}.png").touch()
    found = {case.id: case.grade for case in photographs.cases(tmp_path, SourceOptions()).cases}
    assert found == dict.fromkeys(names, 1) | {"a": None}
    assert true_grades(table) == dict.fromkeys(names, 1)


def test_what_is_one() -> None:
    assert [grade_of(Path(), "a", said) for said in ("0", "3.0", "12", float("nan"))] == [
        0,
        3,
        12,
        None,
    ]
