"""Tasks grouped by slot: the place of one replica, or of a node in a global service.

A slot outlives its tasks.  At most one of them is meant to run; the others are its history, or
are about to end, or are being prepared to take over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec.structs import replace

from cluster.model.ids import NodeId
from cluster.model.task import Task
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import Timestamp

SlotKey = int | NodeId
"""A slot number of a replicated service, from 1, or job, from 0; or a node of a global one."""


class Slot:
    """The tasks of one slot while a plan is being made; changes are collected, never stored.

    `tasks` are in the order in which they were made and leave out those that are to be removed;
    `leaving` are the latter.
    """

    __slots__ = ("_changed", "_created", "before", "key", "leaving", "tasks")

    def __init__(self, key: SlotKey, tasks: Iterable[Task]) -> None:
        """Group `tasks`, which must all be of the slot."""
        self.key = key
        ordered = sorted(tasks, key=_age)
        self.tasks = [t for t in ordered if t.desired_state < TaskState.REMOVE]
        self.leaving = [t for t in ordered if t.desired_state >= TaskState.REMOVE]
        self.before = tuple(self.tasks)
        self._changed: set[str] = set()
        self._created: set[str] = set()

    @property
    def latest(self) -> Task | None:
        """The task that was made last, whatever became of it."""
        return self.tasks[-1] if self.tasks else None

    @property
    def active(self) -> list[Task]:
        """Tasks that are wanted and have not ended, in the order in which they were made."""
        return [t for t in self.tasks if t.is_active]

    @property
    def running(self) -> Task | None:
        """The first task that is wanted and observed to run."""
        return next((t for t in self.active if t.status.state is TaskState.RUNNING), None)

    @property
    def created(self) -> list[Task]:
        """Tasks added since the slot was read."""
        return [t for t in self.tasks if t.id in self._created]

    @property
    def updated(self) -> list[Task]:
        """Stored tasks changed since the slot was read."""
        return [t for t in (*self.tasks, *self.leaving) if t.id in self._changed - self._created]

    def add(self, task: Task) -> None:
        """Add a new task, the latest from now on."""
        self.tasks.append(task)
        self._created.add(task.id)

    def want(self, task: Task, desired_state: TaskState, now: Timestamp) -> None:
        """Want another state of a task of the slot; never one before the present."""
        if task.desired_state >= desired_state:
            return
        changed = with_desired_state(task, desired_state, now)
        where = self.tasks.index(task)
        if desired_state is TaskState.REMOVE:
            del self.tasks[where]
            self.leaving.append(changed)
        else:
            self.tasks[where] = changed
        self._changed.add(task.id)

    def has_changed(self, task: Task) -> bool:
        """Whether the task was changed since the slot was read."""
        return task.id in self._changed

    def want_all(self, desired_state: TaskState, now: Timestamp) -> None:
        """Want another state of all tasks, as `want` for each."""
        for task in tuple(self.tasks):
            self.want(task, desired_state, now)


def slot_key(task: Task) -> SlotKey:
    """Return which slot of its service a task is of."""
    return task.place


def group(tasks: Iterable[Task]) -> dict[SlotKey, Slot]:
    """Group a service's tasks by slot, in the order of slots."""
    by_key: defaultdict[SlotKey, list[Task]] = defaultdict(list)
    for task in tasks:
        by_key[slot_key(task)].append(task)
    return {key: Slot(key, by_key[key]) for key in sorted(by_key, key=_order)}


def with_desired_state(task: Task, desired_state: TaskState, now: Timestamp) -> Task:
    """Return the task with another desired state.

    One that was never given to a node and is no longer wanted ends here: nobody else will ever
    report on it.
    """
    changed = replace(task, desired_state=desired_state)
    state = task.status.state
    if changed.is_wanted or state >= TaskState.ASSIGNED:
        return changed
    assert may_move(Writer.ORCHESTRATOR, state, TaskState.SHUTDOWN)
    status = replace(
        task.status, state=TaskState.SHUTDOWN, timestamp=now, message="shutdown", error=""
    )
    return replace(changed, status=status)


def _age(task: Task) -> tuple[Timestamp, bool, str]:
    # two tasks of one slot made in one transaction: the one that still counts is the later
    return (task.meta.created_at, task.is_active, task.id)


def _order(key: SlotKey) -> tuple[int, str]:
    return (key, "") if isinstance(key, int) else (0, key)
