"""The whole walk: what it returns, writes and exits with; and what is known of the real data."""

import json
import resource
import shutil

import numpy as np
import pytest

from scanprior import cli
from scanprior.contracts import InputError
from scanprior.doctor import Doctor, run_doctor
from tests.data.dicom_files import SECRETS, write_series
from tests.data.test_dicom import enhanced, rewrite
from tests.doctor.scans import AFFINE, SHAPE, label, save, scan, sound
from tests.doctor.test_fix import NOISY, hashes


@pytest.fixture
def source(tmp_path):
    return sound(tmp_path / "scans")


def line(source, *more):
    out = source.parent / "out"
    return ["doctor", str(source), "--out", str(out), "--workers", "1", "--json", *more]


def run(capsys, *words):
    """The exit code and the JSON of the last line."""
    try:
        cli.main(list(words))
        code = 0
    except SystemExit as ended:
        code = ended.code
    printed = capsys.readouterr()
    return code, json.loads(printed.out.splitlines()[-1]) if printed.out else {}, printed.err


def test_clean(source, capsys):
    before = hashes(source)
    code, result, _ = run(capsys, *line(source))
    assert code == 0
    assert (result["cases"], result["errors"], result["warnings"]) == (3, 0, 0)
    assert result["findings"] == []
    assert hashes(source) == before
    written = json.loads((source.parent / "out/doctor.json").read_text())
    assert written["findings"] == []
    assert (written["source"], written["report"]) == (f"../{source.name}", "doctor.html")
    assert str(source.parent) not in json.dumps(written)  # the machine is nobody's business


def test_warnings(source, capsys):
    save(source / "labelsTr/c01.nii.gz", label(1).astype(np.float32))
    code, result, screen = run(capsys, *line(source))
    assert code == 1
    assert result["checks"] == {"float label": 1}
    assert "float label" in screen
    page = (source.parent / "out/doctor.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "labelsTr/c01.nii.gz stores its labels as fractions" in page


def test_errors(source, capsys):
    save(source / "labelsTr/c01.nii.gz", label(1).astype(np.float32))
    (source / "imagesTr/c00.nii.gz").write_bytes(b"")
    code, result, _ = run(capsys, *line(source))
    assert code == 2
    assert (result["errors"], result["warnings"]) == (1, 1)
    assert [found["check"] for found in result["findings"]] == ["empty", "float label"]
    assert "c00: nothing to show" in (source.parent / "out/doctor.html").read_text()


def test_without_json_the_findings_are_a_table(source, capsys):
    save(source / "labelsTr/c01.nii.gz", label(1).astype(np.float32))
    with pytest.raises(SystemExit):
        cli.main([word for word in line(source) if word != "--json"])
    printed = capsys.readouterr()
    assert "warnings: 1" in printed.out
    assert "findings:" not in printed.out


def test_no_such_source(tmp_path, capsys):
    code, _, screen = run(capsys, *line(tmp_path / "nothing"))
    assert code == 2
    assert "does not exist" in screen


def test_fix(source, capsys):
    save(source / "labelsTr/c01.nii.gz", label(1), NOISY)
    save(source / "labelsTr/c02.nii.gz", label(2).astype(np.float32))
    folder = source.parent / "fixed"
    code, result, _ = run(capsys, *line(source, "--fix", str(folder)))
    assert code == 1
    assert result["fixed"] == 2
    shutil.copytree(folder, source, dirs_exist_ok=True)
    assert run(capsys, *line(source))[0] == 0


def test_a_case_with_an_error_of_its_own_is_not_corrected(source, capsys):
    """It cannot be used, whatever rounding there is; what is wrong with it is said once."""
    turn = AFFINE.copy()
    turn[0, 1] = 0.3
    save(source / "imagesTr/c01.nii.gz", scan(1), turn)
    save(source / "labelsTr/c01.nii.gz", label(1), turn + NOISY - AFFINE)
    save(source / "labelsTr/c02.nii.gz", label(2).astype(np.float32))
    code, result, _ = run(capsys, *line(source, "--fix", str(source.parent / "fixed")))
    assert code == 2
    assert result["checks"] == {"refused": 1, "float label": 1, "grid noise": 1}
    assert result["fixed"] == 1


def test_a_copy_that_cannot_be_written_costs_nothing_else(source, capsys):
    save(source / "labelsTr/c01.nii.gz", label(1), NOISY)
    folder = source.parent / "fixed"
    folder.write_text("a file")
    code, result, _ = run(capsys, *line(source, "--fix", str(folder)))
    assert code == 2
    assert result["fixed"] == 0
    assert result["checks"] == {"not corrected": 1, "grid noise": 1}
    assert (source.parent / "out/doctor.html").is_file()


@pytest.mark.slow
def test_several_workers_say_the_same(source, capsys):
    for i in range(3, 9):
        save(source / f"imagesTr/c{i:02}.nii.gz", scan(i % 5))
    (source / "imagesTr/c00.nii.gz").write_bytes(b"")
    shutil.move(source / "dataset.json", source.parent / "dataset.json")
    one = run_doctor(Doctor(source=source / "imagesTr", out=source.parent / "a", workers=1))
    two = run_doctor(Doctor(source=source / "imagesTr", out=source.parent / "b", workers=2))
    assert one["findings"] == two["findings"]
    assert {"empty", "duplicates"} <= set(one["checks"])


def test_pictures_are_limited(source, capsys):
    for i in range(3):
        save(source / f"labelsTr/c{i:02}.nii.gz", label(i).astype(np.float32))
    run(capsys, *line(source, "--pictures", "1"))
    page = (source.parent / "out/doctor.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "1 of 3 cases are pictured" in page


def test_broken_scans_are_pictured_where_something_shows(source, capsys):
    array = scan(1)
    array[:, :6] = np.nan
    save(source / "imagesTr/c01.nii.gz", array)
    save(source / "labelsTr/c02.nii.gz", label(2, (12, 13, 20)), AFFINE)
    assert run(capsys, *line(source))[0] == 2
    assert (source.parent / "out/doctor.html").read_text().count("data:image/png;base64,") == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers"),
        ({"pictures": -1}, "pictures"),
    ],
)
def test_impossible_settings(source, options, words):
    with pytest.raises(InputError, match=words):
        run_doctor(Doctor(source=source, out=source.parent / "out", **options))


def test_what_prepare_refuses_as_too_large_is_an_error(source, capsys, monkeypatch):
    """One limit for both, whichever way it is set."""
    voxels = int(np.prod(SHAPE))
    for allowed, code in ((voxels, 0), (voxels - 1, 2)):
        monkeypatch.setenv("SCANPRIOR_MAX_VOXELS", str(allowed))
        assert run(capsys, *line(source))[0] == code
        prepare = ["prepare", str(source), str(source.parent / f"store{code}")]
        assert run(capsys, *prepare, "--workers", "1", "--json")[0] == code
    _, result, _ = run(capsys, *line(source))
    assert result["checks"] == {"huge": 6}
    assert "SCANPRIOR_MAX_VOXELS" in result["findings"][0]["sentence"]


def test_no_patient_reaches_a_report(tmp_path, capsys):
    """Series of every kind of fault below folders that say who was scanned, and when."""
    draw = np.random.default_rng(0).integers(0, 900, (9, 12, 14), dtype=np.int16)
    turned = np.diag([1.0, 1.0, 2.0, 1.0])
    tree = tmp_path / "ARCHIVE OF MILLER^Zacharias 1948-12-24"
    folder = tree / "MILLER^Zacharias PID-0815" / "2024-01-17"
    write_series(folder / "copy", draw, turned, "sound")
    write_series(folder / "again", draw, turned, "copy", PatientID="ACC4711")
    write_series(folder / "gap", draw, turned, "gap")[3].unlink()
    write_series(folder / "flat", draw * 0, turned, "flat")
    cut = write_series(folder / "cut", draw + 1, turned, "cut")[2]
    cut.write_bytes(cut.read_bytes()[:-100])
    write_series(folder / "large", draw + 2, np.diag([900.0, 900.0, 900.0, 1.0]), "large")
    for path in write_series(folder / "parted", draw + 3, turned, "parted")[:4]:
        rewrite(path, "PixelSpacing", [2, 2])
    (folder / "PID0815.dcm").write_bytes(b"broken")
    (folder / "copy/Miller.nii.gz").write_bytes(b"another's")
    (tree / "dataset.json").write_text(json.dumps({"labels": {"0": "background"}}))
    code, result, screen = run(capsys, *line(tree, "--format", "dicom"))
    assert code == 2
    found = {"constant", "duplicates", "refused", "series", "spacing", "unreadable"}
    assert set(result["checks"]) == found
    assert (result["checks"]["refused"], result["cases"]) == (2, 9)
    (parted,) = (one for one in result["findings"] if one["check"] == "series")
    assert "9 slices became 2 images, for they differ in pixel size" in parted["sentence"]
    told = screen + json.dumps(result)
    told += "".join(
        (tmp_path / "out" / name).read_text() for name in ("doctor.json", "doctor.html")
    )
    for secret in (*SECRETS, "2024-01-17", "PID-0815"):
        assert secret.casefold() not in told.casefold()
    assert tree.name not in told
    assert "/gap/" in told  # what says nothing of the patient is kept


def test_a_file_may_be_called_by_a_digit(tmp_path, capsys, monkeypatch):
    tree = tmp_path / "series"
    draw = np.random.default_rng(0).integers(0, 900, (9, 12, 14), dtype=np.int16)
    for k, path in enumerate(write_series(tree, draw, np.eye(4))):
        if k == 3:
            path.unlink()  # a gap
        else:
            path.rename(tree / str(k))
    monkeypatch.chdir(tree)
    _, from_here, _ = run(capsys, "doctor", ".", "--out", "../out", "--json")
    _, from_afar, _ = run(capsys, "doctor", str(tree), "--out", "../out", "--json")
    ((here,), (afar,)) = (found["findings"] for found in (from_here, from_afar))
    assert here["sentence"] == afar["sentence"]
    assert len(here["sentence"]) < 300


def test_what_a_source_leaves_out_is_written(tmp_path, capsys):
    draw = np.random.default_rng(0).integers(0, 900, (9, 12, 14), dtype=np.int16)
    tree = tmp_path / "archive"
    path = write_series(tree / "a", draw, np.eye(4))[2]
    shutil.copy(path, tree / "copy")
    write_series(tree / "b", draw[:2], np.eye(4), "l", ImageType=["ORIGINAL", "LOCALIZER"])
    code, result, screen = run(capsys, *line(tree))
    assert code == 0
    left_out = ["2 x localiser", "1 x second copy of an image"]
    assert result["left_out"] == left_out
    assert json.loads((tmp_path / "out/doctor.json").read_text())["left_out"] == left_out
    for told in (screen, (tmp_path / "out/doctor.html").read_text()):
        assert "eft out" in told
        assert "2 x localiser, 1 x second copy of an image." in told


def test_time_points_of_one_file_are_copies_only_where_their_voxels_are(tmp_path, capsys):
    source = tmp_path / "scans"
    source.mkdir()
    draw = np.random.default_rng(0).integers(10, 900, (3, 9, 12, 14), dtype=np.uint16)
    draw[2] = draw[0] - 9  # the builder adds a frame's number to twice its pixels
    enhanced(source / "one", draw.reshape(27, 12, 14), np.eye(4), times=3)
    code, result, _ = run(capsys, *line(source))
    assert code == 1
    (finding,) = result["findings"]
    assert [name[-5:] for name in finding["cases"]] == ["_t000", "_t002"]
    assert "voxel for voxel" in finding["sentence"]


@pytest.mark.parametrize("name", ["out", "fix"])
def test_nothing_is_written_into_the_source(source, name):
    folders = {"out": source.parent / "out"} | {name: source / "x"}
    with pytest.raises(InputError, match=f"--{name}"):
        run_doctor(Doctor(source=source, **folders))


def test_shapes_are_what_the_builder_says(source):
    assert scan(0).shape == SHAPE


def named(result, check):
    return [found for found in result["findings"] if found["check"] == check]


@pytest.mark.slow
def test_hippocampus(data, tmp_path):
    result = run_doctor(
        Doctor(source=data / "Task04_Hippocampus", out=tmp_path / "out", fix=tmp_path / "fix")
    )
    assert result["cases"] == 330
    assert result["errors"] == 0
    floats = [f"labelsTr/hippocampus_{i}.nii.gz" for i in ("003", "243")]
    assert [found["file"] for found in named(result, "float label")] == floats
    assert result["checks"] == {"float label": 2, "several scales": 1}
    assert sorted(p.name for p in (tmp_path / "fix/labelsTr").iterdir()) == [
        path.removeprefix("labelsTr/") for path in floats
    ]
    assert result["seconds"] < 60


@pytest.mark.slow
def test_idrid(data, tmp_path):
    result = run_doctor(Doctor(source=data / "IDRiD", out=tmp_path / "out"))
    assert result["cases"] == 413

    def pairs(check):
        return [tuple(i[-3:] for i in found["cases"]) for found in named(result, check)]

    assert sorted(pairs("duplicates that disagree")) == [("021", "391"), ("327", "028")[::-1]]
    assert sorted(pairs("duplicates")) == [("045", "333"), ("073", "375"), ("079", "279")]
    assert result["checks"] == {"duplicates that disagree": 2, "duplicates": 3}
    assert result["seconds"] < 60


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_scans(tmp_path):
    """100 scans of 2 MB in one process: not a quarter of them may be held at once."""
    save(tmp_path / "in/images/a000.nii", scan(0, (80, 80, 80)))
    first = (tmp_path / "in/images/a000.nii").read_bytes()
    for i in range(1, 100):
        changed = first[:-4] + np.float32(i).tobytes()
        (tmp_path / f"in/images/a{i:03}.nii").write_bytes(changed)
    run_doctor(Doctor(source=tmp_path / "in/images/a000.nii", out=tmp_path / "out", workers=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run_doctor(Doctor(source=tmp_path / "in", out=tmp_path / "out", workers=1))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert result["cases"] == 100
    assert grown < 50


@pytest.mark.parametrize("name", ["out", "fix"])
def test_a_folder_with_a_link_is_not_written(tmp_path, name):
    sound(tmp_path / "scans")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).mkdir()
    (tmp_path / name / "labelsTr").symlink_to(tmp_path / "elsewhere")
    folders = {"out": tmp_path / "out", "fix": tmp_path / "fix"}
    with pytest.raises(InputError, match="leads out of"):
        run_doctor(Doctor(source=tmp_path / "scans", workers=1, **folders))
    assert not list((tmp_path / "elsewhere").iterdir())
