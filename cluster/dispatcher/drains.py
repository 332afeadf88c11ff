"""Which tasks that are to end still get new connections, because a node does not know it yet.

A task leaves the balancers of all nodes before it is told to stop.  The nodes that reach it say
when their networks are as the state wants; once all have, its own node hears that it is drained.
Kept in memory only: a node waits no longer than a moment, so a new leader need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cluster.model.ids import NodeId, TaskId
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Change, Deleted
from cluster.store.state import ClusterState

HasApplied = Callable[[NodeId, int], bool]
"""Whether a node's networks are as the state of a revision wants; true if nobody hears of it."""


class _Drain(ObjectStruct, frozen=True, kw_only=True, gc=False):
    revision: int
    tasks: tuple[Task, ...]
    nodes: frozenset[NodeId]


class Drains:
    """The tasks that are being drained."""

    def __init__(self) -> None:
        """Begin with none."""
        self._drains: list[_Drain] = []
        self._known: set[TaskId] = set()

    def look_at(self, changes: Iterable[Change], state: ClusterState) -> None:
        """Take the tasks that began to end; `state` is the one after the changes."""
        began: dict[tuple[str, ...], list[Task]] = {}
        for change in changes:
            task = change.item
            if not isinstance(task, Task) or not task.networks:
                continue
            if isinstance(change, Deleted) or task.status.state.is_terminal:
                self._known.discard(task.id)
            elif _is_to_end(task) and task.id not in self._known:
                self._known.add(task.id)
                key = tuple(attachment.network_id for attachment in task.networks)
                began.setdefault(key, []).append(task)
        for networks, tasks in began.items():
            nodes = frozenset(_nodes_in(state, networks))
            drain = _Drain(revision=state.revision, tasks=tuple(tasks), nodes=nodes)
            self._drains.append(drain)

    def take_done(self, has_applied: HasApplied) -> list[Task]:
        """Return the tasks that no node opens a connection to any more; each is returned once."""
        done: list[Task] = []
        waiting = []
        for drain in self._drains:
            if all(has_applied(node_id, drain.revision) for node_id in drain.nodes):
                done.extend(drain.tasks)
            else:
                waiting.append(drain)
        self._drains = waiting
        return done


def _is_to_end(task: Task) -> bool:
    return task.status.state is TaskState.RUNNING and not task.is_serving


def _nodes_in(state: ClusterState, networks: Iterable[str]) -> Iterator[NodeId]:
    for network_id in networks:
        network = state.networks.get(network_id)
        if network is not None and network.spec.ingress:
            yield from (node.id for node in state.nodes)
        else:
            yield from (task.node_id for task in state.tasks.find("network", network_id))
