import pytest

from scanprior.console import say
from scanprior.fit import progress
from scanprior.fit.progress import Bar


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)


def show(*, visible: bool) -> None:
    with Bar(first_step=3, steps=5, visible=visible) as bar:
        for done in (4, 5):
            bar.show(done, {"loss": 1.25, "accuracy": 0.5})
            bar.advance(done)
        bar.warn("careful [red]now[/]")


@pytest.mark.usefixtures("quick")
def test_on_a_terminal_a_bar_with_loss_metric_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    show(visible=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("continues after step 3 of 5\n")
    assert "5/5" in captured.err
    assert "loss 1.25  accuracy 0.5" in captured.err
    assert "0:00:00" in captured.err


@pytest.mark.usefixtures("quick")
def test_without_a_terminal_lines(capsys: pytest.CaptureFixture[str]):
    show(visible=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "continues after step 3 of 5",
        "step 4 of 5  loss 1.25  accuracy 0.5",
        "step 5 of 5  loss 1.25  accuracy 0.5",
        "careful [red]now[/]",
    ]


def test_lines_come_only_now_and_then_but_the_last_always(capsys: pytest.CaptureFixture[str]):
    show(visible=True)
    assert capsys.readouterr().err.splitlines()[1] == "step 5 of 5  loss 1.25  accuracy 0.5"


@pytest.mark.usefixtures("quick")
def test_other_processes_are_silent(capsys: pytest.CaptureFixture[str]):
    show(visible=False)
    assert capsys.readouterr().err == ""


def test_a_sentence_is_one_line_however_long(capsys: pytest.CaptureFixture[str]):
    say("word " * 100)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_from_the_beginning_continues_nothing(capsys: pytest.CaptureFixture[str]):
    with Bar(first_step=0, steps=5, visible=True):
        pass
    assert capsys.readouterr().err == ""
