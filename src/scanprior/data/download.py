"""The Medical Segmentation Decathlon's hippocampus task, fetched once into the user's cache."""

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from scanprior.contracts import InputError

NAME = "Task04_Hippocampus"
URL = "https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar"
MD5 = "9d24dba78a72977dbd1d2e110310f31b"
"""As in MONAI's ``DecathlonDataset``."""


def cached() -> Path:
    """Where an earlier download lies."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "scanprior" / NAME


def download(url: str = URL, *, md5: str = MD5, timeout: float = 5.0) -> Path:
    """Fetch, verify and unpack the archive; returns :func:`cached`.

    Raises:
        InputError: no connection within ``timeout`` seconds, or another archive than expected.
    """
    folder = cached()
    folder.parent.mkdir(parents=True, exist_ok=True)
    archive = folder.with_suffix(f".{os.getpid()}.tar")
    unpacked = folder.with_suffix(f".{os.getpid()}")
    try:
        digest = hashlib.md5(usedforsecurity=False)
        with urllib.request.urlopen(url, timeout=timeout) as answer, archive.open("wb") as file:
            while block := answer.read(1 << 20):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != md5:
            raise InputError(f"{url} is not the archive expected (MD5 differs); try again later.")
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")  # no member may leave the folder
        for hidden in unpacked.rglob("._*"):  # macOS resource forks in the official archive
            hidden.unlink()
        os.replace(unpacked / NAME, folder)
    except (urllib.error.URLError, TimeoutError, tarfile.TarError, OSError) as error:
        raise InputError(f"{url} cannot be fetched ({error}); give a folder instead.") from error
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
    return folder
