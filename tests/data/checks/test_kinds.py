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


def test_sizes_may_differ_and_what_was_not_read_has_none():
    assert channels([one(0), one(1, (1, 3, 4, 5)), one(2, None)]) == []
