"""A stored volume is read box by box, or whole where no box is given."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from scanprior.contracts import InputError
from scanprior.data.store import Store, Volume


def test_without_a_box_all_of_it_is_read(ball_store: Path) -> None:
    volume = Store(ball_store)[3]
    image, label = volume.read(), volume.read_label()
    assert (image.shape, label.shape) == (volume.shape, volume.shape[1:])
    assert (image.dtype, label.dtype) == (np.float16, np.uint8)
    box = (slice(3, 9), slice(0, 20), slice(5, 6))
    np.testing.assert_array_equal(volume.read(box), image[(slice(None), *box)])
    np.testing.assert_array_equal(volume.read_label(box), label[box])


def test_a_name_that_it_does_not_hold_is_said_in_short(ball_store: Path) -> None:
    with pytest.raises(InputError, match=r"holds no volume 'a{80}'; make the split anew"):
        Store(ball_store).of(["a" * 100_000])


def test_a_label_map_that_is_not_there(ball_store: Path) -> None:
    known = Store(ball_store)[3]
    volume = Volume(known.id, known.folder, known.record | {"labelled": False})
    with pytest.raises(InputError, match="has no label map"):
        volume.read_label()


def test_an_index_that_counts_more_classes_than_labels_can_be(
    ball_store: Path, tmp_path: Path
) -> None:
    """A model of so many would take all memory."""
    path = Path(shutil.copy(ball_store / "index.json", tmp_path))
    index = json.loads(path.read_text())
    path.write_text(json.dumps(index | {"classes": 2**16}))
    assert Store(tmp_path).classes == 2**16
    path.write_text(json.dumps(index | {"classes": 2**31}))
    with pytest.raises(InputError, match=r"index\.json counts 2,147,483,648 classes"):
        Store(tmp_path)


def test_a_folder_that_is_no_store_may_be_the_scans(tmp_path: Path):
    """A store must not be made among them."""
    for made in (False, True):
        with pytest.raises(InputError, match=f"make it with scanprior prepare SOURCE {tmp_path}"):
            Store(tmp_path / "s" if not made else tmp_path)
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match=f"scanprior prepare {tmp_path} STORE makes one of them"):
        Store(tmp_path)
    (tmp_path / "records").mkdir()  # a store that was not finished
    with pytest.raises(InputError, match=f"make it with scanprior prepare SOURCE {tmp_path}"):
        Store(tmp_path)
