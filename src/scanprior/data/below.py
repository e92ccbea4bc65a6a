"""What files are called: by their paths below the source."""

from pathlib import Path


def base_of(source: Path) -> Path:
    """The folder that the files of ``source`` are named from: itself, or a single file's."""
    return source if source.is_dir() else source.parent


def inside(path: Path, base: Path) -> Path | None:
    """The path below ``base``, without ``..``; None where it lies elsewhere.

    A link below ``base`` lies there, wherever it leads.
    """
    if path.is_relative_to(base) and ".." not in path.relative_to(base).parts:
        return path.relative_to(base)
    real, top = path.resolve(), base.resolve()
    return real.relative_to(top) if real.is_relative_to(top) else None


def below(path: Path, base: Path) -> str:
    """The path below ``base``; as it is where it lies elsewhere."""
    return (inside(path, base) or path).as_posix()
