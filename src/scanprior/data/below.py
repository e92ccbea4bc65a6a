"""What files are called: by their paths below the source."""

from pathlib import Path


def base_of(source: Path) -> Path:
    """The folder that the files of ``source`` are named from: itself, or a single file's."""
    return source if source.is_dir() else source.parent


def below(path: Path, base: Path) -> str:
    """The path below ``base``; as it is where it lies elsewhere."""
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
