"""A scan that no batch could hold beside the others is told by name."""

import pytest

from scanprior.data.checks.kinds import channels
from scanprior.data.checks.seen import Seen


def one(i: int, shape: tuple[int, ...] | None = (1, 30, 40, 50)) -> Seen:
    name = f"c{i:02}"
    return Seen(id=name, file=f"{name}.nii", patient=name, part="train", shape=shape)


@pytest.mark.parametrize("shape", [(3, 30, 40, 50), (1, 40, 50)])
def test_channels(shape):
    (finding,) = channels([*(one(i) for i in range(5)), one(9, shape)])
    assert (finding.check, finding.severity, finding.cases) == ("channels", "error", ("c09",))


def test_without_a_majority_all_are_told_in_one_sentence():
    seen = [one(0), one(1, (2, 30, 40, 50)), one(2, None), one(3)]
    (finding,) = channels([*seen, one(4, (3, 40, 50))])
    assert (finding.check, finding.severity) == ("channels", "error")
    assert finding.cases == ("c00", "c03", "c01", "c04")
    assert finding.sentence == (
        "c00.nii and 1 more have 1 channel on 3 axes, c01.nii has 2 channels on 3 axes, c04.nii "
        "has 3 channels on 2 axes: none is the kind of most; prepare each on its own."
    )


def test_sizes_may_differ_and_what_was_not_read_has_none():
    assert channels([one(0), one(1, (1, 3, 4, 5)), one(2, None)]) == []
