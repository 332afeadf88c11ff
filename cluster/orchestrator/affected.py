"""A change -> the services to look at again."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.model.ids import ServiceId
from cluster.model.node import Node
from cluster.model.service import Service
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
    change: Change, state: ClusterState, *, is_global: bool
) -> Iterable[ServiceId]:
    """Return the services of one mode that a change may give something to do.

    Args:
        change: a committed change.
        state: as it is after the change.
        is_global: look at global services, else at replicated ones.
    """
    match change.item:
        case Service() as service:
            candidates = set() if isinstance(change, Deleted) else {service.id}
        case Task() as task:
            is_idle = task.status.state in _MERELY_ON_THE_WAY and not isinstance(change, Deleted)
            candidates = set() if is_idle else {task.service_id}
        case Node() as node:
            # any global service may have to come to this node
            candidates = {task.service_id for task in state.tasks_of_node(node.id)}
            if is_global:
                candidates.update(service.id for service in state.services)
        case _:
            candidates = set()
    return sorted(c for c in candidates if _is_of_mode(state.service(c), is_global=is_global))


def services_of_mode(state: ClusterState, *, is_global: bool) -> list[ServiceId]:
    """Return all services of one mode."""
    return [s.id for s in state.services if s.spec.is_global is is_global]


def _is_of_mode(service: Service | None, *, is_global: bool) -> bool:
    return service is not None and service.spec.is_global is is_global
