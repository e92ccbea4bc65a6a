"""Groups against the definition: the closure of sharing a key."""

from hypothesis import given
from hypothesis import strategies as st

from scanprior.data.grouped import grouped


def test_nothing():
    assert grouped([], lambda item: item) == []
    assert grouped(["a", "b"], lambda item: ()) == [["a"], ["b"]]


def test_a_third_links_two():
    keys = {"a": (1, "x"), "b": (2,), "c": ("x", 3), "d": (3, 2), "e": (None,)}
    assert grouped(list(keys), keys.__getitem__) == [["a", "b", "c", "d"], ["e"]]


@given(st.lists(st.frozensets(st.integers(0, 12), max_size=3), max_size=12))
def test_as_defined(keys):
    found = grouped(range(len(keys)), keys.__getitem__)
    assert sorted(i for group in found for i in group) == list(range(len(keys)))
    assert all(group == sorted(group) for group in found)
    assert [group[0] for group in found] == sorted(group[0] for group in found)
    for group in found:
        reached = {group[0]}
        while more := {j for i in reached for j in range(len(keys)) if keys[i] & keys[j]} - reached:
            reached |= more
        assert reached == set(group)
