"""A disk that is full or may not be written: one sentence, an exit code, and nothing lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scanprior.fit import newest
from tests.faults.balls import content, told, words

pytestmark = pytest.mark.slow
VERBS = ["prepare", "pretrain", "finetune", "study"]


def whole(verb: str, work: Path, disk: Callable[..., Path], capsys) -> tuple[dict[str, bytes], int]:
    """What an undisturbed run leaves, at the very same place, and how many bytes."""
    out = disk("64m") / "out"
    assert told(words(verb, work, out), capsys)[0] == 0
    left = content(out)
    size = sum(path.stat().st_blocks * 512 for path in out.rglob("*"))
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    out.rmdir()
    return left, size


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_said_and_the_same_command_continues(
    verb: str, share: float, work: Path, disk: Callable[..., Path], capsys
) -> None:
    expected, size = whole(verb, work, disk, capsys)
    out = disk(f"{max(40, int(size * share / 1024))}k") / "out"
    code, sentence = told(words(verb, work, out), capsys)
    assert code in (1, 2)
    assert "No space left on device" in sentence
    held = newest(out)
    disk("64m")
    assert told(words(verb, work, out), capsys)[0] == 0
    assert content(out) == expected
    if held is not None:
        later = newest(out)
        assert later is not None
        assert later["step"] >= held["step"]


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_is_read_only_is_said(
    verb: str, work: Path, disk: Callable[..., Path], capsys
) -> None:
    out = disk("1m", "ro") / "out"
    code, sentence = told(words(verb, work, out), capsys)
    assert code == 2
    assert str(out) in sentence
    assert "Read-only file system" in sentence


@pytest.mark.parametrize("verb", [*VERBS, "predict"])
def test_an_output_below_a_file_is_said(verb: str, work: Path, capsys) -> None:
    if verb == "predict":
        assert told(words("finetune", work, work / "run"), capsys)[0] == 0
    (work / "file").write_text("no folder")
    code, sentence = told(words(verb, work, work / "file" / "out"), capsys)
    assert code == 2
    assert str(work / "file") in sentence
    assert "Not a directory" in sentence or "File exists" in sentence


def test_predict_on_a_full_disk_continues(work: Path, disk: Callable[..., Path], capsys) -> None:
    assert told(words("finetune", work, work / "run"), capsys)[0] == 0
    out = disk("8k") / "out"
    code, sentence = told(words("predict", work, out), capsys)
    assert code == 2
    assert "No space left on device" in sentence
    disk("1m")
    assert told(words("predict", work, out), capsys)[0] == 0
    assert len(list(out.glob("*.nii.gz"))) == 8
    assert not list(out.glob(".tmp.*"))
