"""Pretext tasks. A file in this folder is a task, and its name is the file's."""

import importlib
import importlib.util
import pkgutil

from scanprior.contracts import InputError, Task


def names() -> list[str]:
    """The tasks there are."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def find(name: str) -> type[Task]:
    """The one task that file ``name`` defines; a name with a dot is a module of your own."""
    if "." not in name and name not in names():
        raise InputError(
            f"there is no pretext task {name!r}; choose one of {', '.join(names())}, "
            "or name a module of your own (my_package.my_task)."
        )
    try:
        module = importlib.import_module(name if "." in name else f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise InputError(f"the task module {name!r} cannot be imported: {error}.") from error
    tasks = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Task)
        and value.__module__ == module.__name__
    ]
    if len(tasks) != 1:
        raise InputError(f"{name!r} defines {len(tasks)} tasks; a task's file defines exactly one.")
    return tasks[0]
