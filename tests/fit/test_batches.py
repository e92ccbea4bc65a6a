import pytest
import torch

from scanprior.contracts import InputError
from scanprior.fit.batches import MicroBatches, load
from scanprior.fit.schedule import Training
from tests.fit.small import Images


@pytest.mark.parametrize(("world", "accumulation"), [(1, 1), (2, 1), (1, 4), (2, 2)])
def test_however_shared_every_step_takes_the_same_samples_once(world: int, accumulation: int):
    training = Training(steps=5, batch_size=8, accumulation=accumulation)
    taken = [[] for _ in range(5)]
    for rank in range(world):
        share = MicroBatches(training, first_step=2, rank=rank, world=world)
        lists = list(share)
        assert len(lists) == len(share) == 3 * accumulation
        for number, indices in enumerate(lists):
            step, micro = 2 + number // accumulation, number % accumulation
            assert indices[0] == step * 8 + share.firsts[micro]
            taken[step] += indices
    assert [sorted(t) for t in taken[2:]] == [list(range(s * 8, s * 8 + 8)) for s in (2, 3, 4)]


def test_a_batch_the_processes_cannot_share_is_refused():
    with pytest.raises(InputError, match="multiple of 3"):
        MicroBatches(Training(batch_size=4), first_step=0, rank=0, world=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_generator_alone_and_does_not_depend_on_workers(workers: int):
    share = MicroBatches(Training(steps=3, batch_size=2), first_step=1, rank=0, world=1)
    before = torch.get_rng_state()
    with load(Images(), share, workers=workers, device=torch.device("cpu")) as loader:
        found = list(loader)
    assert torch.equal(torch.get_rng_state(), before)
    images = Images()
    for batch, (a, b) in zip(found, [(2, 3), (4, 5)], strict=True):
        assert torch.equal(batch, torch.stack([images[a], images[b]]))


class Broken(Images):
    def __getitem__(self, i: int) -> torch.Tensor:
        raise InputError("crop 3 is broken; restore it.")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_reader_says_is_its_one_sentence(workers: int):
    share = MicroBatches(Training(steps=3, batch_size=2), first_step=0, rank=0, world=1)
    with (
        pytest.raises(InputError) as said,
        load(Broken(), share, workers=workers, device=torch.device("cpu")) as loader,
    ):
        next(loader)
    assert str(said.value) == "crop 3 is broken; restore it."
