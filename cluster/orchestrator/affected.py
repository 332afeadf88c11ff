"""A change -> the services to look at again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cluster.model.ids import ServiceId
from cluster.model.node import Node
from cluster.model.service import ModeName, Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Change, Deleted
from cluster.store.state import ClusterState

_MERELY_ON_THE_WAY = frozenset(
    {
        TaskState.NEW,
        TaskState.ASSIGNED,
        TaskState.ACCEPTED,
        TaskState.PREPARING,
        TaskState.STARTING,
    }
)
"""States that no decision about a service depends on."""


def affected_services(
    change: Change, state: ClusterState, modes: Collection[ModeName]
) -> Iterable[ServiceId]:
    """Return the services of some modes that a change may give something to do.

    Args:
        change: a committed change.
        state: as it is after the change.
        modes: look at services of these.
    """
    match change.item:
        case Service() as service:
            candidates = _dependents(state, service.spec.name)
            if not isinstance(change, Deleted):
                candidates.add(service.id)
        case Task() as task:
            is_idle = task.status.state in _MERELY_ON_THE_WAY and not isinstance(change, Deleted)
            candidates = set()
            if not is_idle:
                candidates = {task.service_id, *_dependents(state, task.service_name)}
        case Node() as node:
            candidates = {task.service_id for task in state.tasks_of_node(node.id)}
            # any global service may have to come to this node
            candidates.update(s.id for s in state.services if s.spec.is_global)
        case _:
            candidates = set()
    return sorted(c for c in candidates if _is_of(state.service(c), modes))


def services_of(state: ClusterState, modes: Collection[ModeName]) -> list[ServiceId]:
    """Return all services of some modes."""
    return [s.id for s in state.services if s.spec.mode_name in modes]


def _dependents(state: ClusterState, name: str) -> set[ServiceId]:
    """Return the services that may wait for the one of that name."""
    return {ServiceId(i) for i in state.services.ids("dependency", name.lower())}


def _is_of(service: Service | None, modes: Collection[ModeName]) -> bool:
    return service is not None and service.spec.mode_name in modes
