"""What doctor keeps of a case: enough to compare it with others."""

from functools import partial

import numpy as np
import pytest
from PIL import Image as Pillow

from scanprior.data import sources
from scanprior.data.below import base_of
from scanprior.data.checks.seen import voxel_hash
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.decathlon import declared
from scanprior.doctor.see import see
from scanprior.doctor.unlisted import unlisted
from tests.doctor.scans import SHAPE, describe, save, scan, sound


@pytest.fixture
def source(tmp_path):
    return sound(tmp_path / "scans")


def looked(source):
    cases = sources.find(source, None, SourceOptions())
    base = base_of(source)
    shared = frozenset({source}) if source.is_file() else frozenset()
    work = partial(see, base=base, said=declared(source), shared=shared)
    return {case.id: work(case) for case in cases}


def test_sound(source):
    for seen in looked(source).values():
        assert seen.findings == ()
        assert seen.shape == (1, *SHAPE[::-1])
        assert seen.spacing == pytest.approx((1.2, 0.9, 0.9))
        assert None not in (seen.bytes, seen.voxels, seen.label)
        assert seen.levels[0][1] == pytest.approx(100, abs=1)


def test_a_photograph(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    Pillow.fromarray(pixels).save(tmp_path / "b.tif")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:-300])
    seen = looked(tmp_path)
    assert seen["a"].findings == seen["b"].findings == ()
    assert seen["a"].voxels == seen["b"].voxels
    assert seen["a"].bytes != seen["b"].bytes
    assert seen["a"].spacing is None
    assert [f.check for f in seen["c"].findings] == ["truncated"]


def test_many_images_in_a_file(tmp_path):
    draw = np.random.default_rng(0)
    parts = {}
    for part in ("train", "val", "test"):
        parts[f"{part}_images"] = draw.integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)
        parts[f"{part}_labels"] = np.zeros((2, 1), np.uint8)
    parts["test_images"][1] = parts["train_images"][0]
    np.savez(tmp_path / "a.npz", **parts)
    seen = looked(tmp_path / "a.npz")
    assert all(one.findings == () and one.bytes is None for one in seen.values())
    assert seen["val_000001"].file == "a.npz (val_000001)"
    assert seen["train_000000"].voxels == seen["test_000001"].voxels
    assert len({one.voxels for one in seen.values()}) == 5


def test_voxels_are_compared_with_their_shape():
    array = np.arange(12, dtype=np.float32)
    assert voxel_hash(array.reshape(3, 4)) != voxel_hash(array.reshape(4, 3))


def test_scans_of_imagesTs_are_a_test_part(tmp_path):
    source = sound(tmp_path)
    save(source / "imagesTs/t.nii.gz", scan(9))
    describe(source, test=["imagesTs/t.nii.gz"])
    assert looked(source)["t"].part == "test"
    assert looked(source)["c00"].part == "train"


def test_of_what_cannot_be_read_only_the_bytes_are_compared(source):
    path = source / "imagesTr/c00.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    seen = looked(source)["c00"]
    assert seen.bytes is not None
    assert seen.voxels is None
    path.write_bytes(b"")
    assert looked(source)["c00"].bytes is None


def test_unlisted(source):
    save(source / "imagesTr/extra.nii.gz", scan(9))
    (finding,) = unlisted(source, sources.find(source, None, SourceOptions()))
    assert (finding.check, finding.file) == ("unlisted", "imagesTr/extra.nii.gz")
    assert finding.sentence.startswith(
        "imagesTr/extra.nii.gz is not named"
    )  # and not where it lies
