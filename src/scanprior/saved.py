"""What a run leaves behind: recipes as JSON, weights as safetensors that describe themselves."""

import dataclasses
import hashlib
import json
import math
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from scanprior import downstream, pretext
from scanprior.contracts import UNSAID, InputError, Task
from scanprior.data.kept import parsed, wrong
from scanprior.whole import replacing


def freeze(value: Any) -> Any:
    """A dataclass becomes its fields, a path a string; a task also says which file it came from."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = {"task": type(value).__module__} if isinstance(value, Task) else {}
        return name | {f.name: freeze(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [freeze(part) for part in value]
    if isinstance(value, dict):
        return {str(key): freeze(part) for key, part in value.items()}
    return str(value) if isinstance(value, Path) else value


def thaw(kind: Any, value: Any) -> Any:
    """The inverse of :func:`freeze`, for a value of type ``kind``."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _thaw_union(typing.get_args(kind), value)
    if isinstance(kind, type) and issubclass(kind, Task):
        kind = _task_type(value)
    if dataclasses.is_dataclass(kind):
        return _thaw_fields(kind, value)
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    return Path(value) if kind is Path else value


def _thaw_fields(kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{value!r} is no {kind.__name__}; restore the recipe or write it anew.")
    hints = typing.get_type_hints(kind, include_extras=True)
    unknown = set(value) - set(hints) - {"task"}
    if unknown:
        raise InputError(f"a recipe has the unknown field {sorted(unknown)[0]!r}; remove it.")
    for part in dataclasses.fields(kind):
        needed = part.default is part.default_factory is dataclasses.MISSING
        if needed and part.name not in value:
            raise InputError(f"a {kind.__name__} lacks the field {part.name!r}; add it.")
    for name in hints.keys() & value.keys():
        said = None if _nested(hints[name]) else wrong(hints[name], value[name], name)
        if said is not None:
            raise InputError(f"a {kind.__name__} is damaged ({said}); restore it or run again.")
    unsaid = {f.name: f.metadata[UNSAID] for f in dataclasses.fields(kind) if UNSAID in f.metadata}
    value = unsaid | value
    return kind(**{name: thaw(hints[name], value[name]) for name in hints if name in value})


def _nested(kind: Any) -> bool:
    """Whether a value of this kind has fields of its own, which are looked at in turn."""
    if typing.get_origin(kind) in (typing.Annotated, typing.Union, types.UnionType):
        return any(_nested(part) for part in typing.get_args(kind))
    return isinstance(kind, type) and (issubclass(kind, Task) or dataclasses.is_dataclass(kind))


def _thaw_union(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    for kind in kinds:
        if isinstance(value, list) and typing.get_origin(kind) is tuple:
            return tuple(value)
        if dataclasses.is_dataclass(kind):
            return thaw(kind, value)
        if isinstance(value, str) and kind is Path and str not in kinds:
            return Path(value)
    return value


def _task_type(value: Any) -> type[Task]:
    """A task of this package's, or of a module that is imported already: no file may choose what
    code runs. Only a class that is a task is taken from it."""
    module = value.get("task") if isinstance(value, dict) else None
    if not isinstance(module, str):
        raise InputError("a recipe names no task; add its module (scanprior.pretext.rotation).")
    if module.startswith(f"{downstream.__name__}."):
        return downstream.find(module.rpartition(".")[2])
    name = module.removeprefix(f"{pretext.__name__}.")
    if "." in name:
        _known_module(name, "a recipe")
    return pretext.find(name)


def _known_module(name: str, place: Any) -> None:
    if name not in sys.modules:
        raise InputError(
            f"{place} names the module {name!r}, and no file may choose what code is run; if you "
            f"trust it, add --import {name} (in Python: import {name}) and do it again."
        )


def as_json(value: Any, **told: Any) -> str:
    """``value``, frozen, as JSON; a number that is not finite becomes null, for JSON has none.

    ``told`` is what :func:`json.dumps` takes beside.
    """
    return json.dumps(_known(freeze(value)), allow_nan=False, **told)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def seen_from(folder: Path, path: Path) -> str:
    """``path`` as it is reached from ``folder``, links followed; its name alone where that is by
    more than one folder up. What is written there is read elsewhere too, and need not tell of the
    machine."""
    there = Path(os.path.realpath(path))
    seen = Path(os.path.relpath(there, os.path.realpath(folder)))
    return there.name if seen.parts[:2] == ("..", "..") else seen.as_posix()


def write_json(path: Path, value: Any) -> None:
    """Write :func:`as_json` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(as_json(value, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file's content; :class:`InputError` where it is missing or damaged."""
    try:
        return parsed(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; give the folder of a finished run.") from error


def save_weights(path: Path, module: nn.Module, about: dict[str, Any]) -> None:
    """``path`` (safetensors) with ``about`` inside it, and beside it as ``.json``."""
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    with replacing(path) as temporary:
        # not save_file, whose files only their owner may read; one key, for the format orders
        # several as it likes, and the same weights are to be the same bytes
        told = as_json(about | {"sha256": _digest(state)})
        temporary.write_bytes(safetensors.torch.save(state, {"scanprior": told}))
    write_json(path.with_suffix(".json"), about)


def load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and what they say of themselves.

    Raises:
        InputError: there is no such file, it is not scanprior's, or its encoder is of a module
            that nobody has imported.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the folder of a finished run.")
    try:
        with safetensors.safe_open(path, "pt") as file:
            told = (file.metadata() or {}).get("scanprior")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is damaged ({said}); copy it again or rerun.") from error
    if told is None:
        raise InputError(f"{path} holds no description of its encoder; it is not scanprior's.")
    about = _description(path, told)
    _check_tensors(path, state, about.pop("sha256", None))
    encoder = about.get("encoder")
    if isinstance(encoder, str) and "." in encoder:
        _known_module(encoder, path)
    return state, about


def _description(path: Path, told: str) -> dict[str, Any]:
    """What a file of weights says of itself, or :class:`InputError`."""
    try:
        about = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); copy it again or rerun.") from error
    if not isinstance(about, dict):
        raise InputError(f"{path} is damaged (its description is no object); copy it again.")
    return about


def _check_tensors(path: Path, state: dict[str, torch.Tensor], digest: object) -> None:
    """Raise :class:`InputError` for numbers that are not finite, or not those that were written.

    ``digest`` is theirs as written; None where the file names none.
    """
    if digest is not None and digest != _digest(state):
        raise InputError(
            f"{path} is damaged (its numbers are not those that were written); "
            "copy it again or rerun."
        )
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"{path} is damaged ({name[:80]} is not finite); rerun.")


def _digest(state: dict[str, torch.Tensor]) -> str:
    """Of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
