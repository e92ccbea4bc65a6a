"""environment.json: what a run was computed with."""

import importlib.metadata
import json
import platform
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric

from scanprior import __version__
from scanprior.whole import replacing

PACKAGES = (
    "torch",
    "numpy",
    "lightning-fabric",
    "monai",
    "blosc2",
    "safetensors",
    "scipy",
)


def write(fabric: Fabric, out: Path) -> None:
    """Write environment.json, anew whenever a run is continued."""
    environment = {
        "command": sys.argv,
        "python": platform.python_version(),
        "system": platform.platform(),
        # A source folder on the path has no metadata, but says itself what it is.
        "packages": {"scanprior": __version__} | {p: v for p in PACKAGES if (v := _version(p))},
        "threads": torch.get_num_threads(),
        "cpu": processor(),
        "device": device_name(fabric.device),
        "processes": fabric.world_size,
        "precision": fabric._precision.precision,
    }
    with replacing(out / "environment.json") as path:
        path.write_text(json.dumps(environment, indent=2) + "\n")


def device_name(device: torch.device) -> str:
    """Kind and model of what computes: ``cuda (NVIDIA H100 80GB HBM3)``."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return f"{device.type} ({model})"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Its model, or its kind where the system does not say."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
