"""Files that mean something, although not what a plain reader would take them to mean."""

import json
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.checks import raw
from scanprior.data.files import files_in, read_affine, read_image, read_label
from scanprior.data.geometry import sheared, straightened
from scanprior.data.nifti import forms_apart
from scanprior.data.sources import SourceOptions

NONE = SourceOptions()
ARRAY = np.random.default_rng(0).integers(0, 900, (6, 7, 8)).astype(np.int16)  # (x, y, z)
AFFINE = np.diag([0.5, 0.75, 2.0, 1.0])


def saved(path, array=ARRAY, affine=AFFINE, kind=nib.Nifti1Image, **fields):
    image = kind(array, affine)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def both_forms(path, sform, qform):
    image = nib.Nifti1Image(ARRAY, sform)
    image.set_sform(sform, 1)
    image.set_qform(qform, 1)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair])
def test_big_endian_and_scaled(tmp_path, kind):
    header = kind.header_class(endianness=">")
    image = kind(ARRAY.astype(">i2"), AFFINE, header)
    ending = ".img" if kind is nib.Nifti1Pair else ".nii"
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / f"a{ending}")
    read = read_image([tmp_path / f"a{ending}"])
    assert np.allclose(read.array[0], nib.load(tmp_path / f"a{ending}").get_fdata().T)
    assert read.array.dtype == np.float32
    assert read.spacing == (2.0, 0.75, 0.5)


def test_sform_is_taken_but_not_when_the_qform_mirrors_it(tmp_path):
    turned = AFFINE.copy()
    turned[:2, :2] = AFFINE[:2, :2] @ [[0.8, -0.6], [0.6, 0.8]]
    turned[:3, 3] = 5
    path = both_forms(tmp_path / "a.nii", AFFINE, AFFINE + np.eye(4, k=3) * 9)
    assert np.allclose(read_image([path]).affine, AFFINE)
    path = both_forms(tmp_path / "a.nii", AFFINE, np.diag([-1.0, 1, 1, 1]) @ AFFINE)
    with pytest.raises(InputError, match=r"a\.nii has an sform and a qform .* mirrors"):
        read_image([path])
    with pytest.raises(InputError, match="mirrors"):
        read_affine(path)
    path = both_forms(tmp_path / "a.nii", AFFINE, np.diag([3.0, 3, 3, 1]) @ AFFINE)
    with pytest.raises(InputError, match="twofold"):
        read_image([path])


def test_voxel_sizes_of_zero_and_other_units(tmp_path):
    image = nib.Nifti1Image(ARRAY, AFFINE)
    content = bytearray(image.to_bytes())
    content[80:92] = struct.pack("<3f", 1, 0, 1)  # pixdim; the sform stays
    (tmp_path / "b.nii").write_bytes(content)
    assert np.allclose(read_image([tmp_path / "b.nii"]).affine, AFFINE)
    content[252:256] = bytes(4)  # neither sform nor qform
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nii gives voxel sizes of 1, 0, 1 mm and no orient"):
        read_image([tmp_path / "a.nii"])
    for unit, size in (("micron", 1000.0), ("meter", 0.001)):
        image = nib.Nifti1Image(ARRAY, np.diag([size, size, size, 1]) @ AFFINE)
        image.header.set_xyzt_units(unit)
        nib.save(image, tmp_path / "c.nii")
        assert np.allclose(read_image([tmp_path / "c.nii"]).affine, AFFINE)


@pytest.mark.parametrize("letters", ["RGB", "RGBA"])
@pytest.mark.parametrize("shape", [(6, 7, 8), (6, 7), (6, 7, 1), (6, 7, 8, 1)])
def test_colour_voxels_are_channels(tmp_path, letters, shape):
    colours = np.random.default_rng(0).integers(0, 256, (*shape, len(letters)), dtype=np.uint8)
    voxels = np.zeros(shape, [(letter, "u1") for letter in letters])
    for i, letter in enumerate(letters):
        voxels[letter] = colours[..., i]
    path = saved(tmp_path / "a.nii.gz", voxels)
    depth = shape[2] if len(shape) > 2 else 1
    wanted = colours[..., :3].reshape(6, 7, depth, 3).T
    assert np.array_equal(read_image([path]).array, wanted)
    with pytest.raises(InputError, match="has 3 channels"):
        read_label(path)


def test_complex_voxels_are_refused_with_the_way_out(tmp_path):
    path = saved(tmp_path / "a.nii", ARRAY.astype(np.complex64))
    with pytest.raises(InputError, match="magnitude"):
        read_image([path])


def test_analyze_pairs_are_one_case(tmp_path):
    saved(tmp_path / "a.img", kind=nib.AnalyzeImage, affine=np.diag([-0.5, 0.75, 2, 1]))
    saved(tmp_path / "b.img", kind=nib.Nifti1Pair)
    a, b = sources.find(tmp_path, None, NONE)
    assert [path.name for path in b.files] == ["b.img", "b.hdr"]
    assert a.file_hashes() != b.file_hashes()
    for case in (a, b):
        assert np.array_equal(case.read()[0].array[0], ARRAY.T)
        assert case.read()[0].spacing == (2.0, 0.75, 0.5)
    before = b.stamp()
    (tmp_path / "b.img").write_bytes((tmp_path / "b.img").read_bytes() + b"\0")
    assert b.stamp() != before
    for start in ("b.hdr", "b.img"):
        (case,) = sources.find(tmp_path / start, None, NONE)
        assert np.array_equal(case.read()[0].array[0], ARRAY.T)
    (tmp_path / "b.img").unlink()
    with pytest.raises(InputError, match=r"b\.hdr is a header without its b\.img"):
        sources.find(tmp_path, None, NONE)[1].read()
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(InputError, match=r"a\.img is an image without its a\.hdr"):
        sources.find(tmp_path, None, NONE)[0].read()


def test_what_is_no_volume_though_it_is_called_nifti(tmp_path):
    path = tmp_path / "table.dconn.nii"
    axis = nib.cifti2.ScalarAxis(["a", "b"])
    nib.save(nib.Cifti2Image(np.eye(2), nib.Cifti2Header.from_axes((axis, axis))), path)
    for read in (lambda path: read_image([path]), read_label, read_affine):
        with pytest.raises(InputError, match=r"table\.dconn\.nii holds surfaces or a table"):
            read(path)
    (case,) = sources.find(tmp_path, "folder", SourceOptions(fourth_axis="times"))
    with pytest.raises(InputError, match="holds surfaces or a table"):
        case.read()


def test_data_beside_a_header_counts_as_the_file(tmp_path):
    for name in "ab":
        image = sitk.GetImageFromArray(ARRAY + (name == "b"))
        sitk.WriteImage(image, str(tmp_path / f"{name}.mhd"))
    a, b = sources.find(tmp_path, None, NONE)
    assert [path.name for path in a.files] == ["a.mhd", "a.raw"]
    assert a.file_hashes() != b.file_hashes()


def test_four_axes_are_channels_or_times(tmp_path):
    film = np.stack([ARRAY, ARRAY + 1, ARRAY + 2], -1)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    saved(tmp_path / "images/film.nii.gz", film)
    saved(tmp_path / "labels/film.nii.gz", (ARRAY > 400).astype(np.uint8))
    (case,) = sources.find(tmp_path, None, NONE)
    assert np.array_equal(case.read()[0].array, film.T)
    times = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    assert [case.id for case in times] == ["film_t000", "film_t001", "film_t002"]
    assert {case.patient for case in times} == {"film"}
    for i, case in enumerate(times):
        image, label = case.read()
        assert np.array_equal(image.array[0], ARRAY.T + i)
        assert label is not None
        assert case.file_hashes() is None  # they are those of all times


@pytest.mark.parametrize("many", ["vector", "axis"])
def test_four_axes_of_metaimage_and_nrrd(tmp_path, many):
    if many == "vector":
        image = sitk.GetImageFromArray(np.stack([ARRAY, ARRAY + 1], -1), isVector=True)
    else:
        image = sitk.GetImageFromArray(np.stack([ARRAY, ARRAY + 1]), isVector=False)
        image.SetSpacing((2.0, 0.75, 0.5, 9.0))
    for ending in (".mha", ".nrrd"):
        sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
        read = read_image([tmp_path / f"a{ending}"])
        assert np.array_equal(read.array, np.stack([ARRAY, ARRAY + 1]))
        assert read.spacing == ((1, 1, 1) if many == "vector" else (0.5, 0.75, 2.0))
        times = sources.find(tmp_path / f"a{ending}", None, SourceOptions(fourth_axis="times"))
        assert [case.read()[0].array.min() for case in times] == [ARRAY.min(), ARRAY.min() + 1]


def test_a_plane_without_depth_is_a_photograph(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(ARRAY[0]), str(tmp_path / "a.mha"))
    image = read_image([tmp_path / "a.mha"])
    assert image.affine is None
    assert np.array_equal(image.array[0], ARRAY[0])


def test_shear_is_refused_or_straightened(tmp_path):
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 1] = 0.3
    x, y, _ = np.indices((30, 20, 10)).astype(np.float32)
    ramp = x + 0.3 * y  # mm to the right
    saved(tmp_path / "images.nii", ramp, affine)
    (case,) = sources.find(tmp_path, None, NONE)
    with pytest.raises(InputError, match=r"images\.nii lies askew .*16\.7 degrees.*--straighten"):
        case.read()
    (case,) = sources.find(tmp_path, None, SourceOptions(straighten=True))
    image, _ = case.read()
    assert sheared(image.affine) == 0
    k, j, i = (n // 2 for n in image.shape)
    assert image.array[0, k, j, i] == pytest.approx((image.affine @ [i, j, k, 1])[0], abs=1e-3)
    label = saved(tmp_path / "l.nii", np.ones((30, 20, 10), np.uint8), affine)
    upright = straightened(read_label(label), 0)
    assert set(np.unique(upright.array)) == {0, 1}
    assert upright.array.sum() == pytest.approx(30 * 20 * 10, rel=0.05)
    saved(tmp_path / "images.nii", ramp, np.diag([1.0, 1, 2, 1]) + np.eye(4, k=1) * [[0.01]])
    assert sources.find(tmp_path / "images.nii", None, NONE)[0].read()[0].array.shape


def test_photographs_stand_upright(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned: the first row is the right side
    Pillow.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(
        read_image([tmp_path / "a.png"]).array, np.rot90(pixels, -1).transpose(2, 0, 1)
    )


def test_tiff_stacks_are_volumes(tmp_path):
    pages = [Pillow.fromarray(plane) for plane in ARRAY.astype(np.uint16)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    image = read_image([tmp_path / "a.tif"])
    assert np.array_equal(image.array[0], ARRAY)
    assert image.spacing == (1, 1, 1)
    odd = [pages[0], pages[1].resize((3, 3))]
    odd[0].save(tmp_path / "b.tif", save_all=True, append_images=odd[1:])
    with pytest.raises(InputError, match="pages of different sizes"):
        read_image([tmp_path / "b.tif"])
    pages = [Pillow.fromarray(plane.astype(np.uint8)) for plane in ARRAY]
    pages[0].save(tmp_path / "c.png", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="film"):
        read_image([tmp_path / "c.png"])


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((5, 6), np.uint16, (1, 5, 6)),
        ((5, 6, 3), np.uint8, (3, 5, 6)),
        ((5, 6, 7), np.float64, (1, 5, 6, 7)),
        ((2, 5, 6, 7), np.int32, (2, 5, 6, 7)),
    ],
)
def test_numpy_arrays(tmp_path, shape, kind, expected):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    np.save(tmp_path / "a.npy", array)
    (case,) = sources.find(tmp_path, None, NONE)
    image, _ = case.read()
    assert image.array.shape == expected
    assert (image.affine is None) == (len(expected) == 3)
    assert image.array.sum() == array.sum()


class Payload:
    def __reduce__(self):
        return (json.loads, ("1",))


def test_numpy_pickles_and_hdf5_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_image([tmp_path / "a.npy"])
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2, 2, 2)))
    with pytest.raises(InputError, match="has 5 axes"):
        read_image([tmp_path / "a.npy"])
    (tmp_path / "a.h5").write_bytes(b"\x89HDF")
    with pytest.raises(InputError, match=r"HDF5.*NIfTI"):
        read_image([tmp_path / "a.h5"])
    assert files_in(tmp_path, (".npy",)) == [tmp_path / "a.npy"]


def test_objects_in_a_medmnist_file_are_refused(tmp_path):
    hostile = np.array([Payload()], dtype=object)
    parts = {
        f"{p}_{what}": hostile for p in ("train", "val", "test") for what in ("images", "labels")
    }
    np.savez(tmp_path / "a.npz", **parts)
    with pytest.raises(InputError, match=r"a\.npz is not a MedMNIST file"):
        sources.find(tmp_path / "a.npz", None, NONE)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".png", ".npy"])
def test_what_says_it_is_huge_is_refused_unless_allowed(tmp_path, monkeypatch, ending):
    path = tmp_path / f"a{ending}"
    match ending:
        case ".nii.gz":
            saved(path)
        case ".mha":
            sitk.WriteImage(sitk.GetImageFromArray(ARRAY), str(path))
        case ".png":
            Pillow.fromarray(ARRAY[0].astype(np.uint8)).save(path)
        case _:
            np.save(path, ARRAY)
    size = ARRAY[0].size if ending == ".png" else ARRAY.size
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(size - 1))
    with pytest.raises(InputError, match=rf"a\{ending} says that it holds {size} voxels"):
        read_image([path])
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(size))
    assert read_image([path]).array.size == size


def test_a_header_that_asks_for_all_memory(tmp_path):
    content = bytearray(nib.Nifti1Image(ARRAY, AFFINE).to_bytes())
    content[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match="27,000,000,000,000 voxels"):
        read_image([tmp_path / "a.nii"])


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_numbers_of_8_bytes_count_twice(tmp_path, monkeypatch, ending, dtype):
    path = tmp_path / f"a{ending}"
    if ending == ".nii.gz":
        nib.save(nib.Nifti1Image(ARRAY.astype(dtype), AFFINE, dtype=dtype), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(ARRAY.astype(dtype)), str(path))
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(2 * ARRAY.size - 1))
    with pytest.raises(InputError, match=rf"a\{ending} says that it holds {2 * ARRAY.size} voxels"):
        read_image([path])
    header = raw.header(path)
    assert header is not None
    assert header.voxels == 2 * ARRAY.size
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(2 * ARRAY.size))
    assert read_image([path]).array.size == ARRAY.size


def test_a_qform_without_voxel_sizes_is_refused(tmp_path):
    image = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4))
    image.set_sform(None, 0)
    image.set_qform(np.eye(4), 1)
    path = tmp_path / "a.nii"
    nib.save(image, path)
    content = bytearray(path.read_bytes())
    content[80:92] = bytes(12)  # pixdim[1:4]
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="voxel sizes of 0, 0, 0 mm; correct"):
        read_image([path])


def moved(**by):
    """AFFINE, displaced, turned about the vertical axis, or with other sizes."""
    affine = AFFINE.copy()
    affine[0, 3] += by.get("shift", 0)
    turn = np.deg2rad(by.get("turn", 0))
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ affine[:2, :2]
    affine[:3, :3] *= by.get("scale", 1)
    return affine


@pytest.mark.parametrize(
    ("qform", "apart"),
    [
        (moved(), 0),
        (moved(shift=0.2), 0),  # of a voxel of 0.5: may be rounding
        (moved(shift=3), 3),
        (moved(turn=20), 2 * np.sin(np.deg2rad(10)) * np.hypot(2.5, 4.5)),
        (moved(scale=1.3), 0.3 * np.linalg.norm([2.5, 4.5, 14])),
    ],
)
def test_how_far_two_forms_lie_apart(tmp_path, qform, apart):
    path = both_forms(tmp_path / "a.nii", AFFINE, qform)
    assert forms_apart(nib.load(path)) == pytest.approx(apart, abs=1e-3)


def test_forms_apart_are_in_mm_and_of_nifti_alone(tmp_path):
    path = both_forms(tmp_path / "a.nii", AFFINE, moved(shift=3))
    image = nib.load(path)
    image.header.set_xyzt_units("micron")
    nib.save(image, path)
    assert forms_apart(nib.load(path)) == pytest.approx(0.003)
    assert forms_apart(nib.AnalyzeImage(ARRAY, AFFINE)) == 0
    assert forms_apart(nib.load(saved(tmp_path / "b.nii"))) == 0


FILM = np.stack([ARRAY + i for i in range(6)], -1).reshape(*ARRAY.shape, 3, 2)  # (..., time, c)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_times_of_several_channels(tmp_path, ending):
    path = tmp_path / f"film{ending}"
    if ending == ".nii.gz":
        saved(path, FILM)
    else:
        array = np.moveaxis(FILM.T, 0, -1)  # (t, z, y, x, c)
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(path))
    (case,) = sources.find(tmp_path, None, NONE)
    with pytest.raises(InputError, match=r"has 3 times of 2 channels; .*--fourth-axis times"):
        case.read()
    times = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    assert [case.id for case in times] == [f"film_t00{i}" for i in range(3)]
    for i, case in enumerate(times):
        assert np.array_equal(case.read()[0].array, FILM[..., i, :].T)


@pytest.mark.parametrize("many", ["vector", "times"])
def test_five_axes_of_which_one_is_single(tmp_path, many):
    film = FILM[..., :1, :] if many == "vector" else FILM[..., :1]
    saved(tmp_path / "a.nii", film)
    (case,) = sources.find(tmp_path, None, NONE)
    assert np.array_equal(case.read()[0].array, film.squeeze().T)
    times = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    assert len(times) == (1 if many == "vector" else 3)
    shapes = {case.read()[0].array.shape[0] for case in times}
    assert shapes == {2 if many == "vector" else 1}


def test_six_axes_are_refused(tmp_path):
    saved(tmp_path / "a.nii", np.zeros((3, 3, 3, 2, 2, 2), np.int16))
    with pytest.raises(InputError, match=r"a\.nii has 6 axes"):
        read_image([tmp_path / "a.nii"])


def test_times_of_numpy_arrays(tmp_path):
    np.save(tmp_path / "film.npy", np.stack([ARRAY, ARRAY + 1]))
    np.save(tmp_path / "one.npy", ARRAY)
    found = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    assert [case.id for case in found] == ["film_t000", "film_t001", "one"]
    assert [case.read()[0].array.min() - ARRAY.min() for case in found] == [0, 1, 0]


def test_times_are_refused_of_what_has_none(tmp_path):
    Pillow.fromarray(ARRAY[0].astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="read as photographs, whose files hold no times"):
        sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
