"""Load a start's encoder into a new one, and say tensor by tensor what was loaded."""

from pathlib import Path
from typing import Any

from torch import nn

from scanprior.contracts import Encoder, InputError
from scanprior.nn import encoders
from scanprior.saved import load_weights


def build(about: dict[str, Any]) -> Encoder:
    """The encoder that a description belongs to, with new weights."""
    widths = about["widths"]
    return encoders.build(
        about["encoder"],
        about["spatial_dims"],
        about["in_channels"],
        tuple(widths) if widths else None,
    )


def load_start(run: Path, encoder: Encoder) -> float:
    """Load the encoder of the pretext run ``run`` into ``encoder``.

    Returns:
        The share of the encoder's tensors that were loaded, always 1: a tensor that is missing or
        of another shape is an error, never a silent start from scratch.

    Raises:
        InputError: the run has no encoder, or it does not fit.
    """
    path = run / "encoder.safetensors"
    state, about = load_weights(path)
    assert isinstance(encoder, nn.Module)
    wanted = encoder.state_dict()
    wrong = [
        name
        for name in sorted(wanted.keys() | state.keys())
        if name not in state or name not in wanted or state[name].shape != wanted[name].shape
    ]
    if wrong:
        name = wrong[0]
        raise InputError(
            f"{path} does not fit this encoder: {len(wrong)} of {len(wanted)} tensors, the first is"
            f" {name} ({tuple(state[name].shape) if name in state else 'missing'} in the file, "
            f"{tuple(wanted[name].shape) if name in wanted else 'missing'} in the encoder); use "
            f"--encoder {about['encoder']} with {about['in_channels']} channels in "
            f"{about['spatial_dims']}D."
        )
    encoder.load_state_dict(state)
    return 1.0
