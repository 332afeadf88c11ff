"""Which tasks that are to end still get new connections, because a node does not know it yet.

A task leaves the balancers of all nodes before it is told to stop.  The nodes that reach it say
when their networks are as the state wants; once all have, its own node hears that it is drained.
Kept in memory only: a new leader asks all nodes anew, and a node waits no longer than a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cluster.model.ids import NetworkId, NodeId, TaskId
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Change, Deleted
from cluster.store.state import ClusterState

HasApplied = Callable[[NodeId, int, Iterable[NetworkId]], bool]
"""Whether these networks of a node are as a revision wants; true if the node is down or gone."""


class _Drain(ObjectStruct, frozen=True, kw_only=True, gc=False):
    revision: int
    tasks: tuple[Task, ...]
    nodes: frozenset[NodeId]
    networks: tuple[NetworkId, ...]


class Drains:
    """The tasks that are being drained, and those that are drained and have not ended yet."""

    def __init__(self, state: ClusterState) -> None:
        """Begin with the tasks of a state that are to end."""
        self._drains: list[_Drain] = []
        self._known: dict[TaskId, NodeId] = {}
        self._done: set[TaskId] = set()
        self._begin(state.tasks, state)

    def look_at(self, changes: Iterable[Change], state: ClusterState) -> None:
        """Take the tasks that began to end; `state` is the one after the changes."""
        alive = []
        for change in changes:
            task = change.item
            if not isinstance(task, Task):
                continue
            if isinstance(change, Deleted) or task.status.state.is_terminal:
                self._known.pop(task.id, None)
                self._done.discard(task.id)
            else:
                alive.append(task)
        self._begin(alive, state)

    def take_done(self, has_applied: HasApplied) -> list[Task]:
        """Return the tasks that no node opens a connection to any more; each is returned once."""
        done: list[Task] = []
        waiting = []
        for drain in self._drains:
            if all(has_applied(node, drain.revision, drain.networks) for node in drain.nodes):
                done.extend(task for task in drain.tasks if task.id in self._known)
            else:
                waiting.append(drain)
        self._drains = waiting
        self._done.update(task.id for task in done)
        return done

    def done_on(self, node_id: NodeId) -> frozenset[TaskId]:
        """Return the drained tasks of a node that have not ended yet."""
        return frozenset(task_id for task_id in self._done if self._known[task_id] == node_id)

    def _begin(self, tasks: Iterable[Task], state: ClusterState) -> None:
        began: dict[tuple[NetworkId, ...], list[Task]] = {}
        for task in tasks:
            if task.networks and _is_to_end(task) and task.id not in self._known:
                self._known[task.id] = task.node_id
                key = tuple(attachment.network_id for attachment in task.networks)
                began.setdefault(key, []).append(task)
        for networks, ending in began.items():
            nodes = frozenset(_nodes_in(state, networks))
            self._drains.append(
                _Drain(revision=state.revision, tasks=tuple(ending), nodes=nodes, networks=networks)
            )


def _is_to_end(task: Task) -> bool:
    return task.status.state is TaskState.RUNNING and not task.is_serving


def _nodes_in(state: ClusterState, networks: Iterable[str]) -> Iterator[NodeId]:
    for network_id in networks:
        network = state.networks.get(network_id)
        if network is not None and network.spec.ingress:
            yield from (node.id for node in state.nodes)
        else:
            yield from (task.node_id for task in state.tasks.find("network", network_id))
            yield from (place.node_id for place in state.attachments.find("network", network_id))
