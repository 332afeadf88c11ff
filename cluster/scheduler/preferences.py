"""Spread preferences: tasks divided evenly over the values of labels, level by level.

The nodes form a tree, one level for each preference.  A task goes down the branch that has the
fewest tasks of its service, at every level, and is ranked among the nodes of the leaf it comes
to.  A branch where nothing fits any more leaves its share to the others.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

from cluster.model.constraint import attribute
from cluster.model.ids import NodeId, ServiceId
from cluster.scheduler.node_load import Demand, NodeLoad
from cluster.scheduler.ranking import Accepts, Failures, Ranking


class Branches:
    """The nodes by the value of one label; a node without the label is in the branch ''."""

    def __init__(
        self,
        demand: Demand,
        loads: Iterable[NodeLoad],
        failures: Failures,
        homes: frozenset[NodeId],
        spread_over: Sequence[str],
    ) -> None:
        """Divide `loads` by the first of the labels in `spread_over`, and so on below."""
        by_value: defaultdict[str, list[NodeLoad]] = defaultdict(list)
        for load in loads:
            by_value[attribute(load.node, spread_over[0])].append(load)
        self._children: dict[str, Branches | Ranking] = {}
        self._heap: list[tuple[int, str]] = []
        for value, inside in by_value.items():
            below = spread_over[1:]
            self._children[value] = (
                Branches(demand, inside, failures, homes, below)
                if below
                else Ranking(demand.service_id, inside, failures, homes)
            )
            self._heap.append((_tasks_of(demand.service_id, inside), value))
        heapq.heapify(self._heap)

    @property
    def is_exhausted(self) -> bool:
        """Whether no node is left that might take a task."""
        return not self._heap

    def pick(self, accepts: Accepts) -> NodeLoad | None:
        """Choose a node in the branch with the fewest tasks that has one."""
        refused = []
        chosen: NodeLoad | None = None
        while self._heap:
            tasks, value = self._heap[0]
            child = self._children[value]
            chosen = child.pick(accepts)
            if chosen is not None:
                heapq.heapreplace(self._heap, (tasks + 1, value))
                break
            entry = heapq.heappop(self._heap)
            if not child.is_exhausted:
                refused.append(entry)
        for entry in refused:
            heapq.heappush(self._heap, entry)
        return chosen


def choice_among(
    demand: Demand, loads: Sequence[NodeLoad], failures: Failures, homes: frozenset[NodeId]
) -> Branches | Ranking:
    """Return what picks a node for one task of a group after the other.

    Args:
        demand: the group's.
        loads: the nodes to choose from.
        failures: the nodes to avoid.
        homes: nodes that may accept one task of the group and refuse another.
    """
    if demand.spread_over:
        return Branches(demand, loads, failures, homes, demand.spread_over)
    return Ranking(demand.service_id, loads, failures, homes)


def _tasks_of(service_id: ServiceId, loads: Iterable[NodeLoad]) -> int:
    return sum(load.tasks_of_service.get(service_id, 0) for load in loads)
