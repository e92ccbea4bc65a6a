"""Work in several processes, and what is said where one of them ends too early."""

import sys
from multiprocessing import forkserver
from types import ModuleType

import pytest

from scanprior.contracts import InputError
from scanprior.data.parallel import each


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_with_their_items(workers: int) -> None:
    items = range(-9, 1)  # more than are under way at once
    assert dict(each(abs, items, workers)) == {item: -item for item in items}


@pytest.mark.slow
def test_a_worker_that_cannot_import_its_work_is_not_laid_to_memory_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    here_only = ModuleType("here_only")
    monkeypatch.setitem(sys.modules, "here_only", here_only)

    def work(item: int) -> int:
        return item

    work.__module__, work.__qualname__ = "here_only", "work"
    monkeypatch.setattr(here_only, "work", work, raising=False)
    forkserver._forkserver._stop()  # one that is running prints to where it was begun
    with pytest.raises(InputError, match=r"printed an error above, mend that, else .* memory"):
        list(each(work, [1, 2, 3], 2))
    assert "No module named 'here_only'" in capfd.readouterr().err
