"""Spreads running tasks anew when a user asks for it: one at a time, and only healthy services.

The wish is a label of the cluster's spec; how far it has come is stored with the cluster, and
which task moves with the task.  So a new leader goes on where the last one was.  A task that moves
is replaced as on a drained node, by the order of its service's update policy, except that it stays
when its heir finds no place or fails; then the whole is stopped and says why.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cluster.model.cluster import REBALANCE_LABEL, Cluster, Rebalancing
from cluster.model.ids import NewId
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.scheduler.loads import LoadMemory
from cluster.scheduler.rebalance import is_settled, next_move, slots_of
from cluster.store.change import Change
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState

SPREAD = "spread"
"""The one key."""


class Rebalancer:
    """The reconciler that moves tasks, one at a time."""

    name = "rebalancer"

    def __init__(self) -> None:
        """Start without memory of what nodes carry."""
        self._memory = LoadMemory()

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the one key if tasks are being spread anew and the change may matter."""
        match change.item:
            case Cluster():
                return (SPREAD,)
            case Task() as task:
                ended = task.status.state.is_terminal or not task.is_wanted
                is_news = ended or bool(task.status.error)
                is_news = is_news or task.status.state is TaskState.RUNNING
            case Node() | Service():
                is_news = True
            case _:
                is_news = False
        cluster = state.cluster
        return (SPREAD,) if is_news and cluster is not None and _is_asked(cluster) else ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return the one key."""
        del state  # there is only one
        return (SPREAD,)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan the next move, or note that it has ended."""
        del key, now, new_id  # there is one key; nothing is made or waited for here
        cluster = state.cluster
        if cluster is None:
            return NOTHING
        marked = state.tasks.find("move", "")
        moving = [task for task in marked if task.is_active]
        if not _is_asked(cluster):
            return Plan(update=tuple(replace(task, is_moving=False) for task in moving))
        progress = _progress(cluster)
        for task in moving:
            reason = _failure(state, task)
            if reason:
                stopped = replace(
                    progress, state="stopped", moved=progress.moved - 1, message=reason
                )
                left = [replace(task, is_moving=False) for task in moving]
                return _noted(cluster, stopped, left)
        if moving or any(_awaits_heir(state, task) for task in marked):
            return _noted(cluster, progress, [])
        return self._next(state, cluster, progress)

    def _next(self, state: ClusterState, cluster: Cluster, progress: Rebalancing) -> Plan:
        services = [s for s in state.services if s.spec.mode_name == "replicated"]
        settled = [s for s in services if is_settled(state, s)]
        move = next_move(state, settled, self._memory)
        if move is not None:
            message = f"moving a task of {move.task.service_name}"
            progress = replace(progress, moved=progress.moved + 1, message=message)
            return _noted(cluster, progress, [replace(move.task, is_moving=True)])
        unsettled = [s for s in services if s not in settled]
        waiting = next_move(state, unsettled, self._memory)
        if waiting is not None:
            message = f"waiting for {waiting.task.service_name}, of which not all tasks run"
            return _noted(cluster, replace(progress, message=message), [])
        return _noted(cluster, replace(progress, state="done", message=""), [])


def _is_asked(cluster: Cluster) -> bool:
    """Whether a request is there that was not answered yet."""
    request = cluster.spec.labels.get(REBALANCE_LABEL, "")
    last = cluster.rebalancing
    if not request:
        return False
    return last is None or last.request != request or last.state == "moving"


def _progress(cluster: Cluster) -> Rebalancing:
    request = cluster.spec.labels[REBALANCE_LABEL]
    last = cluster.rebalancing
    return last if last is not None and last.request == request else Rebalancing(request=request)


def _noted(cluster: Cluster, progress: Rebalancing, tasks: Iterable[Task]) -> Plan:
    changed: list[StoredObject] = list(tasks)
    if progress != cluster.rebalancing:
        changed.append(replace(cluster, rebalancing=progress))
    return Plan(update=tuple(changed))


def _awaits_heir(state: ClusterState, moved: Task) -> bool:
    """Whether the task that takes the place of one that went does not run yet."""
    slot = slots_of(state.tasks_of_service(moved.service_id))[moved.slot]
    wanted = [task for task in slot if task.is_active]
    return any(task.status.state is not TaskState.RUNNING for task in wanted)


def _failure(state: ClusterState, moving: Task) -> str:
    """Return why the heir of a task that moves cannot take its place, "" if it still may."""
    slot = slots_of(state.tasks_of_service(moving.service_id))[moving.slot]
    heirs = slot[[task.id for task in slot].index(moving.id) + 1 :]
    for heir in heirs:
        why = heir.status.error or heir.status.message
        if heir.status.state > TaskState.COMPLETE and heir.status.state is not TaskState.SHUTDOWN:
            return f"a task of {moving.service_name} failed on its new node: {why}"
        if heir.status.state is TaskState.PENDING and heir.status.error:
            return f"a task of {moving.service_name} finds no new node: {why}"
    return ""
