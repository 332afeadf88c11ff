"""Clears away what no longer counts: old history, removed tasks, orphans.

* A slot keeps as many tasks as the cluster's history limit says, the live one included, and as
  many attempts as its restart policy counts, if those are more.  The latest always stays, and so
  does what completed a job.
* A task that is to be removed is deleted once it has ended, was never given to a node, or its
  node is down or gone (should that node return, it removes what it finds no task for).
* Tasks whose service is gone are to be removed, and go all together, a moment after the last has
  ended: a client that waits for a removal counts them.
* Tasks on a node that was removed, or is down for a day, are ORPHANED: nobody will report on them.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cluster.model.cluster import DEFAULT_TASK_HISTORY, Cluster
from cluster.model.ids import NewId, ServiceId
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.orchestrator.restart import is_attempt, policy_of
from cluster.orchestrator.slots import Slot, group, with_desired_state
from cluster.store.change import Change, Created, Deleted
from cluster.store.plan import Plan
from cluster.store.state import ClusterState

ORPHANED_AFTER_NS = 24 * 3600 * SECOND_NS
"""A node that is down so long answers no more for its tasks."""

REMOVAL_PAUSE_NS = SECOND_NS // 4
"""Time for clients to see that the last task of a removed service has ended."""

NODE_IS_GONE = "Task belonged to a node that has been deleted"
NODE_IS_DOWN = "Task belonged to a node that has been down for more than 24 hours"


class TaskReaper:
    """The reconciler of tasks that no longer count, keyed by the service they were made for."""

    name = "task reaper"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the services whose tasks a change concerns."""
        match change.item:
            case Task() as task:
                adds_to_history = isinstance(change, Created)
                is_over = task.status.state.is_terminal or not task.is_wanted
                return (task.service_id,) if is_over or adds_to_history else ()
            case Service() as service:
                return (service.id,)
            case Node() as node:
                if node.status.state != "down" and not isinstance(change, Deleted):
                    return ()
                return sorted({task.service_id for task in state.tasks_of_node(node.id)})
            case Cluster():
                return self.all_keys(state)
            case _:
                return ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return all services, those that only their tasks remember included."""
        return sorted({task.service_id for task in state.tasks} | {s.id for s in state.services})

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan what to mark and what to delete among the tasks of one service."""
        del new_id  # nothing is made here
        reaping = _Reaping(state, now)
        service_id = ServiceId(key)
        tasks = [reaping.orphaned_if_lost(t) for t in state.tasks_of_service(service_id)]
        if state.service(service_id) is None:
            reaping.remove_together(tasks)
        else:
            reaping.remove_each(t for t in tasks if t.desired_state is TaskState.REMOVE)
            cluster = state.cluster
            limit = cluster.task_history_limit if cluster else DEFAULT_TASK_HISTORY
            for slot in group(tasks).values():
                reaping.trim(slot, limit)
        return reaping.plan()


class _Reaping:
    """One look at the tasks of a service."""

    def __init__(self, state: ClusterState, now: Timestamp) -> None:
        self._state = state
        self._now = now
        self._updated: dict[str, Task] = {}
        self._deleted: dict[str, Task] = {}
        self._wakes: list[Timestamp] = []

    def plan(self) -> Plan:
        updated: list[StoredObject] = [
            t for task_id, t in self._updated.items() if task_id not in self._deleted
        ]
        return Plan(
            update=tuple(updated),
            delete=tuple(self._deleted.values()),
            wake_at=min(self._wakes, default=None),
        )

    def orphaned_if_lost(self, task: Task) -> Task:
        """Return the task, ORPHANED if its node will not report on it any more."""
        state = task.status.state
        if not task.node_id or not may_move(Writer.DISPATCHER, state, TaskState.ORPHANED):
            return task
        node = self._node_of(task)
        message = NODE_IS_GONE
        if node is not None:
            if node.status.state != "down":
                return task
            lost_at = after(node.status.since, ORPHANED_AFTER_NS)
            if lost_at > self._now:
                self._wakes.append(lost_at)
                return task
            message = NODE_IS_DOWN
        status = replace(
            task.status, state=TaskState.ORPHANED, timestamp=self._now, message=message
        )
        return self._update(replace(task, status=status))

    def remove_each(self, tasks: Iterable[Task]) -> None:
        """Delete the tasks that have ended, each by itself."""
        for task in tasks:
            if self._is_over(task):
                self._deleted[task.id] = task

    def remove_together(self, tasks: list[Task]) -> None:
        """Want the tasks removed, and delete them once all have ended and a while has passed."""
        removed = [
            task
            if task.desired_state is TaskState.REMOVE
            else self._update(with_desired_state(task, TaskState.REMOVE, self._now))
            for task in tasks
        ]
        if not removed or not all(map(self._is_over, removed)):
            return
        last = max(
            self._now if task.id in self._updated else task.meta.updated_at for task in removed
        )
        due = after(last, REMOVAL_PAUSE_NS)
        if due > self._now:
            self._wakes.append(due)
        else:
            self.remove_each(removed)

    def trim(self, slot: Slot, limit: int) -> None:
        """Delete the oldest ended tasks of a slot beyond the limit.

        Args:
            slot: tasks that are to be removed anyway do not count.
            limit: tasks to keep; negative for all.
        """
        latest = slot.latest
        if latest is None or limit < 0:
            return
        keep = {t.id for t in slot.tasks[-max(limit, 1) :]}
        max_attempts = policy_of(latest).max_attempts
        if max_attempts:
            attempts = [t.id for t in slot.tasks if is_attempt(t)]
            keep.update(attempts[-(max_attempts + 1) :])
        keep.update(
            # without it the slot of a job would not look done, and run again
            t.id
            for t in slot.tasks
            if t.is_of_job
            and t.status.state is TaskState.COMPLETE
            and t.job_iteration == latest.job_iteration
        )
        for task in slot.tasks:
            is_history = task.status.state.is_terminal and not task.is_wanted
            if is_history and task.id not in keep:
                self._deleted[task.id] = task

    def _update(self, task: Task) -> Task:
        self._updated[task.id] = task
        return task

    def _is_over(self, task: Task) -> bool:
        state = task.status.state
        if state.is_terminal or state < TaskState.ASSIGNED:
            return True
        node = self._node_of(task)
        return node is None or node.status.state == "down"

    def _node_of(self, task: Task) -> Node | None:
        return self._state.node(task.node_id)
