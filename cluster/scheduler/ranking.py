"""Which of the fitting nodes: the one where the next task of a service does the least harm.

In this order: fewest recent failures of the same service and spec version, once they are many;
fewest tasks of the service; fewest tasks at all; and then the lower node ID, so that equal states
always give equal decisions.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from cluster.model.ids import NodeId, ServiceId
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, Timestamp
from cluster.scheduler.node_load import NodeLoad
from cluster.store.state import ClusterState

FAILURE_MEMORY_NS = 5 * 60 * SECOND_NS
"""Failures of so long ago count no more."""

MANY_FAILURES = 3
"""From so many on a node is avoided; few, as history keeps only a handful of tasks a slot."""

Accepts = Callable[[NodeLoad], bool]
"""Whether one more task may run on a node."""

Failures = Mapping[NodeId, int]
"""Nodes with many recent failures, and how many."""


class EmptiestFirst:
    """Nodes with the fewest tasks first, kept over the groups of a pass.

    A lazy heap: an entry whose node has got tasks since is moved when it comes up, which is right
    as loads only grow during a pass.
    """

    def __init__(self, loads: Sequence[NodeLoad]) -> None:
        """Order `loads`."""
        self.loads = loads
        self._heap = [(load.tasks, load.id, load) for load in loads]
        heapq.heapify(self._heap)

    def pop(self) -> NodeLoad | None:
        """Take the emptiest node out, None if all are."""
        heap = self._heap
        while heap:
            tasks, _, load = heap[0]
            if load.tasks == tasks:
                heapq.heappop(heap)
                return load
            heapq.heapreplace(heap, (load.tasks, load.id, load))
        return None

    def put_back(self, loads: Iterable[NodeLoad]) -> None:
        """Return nodes that were taken out."""
        for load in loads:
            heapq.heappush(self._heap, (load.tasks, load.id, load))


class Choice:
    """Picks nodes for one group's tasks among some that are eligible, one after the other.

    Among nodes without a task of the service, which come first, the emptiest is right, and their
    order is shared by all groups: so a group with fewer tasks than nodes, the usual case, need
    not look at all nodes.  When no such node is left, the nodes are ranked for this service.
    """

    def __init__(
        self,
        service_id: ServiceId,
        order: EmptiestFirst,
        failures: Failures,
        homes: frozenset[NodeId],
    ) -> None:
        """Choose among the nodes of `order`; `close` when done.

        Args:
            service_id: the group's service.
            order: holds all the nodes; nobody else takes from it before `close`.
            failures: the nodes to avoid.
            homes: nodes that may accept one task of the group and refuse another.
        """
        self._service_id = service_id
        self._order = order
        self._failures = failures
        self._homes = homes
        self._aside: list[NodeLoad] = []
        self._ranking: Ranking | None = None
        if failures or homes:
            self._ranking = self._ranked()

    @property
    def is_exhausted(self) -> bool:
        """Whether no node is left that might take a task."""
        return self._ranking is not None and self._ranking.is_exhausted

    def pick(self, accepts: Accepts) -> NodeLoad | None:
        """Choose the best node that accepts; the caller counts the task there at once."""
        if self._ranking is None:
            while (load := self._order.pop()) is not None:
                self._aside.append(load)
                if not load.tasks_of_service.get(self._service_id) and accepts(load):
                    return load
            self._ranking = self._ranked()
        return self._ranking.pick(accepts)

    def close(self) -> None:
        """Let others choose."""
        self._order.put_back(self._aside)

    def _ranked(self) -> Ranking:
        return Ranking(self._service_id, self._order.loads, self._failures, self._homes)


class Ranking:
    """Nodes in the order in which they are to be given tasks of one service.

    Heap based: giving out n tasks over m nodes takes O(m + n log m).  A node that refuses a task
    will refuse all others, as loads only grow during a pass, and is dropped; the exception are
    `homes`, where some tasks of the group have an allowance that others do not have.
    """

    def __init__(
        self,
        service_id: ServiceId,
        loads: Iterable[NodeLoad],
        failures: Failures,
        homes: frozenset[NodeId],
    ) -> None:
        """Rank `loads` for the next tasks of a service."""
        self._homes = homes
        self._heap = [
            (
                failures.get(load.id, 0),
                load.tasks_of_service.get(service_id, 0),
                load.tasks,
                load.id,
                load,
            )
            for load in loads
        ]
        heapq.heapify(self._heap)

    @property
    def is_exhausted(self) -> bool:
        """Whether no node is left that might take a task."""
        return not self._heap

    def pick(self, accepts: Accepts) -> NodeLoad | None:
        """Choose the best node that accepts and rank it anew as one that has the task."""
        refused = []
        chosen: NodeLoad | None = None
        while self._heap:
            failures, of_service, tasks, node_id, load = self._heap[0]
            if accepts(load):
                heapq.heapreplace(self._heap, (failures, of_service + 1, tasks + 1, node_id, load))
                chosen = load
                break
            entry = heapq.heappop(self._heap)
            if node_id in self._homes:
                refused.append(entry)
        for entry in refused:
            heapq.heappush(self._heap, entry)
        return chosen


class FailureMemory:
    """Recent failures by service, spec version and node, counted once a pass."""

    def __init__(self, state: ClusterState, now: Timestamp) -> None:
        """Count the failures on record at `now`."""
        self._counts: defaultdict[tuple[ServiceId, int], Counter[NodeId]] = defaultdict(Counter)
        for name in (TaskState.FAILED.name, TaskState.REJECTED.name):
            for task in state.tasks.find("state", name):
                if task.node_id and now - task.status.timestamp < FAILURE_MEMORY_NS:
                    self._counts[task.service_id, task.spec_version][task.node_id] += 1

    def of(self, service_id: ServiceId, spec_version: int) -> Failures:
        """Return the nodes to avoid for a service's tasks."""
        counts = self._counts.get((service_id, spec_version))
        if not counts:
            return {}
        return {node_id: n for node_id, n in counts.items() if n >= MANY_FAILURES}
