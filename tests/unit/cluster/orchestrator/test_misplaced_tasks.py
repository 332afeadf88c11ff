from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.model.objects import StoredObject
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.orchestrator.misplaced_tasks import MisplacedTasks
from cluster.store.change import Deleted, Updated
from tests.support.builders import (
    GIB,
    counting_ids,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState
IN_X = make_service("web", constraints=["node.labels.zone==x"])
IN_Y = replace(make_service("web", constraints=["node.labels.zone==y"]), spec_version=2)


def rejected(*objects: StoredObject) -> list[Task]:
    plan = MisplacedTasks().reconcile(make_state(*objects), "a", seconds(9), counting_ids())
    return list(plan.update)  # type: ignore[arg-type]


def test_a_node_that_lost_the_label_loses_the_task() -> None:
    (task,) = rejected(make_node("a"), IN_X, make_task("t", IN_X, node="a"))
    status = task.status
    assert status.state is S.REJECTED
    assert status.message == "task rejected by constraint enforcer"
    assert status.error == "assigned node no longer meets constraints"
    assert status.timestamp == seconds(9)
    assert task.desired_state is S.RUNNING, "what to do about it is for the service to say"


def test_a_task_stays_where_its_own_or_the_present_constraints_are_met() -> None:
    task = make_task("t", IN_X, node="a")
    assert not rejected(make_node("a", labels={"zone": "x"}), IN_Y, task)
    assert not rejected(make_node("a", labels={"zone": "y"}), IN_Y, task)
    assert rejected(make_node("a", labels={"zone": "z"}), IN_Y, task)


@pytest.mark.parametrize(
    "changes", [{"availability": "pause"}, {"availability": "drain"}, {"state": "down"}]
)
def test_nodes_that_take_no_tasks_are_left_alone(changes: dict[str, str]) -> None:
    assert not rejected(make_node("a", **changes), IN_X, make_task("t", IN_X, node="a"))


def test_tasks_that_go_anyway_are_left_alone() -> None:
    tasks = [
        make_task("t1", IN_X, node="a", desired=S.SHUTDOWN),
        make_task("t2", IN_X, node="a", state=S.FAILED),
    ]
    assert not rejected(make_node("a"), IN_X, *tasks)


def test_the_constraints_of_global_services_are_looked_after_elsewhere() -> None:
    service = make_service("agent", is_global=True, constraints=["node.labels.zone==x"])
    assert not rejected(make_node("a"), service, make_task("t", service, node="a"))


def test_where_reservations_no_longer_fit_the_oldest_stay() -> None:
    service = make_service("web", memory=3 * GIB, cpus=1)
    tasks = [make_task(f"t{i}", service, slot=i, node="a", made_at=10 - i) for i in (1, 2, 3)]
    gone = rejected(make_node("a", memory=6 * GIB), service, *tasks)
    assert [t.id for t in gone] == ["t1"]
    gone = rejected(make_node("a", cpus=1.5), service, *tasks)
    assert [t.id for t in gone] == ["t2", "t1"]


def _gpus(*names: str) -> tuple[GenericResource, ...]:
    named = (NamedResource(kind="gpu", value=name) for name in names)
    return tuple(GenericResource(named_resource_spec=one) for one in named)


def _ssds(number: int) -> tuple[GenericResource, ...]:
    return (GenericResource(discrete_resource_spec=DiscreteResource(kind="ssd", value=number)),)


def test_a_node_that_lost_generic_resources_loses_the_tasks_that_had_them() -> None:
    service = make_service("web", generic=_ssds(2))
    tasks = [make_task(f"t{i}", service, slot=i, node="a", made_at=i) for i in (1, 2)]
    given = [replace(task, assigned_generic_resources=_ssds(2)) for task in tasks]
    assert not rejected(make_node("a", generic=_ssds(4)), service, *given)
    gone = rejected(make_node("a", generic=_ssds(3)), service, *given)
    assert [t.id for t in gone] == ["t2"]
    gone = rejected(make_node("a"), service, *given)
    assert [t.id for t in gone] == ["t1", "t2"]


def test_named_resources_are_lost_by_name() -> None:
    service = make_service("web", generic=_ssds(1))
    tasks = [make_task(f"t{i}", service, slot=i, node="a", made_at=i) for i in (1, 2)]
    first = replace(tasks[0], assigned_generic_resources=_gpus("x"))
    second = replace(tasks[1], assigned_generic_resources=_gpus("y"))
    gone = rejected(make_node("a", generic=_gpus("y", "z")), service, first, second)
    assert [t.id for t in gone] == ["t1"]


def test_a_task_that_only_prepares_itself_uses_nothing_yet() -> None:
    service = make_service("web", cpus=3)
    tasks = [
        make_task("t1", service, node="a", made_at=1),
        make_task("t2", service, node="a", made_at=2, desired=S.READY, state=S.READY),
    ]
    assert not rejected(make_node("a", cpus=4), service, *tasks)


def test_keys() -> None:
    state = make_state(make_node("a"), make_node("b"), IN_X, make_task("t", IN_X, node="b"))
    subject = MisplacedTasks()
    assert list(subject.keys_of(Updated(make_node("a")), state)) == ["a"]
    assert list(subject.keys_of(Deleted(make_node("a")), state)) == []
    assert list(subject.keys_of(Updated(IN_X), state)) == ["b"]
    assert list(subject.keys_of(Updated(make_task("t", IN_X, node="b")), state)) == []
    assert list(subject.all_keys(state)) == ["a", "b"]


def test_a_node_that_has_not_described_itself_is_not_judged() -> None:
    service = make_service("web", cpus=3)
    node = replace(make_node("a"), description=None)
    assert not rejected(node, service, make_task("t", service, node="a"))
