"""Damage to what scanprior wrote: bytes, or one place in what they say."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from . import damage
from .damage import Draw

_PATCHED = ("number", "huge number", "NaN", "wrong type", "missing key", "deep nesting", "../")
TEXT = (*_PATCHED, "truncated", "bits flipped", "no text")
BYTES = ("truncated", "bits flipped", "head bits flipped")
BINARY = (*BYTES, *_PATCHED)


def mutated(path: Path, mutation: str, draw: Draw) -> bytes:
    content = path.read_bytes()
    if mutation == "truncated":
        return damage.truncated(content, draw)
    if mutation == "bits flipped":
        return damage.flipped(content, draw)
    if mutation == "head bits flipped":
        return damage.flipped(content, draw, 200)
    if mutation == "no text":  # a byte that is in no UTF-8
        at = int(draw.integers(len(content)))
        return content[:at] + b"\xff" + content[at:]
    if path.suffix == ".safetensors":
        return _weights(path, mutation, draw)
    if path.suffix == ".ckpt":
        held = torch.load(path, map_location="cpu", weights_only=True)
        _patch(held, mutation, draw)
        buffer = io.BytesIO()
        torch.save(held, buffer)
        return buffer.getvalue()
    if path.suffix == ".jsonl":
        lines = content.decode().splitlines()
        at = int(draw.integers(len(lines)))
        lines[at] = patched(lines[at], mutation, draw)
        return "\n".join(lines).encode()
    return patched(content.decode(), mutation, draw).encode()


def patched(text: str, mutation: str, draw: Draw) -> str:
    """JSON with one place changed."""
    value = json.loads(text)
    if mutation != "deep nesting":
        _patch(value, mutation, draw)
        return json.dumps(value)
    depth = int(draw.choice(np.array([200, 5000, 200_000])))
    _patch(value, "mark", draw)
    return json.dumps(value).replace('"@here@"', "[" * depth + "]" * depth)


def _patch(value: Any, mutation: str, draw: Draw) -> None:
    """One place in a tree of dicts and lists, in place."""
    places = _places(value)
    if mutation in ("number", "huge number", "NaN"):
        numbers = [p for p in places if isinstance(p[0][p[1]], int | float)]
        places = numbers or places
    if mutation == "../":
        places = [p for p in places if isinstance(p[0][p[1]], str)] or places
    if not places:
        return
    # a place near the top as often as one among many
    shallow = min(len(path) for _, _, path in places)
    near = [place for place in places if len(place[2]) == shallow]
    chosen = near if draw.random() < 0.5 else places
    owner, key, _ = chosen[int(draw.integers(len(chosen)))]
    if mutation == "missing key":
        del owner[key]
        return
    choices: dict[str, list[Any]] = {
        "number": [0, 1, -1, 2, 3, 0.5, -0.0, 255],
        "huge number": [10**9, 2**31, 2**63, -(2**63), 10**40, 1e308, -1e308],
        "NaN": [float("nan"), float("inf"), float("-inf")],
        "wrong type": [None, True, "", "x", [], {}, [[]], {"a": 1}, 0.5, 7, ["a", None]],
        "../": ["../../evil", "/etc/passwd", "..", "\0", "a" * 100_000, "\ud800"],
        "deep nesting": [_deep(300)],
        "mark": ["@here@"],
    }
    options = choices[mutation]
    owner[key] = options[int(draw.integers(len(options)))]


def _places(value: Any, path: tuple = ()) -> list[tuple[Any, Any, tuple]]:
    found = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(items):
        found.append((value, key, (*path, key)))
        if isinstance(part, dict | list):
            found += _places(part, (*path, key))
    return found


def _deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


def _weights(path: Path, mutation: str, draw: Draw) -> bytes:
    """What safetensors say of themselves, or one of their tensors, changed."""
    with safetensors.safe_open(path, "pt") as file:
        said = dict(file.metadata())
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if mutation == "missing key" and draw.random() < 0.5:
        del state[sorted(state)[int(draw.integers(len(state)))]]
    elif mutation == "wrong type" and draw.random() < 0.3:
        name = sorted(state)[int(draw.integers(len(state)))]
        state[name] = state[name].reshape(-1)[:3].to(torch.int32)
    elif mutation == "NaN" and draw.random() < 0.5:
        name = sorted(n for n in state if state[n].is_floating_point())[0]
        state[name] = state[name] * float("nan")
    else:
        said["scanprior"] = patched(said["scanprior"], mutation, draw)
    return safetensors.torch.save(state, said)
