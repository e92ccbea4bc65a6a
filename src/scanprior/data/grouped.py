"""What belongs together because it shares something, directly or through others."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Item = TypeVar("Item")


def grouped(items: Sequence[Item], keys: Callable[[Item], Iterable[Hashable]]) -> list[list[Item]]:
    """``items`` in groups: two that share a key are in one, and so are those that a third links.

    Groups come in the order of their first items, and so do the items of each. An item without
    keys is alone.
    """
    number: dict[Hashable, int] = {}
    at, key = [], []
    for i, item in enumerate(items):
        for one in keys(item):
            at.append(i)
            key.append(number.setdefault(one, len(number)))
    nodes = len(items) + len(number)  # items and keys are the two sides of one graph
    links = (np.array(at, int), len(items) + np.array(key, int))
    graph = coo_array((np.ones(len(at)), links), shape=(nodes, nodes))
    _, label = connected_components(graph, directed=False)
    groups: dict[int, list[Item]] = {}
    for i, item in enumerate(items):
        groups.setdefault(int(label[i]), []).append(item)
    return list(groups.values())
