"""What an encoder is for: the tasks with labels, by name."""

from scanprior.contracts import InputError, Task
from scanprior.downstream.classification import Classification
from scanprior.downstream.segmentation import Segmentation

_TASKS: dict[str, type[Task]] = {
    "segmentation": Segmentation,
    "classification": Classification,
}


def names() -> list[str]:
    """The downstream tasks that come with scanprior."""
    return list(_TASKS)


def find(name: str) -> type[Task]:
    """The downstream task of this name."""
    if name not in _TASKS:
        raise InputError(f"there is no downstream task {name!r}; use {', '.join(_TASKS)}.")
    return _TASKS[name]
