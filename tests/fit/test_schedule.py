from itertools import pairwise

import pytest

from scanprior.contracts import InputError
from scanprior.fit import Training, learning_rate


def test_the_rate_rises_to_its_highest_then_follows_half_a_cosine():
    training = Training(steps=100, warmup=10, lr=2.0)
    rates = [learning_rate(training, step) for step in range(100)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert rates[9] == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert all(a > b > 0 for a, b in pairwise(rates[10:]))


def test_a_constant_schedule_stays_after_the_warm_up():
    training = Training(steps=100, warmup=10, lr=2.0, schedule="constant")
    assert {learning_rate(training, step) for step in range(10, 100)} == {2.0}


@pytest.mark.parametrize("warmup", [0, 5, 50])
def test_every_rate_is_above_zero_even_where_the_warm_up_is_the_whole_run(warmup: int):
    training = Training(steps=5, warmup=warmup)
    assert all(0 < learning_rate(training, step) <= training.lr for step in range(5))


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"warmup": -1}, {"clip": -1.0},
     {"save_every": 0}, {"devices": 0}, {"weight_decay": float("inf")}],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(wrong: dict[str, float]):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Training(**wrong)  # type: ignore[arg-type]


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can():
    with pytest.raises(InputError, match="use 8"):
        Training(batch_size=6, devices=2, accumulation=2)
