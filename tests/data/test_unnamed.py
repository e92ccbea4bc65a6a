"""What the folders of a DICOM export are called is nobody's business but its owner's."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from scanprior import cli
from scanprior.data.store import Store
from tests.data.dicom_files import SECRETS, write_series

ROOT, FOLDER = "DOE^JANE_1970 trial", "ward seven"
"""Neither is in any header: whoever exports may have called them after somebody's family."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0).integers(0, 900, (9, 12, 14), dtype=np.int16)
    folder = tmp_path / ROOT / "MILLER^Zacharias 1948-12-24" / FOLDER
    turned = np.diag([1.0, 1.0, 2.0, 1.0])
    write_series(folder / "sound", draw, turned, "sound")
    write_series(folder / "copy", draw, turned, "copy")
    write_series(folder / "large", draw + 1, np.diag([90.0, 90.0, 90.0, 1.0]), "large")
    write_series(folder / "gap", draw, turned, "gap")[3].unlink()
    twin = pydicom.dcmread(write_series(folder / "twin", draw, turned, "twin")[4])
    twin.PatientID, twin.PixelData = "another", bytes(len(twin.PixelData))
    (folder / "jones").mkdir()
    twin.save_as(folder / "jones" / "other")
    (folder / "smith.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    return tmp_path / ROOT


def prepare(source: Path, store: Path, capsys) -> tuple[int, str]:
    try:
        cli.main(["prepare", str(source), str(store), "--workers", "1"])
        code = 0
    except SystemExit as ended:
        code = int(str(ended.code))
    said = capsys.readouterr()
    return code, (said.out + said.err).replace(str(store), "STORE")


def test_no_name_of_its_folders_reaches_a_store(tree: Path, capsys) -> None:
    store = tree.parent / "out"
    code, said = prepare(tree, store, capsys)
    assert code == 1
    kept = "".join(path.read_text() for path in sorted(store.rglob("*.json")))
    assert {"rejected.json", "warnings.json"} <= {path.name for path in store.iterdir()}
    folders = (ROOT, "jane", FOLDER, "sound", "copy/", "/gap", "smith", "jones", "twin")
    for word in (*folders, *SECRETS):
        assert word.casefold() not in kept.casefold()
    for word in (ROOT, *SECRETS):
        assert word.casefold() not in said.casefold()
    for path in ("large/", "gap/", "jones/other", "smith.dcm"):
        assert f"{FOLDER}/{path}" in said  # the user who mends a file must find it


@pytest.mark.parametrize(
    "name", ["Mueller Joerg", "MU\u0308LLER JO\u0308RG", "Muller-S", "14-07-53", "14.7.1953"]
)
def test_a_name_in_another_spelling_is_in_no_report(tmp_path: Path, name: str, capsys) -> None:
    draw = np.random.default_rng(0).integers(0, 900, (9, 12, 14), dtype=np.int16)
    who: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": "MÜLLER^JÖRG",
        "PatientBirthDate": "19530714",
    }
    folder = tmp_path / "in" / name
    write_series(folder / "gap", draw, np.eye(4), "gap", **who)[3].unlink()
    write_series(folder / "flat", draw * 0, np.eye(4), "flat", **who)
    out = str(tmp_path / "out")
    with pytest.raises(SystemExit):
        cli.main(["doctor", str(tmp_path / "in"), "--out", out, "--workers", "1", "--json"])
    said = capsys.readouterr()
    report = "".join((tmp_path / "out" / f"doctor.{end}").read_text() for end in ("json", "html"))
    for text in (report, said.out):
        assert name not in text
        assert json.dumps(name)[1:-1] not in text
    findings = json.loads(said.out)["findings"]
    assert len(findings) == 2
    for finding in findings:  # the user who mends a file must find it
        (hashed,) = re.findall("~[0-9a-f]{16}", finding["file"])
        assert hashed in report
        (path,) = re.findall(f"^{hashed} is (.+)$", said.err, re.MULTILINE)
        assert (tmp_path / "in" / path).is_file()


def test_files_that_are_called_by_a_number_leave_sentences_whole(tmp_path: Path, capsys) -> None:
    draw = np.random.default_rng(0).integers(0, 900, (30, 12, 14), dtype=np.int16)
    for number, path in enumerate(write_series(tmp_path / "in", draw, np.eye(4))):
        path.rename(path.with_name(str(number)))
    (tmp_path / "in" / "4").unlink()
    said = prepare(tmp_path / "in", tmp_path / "out", capsys)[1]
    (case,) = json.loads((tmp_path / "out" / "rejected.json").read_text())
    number = "[-0-9.]+"
    names = f"{case['id']} \\({{}} and 28 more\\)"
    why = f" lacks 1 slice .* between {number} and {number} mm"
    assert re.match(names.format(case["source"][0]) + why, case["reason"])
    assert re.search(names.format("[0-9]{1,2}") + why, said)


def test_the_same_source_goes_on_and_another_is_refused(tree: Path, capsys) -> None:
    store = tree.parent / "out"
    prepare(tree, store, capsys)
    assert "prepared: 0" in prepare(tree, store, capsys)[1]
    other = tree.rename(tree.with_name("other"))
    code, said = prepare(other, store, capsys)
    assert code == 2
    assert "made with other settings: source (~" in said


def test_a_source_of_another_format_is_found_by_its_path(tmp_path: Path, capsys) -> None:
    from tests.recipes.scans import write_scans

    write_scans(tmp_path / "in", {"a": np.eye(4)})
    prepare(tmp_path / "in", tmp_path / "out", capsys)
    kept = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert (kept["source"], kept["store"]) == (str(tmp_path / "in"), ".")
    assert Store(tmp_path / "out")[0].record["source"].startswith("imagesTr/")
