"""Encoders by name: the presets of this package, or ``my_package.my_module`` of your own."""

from importlib import import_module
from types import ModuleType

from scanprior.contracts import Encoder, InputError
from scanprior.nn.encoders.densenet import DenseNetEncoder
from scanprior.nn.encoders.swin import SwinEncoder
from scanprior.nn.encoders.unet import PRESETS, UNetEncoder

__all__ = ["allow", "build", "names"]

_FIXED = {"densenet121": DenseNetEncoder, "swin": SwinEncoder}


def names() -> tuple[str, ...]:
    """The encoders that come with scanprior."""
    return (*PRESETS, *_FIXED)


def build(
    name: str, spatial_dims: int, in_channels: int, widths: tuple[int, ...] | None = None
) -> Encoder:
    """A new encoder with random weights, drawn from torch's global generator.

    ``widths`` replaces a U-Net's channels, finest level first; its length is the number of levels.
    A name with a dot is imported: the module must have ``build(spatial_dims, in_channels)``.

    Raises :class:`InputError` for an unknown name or numbers no encoder can have.
    """
    if spatial_dims not in (2, 3):
        raise InputError(f"spatial_dims {spatial_dims} is not possible; use 2 or 3.")
    if in_channels < 1:
        raise InputError(f"in_channels {in_channels} is not possible; use 1 or more.")
    if name in PRESETS:
        preset = PRESETS[name]
        widths = preset.widths if widths is None else tuple(widths)
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths {widths} are not possible; use two or more positive numbers.")
        return UNetEncoder(spatial_dims, in_channels, widths, preset.residual)
    if name not in _FIXED and "." not in name:
        raise InputError(
            f"there is no encoder {name!r}; use one of {', '.join(names())} or a module of your "
            "own such as my_package.my_module."
        )
    if widths is not None:
        raise InputError(
            f"the widths of encoder {name!r} are fixed; leave widths out or use one of "
            f"{', '.join(PRESETS)}."
        )
    if name in _FIXED:
        return _FIXED[name](spatial_dims, in_channels)
    return _imported(name, spatial_dims, in_channels)


def allow(name: str) -> None:
    """Import the module that a user named as an encoder; a preset's name imports nothing.

    What a file names is built only once its module is imported; see ``saved.load_weights``.

    Raises :class:`InputError` where there is no such module.
    """
    if "." in name:
        _module(name)


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, something that it needs is not
        raise InputError(
            f"the encoder module {name!r} cannot be imported ({error}); install it, put its "
            f"folder on PYTHONPATH, or use one of {', '.join(names())}."
        ) from error


def _imported(name: str, spatial_dims: int, in_channels: int) -> Encoder:
    module = _module(name)
    if not hasattr(module, "build"):
        raise InputError(
            f"the encoder module {name!r} has no build; add build(spatial_dims, in_channels)."
        )
    encoder = module.build(spatial_dims, in_channels)
    if not isinstance(encoder, Encoder):
        raise InputError(
            f"build of the encoder module {name!r} returned a {type(encoder).__name__} that is no "
            "encoder; give it spatial_dims, in_channels, channels, strides and __call__."
        )
    return encoder
