"""What is particular to each task, and the first implementation's mistakes."""

import itertools
import time

import pytest
import torch

from scanprior.contracts import InputError, Learner
from scanprior.nn.transforms import transform
from scanprior.pretext.cpc import CPC, InvertedPyramid
from scanprior.pretext.exemplar import Exemplar
from scanprior.pretext.jigsaw import Jigsaw, distant_permutations, hamming_distances
from scanprior.testing import smooth_images
from tests.conftest import TinyEncoder, rng


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["triplet", "contrastive"])
@pytest.mark.parametrize("negatives", ["batch", "dataset"])
def test_exemplar_variants_learn(objective, negatives):
    torch.manual_seed(0)
    task = Exemplar(objective=objective, negatives=negatives, bank=16)
    learner = Learner(task, TinyEncoder(2))
    images = smooth_images(200, 1, (24, 24))
    optimizer = torch.optim.Adam(learner.parameters(), 2e-3)

    def without_bank() -> float:
        if learner.head.memory:
            learner.head.memory.filled.zero_()
        learner.eval()
        losses = [learner(images[k : k + 20], rng(k)).loss.item() for k in range(0, 200, 20)]
        learner.train()
        return sum(losses)

    before = without_bank()
    for step in range(200):
        loss = learner(images[torch.randperm(200)[:6]], rng(step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if negatives == "dataset":
        assert int(learner.head.memory.filled) == 16
    assert without_bank() < 0.9 * before


def test_exemplar_stays_at_the_margin_on_identical_inputs():
    torch.manual_seed(0)
    task = Exemplar()
    learner = Learner(task, TinyEncoder(3))
    views = task.views(torch.ones(4, 1, 12, 12, 12), rng())
    views = views._replace(inputs=torch.ones_like(views.inputs))
    optimizer = torch.optim.Adam(learner.parameters(), 2e-3)
    for _ in range(30):
        loss = task.loss(learner.encoder, learner.head, views).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(task.margin, abs=1e-3)


def test_transforms_keep_their_probabilities():
    x = torch.randn(400, 1, 12, 12, generator=rng())
    p = {"flip": 0.0, "rotate": 0.0, "intensity": 0.0, "zoom": 0.0}
    for name, probability in itertools.product(p, (0.2, 1.0)):
        y = transform(x, rng(1), **(p | {name: probability}), max_angle=45.0)
        changed = (y != x).flatten(1).any(1).float().mean().item()
        assert changed == pytest.approx(probability, abs=0.07), name
    assert torch.equal(transform(x, rng(1), **p, max_angle=45.0), x)


@pytest.mark.parametrize("sides", [(8, 12), (8, 10, 12)])
def test_flips_are_exact_mirror_images(sides):
    x = torch.randn(12, 1, *sides, generator=rng())
    y = transform(x, rng(1), flip=1.0, rotate=0.0, intensity=0.0, zoom=0.0, max_angle=0.0)
    for before, after in zip(x, y, strict=True):
        mirrored = [before.flip(1 + axis) for axis in range(len(sides))]
        assert any(torch.allclose(after, m, atol=1e-4) for m in mirrored)


def test_rotation_turns_anisotropic_crops_without_shear():
    x = torch.zeros(8, 1, 33, 65)
    x[:, :, 16, 24:41] = 1  # a bar 17 voxels long, in the middle
    y = transform(x, rng(3), flip=0.0, rotate=1.0, intensity=0.0, zoom=0.0, max_angle=45.0)
    for bar in y[:, 0]:
        at = (bar > 0.4).nonzero().float()
        assert torch.pdist(at).max().item() == pytest.approx(16, abs=2)


@pytest.mark.parametrize(("pieces", "count"), [(27, 1000), (9, 1000), (8, 100), (4, 24)])
def test_permutations_are_far_apart_and_quick(pieces, count):
    began = time.perf_counter()
    found = distant_permutations.__wrapped__(pieces, count)
    assert time.perf_counter() - began < 5
    assert torch.equal(found, distant_permutations(pieces, count))
    assert len(found.unique(dim=0)) == count
    assert (found.sort(1).values == torch.arange(pieces)).all()
    chance = torch.stack([torch.randperm(pieces, generator=rng(i)) for i in range(count)])
    ours = hamming_distances(found)
    assert Jigsaw(permutations=100).facts(3)["distance_minimum"] >= 20  # of 27
    pairs = [(a != b).sum().item() for a, b in itertools.combinations(found[:30], 2)]
    assert ours.minimum <= min(pairs)
    if count < 24 or pieces > 4:
        assert ours.minimum > hamming_distances(chance).minimum
    assert ours.mean > 0.6 * pieces


def test_more_permutations_than_there_are_is_refused():
    with pytest.raises(InputError, match="only 24 orders, not 25"):
        distant_permutations(4, 25)


def test_cpc_context_is_the_inverted_pyramid():
    """A context changes with the patches of its pyramid, and with no other."""
    torch.manual_seed(0)
    head = InvertedPyramid(inside=3, code=4, context=5, ahead=1)
    z = torch.randn(1, 4, 4, 7)  # rows, code, one lateral axis
    before = head(z)
    apex = (2, 3)
    for row, column in itertools.product(range(4), range(7)):
        changed = z.clone()
        changed[0, row, :, column] += 1
        differs = not torch.allclose(
            head(changed)[0, apex[0], :, apex[1]], before[0, apex[0], :, apex[1]]
        )
        inside = row <= apex[0] and abs(column - apex[1]) <= apex[0] - row
        assert differs == inside, (row, column)


def test_cpc_window_at_the_edge_averages_only_what_exists():
    head = InvertedPyramid(inside=3, code=4, context=5, ahead=1)
    same = torch.ones(1, 3, 4, 5, 5)
    context = head(same)
    assert torch.allclose(context[..., :1, :1].expand_as(context), context, atol=1e-6)


def test_cpc_encodes_each_patch_once():
    seen = []

    class Counting(TinyEncoder):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    Learner(CPC(), Counting(2))(torch.randn(2, 1, 48, 48), rng())
    assert seen == [2 * 25]
