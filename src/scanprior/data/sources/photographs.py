"""A folder of PNG, JPEG or TIFF images, and a CSV that gives each its grade."""

from collections.abc import Iterable, Sequence
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
    whole number from 0, where an image has two grades, or where a name is that of two images.
    """
    if source.is_file():
        return Found([case_of(stem(source), (source,), options)])
    paths = files_in(source, PHOTOGRAPH)
    graded, lost = _graded(source, paths, options)
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


def _graded(
    source: Path, paths: Sequence[Path], options: SourceOptions
) -> tuple[dict[Path, int], list[Path]]:
    """The grade of each image that the CSV names, and those of them that are not in ``paths``."""
    table_path = _table(source, options)
    if table_path is None:
        return {}, []
    table = read_csv(table_path)
    image_column, grade_column = _columns(table_path, list(table.columns), options)
    named = _names(source, paths)
    graded: dict[Path, int] = {}
    for name, said in zip(table[image_column], table[grade_column], strict=True):
        grade = grade_of(table_path, name, said) if isinstance(name, str) else None
        if grade is None:
            continue
        here = named.get(name, [source / name])
        if len(here) > 1:
            raise InputError(
                f"{table_path} names {name}, which is {here[0]} as well as {here[1]}; write their "
                "paths into it."
            )
        if graded.setdefault(here[0], grade) != grade:
            raise InputError(f"{table_path} gives {here[0]} two grades; keep one row.")
    return graded, [path for path in graded if path not in set(paths)]


def _table(source: Path, options: SourceOptions) -> Path | None:
    if options.grades is not None:
        return options.grades
    tables = files_in(source, (".csv",))
    if len(tables) > 1:
        raise InputError(
            f"{source} holds {len(tables)} CSV files; name the one to use: --grades FILE."
        )
    return tables[0] if tables else None


def _names(source: Path, paths: Iterable[Path]) -> dict[str, list[Path]]:
    """What a CSV may call the images: by path, else by file name, else without its ending."""
    named: dict[str, list[Path]] = {}
    for call in (lambda path: path.relative_to(source).as_posix(), lambda path: path.name, stem):
        so_called: dict[str, list[Path]] = {}
        for path in paths:
            so_called.setdefault(call(path), []).append(path)
        named = so_called | named
    return named


def _columns(path: Path, columns: list[str], options: SourceOptions) -> tuple[str, str]:
    for image, grade in COLUMNS:
        pair = (options.image_column or image, options.grade_column or grade)
        if pair[0] in columns and pair[1] in columns:
            return pair
    raise InputError(
        f"{path} has the columns {', '.join(columns)}; say which hold the images and the grades: "
        "--image-column NAME --grade-column NAME."
    )
