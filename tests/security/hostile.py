"""A payload that would leave a trace if it ran, in every kind of file that might run it."""

import hashlib
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

MODULE = "stranger_package.stranger_module"


class Payload:
    """Unpickling it makes the folder ``trace``."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def pickled(trace: Path) -> bytes:
    return pickle.dumps({"learner": Payload(trace)}, protocol=2)  # as torch writes them


def saved_by_torch(trace: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"learner": Payload(trace), "step": 2}, buffer)
    return buffer.getvalue()


def saved_by_torch_anew(trace: Path) -> bytes:
    """With words that torch's own reader of checkpoints does not know."""
    buffer = io.BytesIO()
    torch.save({"learner": Payload(trace), "step": 2}, buffer, pickle_protocol=4)
    return buffer.getvalue()


def objects(trace: Path) -> np.ndarray:
    return np.array([Payload(trace)], dtype=object)


def checkpoint(out: Path, content: bytes, step: int) -> Path:
    """As a run in ``out`` would find it: named by its own hash."""
    name = f"step-{step:08d}-{hashlib.sha256(content).hexdigest()[:16]}.ckpt"
    path = out / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def module(folder: Path, trace: Path) -> None:
    """:data:`MODULE` below ``folder``: importing it, or its package, makes the folder ``trace``."""
    package = folder / "stranger_package"
    package.mkdir(parents=True)
    text = f"import os\nos.makedirs({str(trace)!r}, exist_ok=True)\n"
    for name in ("__init__.py", "stranger_module.py"):
        (package / name).write_text(text)


def weights(path: Path, like: Path, **about: Any) -> None:
    """The weights ``like``, with other words about themselves."""
    with safetensors.safe_open(like, "pt") as file:
        said = json.loads(file.metadata()["scanprior"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"scanprior": json.dumps(said | about)}
    path.write_bytes(safetensors.torch.save(state, told))
