"""The loads of all nodes, added up anew only where something changed since the last pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Set
from typing import Any

from msgspec.structs import replace

from cluster.model.generic_resources import Stock
from cluster.model.ids import NodeId, ServiceId
from cluster.model.node import Node
from cluster.model.resources import GenericResource
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.scheduler.demand import Demand, Place, place_of
from cluster.scheduler.node_load import NodeLoad
from cluster.store.state import (
    PREPARED,
    ClusterState,
    carried_key,
    place_key,
    wanted_key,
)


class LoadMemory:
    """What nodes carry, by the tasks that were counted.

    A sum is kept with what it was made from, an immutable node and immutable sets of tasks, and
    is used while these are the very same.  So it is a shortcut, never another source: a new
    leader, who remembers nothing, comes to the same decisions.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._sums: dict[NodeId, tuple[Node, Any, Any, NodeLoad]] = {}

    def load_of(self, state: ClusterState, node: Node) -> NodeLoad:
        """Return what the node carries; to be copied before it is changed."""
        carried = state.tasks.members("load", carried_key(node.id))
        wanted = state.tasks.members("load", wanted_key(node.id))
        known = self._sums.get(node.id)
        if known and known[0] is node and known[1] is carried and known[2] is wanted:
            return known[3]
        load = NodeLoad(node)
        for task_id in carried or ():
            task = state.tasks.get(task_id)
            assert task is not None
            load.hold(task)
            if task.is_wanted:
                load.count(task.service_id)
        self._sums[node.id] = (node, carried, wanted, load)
        return load

    def forget_others(self, node_ids: Set[NodeId]) -> None:
        """Forget nodes that are none of these."""
        for node_id in self._sums.keys() - node_ids:
            del self._sums[node_id]


class Loads:
    """All nodes, and which unfinished tasks share a slot with a pending one."""

    def __init__(
        self, state: ClusterState, pending: Iterable[Task], memory: LoadMemory | None = None
    ) -> None:
        """Add up what every node carries; `pending` are the wanted tasks without a place."""
        memory = memory or LoadMemory()
        self._state = state
        self.nodes = {node.id: memory.load_of(state, node).copy() for node in state.nodes}
        memory.forget_others(self.nodes.keys())
        self._placed: defaultdict[ServiceId, set[NodeId]] = defaultdict(set)
        waiting = Counter(map(place_of, pending))
        self._contested = {place for place, number in waiting.items() if number > 1}
        self._placed_former: defaultdict[Place, list[Task]] = defaultdict(list)
        prepared = map(place_of, state.tasks.find("load", PREPARED))
        for place in {*waiting, *prepared}:
            for task in self._elders_in(place):
                load = self.nodes.get(task.node_id)
                if load is not None and task.is_wanted:
                    load.discount(task.service_id)

    def place(
        self, task: Task, load: NodeLoad, demand: Demand, allowed: Stock | None
    ) -> tuple[GenericResource, ...]:
        """Put a task on a node, and return the generic resources it gets.

        It does not count for ranking if another of its slot is about to replace it.

        Args:
            task: has no place yet.
            load: its node.
            demand: what it asks for.
            allowed: generic resources of tasks that it takes over from.
        """
        place = place_of(task)
        given = load.take(demand, place, allowed)
        if place in self._contested and task.desired_state is not TaskState.READY:
            placed = replace(task, node_id=load.id, assigned_generic_resources=given)
            self._placed_former[place].append(placed)
        else:
            load.count(task.service_id)
            self._placed[task.service_id].add(load.id)
        return given

    def former_tasks(self, task: Task) -> list[Task]:
        """Return the unfinished tasks that must end before `task` may run.

        There are none for a task that may run now: it does not wait for others of its slot.
        """
        if task.desired_state is not TaskState.READY:
            return []
        place = place_of(task)
        return [*self._elders_in(place), *self._placed_former.get(place, ())]

    def nodes_with(self, service_id: ServiceId) -> list[NodeLoad]:
        """Return the nodes that carry tasks of a service, in no certain order."""
        tasks = self._state.tasks_of_service(service_id)
        ids = {task.node_id for task in tasks if task.node_id}
        ids |= self._placed.get(service_id, set())
        found = (self.nodes.get(node_id) for node_id in ids)
        return [load for load in found if load and load.tasks_of_service.get(service_id)]

    def _elders_in(self, place: Place) -> list[Task]:
        """Return the tasks of a slot that are on their nodes and may run."""
        live = self._state.tasks.find("load", place_key(*place))
        return [task for task in live if task.desired_state is not TaskState.READY]
