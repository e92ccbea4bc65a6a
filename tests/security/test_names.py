"""Names from data are names of files in the output, never ways out of it."""

import contextlib
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanprior.contracts import InputError
from scanprior.data import sources
from scanprior.data.download import NAME, download
from scanprior.data.prepare import Prepare, run_prepare
from scanprior.data.sources import SourceOptions
from scanprior.data.sources.case import case_of
from scanprior.data.sources.untouched import check_outside
from scanprior.data.store import Store
from scanprior.doctor import Doctor, run_doctor
from tests.data.dicom_files import header, pixels
from tests.faults.balls import told, words

EVIL = [
    "../evil",
    "../../evil",
    "/tmp/evil",
    "a/../../evil",
    "..",
    ".",
    "",
    "a/b",
    "a\\..\\b",
    "\0",
]


def hashes(folder: Path) -> dict[Path, str]:
    """Of every file below ``folder``."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def outside(folder: Path, *expected: str) -> set[str]:
    """What lies in ``folder`` beside ``expected``."""
    return {path.name for path in folder.iterdir()} - set(expected)


@pytest.mark.parametrize("name", EVIL)
def test_an_index_with_an_id_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    record = {"id": name, "shape": [1, 2, 2, 2], "spacing": [1, 1, 1], "partition": "train"}
    told_index = {"classes": 0, "digest": "x", "recipe": {}, "spacing": None, "volumes": [record]}
    (tmp_path / "index.json").write_text(json.dumps(told_index))
    with pytest.raises(InputError, match=r"index\.json"):
        Store(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["autolabel", "pretrain", "finetune", "study", "probe"])
def test_no_command_takes_such_an_id(verb: str, work: Path, capsys) -> None:
    index = work / "store" / "index.json"
    content = json.loads(index.read_text())
    content["volumes"][0]["id"] = "../../evil"
    index.write_text(json.dumps(content))
    for name in ("image", "label"):
        old = work / "store" / "volumes" / f"scan_00.{name}.b2nd"
        old.rename(work / f"evil.{name}.b2nd")  # there is something to read
    before = {path: path.stat().st_mtime_ns for path in work.glob("evil*")}
    out = str(work / "deep" / "er" / "out")
    command = {
        "autolabel": ["autolabel", str(work / "store"), out, "--workers", "1"],
        "probe": ["probe", "scratch", "--store", str(work / "store"), "--out", out],
    }.get(verb) or words(verb, work, Path(out))
    code, sentence = told(command, capsys)
    assert code == 2
    assert "'../../evil'" in sentence
    assert {path: path.stat().st_mtime_ns for path in work.glob("evil*")} == before
    assert not list(work.glob("deep/**/evil*"))


@pytest.mark.slow
def test_a_split_with_such_an_id_is_refused(work: Path, capsys) -> None:
    path = work / "store" / "split.json"
    split = json.loads(path.read_text())
    split["test"] = ["../../evil"]
    split["train"] = [*split["train"][1:], "../evil"]
    path.write_text(json.dumps(split))
    code, sentence = told(words("finetune", work, work / "new"), capsys)
    assert code == 2
    assert "'../evil'" in sentence
    assert not list(work.rglob("evil*"))


@given(st.text(max_size=60) | st.text(min_size=250, max_size=300) | st.sampled_from(EVIL))
def test_a_cases_id_is_one_name(name: str) -> None:
    case = case_of(name, (), SourceOptions())
    assert case.id not in ("", ".", "..")
    assert not {"/", "\\", "\0"} & set(case.id)
    assert len(case.id.encode()) <= 200, "more endings need room in a file's name"
    path = Path("/store/volumes", f"{case.id}.image.b2nd")
    assert path.parent == Path("/store/volumes")
    assert os.path.normpath(path) == str(path)


@pytest.mark.slow
def test_files_and_lists_with_hostile_names(work: Path, capsys) -> None:
    scans = work / "named"
    for part in ("imagesTr", "labelsTr"):
        (scans / part).mkdir(parents=True)
    listed = []
    for seed, name in enumerate(("..%2F..%2Fevil", "...", "-rf", "a b;rm -rf $HOME", "é\u202egnp")):
        image = np.random.default_rng(seed).normal(size=(9, 9, 9)).astype(np.float32)
        nib.save(nib.Nifti1Image(image, np.eye(4)), scans / "imagesTr" / f"{name}.nii.gz")
        label = (image > 1).astype(np.uint8)
        nib.save(nib.Nifti1Image(label, np.eye(4)), scans / "labelsTr" / f"{name}.nii.gz")
        listed.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    (scans / "dataset.json").write_text(json.dumps({"name": "x", "training": listed, "test": []}))
    new = work / "deep" / "new"
    assert told(["prepare", str(scans), str(new), "--workers", "1"], capsys)[0] == 0
    assert len(Store(new)) == 5
    assert outside(work / "deep", "new") == set()
    inside = {path.parent for path in new.rglob("*.b2nd")}
    assert inside == {new / "volumes"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_dicom_uids_are_no_paths(tmp_path: Path, capsys) -> None:
    import pydicom

    source = tmp_path / "source"
    source.mkdir()
    with pydicom.config.disable_value_validation():
        for k in range(9):
            data = header(f"{k}", "../../evil", patient="../../evil")
            data.SeriesInstanceUID = data.StudyInstanceUID = data.FrameOfReferenceUID = "../../evil"
            data.SOPInstanceUID = f"../../evil.{k}"
            data.SeriesDescription = "../../evil"
            data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
            data.ImagePositionPatient, data.SliceThickness = [0, 0, k], 1
            pixels(data, np.random.default_rng(k).integers(0, 900, (9, 9)).astype(np.uint16))
            data.save_as(source / f"{k}.dcm", enforce_file_format=False)
    out = tmp_path / "deep" / "er" / "store"
    code, _ = told(["prepare", str(source), str(out), "--workers", "1"], capsys)
    assert code == 0
    assert outside(tmp_path, "source", "deep") == set()
    assert not list(tmp_path.rglob("*evil*"))
    ids = {volume.id for volume in Store(out)}
    assert len(ids) == 1
    assert not any("/" in name or ".." in name for name in ids)


def archive(path: Path, *members: tarfile.TarInfo) -> tuple[str, str]:
    with tarfile.open(path, "w") as tar:
        good = tarfile.TarInfo(f"{NAME}/dataset.json")
        good.size = 2
        tar.addfile(good, io.BytesIO(b"{}"))
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path.as_uri(), hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 4 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member(f"{NAME}/../../../../evil")],
        [member(f"{NAME}/link", tarfile.SYMTYPE, "../../../.."), member(f"{NAME}/link/evil")],
        [member(f"{NAME}/link", tarfile.SYMTYPE, "/"), member(f"{NAME}/link/evil")],
        [member(f"{NAME}/hard", tarfile.LNKTYPE, "../../../mine")],
        [member(f"{NAME}/device", tarfile.CHRTYPE)],
        [member(f"{NAME}/fifo", tarfile.FIFOTYPE)],
    ],
    ids=["up", "deep", "link up", "link to root", "hard link", "device", "fifo"],
)
def test_no_member_of_an_archive_leaves_its_folder(
    members: list[tarfile.TarInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a" / "b"))
    (tmp_path / "mine").write_text("mine")
    url, md5 = archive(tmp_path / "archive.tar", *members)
    with pytest.raises(InputError, match="cannot be fetched"):
        download(url, md5=md5)
    assert outside(tmp_path, "archive.tar", "mine", "a") == set()
    assert not list(tmp_path.rglob("evil"))
    assert not [path for path in (tmp_path / "a").rglob("*") if not path.is_dir()]
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_absolute_name_is_taken_below_the_folder_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url, md5 = archive(tmp_path / "archive.tar", member(f"{tmp_path}/evil"))
    with contextlib.suppress(InputError):
        download(url, md5=md5)
    assert not (tmp_path / "evil").exists()


@pytest.mark.slow
@pytest.mark.parametrize("out", ["beside", "inside", "itself"])
@pytest.mark.parametrize("verb", ["doctor --out", "doctor --fix", "prepare", "predict"])
def test_no_command_writes_into_its_source(verb: str, out: str, work: Path, capsys) -> None:
    """Beside it, an output is written; in the folder that is searched, it is refused."""
    place = {"beside": work / "new", "inside": work / "scans/new", "itself": work / "scans"}[out]
    before = hashes(work / "scans")
    name, _, option = verb.partition(" ")
    command = words(name, work, place) if not option else ["doctor", str(work / "scans")]
    if option == "--fix":
        command += ["--out", str(work / "report")]
    code, sentence = told([*command, *([option, str(place)] if option else [])], capsys)
    assert hashes(work / "scans") == before
    assert ("lies in the source, which is kept" in sentence) == (out != "beside")
    assert (code == 2) == (out != "beside")


def test_an_output_may_lie_beside_a_single_file(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "a.nii")
    before = hashes(tmp_path)
    run_doctor(Doctor(source=tmp_path / "a.nii", out=tmp_path / "report", workers=1))
    run_prepare(Prepare(source=tmp_path / "a.nii", store=tmp_path / "store", workers=1))
    assert before.items() <= hashes(tmp_path).items()


def test_no_output_lies_in_the_folder_of_a_dicomdir(tmp_path: Path) -> None:
    """The file alone says little: the folder around it is read."""
    (tmp_path / "DICOMDIR").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for source in (tmp_path / "DICOMDIR", tmp_path / "link/DICOMDIR"):
        with pytest.raises(InputError, match="lies in the source"):
            check_outside(tmp_path / "report", source, "--out")
    check_outside(tmp_path.parent / "report", tmp_path / "DICOMDIR", "--out")


def test_sources_of_links_are_read_and_never_written(tmp_path: Path) -> None:
    """A scan that is a link is read; the link and what it leads to stay as they are."""
    from tests.recipes.scans import write_scans

    write_scans(tmp_path / "real", {"a": np.eye(4)})
    (tmp_path / "source").symlink_to(tmp_path / "real")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "real").rglob("*")}
    (case,) = sources.find(tmp_path / "source", None, SourceOptions())
    case.read()
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "real").rglob("*")} == before
