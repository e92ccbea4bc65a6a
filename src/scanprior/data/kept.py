"""JSON, read as what it must be: strangers write it, and disks and editors change it."""

import json
import math
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanprior.contracts import InputError

_LARGEST = 2**63
_SHOWN = 60
_UNWRITABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")


def parsed(path: Path, remedy: str = "restore it or run again") -> Any:
    """A JSON file's content. Raises :class:`InputError` where it is damaged, and
    ``FileNotFoundError`` where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise InputError(f"{path} is damaged (its lists are nested too deep); {remedy}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); {remedy}.") from error


def wrong(kind: Any, value: Any, name: str = "it") -> str | None:
    """What is wrong with ``value`` where ``kind`` belongs, as "shape[1] is 'x', not text".

    ``kind`` is a type as a dataclass's fields have it, of which only what JSON can hold is known: a
    ``tuple`` is a list, and a ``Path`` text. A mapping from names to kinds is an object that has
    at least these. None where nothing is wrong.
    """
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            return _no(name, value, "an object")
        lacking = kind.keys() - value.keys()
        if lacking:
            return f"{name} lacks {min(lacking)!r}"
        return _first(wrong(k, value[key], _below(name, key)) for key, k in kind.items())
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return wrong(parts[0], value, name)
    if origin in (typing.Union, types.UnionType):
        found = [wrong(part, value, name) for part in parts]
        return None if None in found else found[0]
    if origin is typing.Literal:
        fine = any(type(value) is type(part) and value == part for part in parts)
        return None if fine else _no(name, value, f"one of {', '.join(map(str, parts))}")
    if origin in (tuple, list):
        return _wrong_list(origin, parts, value, name)
    if kind is float:
        fine = isinstance(value, (int, float)) and not isinstance(value, bool)
        return None if fine and abs(value) < math.inf else _no(name, value, "a number")
    if kind is int:
        fine = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST
        return None if fine else _no(name, value, "a whole number")
    if kind in (str, Path):
        fine = isinstance(value, str) and not _UNWRITABLE.search(value)
        return None if fine else _no(name, value, "text")
    if kind is bool:
        return None if isinstance(value, bool) else _no(name, value, "yes or no")
    if kind is type(None):
        return None if value is None else _no(name, value, "null")
    return (
        None if kind is Any or isinstance(value, origin or kind) else _no(name, value, "an object")
    )


def _wrong_list(origin: type, parts: tuple[Any, ...], value: Any, name: str) -> str | None:
    if not isinstance(value, list):
        return _no(name, value, "a list")
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        if len(value) != len(parts):
            return f"{name} has {len(value)} entries, not {len(parts)}"
        pairs = zip(parts, value, strict=True)
    else:
        pairs = ((parts[0] if parts else Any, part) for part in value)
    return _first(wrong(k, part, f"{name}[{i}]") for i, (k, part) in enumerate(pairs))


def _below(name: str, key: str) -> str:
    return key if name == "it" else f"{name}.{key}"


def _first(found: Any) -> str | None:
    return next((said for said in found if said is not None), None)


def _no(name: str, value: Any, kind: str) -> str:
    said = {list: "a list", dict: "an object"}.get(type(value)) or ascii(value)
    short = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
    return f"{name} is {short}, not {kind}"
