"""A start is loaded, adapted or refused by name: never a silent start from scratch."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn

from scanprior import cli, transfer
from scanprior.contracts import InputError, Learner
from scanprior.downstream.segmentation import Segmentation
from scanprior.nn import encoders
from scanprior.recipes.transfer import Transfer, run_transfer
from scanprior.saved import save_weights
from scanprior.verbs import parse

WIDTHS = (4, 8)


def encoder(
    dims: int = 3,
    channels: int = 1,
    widths: tuple[int, ...] | None = WIDTHS,
    seed: int = 0,
    name: str = "small",
) -> Any:
    torch.manual_seed(seed)
    return encoders.build(name, dims, channels, widths)


def about(module: Any, name: str = "small", widths: Any = WIDTHS) -> dict[str, Any]:
    return {
        "encoder": name,
        "spatial_dims": module.spatial_dims,
        "in_channels": module.in_channels,
        "widths": widths,
    }


def written(folder: Path, module: Any, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_weights(folder / "encoder.safetensors", module, about(module, **more))
    return folder


def copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_the_file_of_a_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encoder\.safetensors does not exist; give the folder"):
        transfer.file_of(tmp_path)
    for name in ("last", "best", "encoder"):  # the later, the better
        path = tmp_path / f"{name}.safetensors"
        path.touch()
        assert transfer.file_of(tmp_path) == path
    assert transfer.file_of(tmp_path / "last.safetensors") == tmp_path / "last.safetensors"


def test_all_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, mine = encoder(), encoder(seed=1)
    first = next(iter(start.state_dict()))
    assert not torch.equal(start.state_dict()[first], mine.state_dict()[first])
    report = transfer.load_start(written(tmp_path, start), mine)
    assert report.coverage == 1
    assert {fate.outcome for fate in report.fates} == {"loaded"}
    assert [fate.name for fate in report.fates] == list(mine.state_dict())
    assert f"{len(report.fates)} tensors loaded, 0 adapted, 0 left out" in capsys.readouterr().err
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    "other", [encoder(dims=2), encoder(widths=(4, 6)), encoder(widths=(4, 8, 8))]
)
def test_what_does_not_fit_is_named(other: Any, tmp_path: Path) -> None:
    start = encoder()
    before, theirs = copied(other), start.state_dict()
    first = next(n for n in before if n not in theirs or theirs[n].shape != before[n].shape)
    with pytest.raises(InputError, match="does not fit") as caught:
        transfer.load_start(written(tmp_path, start), other)
    assert f"the first is {first} " in str(caught.value)
    assert "use --encoder small --widths 4 8 --spatial-dims 3." in str(caught.value)
    for name, tensor in other.state_dict().items():  # nothing was half loaded
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_coverage_counts_numbers_and_the_caller_may_ask_for_less(tmp_path: Path) -> None:
    deeper = encoder(widths=(4, 8, 8))
    run = written(tmp_path, encoder())
    stages = [sum(p.numel() for p in stage.parameters()) for stage in deeper.stages]
    before = copied(deeper)
    report = transfer.load_start(run, deeper, coverage=0.1)
    assert report.coverage == pytest.approx(sum(stages[:2]) / sum(stages))
    for name, tensor in deeper.state_dict().items():
        kept = torch.equal(tensor, before[name])
        assert kept == (name.startswith("stages.2.") or "norm" in name), name


def test_what_only_the_start_has_is_listed(tmp_path: Path) -> None:
    report = transfer.load_start(written(tmp_path, encoder(widths=(4, 8, 8))), encoder())
    assert report.coverage == 1
    left = [fate for fate in report.fates if fate.outcome == "left out"]
    assert left
    assert all(fate.name.startswith("stages.2.") and fate.shape is None for fate in left)


ARCHITECTURES = [
    ("small", 2, WIDTHS), ("small", 3, WIDTHS), ("residual", 3, WIDTHS), ("densenet121", 2, None),
    ("swin", 2, None),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dims", "widths"), ARCHITECTURES)
@pytest.mark.parametrize(("m", "n"), [(1, 3), (2, 6), (2, 3)])
@pytest.mark.parametrize("channels", ["repeat", "average"])
def test_equal_channels_give_the_same_answer(
    name: str,
    dims: Literal[2, 3],
    widths: Any,
    m: int,
    n: int,
    channels: Literal["repeat", "average"],
    tmp_path: Path,
) -> None:
    start, mine = (encoder(dims, k, widths, seed=k, name=name) for k in (m, n))
    run = written(tmp_path, start, name=name, widths=widths)
    report = transfer.load_start(run, mine, channels=channels)
    assert report.coverage == 1
    inputs = 2 if name == "residual" else 1  # a residual block reads its input twice
    assert [fate.outcome for fate in report.fates].count("adapted") == inputs
    image = torch.randn(1, 1, *(32,) * dims, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = start.eval()(image.expand(-1, m, *image.shape[2:]))
        ours = mine.eval()(image.expand(-1, n, *image.shape[2:]))
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3)


def test_input_weights_by_hand() -> None:
    weight = torch.tensor([[2.0, 6.0]])[..., None]  # (1 out, 2 in, 1)
    repeat = [transfer.adapted(weight, n, "repeat").flatten().tolist() for n in (1, 3, 4)]
    assert repeat == [[4.0], [1.0, 6.0, 1.0], [1.0, 3.0, 1.0, 3.0]]
    average = [transfer.adapted(weight, n, "average").flatten().tolist() for n in (1, 4)]
    assert average == [[8.0], [2.0, 2.0, 2.0, 2.0]]


def test_anew_keeps_the_new_input_layer(tmp_path: Path) -> None:
    mine = encoder(channels=4, seed=1)
    before = copied(mine)
    report = transfer.load_start(written(tmp_path, encoder()), mine, channels="anew", coverage=0.5)
    (left,) = [fate for fate in report.fates if fate.outcome == "left out"]
    assert left.name == "stages.0.conv1.conv.weight"
    assert (left.shape, left.found) == ((4, 4, 3, 3, 3), (4, 1, 3, 3, 3))
    torch.testing.assert_close(mine.state_dict()[left.name], before[left.name], rtol=0, atol=0)
    share = before[left.name].numel() / sum(p.numel() for p in mine.parameters())
    assert report.coverage == pytest.approx(1 - share)


def test_an_inner_layer_is_never_taken_for_an_input(tmp_path: Path) -> None:
    """4 channels and a width of 4 against 2 and 2: stage 1 has shapes as if it were the input."""
    run = written(tmp_path, encoder(channels=4, widths=(4, 8)), widths=(4, 8))
    report = transfer.compare(run, encoder(channels=2, widths=(2, 8)))
    assert "adapted" not in {fate.outcome for fate in report.fates}


def test_a_fine_tuning_run_gives_its_encoder(tmp_path: Path) -> None:
    learner = Learner(Segmentation(), encoder())
    save_weights(tmp_path / "last.safetensors", learner, about(learner.encoder))
    mine = encoder(seed=1)
    report = transfer.load_start(tmp_path, mine)
    assert report.start.name == "last.safetensors"
    assert report.coverage == 1
    assert all(fate.found == fate.shape for fate in report.fates)
    for name, tensor in learner.get_submodule("encoder").state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=0, atol=0)
    best = Learner(Segmentation(), encoder(channels=2))
    save_weights(tmp_path / "best.safetensors", best, about(best.encoder))
    assert transfer.about_start(tmp_path)["in_channels"] == 2  # the best before the last
    assert transfer.about_start(tmp_path / "last.safetensors")["in_channels"] == 1
    assert "best.safetensors" in str(transfer.load_start(tmp_path, encoder()))


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encoder\.safetensors does not exist"):
        transfer.load_start(tmp_path, encoder())
    save_weights(tmp_path / "encoder.safetensors", encoder(), {"encoder": "small"})
    with pytest.raises(InputError, match="does not say its encoder's in_channels"):
        transfer.about_start(tmp_path)


def test_an_encoder_that_there_is_not_is_told_with_its_file(tmp_path: Path) -> None:
    about = transfer.about_start(written(tmp_path, encoder()))
    save_weights(tmp_path / "encoder.safetensors", encoder(), about | {"encoder": "rmall"})
    with pytest.raises(InputError, match=r"encoder\.safetensors says that its encoder is 'rmall'"):
        transfer.about_start(tmp_path)


def test_the_description_builds_the_encoder(tmp_path: Path) -> None:
    built = transfer.build(transfer.about_start(written(tmp_path, encoder())))
    assert built.channels == WIDTHS
    assert built.spatial_dims == 3


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = written(tmp_path, encoder())
    said = run_transfer(Transfer(run=run, channels_to=4))
    assert (said["adapted"], said["left_out"], said["coverage"]) == (1, 0, 1.0)
    table = capsys.readouterr().err
    row = next(line for line in table.splitlines() if "stages.0.conv1.conv.weight" in line)
    assert row.split()[1:] == ["4x4x3x3x3", "4x1x3x3x3", "adapted"]
    assert all(name in table for name in encoder().state_dict())


def test_the_table_is_shown_before_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Transfer(run=written(tmp_path, encoder()), widths=(4, 6))
    with pytest.raises(InputError, match=r"% of its parameters could be loaded, 90 % are needed"):
        run_transfer(recipe)
    assert "left out" in capsys.readouterr().err
    with pytest.raises(InputError, match="coverage 2"):
        run_transfer(Transfer(run=recipe.run, coverage=2.0))
    for impossible in (2.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="is no share"):
            transfer.load_start(recipe.run, encoder(), coverage=impossible)
    with pytest.raises(InputError, match="in_channels"):
        run_transfer(Transfer(run=recipe.run, channels_to=0))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = written(tmp_path, encoder())
    words = ["transfer", str(run), "--channels-to", "4", "--channels", "average"]
    assert parse(words)[0] == Transfer(run=run, channels_to=4, channels="average")
    cli.main([*words, "--json"])
    assert '"adapted": 1' in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        cli.main(["transfer", str(run), "--widths", "4", "6"])
    assert ended.value.code == 2
    assert "does not fit this encoder" in capsys.readouterr().err
