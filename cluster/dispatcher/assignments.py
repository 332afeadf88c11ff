"""What one node must run, and the difference to what it was told last.

A node is told a task again only when something changed that it acts upon; its own reports, which
come back in `status`, are no news to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cluster.model.ids import NodeId, TaskId
from cluster.model.meta import Meta
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import AssignmentsMessage
from cluster.store.state import ClusterState

_NO_META = Meta()
_NO_STATUS = TaskStatus()


def tasks_for(state: ClusterState, node_id: NodeId) -> dict[TaskId, Task]:
    """Return the node's assignment set: its tasks from ASSIGNED on, ended ones included."""
    return {
        task.id: task
        for task in state.tasks_of_node(node_id)
        if task.status.state >= TaskState.ASSIGNED
    }


class Assignments:
    """What has been told to a node in one stream."""

    def __init__(self) -> None:
        """Start a stream: nothing has been told."""
        self._told: Mapping[TaskId, Task] = {}
        self._sequence = 0

    def next_message(self, tasks: Mapping[TaskId, Task]) -> AssignmentsMessage | None:
        """Return what brings the node to `tasks`, None if it is there.

        The first message is the complete set, even when it is empty.
        """
        is_complete = self._sequence == 0
        changed = [
            task
            for task_id, task in sorted(tasks.items())
            if is_complete or _is_news(self._told.get(task_id), task)
        ]
        removed = sorted(self._told.keys() - tasks.keys())
        self._told = dict(tasks)
        if not is_complete and not changed and not removed:
            return None
        message = AssignmentsMessage(
            sequence=self._sequence,
            is_complete=is_complete,
            tasks=tuple(changed),
            removed=tuple(removed),
        )
        self._sequence += 1
        return message


def _is_news(told: Task | None, task: Task) -> bool:
    if told is None:
        return True
    if told.meta.version == task.meta.version:
        return False
    return _wanted(told) != _wanted(task)


def _wanted(task: Task) -> Task:
    return msgspec.structs.replace(task, meta=_NO_META, status=_NO_STATUS)
