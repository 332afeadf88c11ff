from __future__ import annotations

import pytest

from cluster.agent.assignments import apply, expect_sequence
from cluster.errors import OutOfSequence
from cluster.model.task_state import TaskState
from cluster.rpc.messages import AssignmentsMessage
from tests.unit.cluster.agent.tasks import a_task


def test_a_full_set_starts_updates_and_removes() -> None:
    kept, changed, gone, new = (a_task(name) for name in ("kept", "changed", "gone", "new"))
    newer = a_task("changed", desired_state=TaskState.SHUTDOWN)
    current = {task.id: task for task in (kept, changed, gone)}
    message = AssignmentsMessage(sequence=0, is_complete=True, tasks=(new, newer, kept))
    difference = apply(current, message)
    assert difference.started == (new,)
    assert difference.updated == (newer,)
    assert difference.removed == ("gone",)
    assert set(difference.tasks) == {"kept", "changed", "new"}


def test_a_difference_leaves_the_others_alone() -> None:
    old, new = a_task("old"), a_task("new")
    message = AssignmentsMessage(sequence=1, tasks=(new,))
    difference = apply({old.id: old}, message)
    assert (difference.started, difference.updated, difference.removed) == ((new,), (), ())
    assert set(difference.tasks) == {"old", "new"}


def test_a_difference_removes_what_it_names_and_ignores_what_is_not_there() -> None:
    old = a_task("old")
    message = AssignmentsMessage(sequence=1, removed=(old.id, a_task("never").id))
    difference = apply({old.id: old}, message)
    assert difference.removed == ("old",)
    assert difference.tasks == {}


def test_the_same_set_again_changes_nothing() -> None:
    tasks = {task.id: task for task in (a_task("a"), a_task("b"))}
    message = AssignmentsMessage(sequence=0, is_complete=True, tasks=tuple(tasks.values()))
    difference = apply(tasks, message)
    assert (difference.started, difference.updated, difference.removed) == ((), (), ())


def test_a_gap_in_the_stream_is_noticed() -> None:
    assert expect_sequence(0, AssignmentsMessage(sequence=0, is_complete=True)) == 1
    assert expect_sequence(1, AssignmentsMessage(sequence=1)) == 2
    with pytest.raises(OutOfSequence):
        expect_sequence(2, AssignmentsMessage(sequence=3))
    with pytest.raises(OutOfSequence):
        expect_sequence(0, AssignmentsMessage(sequence=0))
