"""The report: its text names the figures beside it, and the figures show what they were given."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image as Pillow

from scanprior.contracts import InputError
from scanprior.data.phantom import volume
from scanprior.report import write_report

EMPTY = {"table": [], "curves": {}, "overlays": [], "views": {}}


@pytest.fixture
def curves(tmp_path):
    paths = {}
    for name in ("scratch", "rotation"):
        path = tmp_path / f"{name}.jsonl"
        rows = [{"step": step, "loss": None if step == 4 else 1 / step} for step in range(1, 30)]
        rows += [{"step": step, "validation_dice": step / 30} for step in (10, 20)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths[name] = path
    return paths


def overlay(*, case="one", predictions=("scratch", "rotation"), label=None):
    image, true = volume(0, 0)
    label = true if label is None else label
    shifted = {name: np.roll(true, 2 + i, axis=1) for i, name in enumerate(predictions)}
    return {"case": case, "image": image, "label": label, "predictions": shifted}


def pixels(path):
    with Pillow.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def near(picture, colour):
    return int((np.abs(picture - np.array(colour)).sum(-1) < 30).sum())


@pytest.mark.slow
def test_everything(tmp_path, curves):
    already = "matplotlib.pyplot" in sys.modules
    image, _ = volume(0, 0)
    write_report(
        tmp_path / "report",
        title="Ten labels",
        table=[{"start": "scratch", "Dice": 0.7}, {"start": "a|b", "Dice": 0.8}],
        curves=curves,
        overlays=[overlay(case="case 1")],
        views={"rotation": np.stack([image, image[::-1]])},
    )
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.startswith("# Ten labels\n")
    assert "| start | Dice |\n| --- | --- |\n| scratch | 0.7 |\n| a\\|b | 0.8 |" in text
    figures = re.findall(r"\]\((.*?)\)", text)
    assert figures == ["curves.png", "case_case_1.png", "views_rotation.png"]
    files = {path.name for path in (tmp_path / "report").iterdir()}
    assert files == {"report.md", *figures}
    assert ("matplotlib.pyplot" in sys.modules) == already
    curve = pixels(tmp_path / "report" / "curves.png")
    assert near(curve, (0x44, 0x77, 0xAA)) > 20
    assert near(curve, (0xEE, 0x66, 0x77)) > 20
    case = pixels(tmp_path / "report" / "case_case_1.png")
    assert near(case, (0xFF, 0xB0, 0x00)) > 100
    assert near(case, (0x00, 0xC2, 0xD1)) > 100


def test_a_prediction_is_drawn_where_it_is(tmp_path):
    """The line's box, in the axial view, agrees with the mask's box in the array."""
    image = np.zeros((20, 40, 40), dtype=np.float32)
    label = np.zeros(image.shape, dtype=np.uint8)
    label[10, 20, 20] = 1
    found = np.zeros_like(label)
    found[8:12, 26:36, 2:8] = 1  # anterior, left: top left when drawn
    case = {"case": "x", "image": image, "label": label, "predictions": {"p": found}}
    write_report(tmp_path, **{**EMPTY, "title": "t", "overlays": [case]})
    picture = pixels(tmp_path / "case_x.png")
    dark = picture.sum(-1) < 60
    rows = np.flatnonzero(dark.mean(1) > 0.5)
    columns = np.flatnonzero(dark[rows].mean(0) > 0.5)
    axial = picture[rows[0] : rows[-1] + 1, columns[0] :]
    side = len(axial) / 40
    line = np.argwhere(np.abs(axial - np.array((0xFF, 0xB0, 0x00))).sum(-1) < 30)
    line = line[line[:, 1] < 40 * side]
    line = line[(line[:, 1] < 12 * side) & (line[:, 0] < 18 * side)]
    top, left = line.min(0) / side
    bottom, right = (line.max(0) + 1) / side
    assert (40 - bottom, 40 - top) == (pytest.approx(26, abs=0.6), pytest.approx(36, abs=0.6))
    assert (left, right) == (pytest.approx(2, abs=0.6), pytest.approx(8, abs=0.6))


@pytest.mark.slow
def test_pictures_and_what_is_empty(tmp_path):
    image, label = (array[18] for array in volume(0, 1))
    flat = {"case": "eye", "image": image, "label": label * 0, "predictions": {"p": label}}
    alone = overlay(predictions=())
    blank = {**overlay(case="blank"), "image": np.zeros(volume(0, 0)[0].shape)}
    views = {"jigsaw": np.stack([image] * 12)}
    write_report(
        tmp_path, **{**EMPTY, "title": "t", "overlays": [flat, alone, blank], "views": views}
    )
    assert len(list(tmp_path.glob("*.png"))) == 4
    (tmp_path / "new.jsonl").touch()  # a run that has not logged yet
    write_report(
        tmp_path / "new", **{**EMPTY, "title": "t", "curves": {"n": tmp_path / "new.jsonl"}}
    )
    write_report(tmp_path / "bare", **{**EMPTY, "title": "t"}, note="Only a hint.")
    assert (tmp_path / "bare" / "report.md").read_text().endswith("\n\nOnly a hint.\n")
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["report.md"]


def test_bad_input_is_said(tmp_path):
    with pytest.raises(InputError, match=r"absent\.jsonl cannot be read"):
        write_report(
            tmp_path, **{**EMPTY, "title": "t", "curves": {"a": tmp_path / "absent.jsonl"}}
        )
    case = overlay(label=np.zeros((2, 3, 4), dtype=np.uint8))
    with pytest.raises(InputError, match="the label of one has shape"):
        write_report(tmp_path, **{**EMPTY, "title": "t", "overlays": [case]})
