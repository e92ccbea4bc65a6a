"""A small file that asks for much is refused for little."""

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data.checks.look import look
from scanprior.data.files import read_image
from scanprior.data.sources import SourceOptions, find
from scanprior.data.sources.decathlon import Declared

NOTHING_DECLARED = Declared({}, None)


def header(shape: tuple[int, ...], kind: type) -> bytes:
    made = nib.Nifti1Header()
    made.set_data_dtype(kind)
    made.set_data_shape(shape)
    made["vox_offset"], made["magic"] = 352, b"n+1"
    return made.binaryblock + bytes(4)


@pytest.mark.parametrize("packed", [False, True])
def test_memory_is_not_taken_for_voxels_that_a_file_cannot_hold(
    tmp_path: Path, packed: bool
) -> None:
    path = tmp_path / f"scan.nii{'.gz' * packed}"
    content = header((500, 500, 400), np.float64) + bytes(4000)  # 800 MB, and allowed
    path.write_bytes(gzip.compress(content) if packed else content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"scan\.nii.*Expected 800000000 bytes, got"):
            read_image([path])
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_densest_file_is_read(tmp_path: Path) -> None:
    """Zeros, which gzip packs as densely as it can."""
    path = tmp_path / "scan.nii.gz"
    content = header((200, 200, 200), np.int16) + bytes(16_000_000)
    path.write_bytes(gzip.compress(content, 9))
    assert path.stat().st_size * 1000 < len(content)
    assert read_image([path]).array.shape == (1, 200, 200, 200)


def test_the_doctor_does_not_unpack_what_readers_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more than an image and what may follow it, though less than the largest image."""
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", "100000")
    path = tmp_path / "scan.nii.gz"
    content = header((5, 5, 5), np.int16) + bytes(1_000_000)
    path.write_bytes(gzip.compress(content))
    (case,) = find(path, None, SourceOptions())
    (finding,) = look(case, tmp_path, NOTHING_DECLARED).findings
    assert (finding.check, finding.severity) == ("huge", "error")
    assert "scan.nii.gz unpacks to more than is allowed" in finding.sentence
