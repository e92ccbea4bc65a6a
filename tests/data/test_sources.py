"""Each kind of source is recognised, read in the right order, and refused in one sentence."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.files import read_image, read_label
from scanprior.data.intensity import foreground, scaled
from scanprior.data.sources import SourceOptions, brats
from scanprior.data.sources.brats import PRESETS
from tests.conftest import real

NONE = SourceOptions()


def nifti(path, value=1.0, shape=(6, 7, 8), dtype=np.float32, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).uniform(0, 9, shape) + value
    nib.save(nib.Nifti1Image(array.astype(dtype), np.eye(4) if affine is None else affine), path)


def test_decathlon(tmp_path):
    for name in ("imagesTr/a", "imagesTs/b"):
        nifti(tmp_path / f"{name}.nii.gz", shape=(6, 7, 8, 2))
    nifti(tmp_path / "labelsTr/a.nii.gz", dtype=np.uint8)
    (tmp_path / "dataset.json").write_text(
        json.dumps(
            {
                "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
                "test": ["./imagesTs/b.nii.gz"],
            }
        )
    )
    a, b = sources.find(tmp_path, None, NONE)
    assert (a.partition, b.partition, b.label) == ("train", "unlabelled", None)
    image, label = a.read()
    assert image.array.shape == (2, 8, 7, 6)
    assert label is not None
    assert label.array.dtype == np.uint8


def test_nnunet_raw(tmp_path):
    for case in ("a", "b"):
        nifti(tmp_path / f"imagesTr/{case}_0001.nii.gz", 100)
        nifti(tmp_path / f"imagesTr/{case}_0000.nii.gz", 0)
    nifti(tmp_path / "labelsTr/a.nii.gz", dtype=np.uint8)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1", "1": "T2"}, "numTraining": 2})
    )
    a, b = sources.find(tmp_path, None, NONE)
    assert (a.id, a.partition, b.partition) == ("a", "train", "unlabelled")
    image, _ = a.read()
    assert image.array[0].max() < 50 < image.array[1].min()


def test_nested_folder_and_pairs(tmp_path):
    nifti(tmp_path / "one/scan.nii.gz")
    nifti(tmp_path / "two/scan.nii")
    assert [c.id for c in sources.find(tmp_path, None, NONE)] == ["one_scan", "two_scan"]
    patients = sources.find(tmp_path, None, SourceOptions(patient="^([a-z]+)_"))
    assert [c.patient for c in patients] == ["one", "two"]
    assert len(sources.find(tmp_path / "two/scan.nii", None, NONE)) == 1
    pairs = tmp_path / "pairs"
    nifti(pairs / "images/x.nii.gz")
    nifti(pairs / "labels/x.nii.gz", dtype=np.uint8)
    (case,) = sources.find(pairs, None, NONE)
    assert case.label == pairs / "labels/x.nii.gz"


def test_brats_modalities_come_in_the_order_named(tmp_path):
    for i, name in enumerate(("flair", "t1", "t1ce", "t2")):
        for case in ("HGG/p1", "LGG/p2"):
            nifti(tmp_path / case / f"{case[-2:]}_{name}.nii.gz", 100 * i)
    nifti(tmp_path / "HGG/p1/p1_seg.nii.gz", dtype=np.uint8)
    nifti(tmp_path / "HGG/p3/p3_t1.nii.gz")
    one, three, two = sources.find(tmp_path, None, NONE)
    assert (one.id, two.id, two.label) == ("HGG_p1", "LGG_p2", None)
    assert [p.name for p in one.images] == [f"p1_{m}.nii.gz" for m in PRESETS["brats2018"][0]]
    with pytest.raises(InputError, match="lacks a modality"):
        three.read()
    for case in sources.find(tmp_path, None, SourceOptions(modalities=("t2", "t1"))):
        assert len(case.images) == 2 or case.id == "HGG_p3"
    image, label = sources.find(tmp_path, None, SourceOptions(modalities=("t2", "t1")))[0].read()
    assert label is not None
    assert image.array[0].min() >= 300 > 200 > image.array[1].max()


def test_brats_2015_keeps_each_file_in_a_folder(tmp_path):
    for name in ("MR_Flair", "MR_T1", "MR_T1c", "MR_T2", "OT"):
        stem = f"VSD.Brain.XX.O.{name}.123"
        nifti(tmp_path / "pat1" / stem / f"{stem}.nii.gz", dtype=np.uint8)
    (case,) = sources.find(tmp_path, None, SourceOptions(preset="brats2015"))
    words = [p.name.split(".")[4] for p in case.images]
    assert words == ["MR_T1", "MR_T1c", "MR_T2", "MR_Flair"]
    assert case.label is not None
    assert "OT" in case.label.name


def test_brats_follows_no_link_to_a_folder(tmp_path, capsys):
    for name in PRESETS["brats2018"][0]:
        nifti(tmp_path / "all/p1" / f"p1_{name}.nii.gz")
        nifti(tmp_path / "elsewhere/p2" / f"p2_{name}.nii.gz")
    (tmp_path / "all/p1/up").symlink_to("..")
    (tmp_path / "all/p2").symlink_to(tmp_path / "elsewhere/p2")
    (case,) = sources.find(tmp_path / "all", None, NONE)
    assert (case.id, len(case.images)) == ("p1", 4)
    assert "2 links to folders" in capsys.readouterr().err
    (tmp_path / "links").mkdir()
    (tmp_path / "links/p1").symlink_to(tmp_path / "all/p1")
    assert not brats.recognise(tmp_path / "links")


@pytest.mark.slow
def test_brats_sample():
    source = real("BraTS2015_sample")
    with pytest.raises(InputError, match="--modalities"):
        sources.find(source, None, NONE)
    found = sources.find(source, None, SourceOptions(modalities=("T1c", "Flair")))
    assert len(found) == 2
    assert [p.name.split("_")[0] for p in found[0].images] == ["T1c", "Flair"]
    image, label = found[0].read()
    assert image.array.shape == (2, 155, 240, 240)
    assert label is not None
    assert set(np.unique(label.array)) <= {0, 1, 2, 3, 4}


def test_idrid_grades():
    found = sources.find(real("IDRiD"), None, NONE)
    assert np.bincount([c.grade or 0 for c in found]).tolist() == [134, 20, 136, 74, 49]
    assert found[0].read()[0].array.shape[0] == 3


def test_retinamnist():
    found = sources.find(real("retinamnist.npz"), None, NONE)
    parts = [c.partition for c in found]
    assert [parts.count(p) for p in ("train", "val", "test")] == [1080, 120, 400]
    with np.load(real("retinamnist.npz")) as members:
        case = next(c for c in found if c.id == "val_000007")
        expected = members["val_images"][7]
        assert case.grade == members["val_labels"][7, 0]
    assert np.array_equal(np.moveaxis(case.read()[0].array, 0, -1), expected)


def test_photographs_with_kaggles_columns(tmp_path):
    for name in "abc":
        Pillow.fromarray(np.full((5, 6, 3), ord(name), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "train.csv").write_text("id_code,diagnosis\na,3\nb,0\ngone,1\n")
    found = {c.id: c for c in sources.find(tmp_path, None, NONE)}
    assert [found[i].grade for i in "abc"] == [3, 0, None]
    assert [found[i].partition for i in "abc"] == ["train", "train", "unlabelled"]
    with pytest.raises(InputError, match="gone"):
        found["gone"].read()
    (tmp_path / "train.csv").write_text("file,stage\na.png,2\n")
    with pytest.raises(InputError, match="--image-column"):
        sources.find(tmp_path, None, NONE)
    named = SourceOptions(image_column="file", grade_column="stage")
    assert sources.find(tmp_path, None, named)[0].grade == 2
    (tmp_path / "train.csv").write_text("image,grade\na,severe\n")
    with pytest.raises(InputError, match="severe"):
        sources.find(tmp_path, None, NONE)
    (tmp_path / "train.csv").write_text("image,grade\na,1\na,2\n")
    with pytest.raises(InputError, match="two grades"):
        sources.find(tmp_path, None, NONE)


def test_a_csv_names_each_photograph_once(tmp_path):
    for name in ("x", "left/y", "right/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Pillow.fromarray(np.full((5, 6, 3), 7, np.uint8)).save(tmp_path / f"{name}.png")
    table = tmp_path / "grades.csv"
    table.write_text("image,grade\nx,2\nx.png,2\nleft/y.png,1\nright/y.png,0\n")
    assert {c.id: c.grade for c in sources.find(tmp_path, None, NONE)} == {
        "x": 2,
        "left_y": 1,
        "right_y": 0,
    }
    table.write_text("image,grade\nx,2\nx.png,0\n")
    with pytest.raises(InputError, match=r"gives .*/x\.png two grades"):
        sources.find(tmp_path, None, NONE)
    for name in ("y", "y.png"):
        table.write_text(f"image,grade\n{name},2\n")
        with pytest.raises(
            InputError, match=rf"names {name}, which is .*left.* as well as .*right"
        ):
            sources.find(tmp_path, None, NONE)


def test_two_that_would_be_called_alike_are_named(tmp_path):
    for name in ("Head+1", "head~1", "other"):
        nifti(tmp_path / f"{name}.nii.gz")
    with pytest.raises(InputError, match=r"2 scans .*/Head\+1\.nii\.gz and .*/head~1.*; rename"):
        sources.find(tmp_path, None, NONE)


def test_unknown_sources_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="decathlon, brats"):
        sources.find(tmp_path, None, NONE)
    with pytest.raises(InputError, match="does not exist"):
        sources.find(tmp_path / "gone", None, NONE)
    with pytest.raises(InputError, match="'dicomm' is not known"):
        sources.find(tmp_path, "dicomm", NONE)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        sources.find(tmp_path, None, NONE)


@pytest.mark.parametrize("what", ["nan", "truncated", "noise", "complex", "flat", "gone"])
def test_unusable_files_are_named(tmp_path, what):
    path = tmp_path / "scan.nii.gz"
    nifti(path)
    if what == "nan":
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)), path)
    elif what == "truncated":
        path.write_bytes(path.read_bytes()[:400])
    elif what == "noise":
        path.write_bytes(b"not a scan")
    elif what == "complex":
        nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.complex64), np.eye(4)), path)
    elif what == "flat":
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[312:328] = bytes(16)  # the affine's third row
        path.write_bytes(gzip.compress(bytes(content)))
    else:
        path.unlink()
    with pytest.raises(InputError, match=r"scan\.nii\.gz"):
        read_image([path])


def test_labels_stored_as_floats(tmp_path):
    path = tmp_path / "label.nii.gz"
    whole = np.random.default_rng(0).integers(0, 5, (6, 7, 8))
    nib.save(nib.Nifti1Image(whole.astype(np.float32), np.eye(4)), path)
    label = read_label(path)
    assert label.array.dtype == np.uint8
    assert np.array_equal(label.array[0], whole.T)
    nib.save(nib.Nifti1Image(whole.astype(np.float32) + 0.4, np.eye(4)), path)
    with pytest.raises(InputError, match="not whole numbers"):
        read_label(path)
    nib.save(nib.Nifti1Image(whole.astype(np.int16) - 1, np.eye(4)), path)
    with pytest.raises(InputError, match="from 0 to 65535"):
        read_label(path)
    nib.save(nib.Nifti1Image(whole.astype(np.int16) + 300, np.eye(4)), path)
    assert read_label(path).array.dtype == np.uint16


def test_channels_and_labels_must_share_a_grid(tmp_path):
    nifti(tmp_path / "a.nii.gz")
    nifti(tmp_path / "b.nii.gz", shape=(6, 7, 9))
    nifti(tmp_path / "c.nii.gz", affine=np.diag([1.0, 1.0, 1.5, 1.0]))
    with pytest.raises(InputError, match="has shape"):
        read_image([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"])
    with pytest.raises(InputError, match="mm beside"):
        read_image([tmp_path / "a.nii.gz", tmp_path / "c.nii.gz"])


def test_foreground_and_intensities():
    array = np.zeros((2, 8, 8, 8), np.float32)
    array[0, 2:6, 2:6, 2:6] = np.arange(1, 65).reshape(4, 4, 4)
    array[1, 1, 1, 1] = 5
    mask = foreground(array)
    assert mask.sum() == 65
    inside = scaled(array, mask, "zscore", None)[0][mask]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)
    unit = scaled(array, mask, "unit", None)
    assert (unit.min(), unit.max()) == (0, 1)
    window = scaled(array, mask, "window", (10.0, 20.0))[0]
    assert window[2, 2, 2] == 0
    assert window[mask].max() == 1
    constant = np.full((1, 8, 8, 8), 1e6, np.float32)
    assert not scaled(constant, mask, "zscore", None).any()
    everything = foreground(np.random.default_rng(0).normal(size=(1, 6, 6, 6)).astype(np.float32))
    assert everything.all()


def test_label_maps_below_are_not_taken_for_scans(tmp_path):
    """The folder above an nnU-Net data set, or above two hospitals' images and labels."""
    for images, labels in (("imagesTr", "labelsTr"), ("images", "labels")):
        source = tmp_path / images
        nifti(source / "one" / images / "a.nii.gz")
        nifti(source / "one" / labels / "a.nii.gz", dtype=np.uint8)
        with pytest.raises(InputError, match=f"label maps in {source / 'one'}; give that folder"):
            sources.find(source, None, NONE)
    nifti(tmp_path / "images only" / "site" / "images" / "a.nii.gz")
    assert len(sources.find(tmp_path / "images only", None, NONE)) == 1


def test_the_channel_s_number_is_no_part_of_a_name(tmp_path):
    """Of a plain folder, of a scan with one channel: nnU-Net's own predictions lack it too."""
    for name in ("a_0000", "b_0000", "b_0001", "c", "c_0000", "d_0001", "e_00001"):
        nifti(tmp_path / f"{name}.nii.gz")
    found = [case.id for case in sources.find(tmp_path, None, NONE)]
    assert found == ["a", "b_0000", "b_0001", "c", "c_0000", "d_0001", "e_00001"]
