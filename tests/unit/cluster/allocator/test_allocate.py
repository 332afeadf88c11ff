from __future__ import annotations

from cluster.allocator.allocate import NEW_TASKS, Allocator
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.change import Created, Deleted
from tests.support.builders import (
    counting_ids,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState
WEB = make_service("web")


def allocate(*tasks: Task) -> list[Task]:
    state = make_state(WEB, *tasks)
    plan = Allocator().reconcile(state, NEW_TASKS, seconds(7), counting_ids())
    assert not plan.create
    assert not plan.delete
    return list(plan.update)  # type: ignore[arg-type]


def test_new_tasks_become_pending() -> None:
    (task,) = allocate(make_task("t", WEB, state=S.NEW, message="created"))
    assert (task.status.state, task.status.message) == (S.PENDING, "pending task scheduling")
    assert task.status.timestamp == seconds(7)


def test_others_are_left_alone() -> None:
    assert not allocate(
        make_task("t1", WEB, state=S.NEW, desired=S.REMOVE),
        make_task("t2", WEB, state=S.PENDING),
        make_task("t3", WEB, state=S.RUNNING),
    )


def test_only_new_tasks_wake_it() -> None:
    new, pending = make_task("t", WEB, state=S.NEW), make_task("t", WEB, state=S.PENDING)
    allocator, state = Allocator(), make_state()
    assert list(allocator.keys_of(Created(new), state)) == [NEW_TASKS]
    for change in (Created(pending), Deleted(new)):
        assert list(allocator.keys_of(change, state)) == []
