"""Gives new tasks what they need before a node can be chosen.

In this version that is nothing: tasks only pass from NEW to PENDING.  Networks, addresses,
virtual IPs and published ports of the ingress mesh come with overlay networks; they will be
allocated here, in the same step.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cluster.model.ids import NewId
from cluster.model.task import Task
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import Timestamp
from cluster.store.change import Change, Deleted
from cluster.store.plan import Plan
from cluster.store.state import ClusterState

NEW_TASKS = "new tasks"
"""The one key: all new tasks are handled together."""

PENDING_MESSAGE = "pending task scheduling"


class Allocator:
    """The reconciler of tasks in state NEW."""

    name = "allocator"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the one key if the change brings a new task."""
        del state  # the change says it all
        item = change.item
        is_new = isinstance(item, Task) and item.status.state is TaskState.NEW
        return (NEW_TASKS,) if is_new and not isinstance(change, Deleted) else ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return the one key."""
        del state  # there is only one
        return (NEW_TASKS,)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan the step of all new tasks to PENDING."""
        del key, new_id  # there is one key, and nothing is made here
        new = state.tasks.find("state", TaskState.NEW.name)
        return Plan(update=tuple(_pending(task, now) for task in new if task.is_wanted))


def _pending(task: Task, now: Timestamp) -> Task:
    assert may_move(Writer.ALLOCATOR, task.status.state, TaskState.PENDING)
    status = replace(
        task.status, state=TaskState.PENDING, timestamp=now, message=PENDING_MESSAGE, error=""
    )
    return replace(task, status=status)
