"""A folder of PNG, JPEG or TIFF images, and a CSV that gives each its grade."""

from pathlib import Path

from scanprior.contracts import InputError
from scanprior.data.files import PHOTOGRAPH, files_in, stem, suffix
from scanprior.data.grades import COLUMNS, grade_of, read_csv
from scanprior.data.sources.case import Found, SourceOptions, case_of

NAME = "photographs"


def recognise(source: Path) -> bool:
    if source.is_file():
        return suffix(source) in PHOTOGRAPH
    return bool(files_in(source, PHOTOGRAPH))


def cases(source: Path, options: SourceOptions) -> Found:
    """A case an image; without a row in the CSV it is unlabelled, a row without a file is reported.

    Raises :class:`InputError` where the CSV's columns cannot be guessed, where a grade is not a
    whole number from 0, or where an image has two grades.
    """
    if source.is_file():
        return Found([case_of(stem(source), (source,), options)])
    paths = files_in(source, PHOTOGRAPH)
    grades = _grades(source, options)
    by_name: dict[str, Path] = {}
    for path in paths:  # a CSV may name the path, the file or its stem
        for key in (path.relative_to(source).as_posix(), path.name, stem(path)):
            by_name.setdefault(key, path)
    graded = {by_name[name]: grade for name, grade in grades.items() if name in by_name}
    lost = [source / name for name in grades if name not in by_name]
    flat = len({stem(path) for path in paths}) == len(paths)
    found = [
        case_of(
            stem(path) if flat else "_".join((*path.relative_to(source).parts[:-1], stem(path))),
            (path,),
            options,
            grade=graded.get(path),
        )
        for path in paths
    ]
    return Found(found + [case_of(path.name, (path,), options) for path in lost])


def _grades(source: Path, options: SourceOptions) -> dict[str, int]:
    table_path = options.grades
    if table_path is None:
        tables = files_in(source, (".csv",))
        if len(tables) > 1:
            raise InputError(
                f"{source} holds {len(tables)} CSV files; name the one to use: --grades FILE."
            )
        if not tables:
            return {}
        table_path = tables[0]
    table = read_csv(table_path)
    image_column, grade_column = _columns(table_path, list(table.columns), options)
    grades: dict[str, int] = {}
    for name, said in zip(table[image_column], table[grade_column], strict=True):
        grade = grade_of(table_path, name, said) if isinstance(name, str) else None
        if grade is not None and grades.setdefault(name, grade) != grade:
            raise InputError(f"{table_path} gives {name} two grades; keep one row.")
    return grades


def _columns(path: Path, columns: list[str], options: SourceOptions) -> tuple[str, str]:
    for image, grade in COLUMNS:
        pair = (options.image_column or image, options.grade_column or grade)
        if pair[0] in columns and pair[1] in columns:
            return pair
    raise InputError(
        f"{path} has the columns {', '.join(columns)}; say which hold the images and the grades: "
        "--image-column NAME --grade-column NAME."
    )
