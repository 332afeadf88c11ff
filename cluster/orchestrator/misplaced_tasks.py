"""Tasks whose node no longer fits, though it is neither down nor drained.

When a node's labels change, or it has less memory, fewer cores or generic resources than before,
tasks on it may break the rules under which they were placed.  They are marked REJECTED, which
makes their service put others in their place at once, and their node stop them.

A task breaks the constraints when its node meets neither those it was placed under nor those its
service has now.  (If only the service's constraints have changed, the rolling update replaces
the task in its turn.)  Where reservations no longer fit, the oldest tasks stay.

On a drained or lost node the orchestrators move the tasks; a paused node is left alone.  For
constraints of global services see `global_services`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cluster.model.constraint import node_fits
from cluster.model.generic_resources import Stock, wish_of
from cluster.model.ids import NewId, NodeId
from cluster.model.node import Node
from cluster.model.placement import Placement
from cluster.model.resources import Resources
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import Timestamp
from cluster.orchestrator.restart import REJECTED_BY_ENFORCER
from cluster.store.change import Change, Deleted
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

NO_LONGER_FITS = "assigned node no longer meets constraints"


class MisplacedTasks:
    """The reconciler that rejects misplaced tasks, keyed by node."""

    name = "misplaced tasks"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the nodes a change concerns."""
        if isinstance(change, Deleted):
            return ()
        match change.item:
            case Node() as node:
                return (node.id,)
            case Service() as service:
                tasks = state.tasks_of_service(service.id)
                return sorted({task.node_id for task in tasks if task.node_id})
            case _:
                return ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return all nodes."""
        return [node.id for node in state.nodes]

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan the rejection of all tasks on the node that must not stay."""
        del new_id  # nothing is made here
        node = state.node(NodeId(key))
        if node is None or not node.accepts_tasks:
            return NOTHING
        tasks = sorted(
            (t for t in state.tasks_of_node(node.id) if _is_there_to_stay(t)),
            key=lambda t: (t.meta.created_at, t.id),
        )
        misplaced = [t for t in tasks if _breaks_constraints(t, node, state)]
        gone = {t.id for t in misplaced}
        misplaced += _beyond_resources((t for t in tasks if t.id not in gone), node)
        return Plan(update=tuple(_rejected(t, now) for t in misplaced))


def _is_there_to_stay(task: Task) -> bool:
    return task.is_wanted and TaskState.ASSIGNED <= task.status.state <= TaskState.RUNNING


def _breaks_constraints(task: Task, node: Node, state: ClusterState) -> bool:
    service = state.service(task.service_id)
    if service is None or service.spec.is_global:
        return False
    own = task.spec.placement or Placement()
    wanted = service.spec.task_template.placement or Placement()
    return not (node_fits(own.constraints, node) or node_fits(wanted.constraints, node))


def _beyond_resources(tasks: Iterable[Task], node: Node) -> list[Task]:
    """Return the tasks whose reservations no longer fit beside those of older ones.

    A task that only prepares itself (desired READY) uses nothing yet: the one whose place it
    will take is still there.
    """
    if node.description is None:
        return []
    free_cpus = node.description.resources.nano_cpus
    free_bytes = node.description.resources.memory_bytes
    stock = Stock(node.description.resources.generic_resources)
    beyond: list[Task] = []
    for task in tasks:
        if task.desired_state is TaskState.READY:
            continue
        reserved = _reservations(task)
        held = wish_of(task.assigned_generic_resources or reserved.generic_resources)
        is_beyond = _exceeds(reserved.nano_cpus, free_cpus)
        if is_beyond or _exceeds(reserved.memory_bytes, free_bytes) or not stock.covers(held):
            beyond.append(task)
        else:
            free_cpus -= reserved.nano_cpus
            free_bytes -= reserved.memory_bytes
            stock.take(held)
    return beyond


def _exceeds(reserved: int, free: int) -> bool:
    return reserved > 0 and reserved > free


def _reservations(task: Task) -> Resources:
    resources = task.spec.resources
    return (resources.reservations if resources else None) or Resources()


def _rejected(task: Task, now: Timestamp) -> Task:
    assert may_move(Writer.DISPATCHER, task.status.state, TaskState.REJECTED)
    status = replace(
        task.status,
        state=TaskState.REJECTED,
        timestamp=now,
        message=REJECTED_BY_ENFORCER,
        error=NO_LONGER_FITS,
    )
    return replace(task, status=status)
