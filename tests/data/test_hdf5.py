"""HDF5: the right arrays of a file, and nothing outside of it."""

import json
import time
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data import hdf5, hdf5_axes, hdf5_pieces, sources
from scanprior.data.files import read_image
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources import Case, SourceOptions
from scanprior.data.store import Store
from scanprior.doctor import Doctor, run_doctor

NONE = SourceOptions()
SHAPE = (6, 7, 8)
ARRAY = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
LABEL = (ARRAY > 400).astype(np.uint8)


def written(path: Path, **arrays: np.ndarray) -> Path:
    """Arrays under their names, with ``__`` for the slash of a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


def only(source: Path, options: SourceOptions = NONE) -> Case:
    (case,) = sources.find(source, None, options)
    return case


def refused(source: Path, match: str, options: SourceOptions = NONE) -> None:
    with pytest.raises(InputError, match=match) as said:
        only(source, options).read()
    assert len(str(said.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["image", "data", "volume__raw", "exported_data", "t0__scan7"])
@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".H5"])
def test_an_image_and_its_label_map(tmp_path, name, ending):
    written(tmp_path / f"a{ending}", **{name: ARRAY}, label=LABEL, notes=np.arange(3))
    case = only(tmp_path)
    image, label = case.read()
    assert (case.id, case.partition) == ("a", "train")
    assert np.array_equal(image.array[0], ARRAY)
    assert image.array.dtype == np.float32
    assert label is not None
    assert np.array_equal(label.array[0], LABEL)
    assert image.spacing == (1, 1, 1)
    assert replace(case, label=None).read()[1] is None
    assert only(tmp_path / f"a{ending}").read()[0].shape == SHAPE


def test_arrays_are_named_where_they_cannot_be_guessed(tmp_path):
    written(tmp_path / "a.h5", t1=ARRAY, t2=ARRAY + 1, labels=LABEL, mask=LABEL * 2)
    refused(tmp_path, r"a\.h5 holds labels 6x7x8, mask 6x7x8, t1 6x7x8, t2 6x7x8; .*--image-key")
    refused(tmp_path, "say which is the label map with --label-key", SourceOptions(image_key="t1"))
    image, label = only(tmp_path, SourceOptions(image_key="/t2", label_key="mask")).read()
    assert np.array_equal(image.array[0], ARRAY + 1)
    assert label is not None
    assert label.array.max() == 2
    refused(
        tmp_path,
        "holds no array 't3', but labels 6x7x8, .*correct --image-key",
        SourceOptions(image_key="t3"),
    )
    with pytest.raises(InputError, match="no file with an array 'nobody'; correct --label-key"):
        sources.find(tmp_path, None, SourceOptions(image_key="t1", label_key="nobody"))
    written(tmp_path / "b.h5", t1=ARRAY)  # unlabelled, beside one that has it
    a, b = sources.find(tmp_path, None, SourceOptions(image_key="t1", label_key="mask"))
    assert (a.partition, b.partition, b.read()[1]) == ("train", "unlabelled", None)
    written(tmp_path / "c" / "c.h5", label=LABEL, count=np.arange(9))
    refused(tmp_path / "c", "--image-key")
    written(tmp_path / "c" / "c.h5", count=np.arange(9))
    refused(tmp_path / "c", "no array of two to five axes")
    written(tmp_path / "c" / "c.h5", image=ARRAY, label=LABEL[1:])
    refused(tmp_path / "c", r"c\.h5/label has shape \(5, 7, 8\)")
    written(tmp_path / "c" / "c.h5", image=ARRAY, label=LABEL + 0.5)
    refused(tmp_path / "c", "no label map")
    written(tmp_path / "c" / "c.h5", image=np.where(ARRAY > 800, np.nan, ARRAY), label=LABEL)
    refused(tmp_path / "c", "NaN or infinite")


def test_label_maps_in_files_of_their_own(tmp_path):
    written(tmp_path / "images" / "a.h5", anything=ARRAY)
    written(tmp_path / "images" / "b.h5", anything=ARRAY)
    written(tmp_path / "labels" / "a.h5", exported_data=LABEL)
    a, b = sources.find(tmp_path, None, NONE)
    label = a.read()[1]
    assert label is not None
    assert np.array_equal(label.array[0], LABEL)
    assert (b.label, [path.name for path in a.files]) == (None, ["a.h5", "a.h5"])
    written(tmp_path / "labels" / "c.h5", exported_data=LABEL)
    with pytest.raises(InputError, match=r"c\.h5 has no image of the same name"):
        sources.find(tmp_path, None, NONE)


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("element_size_um", [2000.0, 750, 500], (2, 0.75, 0.5)),
        ("spacing", [2.0, 0.75, 0.5], (2, 0.75, 0.5)),
        ("spacing", np.float32(0.25), (0.25, 0.25, 0.25)),
    ],
)
def test_sizes_of_voxels(tmp_path, name, said, expected):
    path = written(tmp_path / "a.h5", data=ARRAY, label=LABEL)
    for place in ("/", "data"):
        with h5py.File(path, "a") as file:
            file[place].attrs[name] = said
        case = only(tmp_path)
        image, label = case.read()
        assert label is not None
        assert image.spacing == label.spacing == expected
        assert np.allclose(case.affine(), np.diag([*expected[::-1], 1]))
        with h5py.File(path, "a") as file:
            del file[place].attrs[name]


def test_rounding_between_sizes_of_voxels_is_no_finding(tmp_path):
    """No copy is made of HDF5, so that nobody could do anything about it."""
    path = written(tmp_path / "in/a.h5", data=ARRAY, label=LABEL)
    with h5py.File(path, "a") as file:
        file["data"].attrs["spacing"] = np.float32([2.1, 0.7, 0.7])
        file["label"].attrs["spacing"] = np.float64([2.1, 0.7, 0.7])
    result = run_doctor(
        Doctor(source=path.parent, out=tmp_path / "out", fix=tmp_path / "fix", workers=1)
    )
    assert result["findings"] == []


@pytest.mark.parametrize(
    "said", [[1.0, 0, 1], [np.nan] * 3, [1.0, 2.0], "1 1 1", [1e-320, 1, 1], [[1.0, 1, 1]]]
)
def test_impossible_sizes_are_refused(tmp_path, said):
    path = written(tmp_path / "a.h5", data=ARRAY)
    with h5py.File(path, "a") as file:
        file["data"].attrs["spacing"] = said
    refused(tmp_path, r"a\.h5 has an impossible (attribute 'spacing'|affine)")


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((5, 6), np.uint16, (1, 5, 6)),
        ((5, 6, 3), np.uint8, (3, 5, 6)),
        ((5, 6, 4), np.uint8, (3, 5, 6)),
        ((5, 6, 7), np.float64, (1, 5, 6, 7)),
        ((5, 6, 7), bool, (1, 5, 6, 7)),
        ((5, 6, 7), ">i4", (1, 5, 6, 7)),
        ((2, 5, 6, 7), np.int64, (2, 5, 6, 7)),
    ],
)
def test_axes_are_those_of_numpy_files(tmp_path, shape, kind, expected):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    written(tmp_path / "a.h5", image=array)
    image, _ = only(tmp_path).read()
    assert image.array.shape == expected
    assert (image.affine is None) == (len(expected) == 3)
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(image.array, read_image([tmp_path / "a.npy"]).array)


@pytest.mark.slow
def test_axes_that_ilastik_names(tmp_path):
    def tagged(letters: str, array: np.ndarray) -> None:
        path = written(tmp_path / "a.h5", exported_data=array)
        tags = {"axes": [{"key": letter, "typeFlags": 2} for letter in letters]}
        with h5py.File(path, "a") as file:
            file["exported_data"].attrs["axistags"] = json.dumps(tags)

    tagged("zyxc", np.stack([ARRAY, ARRAY + 1], -1))
    assert np.array_equal(only(tmp_path).read()[0].array, np.stack([ARRAY, ARRAY + 1]))
    tagged("tzyxc", ARRAY[None, ..., None])
    assert np.array_equal(only(tmp_path).read()[0].array[0], ARRAY)
    tagged("xyz", ARRAY.T)
    assert np.array_equal(only(tmp_path).read()[0].array[0], ARRAY)
    tagged("yxc", ARRAY)
    image, _ = only(tmp_path).read()
    assert (image.affine, image.array.shape) == (None, (8, 6, 7))
    tagged("tzyxc", np.stack([np.stack([ARRAY, ARRAY], -1)] * 2))
    refused(tmp_path, "several times and several channels")
    tagged("zyq", ARRAY)
    refused(tmp_path, r"has 3 axes \(zyq\)")
    for said in ("zyx", '{"axes": 1}', 3.5, ["a", "b"]):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file["exported_data"].attrs["axistags"] = said
        refused(tmp_path, "axistags that cannot be read")
    written(tmp_path / "a.h5", image=np.zeros((1, 2, 3, 4, 5)))
    refused(tmp_path, "has 5 axes")


@pytest.mark.slow
def test_a_damaged_string_does_not_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_axes, "_SECONDS", 3.0)
    path = written(tmp_path / "a.h5", exported_data=ARRAY)
    tags = json.dumps({"axes": [{"key": letter} for letter in "zyx"]})
    with h5py.File(path, "a") as file:
        file["exported_data"].attrs["axistags"] = tags
    content = bytearray(path.read_bytes())
    free = content.index(tags.encode()) + -(-len(tags) // 8) * 8
    content[free + 8 : free + 16] = bytes(8)  # the size of what is free in its heap
    path.write_bytes(content)
    began = time.monotonic()
    refused(tmp_path, "axistags that cannot be read")
    assert 3 < time.monotonic() - began < 20, "it hung, and was ended"


def test_four_axes_are_channels_or_times(tmp_path):
    written(tmp_path / "a.h5", image=np.stack([ARRAY, ARRAY + 1]), label=LABEL)
    assert only(tmp_path).read()[0].array.shape == (2, *SHAPE)
    times = sources.find(tmp_path, None, SourceOptions(fourth_axis="times"))
    assert [(case.id, case.patient) for case in times] == [("a_t000", "a"), ("a_t001", "a")]
    for i, case in enumerate(times):
        image, label = case.read()
        assert label is not None
        assert np.array_equal(image.array[0], ARRAY + i)


def test_it_is_no_channel_of_another_format(tmp_path):
    written(tmp_path / "a.h5", image=ARRAY)
    with pytest.raises(InputError, match=r"HDF5.*NIfTI or \.npy"):
        read_image([tmp_path / "a.h5"])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file elsewhere that no source may lead to."""
    return written(tmp_path / "elsewhere" / "secret.h5", image=ARRAY + 7)


def test_links_are_not_followed(tmp_path, secret):
    path = tmp_path / "s" / "a.h5"
    written(path, deep__image=ARRAY)
    with h5py.File(path, "a") as file:
        file["out"] = h5py.ExternalLink(str(secret), "/")
        file["label"] = h5py.ExternalLink(str(secret), "/image")
        file["seg"] = h5py.SoftLink("/out/image")
        file["gone"] = h5py.SoftLink("/nowhere")
        file["deep/loop"] = file["/"]  # a group that holds itself
    image, label = only(tmp_path / "s").read()
    assert np.array_equal(image.array[0], ARRAY)
    assert label is None
    for key in ("out/image", "label", "seg", "gone", "deep/loop/out/image"):
        refused(tmp_path / "s", "behind a link", SourceOptions(image_key=key))
    looped = only(tmp_path / "s", SourceOptions(image_key="deep/loop/deep/image"))
    assert looped.read()[0].shape == SHAPE


def test_numbers_in_other_files_are_refused(tmp_path, secret):
    path = tmp_path / "s" / "a.h5"
    written(path)
    layout = h5py.VirtualLayout(SHAPE, np.int16)
    layout[:] = h5py.VirtualSource(str(secret), "image", SHAPE)
    raw = tmp_path / "elsewhere" / "raw"
    raw.write_bytes(ARRAY.tobytes())
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("image", layout)
    refused(tmp_path / "s", "keeps its numbers in other files")
    with h5py.File(path, "w") as file:
        file.create_dataset("image", SHAPE, np.int16, external=[(str(raw), 0, ARRAY.nbytes)])
    refused(tmp_path / "s", "keeps its numbers in other files")


def test_what_is_no_number_is_refused(tmp_path):
    kinds = {
        "complex": ARRAY.astype(np.complex64),
        "text": np.full(SHAPE, b"abc"),
        "table": np.zeros(SHAPE, [("a", "i4"), ("b", "f4")]),
    }
    for array in kinds.values():
        written(tmp_path / "a.h5", image=array)
        refused(tmp_path, "no array of two to five axes")
        refused(tmp_path, "give one real number a voxel", SourceOptions(image_key="image"))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = ARRAY
        file.create_dataset("image", (2, 2), h5py.ref_dtype)[:] = file["other"].ref
        file.create_dataset("label", (2, 2), h5py.vlen_dtype(np.int16))
        file["nothing"] = h5py.Empty("f4")
    for key in ("image", "label"):
        refused(tmp_path, "give one real number a voxel", SourceOptions(image_key=key))
    refused(tmp_path, "0 axes", SourceOptions(image_key="nothing"))


def test_filters_of_others_are_refused_and_ours_are_read(tmp_path):
    for more in (
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "lzf"},
        {"fletcher32": True, "chunks": (2, 7, 8)},
    ):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("image", data=ARRAY, **more)
        assert np.array_equal(only(tmp_path).read()[0].array[0], ARRAY)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(SHAPE)
    properties.set_filter(32999, h5py.h5z.FLAG_OPTIONAL)  # of nobody
    with h5py.File(tmp_path / "a.h5", "w") as file:
        kind, space = h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(file.id, b"image", kind, space, properties)
    refused(tmp_path, "packed by filter 32999; write it again with one of gzip")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=ARRAY, scaleoffset=0)
    refused(tmp_path, "packed by filter 6")
    before = [h5py.h5pl.get(i) for i in range(h5py.h5pl.size())]
    with hdf5.opened(tmp_path / "a.h5"):
        assert h5py.h5pl.size() == 0
    assert [h5py.h5pl.get(i) for i in range(h5py.h5pl.size())] == before


def test_what_says_it_is_huge_is_refused_unless_allowed(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", (10**6, 10**6, 10**6), np.int16, chunks=(64, 64, 64))
    assert (tmp_path / "a.h5").stat().st_size < 10_000
    refused(tmp_path, "1,000,000,000,000,000,000 voxels, more than")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "image", SHAPE, np.int16, chunks=(1000, 1000, 1000), maxshape=(None,) * 3
        )
    refused(tmp_path, "1,000,000,000 voxels, more than")
    written(tmp_path / "a.h5", image=ARRAY)
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(ARRAY.size - 1))
    refused(tmp_path, "336 voxels, more than")
    monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(ARRAY.size))
    assert only(tmp_path).read()[0].shape == SHAPE


def test_a_piece_that_unpacks_to_more_than_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_pieces, "_UNCHECKED", {"gzip": 1000, "lzf": 0})  # else it takes 4 GiB
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=ARRAY, compression="gzip", chunks=SHAPE)
    assert np.array_equal(only(tmp_path).read()[0].array[0], ARRAY)
    for bomb in (zlib.compress(bytes(10**7), 9), zlib.compress(bytes(2000), 0)):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file["image"].id.write_direct_chunk((0, 0, 0), bomb)
        refused(tmp_path, "unpacks to more than its shape says")


LZF_BOMB = b"\x00\x00" + b"\xe0\xff\x00" * 64_000
"""A zero, and then 264 zeros 64,000 times: 17 MB, of 192 kB."""


@pytest.mark.parametrize("more", [{}, {"shuffle": True}, {"shuffle": True, "fletcher32": True}])
def test_lzf_that_unpacks_to_more_than_it_says(tmp_path, more):
    shape = (50, 50, 50)  # whose piece may be as large as the bomb is before it is unpacked
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", shape, np.int16, compression="lzf", chunks=shape, **more)
        file["image"].id.write_direct_chunk((0, 0, 0), LZF_BOMB)
    refused(tmp_path, "unpacks to more than its shape says")


@pytest.mark.parametrize("chunks", [(70, 80, 90), (64, 64, 64)])
@pytest.mark.parametrize("zeros", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("fletcher32", [False, True])
def test_honest_lzf_is_read_however_it_is_checked(tmp_path, monkeypatch, chunks, zeros, fletcher32):
    monkeypatch.setattr(hdf5_pieces, "_UNCHECKED", {"lzf": 0})
    rng = np.random.default_rng(0)
    array = rng.integers(0, 900, (70, 80, 90)).astype(np.int16)
    array[rng.random(70) < zeros] = 0
    more = {"chunks": chunks, "fletcher32": fletcher32}
    for shuffle in (False, True):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("image", data=array, compression="lzf", shuffle=shuffle, **more)
        assert np.array_equal(only(tmp_path).read()[0].array[0], array)


@pytest.mark.parametrize("order", [("lzf", "gzip"), ("gzip", "lzf"), ("lzf", "shuffle")])
def test_what_is_packed_twice_or_changed_after_is_refused(tmp_path, order):
    h5z = h5py.h5z
    numbers = {"gzip": h5z.FILTER_DEFLATE, "lzf": h5z.FILTER_LZF, "shuffle": h5z.FILTER_SHUFFLE}
    settings = {"gzip": (9,), "lzf": (), "shuffle": ()}
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(SHAPE)
    for name in order:
        properties.set_filter(numbers[name], h5z.FLAG_OPTIONAL, settings[name])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        kind, space = h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple(SHAPE)
        made = h5py.h5d.create(file.id, b"image", kind, space, properties)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, ARRAY)
    refused(tmp_path, f"packed by {order[0]}, then {order[1]}; write it again with gzip or lzf")


def test_too_many_objects(tmp_path):
    written(tmp_path / "a.h5", **{f"n{i}": np.zeros(1) for i in range(hdf5._MOST)}, image=ARRAY)
    refused(tmp_path, "holds more than 1000 objects; name the arrays")
    assert only(tmp_path, SourceOptions(image_key="image")).partition == "train"
    key = SourceOptions(image_key="image", label_key="image")
    assert np.array_equal(only(tmp_path, key).read()[0].array[0], ARRAY)


def test_damaged_files_are_said(tmp_path):
    path = written(tmp_path / "a.h5", image=np.repeat(ARRAY, 20, 0), label=LABEL)
    whole = path.read_bytes()
    for content in (b"", b"\x89HDF", whole[:100], whole[: len(whole) // 2], whole[:-200]):
        path.write_bytes(content)
        refused(tmp_path, r"a\.h5 cannot be read .*restore it or leave it out")


def test_without_h5py_it_says_what_to_install(tmp_path, monkeypatch):
    written(tmp_path / "a.h5", image=ARRAY)
    monkeypatch.setattr(hdf5, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'scanprior\[hdf5\]'"):
        sources.find(tmp_path, None, NONE)


def test_prepare_and_doctor(tmp_path):
    scans, store = tmp_path / "scans", tmp_path / "store"
    for i, name in enumerate("abc"):
        written(scans / f"{name}.h5", raw=ARRAY + i * ARRAY.T.reshape(SHAPE), label=LABEL)
        with h5py.File(scans / f"{name}.h5", "a") as file:
            file["raw"].attrs["element_size_um"] = [2000, 1000, 1000]
    (scans / "d.h5").write_bytes((scans / "a.h5").read_bytes()[:-500])
    (scans / "e.h5").write_bytes((scans / "b.h5").read_bytes())
    before = {path: path.read_bytes() for path in scans.iterdir()}
    said = run_prepare(Prepare(source=scans, store=store, spacing="median", workers=1))
    assert (said["volumes"], said["rejected"], said["classes"]) == (4, 1, 2)
    assert [volume.spacing for volume in Store(store)] == [(2, 1, 1)] * 4
    assert (
        run_prepare(Prepare(source=scans, store=store, spacing="median", workers=1))["prepared"]
        == 0
    )
    found = run_doctor(Doctor(source=scans, out=tmp_path / "doctor", workers=1))
    checks = {finding["check"] for finding in found["findings"]}
    assert any("d.h5" in json.dumps(finding) for finding in found["findings"])
    assert any("duplicate" in check for check in checks)
    assert {path: path.read_bytes() for path in scans.iterdir()} == before
