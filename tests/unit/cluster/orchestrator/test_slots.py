from __future__ import annotations

from cluster.model.task_state import TaskState
from cluster.orchestrator.slots import Slot, group, slot_key, with_desired_state
from tests.support.builders import make_service, make_task, seconds

S = TaskState
WEB = make_service("web")
NOW = seconds(10)


def test_tasks_are_grouped_in_the_order_of_slots_and_age() -> None:
    tasks = [
        make_task("a", WEB, slot=10, made_at=1),
        make_task("b", WEB, slot=2, made_at=3),
        make_task("c", WEB, slot=2, made_at=1),
    ]
    slots = group(tasks)
    assert list(slots) == [2, 10]
    assert [t.id for t in slots[2].tasks] == ["c", "b"]


def test_of_tasks_of_one_moment_the_active_one_is_the_latest() -> None:
    slot = Slot(1, [make_task("a", WEB), make_task("b", WEB, state=S.FAILED)])
    assert slot.latest is not None
    assert slot.latest.id == "a"


def test_global_tasks_are_grouped_by_node() -> None:
    agent = make_service("agent", is_global=True)
    assert slot_key(make_task("a", agent, node="n1")) == "n1"


def test_a_desired_state_never_goes_back() -> None:
    slot = Slot(1, [make_task("a", WEB, desired=S.SHUTDOWN, node="n")])
    slot.want(slot.tasks[0], S.RUNNING, NOW)
    assert slot.updated == []


def test_removed_tasks_leave_the_slot() -> None:
    slot = Slot(1, [make_task("a", WEB, node="n"), make_task("b", WEB, state=S.FAILED)])
    slot.want_all(S.REMOVE, NOW)
    assert (slot.tasks, slot.latest, slot.active) == ([], None, [])
    assert {t.id for t in slot.updated} == {"a", "b"}
    again = Slot(1, slot.updated)
    assert (again.tasks, len(again.leaving)) == ([], 2)


def test_a_task_that_never_had_a_node_ends_when_it_is_not_wanted() -> None:
    for state in (S.NEW, S.PENDING):
        task = with_desired_state(make_task("a", WEB, state=state, error="x"), S.SHUTDOWN, NOW)
        assert (task.status.state, task.status.timestamp, task.status.error) == (
            S.SHUTDOWN,
            NOW,
            "",
        )
    task = with_desired_state(make_task("a", WEB, state=S.ASSIGNED, node="n"), S.SHUTDOWN, NOW)
    assert task.status.state is S.ASSIGNED
