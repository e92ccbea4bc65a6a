"""A header leads to its data and nowhere else, whatever it says to whom."""

import numpy as np
import pytest
import SimpleITK as sitk

from scanprior.contracts import InputError
from scanprior.data.checks import raw
from scanprior.data.files import read_affine, read_image
from scanprior.data.pairs import parts

META = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
IN_META, IN_NRRD = "ElementDataFile = ", "data file: "
AWAY = "../secret/s.raw\n"
ELSEWHERE = {
    "LIST": ("mhd", META + IN_META + "LIST\n" + AWAY),
    "LIST of slices": ("mhd", META + IN_META + "LIST 2\n" + AWAY),
    "LIST of slices, NRRD": ("nhdr", NRRD + IN_NRRD + "LIST2\n" + AWAY * 2),
    "pattern": ("mhd", META + IN_META + "../secret/s%d.raw 1 2 1\n"),
    "pattern, NRRD": ("nhdr", NRRD + IN_NRRD + "../secret/s%02d.raw 1 2 1\n"),
    "attached": ("mha", META + IN_META + AWAY),
    "attached, NRRD": ("nrrd", NRRD + IN_NRRD + AWAY),
    "standard input": ("nhdr", NRRD + IN_NRRD + "-\n"),
    "far down": ("mhd", META + "Comment = x\n" * 6000 + IN_META + AWAY),
    "far down, NRRD": ("nhdr", NRRD + "# comment\n" * 7000 + IN_NRRD + AWAY),
    "endless": ("mhd", META + "Comment = x\n" * 90000 + IN_META + AWAY),
    "endless, NRRD": ("nhdr", NRRD + "# comment\n" * 110000 + IN_NRRD + AWAY),
    "key and value": ("nhdr", NRRD + "data file:=s.raw\n" + IN_NRRD + AWAY),
    "another key": ("mhd", META + "DataFile = s.raw\n" + IN_META + AWAY),
    "another key of two words": ("mhd", META + "Data File = s.raw\n" + IN_META + AWAY),
    "another spelling": ("mhd", META + "elementdatafile = s.raw\n" + IN_META + AWAY),
    "indented": ("mhd", META + "\t " + IN_META + AWAY),
    "behind a return": ("mhd", META + "Comment = x\r" + IN_META + AWAY),
    "behind a return, NRRD": ("nhdr", NRRD + "# comment\r" + IN_NRRD + AWAY),
    "several": ("nhdr", NRRD + IN_NRRD + "s.raw\n" + IN_NRRD + AWAY),
    "eaten by a line": ("mhd", META + "x\n" + IN_META + "s.raw\n" + IN_META + AWAY),
    "eaten by numbers": ("mha", META + f"Offset = 0 0\n{IN_META}LOCAL\n{IN_META}{AWAY}"),
}


def test_a_header_may_not_read_elsewhere(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16)), str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text().replace("= a.raw", f"= {tmp_path}/../secret.raw")
    (tmp_path / "a.mhd").write_text(text)
    with pytest.raises(InputError, match="from another folder"):
        read_image([tmp_path / "a.mhd"])


@pytest.mark.parametrize(("ending", "text"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_header_that_names_other_files_is_refused(tmp_path, ending, text):
    """It could show what it likes of the machine, to whoever reads it as an image or looks at it
    as a file that cannot be read."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "beside").mkdir()
    for name in ("secret/s.raw", "secret/s01.raw", "beside/s.raw", "beside/LIST", "beside/-"):
        (tmp_path / name).write_bytes(bytes(8))
    path = tmp_path / f"beside/a.{ending}"
    path.write_text(text, newline="")
    with pytest.raises(InputError, match=rf"a\.{ending} (takes|has a|does not name)"):
        read_image([path])
    assert raw.numbers(path) is None
    assert raw.header(path) is None
    with pytest.raises(InputError):
        read_affine(path)


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("mhd", META + "\nComment =\nColour: DataFile\n" + IN_META),
        ("mhd", META.replace("\n", "\r\n") + "TransformMatrix = 1 0 0 0 1 0\n0 0 1\n" + IN_META),
        ("nhdr", NRRD + "data file:=x\n# data file: x\n" + IN_NRRD),
        ("nhdr", NRRD.replace("\n", "\r\n") + "DataFile:  "),
        ("nrrd", NRRD + IN_NRRD),
    ],
)
@pytest.mark.parametrize("data", ["s.raw", "s e 5 é.raw"])
def test_a_header_that_names_a_file_beside_it_is_read(tmp_path, ending, text, data):
    (tmp_path / data).write_bytes(bytes(range(8)))
    path = tmp_path / f"a.{ending}"
    path.write_text(f"{text}{data}\n", newline="")
    assert read_image([path]).array.ravel().tolist() == list(range(8))
    assert parts(path) == (path, tmp_path / data)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_data_behind_the_header_may_hold_anything(tmp_path, ending):
    text = {"mha": META + IN_META + "LOCAL\n", "nrrd": NRRD + "\n"}[ending]
    size = len(IN_META + AWAY * 10)
    text = text.replace("2 2 2", f"{size} 1 1")
    path = tmp_path / f"a.{ending}"
    path.write_text(text + {"mha": IN_META, "nrrd": "\n" + IN_NRRD * 2}[ending] + AWAY * 10)
    assert read_image([path]).array.size == size
    assert parts(path) == (path,)
