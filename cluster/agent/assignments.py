"""Applies what the dispatcher sends: the full set of a node's tasks, then differences."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.errors import OutOfSequence
from cluster.model.ids import TaskId
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.rpc.messages import AssignmentsMessage


class Difference(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a message changes; `tasks` is the set afterwards."""

    tasks: Mapping[TaskId, Task]
    started: tuple[Task, ...] = ()
    updated: tuple[Task, ...] = ()
    removed: tuple[TaskId, ...] = ()


def apply(current: Mapping[TaskId, Task], message: AssignmentsMessage) -> Difference:
    """Return what `message` changes in the set `current`, in the order of the message."""
    named = {task.id: task for task in message.tasks}
    if message.is_complete:
        tasks = named
        removed = tuple(task_id for task_id in current if task_id not in named)
    else:
        gone = set(message.removed)
        tasks = {key: task for key, task in {**current, **named}.items() if key not in gone}
        removed = tuple(task_id for task_id in message.removed if task_id in current)
    return Difference(
        tasks=tasks,
        started=tuple(t for t in named.values() if t.id in tasks and t.id not in current),
        updated=tuple(
            t for t in named.values() if t.id in tasks and t.id in current and t != current[t.id]
        ),
        removed=removed,
    )


def expect_sequence(expected: int, message: AssignmentsMessage) -> int:
    """Check a message's place in its stream and return the next one's.

    Raises:
        OutOfSequence: a message was lost, or differences came before the full set: the stream
            must be opened anew.
    """
    if message.sequence != expected or (expected == 0 and not message.is_complete):
        raise OutOfSequence
    return expected + 1
