from __future__ import annotations

import msgspec

from cluster.model.ids import TaskId
from cluster.model.objects import StoredObject
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.orchestrator.replicated_services import ReplicatedServices
from cluster.store.plan import Plan
from tests.support.builders import (
    counting_ids,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState
NODES = (make_node("a"), make_node("b"))


def plan(*objects: StoredObject, key: str = "web", now: float = 100) -> Plan:
    return ReplicatedServices().reconcile(
        make_state(*NODES, *objects), key, seconds(now), counting_ids()
    )


def created(plan: Plan) -> list[Task]:
    return list(plan.create)  # type: ignore[arg-type]


def test_a_new_service_gets_its_slots() -> None:
    service = make_service("web", replicas=3, host_ports=[80], labels={"a": "b"})
    tasks = created(plan(service))
    assert [(t.id, t.slot) for t in tasks] == [("t1", 1), ("t2", 2), ("t3", 3)]
    task = tasks[0]
    assert (task.status.state, task.status.message) == (S.NEW, "created")
    assert task.status.timestamp == seconds(100)
    assert task.desired_state is S.RUNNING
    assert task.service_name == "web"
    assert task.service_labels == {"a": "b"}
    assert task.spec == service.spec.task_template
    assert task.endpoint_spec == service.spec.endpoint_spec
    assert task.spec_version == service.spec_version
    assert task.name == "web.1"


def test_many_slots_are_filled_part_by_part() -> None:
    web = make_service("web", replicas=1100)
    tasks: list[Task] = []
    parts = []
    wakes: list[float | None] = []
    for _ in range(4):
        part = plan(web, *tasks)
        new = created(part)
        tasks += [msgspec.structs.replace(t, id=TaskId(f"slot{t.slot}")) for t in new]
        parts.append([t.slot for t in new])
        wakes.append(part.wake_at)
    assert parts == [
        list(range(1, 501)),
        list(range(501, 1001)),
        list(range(1001, 1101)),
        [],
    ]
    assert wakes == [seconds(100), seconds(100), None, None]


def test_free_numbers_are_filled_from_the_lowest() -> None:
    web = make_service("web", replicas=4)
    tasks = [make_task("x", web, slot=2, node="a"), make_task("y", web, slot=5, node="b")]
    assert [t.slot for t in created(plan(web, *tasks))] == [1, 3]


def test_a_number_that_is_being_removed_is_used_again_once_its_task_has_ended() -> None:
    web = make_service("web", replicas=1)
    leaving = make_task("x", web, slot=1, node="a", desired=S.REMOVE, at=99)
    (task,) = created(plan(web, leaving))
    assert (task.slot, task.desired_state) == (1, S.READY)


def test_slots_are_given_up_by_state_node_and_number() -> None:
    web = make_service("web")
    where = ["a", "a", "a", "b", "b"]
    tasks = [make_task(f"x{i}", web, slot=i, node=n) for i, n in enumerate(where, start=1)]
    tasks.append(make_task("x6", web, slot=6, state=S.PENDING))
    given_up = []
    for replicas in (5, 4, 3, 2, 1, 0):
        service = make_service("web", replicas=replicas)
        removed = [t for t in plan(service, *tasks).update if t.desired_state is S.REMOVE]
        given_up.append({t.id for t in removed})
    assert given_up == [
        {"x6"},
        {"x6", "x3"},
        {"x6", "x3", "x5"},
        {"x6", "x3", "x5", "x2"},
        {"x6", "x3", "x5", "x2", "x4"},
        {"x6", "x3", "x5", "x2", "x4", "x1"},
    ]


def test_tasks_on_a_lost_node_are_given_up_like_those_that_do_not_run() -> None:
    web = make_service("web", replicas=1)
    lost = make_task("x1", web, slot=1, node="c")
    fine = make_task("x2", web, slot=2, node="a")
    changes = plan(make_node("c", state="down"), web, lost, fine).update
    assert [(t.id, t.desired_state) for t in changes] == [("x1", S.REMOVE)]


def test_a_slot_given_up_takes_its_history_along() -> None:
    web = make_service("web", replicas=0)
    old = make_task("x1", web, state=S.FAILED, desired=S.SHUTDOWN, node="a")
    changes = plan(web, old, make_task("x2", web, node="a", made_at=5)).update
    assert {t.id for t in changes} == {"x1", "x2"}


def test_a_service_that_is_gone_or_global_is_none_of_its_business() -> None:
    assert plan().is_empty
    assert plan(make_service("web", is_global=True)).is_empty


def test_waiting_is_stored_and_told() -> None:
    web = make_service("web")
    failed = make_task("x", web, state=S.FAILED, node="a", made_at=98, at=99)
    first = plan(web, failed)
    (heir,) = created(first)
    assert (heir.desired_state, heir.start_after) == (S.READY, seconds(105))
    assert first.wake_at == seconds(105)
    assert [(t.id, t.desired_state) for t in first.update] == [("x", S.SHUTDOWN)]


def _kept(slots: dict[int, str], replicas: int, *spread: str) -> list[int]:
    """Which slots stay when a service shrinks; `slots` are on nodes such as x1 in zone x."""
    web = make_service("web", replicas=replicas, spread=spread)
    nodes = [
        make_node(name, labels={"zone": name[0], "rack": name[:2]}) for name in set(slots.values())
    ]
    tasks = [make_task(f"t{slot}", web, slot=slot, node=node) for slot, node in slots.items()]
    gone = {task.slot for task in plan(web, *nodes, *tasks).update}  # type: ignore[union-attr]
    return [slot for slot in slots if slot not in gone]


ZONE, RACK = "node.labels.zone", "node.labels.rack"


def test_a_service_shrinks_where_its_spread_preferences_have_most() -> None:
    slots = {1: "x1", 2: "x2", 3: "x3", 4: "x4", 5: "y1", 6: "y1"}
    assert _kept(slots, 4) == [1, 2, 3, 4], "without preferences by node, then by number"
    assert _kept(slots, 4, ZONE) == [1, 2, 5, 6]
    assert _kept(slots, 2, ZONE) == [1, 5]
    assert _kept(slots, 3, ZONE) == [1, 2, 5]
    assert _kept(slots, 6, ZONE) == list(slots)


def test_a_service_shrinks_evenly_at_every_level() -> None:
    slots = {1: "x1a", 2: "x1b", 3: "x1c", 4: "x2a", 5: "y1a", 6: "y1b", 7: "y1a"}
    assert _kept(slots, 4, ZONE, RACK) == [1, 4, 5, 6]
    assert _kept(slots, 5, ZONE, RACK) == [1, 2, 4, 5, 6]
    assert _kept(slots, 4, RACK) == [1, 2, 4, 5]


def test_slots_that_do_not_run_go_before_any_that_does() -> None:
    web = make_service("web", replicas=1, spread=[ZONE])
    node = make_node("x1", labels={"zone": "x"})
    tasks = [
        make_task("t1", web, slot=1, node="x1", state=S.STARTING),
        make_task("t2", web, slot=2, node="x1"),
        make_task("t3", web, slot=3, node="gone-node"),
    ]
    gone = {task.id for task in plan(web, node, *tasks).update}
    assert gone == {"t1", "t3"}
