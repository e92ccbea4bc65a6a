"""``scanprior study`` as the command line gives it: flags, or a Python file and flags."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from scanprior import downstream
from scanprior.contracts import InputError, Task
from scanprior.downstream.segmentation import Segmentation
from scanprior.study.plan import Study


def command(words: Sequence[str]) -> tuple[type[Study], Study | None, list[str]]:
    """The recipe's type, its values before the flags (None: its defaults), and the flags.

    The first word may be a Python file that holds ``study = Study(...)``, or what is fine-tuned
    for: segmentation (which need not be said) or classification.
    """
    first, rest = (words[0], list(words[1:])) if words else ("", [])
    if first.endswith(".py"):
        study = load(Path(first))
        kind = _with(type(study.task))
        return kind, kind(**vars(study)), rest
    if first in downstream.names():
        return _with(downstream.find(first)), None, rest
    return _with(Segmentation), None, list(words)


def load(path: Path) -> Study:
    """Run the user's own file, and take its ``study``.

    Raises :class:`InputError` where it is missing, cannot be run, or holds no study.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; name a file that holds study = Study(...).")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, NameError, ImportError, TypeError) as error:
        raise InputError(f"{path} cannot be run ({error}); correct it.") from error
    study = getattr(module, "study", None)
    if not isinstance(study, Study):
        raise InputError(f"{path} holds no study; write study = Study(...) in it.")
    return study


def _with(task: type[Task]) -> type[Study]:
    """The recipe with ``task`` in place of any task: its fields are then flags too."""
    narrowed = ("task", task, dataclasses.field(default_factory=task))
    about = {"__doc__": Study.__doc__, "__module__": Study.__module__}
    return dataclasses.make_dataclass(
        "Study", [narrowed], bases=(Study,), namespace=about, frozen=True, kw_only=True
    )
