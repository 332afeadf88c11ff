from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.model.extensions import DeviceRequest
from cluster.model.objects import StoredObject
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.scheduler.demand import demand_of
from cluster.scheduler.filters import Pipeline
from cluster.scheduler.loads import Loads
from cluster.scheduler.schedule import PENDING_TASKS, Scheduler
from cluster.store.change import Created, Deleted, Updated
from cluster.store.state import ClusterState
from tests.support.builders import (
    GIB,
    counting_ids,
    make_cluster,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState
NOW = 1000


def schedule_in(state: ClusterState) -> dict[str, Task]:
    plan = Scheduler().reconcile(state, PENDING_TASKS, seconds(NOW), counting_ids())
    assert not plan.create
    assert not plan.delete
    return {t.id: t for t in plan.update if isinstance(t, Task)}


def schedule(*objects: StoredObject) -> dict[str, Task]:
    return schedule_in(make_state(*objects))


def where(tasks: dict[str, Task]) -> dict[str, str]:
    return {task_id: task.node_id for task_id, task in sorted(tasks.items())}


def pending(service: Any, number: int, first: int = 1) -> list[Task]:
    return [
        make_task(f"{service.id}-{i}", service, slot=i, state=S.PENDING)
        for i in range(first, first + number)
    ]


def test_a_task_is_assigned() -> None:
    web = make_service("web")
    old_error = make_task("t", web, state=S.PENDING, error="no suitable node")
    (task,) = schedule(make_node("a"), web, old_error).values()
    assert (task.node_id, task.status.state) == ("a", S.ASSIGNED)
    assert task.status.message == "scheduler assigned task to node"
    assert task.status.error == ""
    assert task.status.timestamp == seconds(NOW)


def test_a_task_with_a_given_node_is_confirmed() -> None:
    agent = make_service("agent", is_global=True)
    objects = [make_node("a"), make_node("b"), agent]
    (task,) = schedule(*objects, make_task("t", agent, node="b", state=S.PENDING)).values()
    assert (task.node_id, task.status.state) == ("b", S.ASSIGNED)
    assert task.status.message == "scheduler confirmed task can run on preassigned node"


def test_a_task_whose_given_node_refuses_says_why() -> None:
    agent = make_service("agent", is_global=True, memory=2 * GIB)
    objects = [make_node("a"), make_node("b", memory=GIB), agent]
    (task,) = schedule(*objects, make_task("t", agent, node="b", state=S.PENDING)).values()
    assert (task.node_id, task.status.state) == ("b", S.PENDING)
    assert task.status.error == "no suitable node (insufficient resources on 1 node)"


def test_the_reason_is_noted_once() -> None:
    web = make_service("web", constraints=["node.role==manager"])
    task = make_task("t", web, state=S.PENDING, message="pending task scheduling", at=5)
    (refused,) = schedule(make_node("a"), make_node("b"), web, task).values()
    assert refused.status.error == (
        "no suitable node (scheduling constraints not satisfied on 2 nodes)"
    )
    assert (refused.status.message, refused.status.timestamp) == (task.status.message, seconds(5))
    assert schedule(make_node("a"), make_node("b"), web, refused) == {}
    (refused,) = schedule(make_node("a"), web, refused).values()
    assert refused.status.error.endswith("on 1 node)")


def test_without_nodes() -> None:
    web = make_service("web")
    (refused,) = schedule(web, *pending(web, 1)).values()
    assert refused.status.error == "no suitable node"


def test_a_constraint_that_cannot_be_read_is_told() -> None:
    web = make_service("web", constraints=["noderole"])
    (refused,) = schedule(make_node("a"), web, *pending(web, 1)).values()
    assert refused.status.error.startswith("no suitable node (constraint expected one operator")


def test_tasks_that_are_not_wanted_are_left_alone() -> None:
    web = make_service("web")
    gone = make_task("t", web, state=S.PENDING, desired=S.REMOVE)
    assert schedule(make_node("a"), web, gone) == {}


def test_decisions_of_a_pass_count_for_the_next_ones() -> None:
    web = make_service("web", memory=3 * GIB)
    db = make_service("zdb", memory=3 * GIB)
    tasks = schedule(make_node("a"), make_node("b"), web, db, *pending(web, 3), *pending(db, 3))
    placed = {i: t for i, t in tasks.items() if t.node_id}
    assert where(placed) == {"web-1": "a", "web-2": "b", "web-3": "a", "zdb-1": "b"}
    assert tasks["zdb-3"].status.error == "no suitable node (insufficient resources on 2 nodes)"


def test_few_of_the_service_come_before_few_at_all() -> None:
    web, other = make_service("web"), make_service("other")
    objects = [make_node("a"), make_node("b"), web, other]
    objects += [make_task("w", web, slot=9, node="a")]
    objects += [make_task(f"o{i}", other, slot=i, node="b") for i in (1, 2, 3)]
    assert where(schedule(*objects, *pending(web, 1))) == {"web-1": "b"}
    third = make_service("third")
    assert where(schedule(*objects, third, *pending(third, 1))) == {"third-1": "a"}


def test_a_node_where_the_service_failed_often_is_avoided_for_a_while() -> None:
    web = make_service("web")

    def failures(number: int, **kwargs) -> list[Task]:
        kwargs = {"state": S.FAILED, "desired": S.SHUTDOWN, "at": NOW - 10} | kwargs
        return [make_task(f"f{i}", web, slot=i, node="a", **kwargs) for i in range(1, number + 1)]

    objects = [make_node("a"), make_node("b"), web, *pending(web, 1)]
    objects.append(make_task("w", web, slot=9, node="b"))
    assert where(schedule(*objects, *failures(3))) == {"web-1": "b"}
    assert where(schedule(*objects, *failures(2))) == {"web-1": "a"}
    assert where(schedule(*objects, *failures(3, at=NOW - 301))) == {"web-1": "a"}
    assert where(schedule(*objects, *failures(3, spec_version=0))) == {"web-1": "a"}
    assert where(schedule(make_node("a"), web, *pending(web, 1), *failures(3))) == {"web-1": "a"}


def test_a_task_may_take_over_its_slots_port_and_resources() -> None:
    web = make_service("web", replicas=2, cpus=4, host_ports=[80])
    objects = [make_node("a"), make_node("b"), web]
    objects += [make_task(f"e{i}", web, slot=i, node=n) for i, n in ((1, "b"), (2, "a"))]
    heirs = [replace(t, desired_state=S.READY) for t in pending(web, 2)]
    assert where(schedule(*objects, *heirs)) == {"web-1": "b", "web-2": "a"}
    (refused,) = schedule(*objects, *pending(web, 1)).values()
    assert refused.status.error == "no suitable node (insufficient resources on 2 nodes)"


def test_heirs_are_spread_as_if_the_elders_were_gone() -> None:
    web = make_service("web", replicas=3)
    nodes = [make_node(n) for n in "abc"]
    elders = [make_task(f"e{i}", web, slot=i, node=n) for i, n in enumerate("abc", start=1)]
    placed = list(nodes)
    for slot in (1, 2, 3):  # one after the other, the one before has taken over
        heir = replace(pending(web, 1, slot)[0], desired_state=S.READY)
        done = schedule(*placed, web, *elders[slot - 1 :], heir)
        (task,) = done.values()
        placed.append(
            replace(task, desired_state=S.RUNNING, status=replace(task.status, state=S.RUNNING))
        )
    assert Counter(t.node_id for t in placed if isinstance(t, Task)) == {"a": 1, "b": 1, "c": 1}


def test_spread_preferences_come_before_few_tasks() -> None:
    web = make_service("web", spread=["node.labels.zone"])
    nodes = [make_node(n, labels={"zone": "x"}) for n in "abc"] + [
        make_node("d", labels={"zone": "y"})
    ]
    placed = schedule(*nodes, web, *pending(web, 6))
    assert Counter(t.node_id for t in placed.values()) == {"a": 1, "b": 1, "c": 1, "d": 3}


def test_a_branch_that_is_full_leaves_its_share_to_the_others() -> None:
    web = make_service("web", spread=["node.labels.zone", "node.labels.rack"], max_replicas=2)
    nodes = [
        make_node("a", labels={"zone": "x", "rack": "1"}),
        make_node("b", labels={"zone": "x", "rack": "2"}),
        make_node("c", labels={"zone": "y"}),
    ]
    placed = schedule(*nodes, web, *pending(web, 7))
    assert Counter(t.node_id for t in placed.values()) == {"a": 2, "b": 2, "c": 2, "": 1}
    assert placed["web-7"].status.error == "no suitable node (max replicas per node limit exceed)"


def test_older_groups_come_first() -> None:
    old, new = make_service("z-old", cpus=3), make_service("a-new", cpus=3)
    tasks = [
        make_task("o", old, state=S.PENDING, made_at=1),
        make_task("n", new, state=S.PENDING, made_at=2),
    ]
    assert where(schedule(make_node("a"), old, new, *tasks)) == {"n": "", "o": "a"}


def test_keys() -> None:
    web = make_service("web")
    waiting, running = pending(web, 1)[0], make_task("r", web)
    ended = make_task("e", web, state=S.FAILED)
    scheduler = Scheduler()
    busy, idle = make_state(web, waiting), make_state(web, running)
    for change in (Created(waiting), Updated(ended), Deleted(ended), Updated(make_node("a"))):
        assert list(scheduler.keys_of(change, busy)) == [PENDING_TASKS]
        assert list(scheduler.keys_of(change, idle)) == []
    for change in (Updated(running), Updated(web), Updated(make_cluster())):
        assert list(scheduler.keys_of(change, busy)) == []
    assert list(scheduler.all_keys(idle)) == [PENDING_TASKS]


# -- the short ways give what the plain rule says ------------------------------------------------


@st.composite
def states(draw: Any) -> ClusterState:
    nodes = [
        make_node(
            f"n{i}",
            cpus=draw(st.integers(1, 4)),
            state=draw(st.sampled_from(["ready", "ready", "down"])),
        )
        for i in range(draw(st.integers(0, 5)))
    ]
    objects: list[StoredObject] = list(nodes)
    for name in ("s1", "s2", "s3"):
        service = make_service(
            name,
            cpus=draw(st.sampled_from([0, 0.5, 1])),
            max_replicas=draw(st.integers(0, 2)),
            host_ports=draw(st.sampled_from([[], [80]])),
        )
        objects += [service, *pending(service, draw(st.integers(0, 6)))]
        for i in range(draw(st.integers(0, 3)) if nodes else 0):
            node = draw(st.sampled_from(nodes))
            objects.append(make_task(f"{name}-x{i}", service, slot=50 + i, node=node.id))
    return make_state(*objects)


@settings(max_examples=200, deadline=None)
@given(states())
def test_every_task_gets_the_node_that_the_ranking_puts_first(state: ClusterState) -> None:
    decided = schedule_in(state)
    loads = Loads(state, state.tasks.find("state", "PENDING"))
    for task in sorted(state.tasks.find("state", "PENDING"), key=lambda t: (t.service_id, t.slot)):
        pipeline = Pipeline(demand_of(task, state))
        fitting = [load for load in loads.nodes.values() if pipeline.accepts(load)]
        expected = min(
            fitting,
            key=lambda n: (n.tasks_of_service.get(task.service_id, 0), n.tasks, n.id),
            default=None,
        )
        assert decided[task.id].node_id == (expected.id if expected else "")
        if expected is not None:
            expected.hold(task)
            expected.count(task.service_id)


def test_a_given_node_that_is_gone_or_constraints_that_cannot_be_read_are_told() -> None:
    agent = make_service("agent", is_global=True)
    (task,) = schedule(
        make_node("a"), agent, make_task("t", agent, node="gone", state=S.PENDING)
    ).values()
    assert task.status.error == "no suitable node"
    broken = make_service("agent", is_global=True, constraints=["noderole"])
    (task,) = schedule(
        make_node("a"), broken, make_task("t", broken, node="a", state=S.PENDING)
    ).values()
    assert "expected one operator" in task.status.error


def gpus(*names: str) -> tuple[GenericResource, ...]:
    return tuple(
        GenericResource(named_resource_spec=NamedResource(kind="gpu", value=name)) for name in names
    )


def test_generic_resources_are_recorded_with_the_task_that_gets_them() -> None:
    one = GenericResource(discrete_resource_spec=DiscreteResource(kind="gpu", value=1))
    web = make_service("web", generic=(one,))
    node = make_node("a", generic=gpus("x", "y"))
    placed = schedule(node, web, *pending(web, 3))
    assert [placed[f"web-{i}"].assigned_generic_resources for i in (1, 2, 3)] == [
        gpus("x"),
        gpus("y"),
        (),
    ]
    assert placed["web-3"].status.error == "no suitable node (insufficient resources on 1 node)"
    (next_one,) = schedule(node, web, placed["web-2"], *pending(web, 1)).values()
    assert next_one.assigned_generic_resources == gpus("x")


def request(count: int = 0, *names: str) -> DeviceRequest:
    return DeviceRequest(count=count, device_ids=names, capabilities=("gpu",))


def test_requested_devices_are_counted_like_generic_resources() -> None:
    web = make_service("web", devices=[request(1)])
    nodes = make_node("a", generic=gpus("x", "y")), make_node("b")
    placed = schedule(*nodes, web, *pending(web, 3))
    given = [placed[f"web-{i}"].assigned_generic_resources for i in (1, 2, 3)]
    assert given == [gpus("x"), gpus("y"), ()]
    none_fits = "no suitable node (requested devices not available on 2 nodes)"
    assert placed["web-3"].status.error == none_fits
    other = make_service("other", devices=[request(0, "x")])
    (waiting,) = schedule(*nodes, other, placed["web-1"], *pending(other, 1)).values()
    assert waiting.status.error == none_fits
    (there,) = schedule(*nodes, other, placed["web-2"], *pending(other, 1)).values()
    assert there.assigned_generic_resources == gpus("x")


def test_a_task_that_asks_for_all_devices_shares_them() -> None:
    web, all_ = (
        make_service("web", devices=[request(2)]),
        make_service("all", devices=[request(-1)]),
    )
    counted = (GenericResource(discrete_resource_spec=DiscreteResource(kind="gpu", value=2)),)
    nodes = make_node("a"), make_node("b", generic=counted)
    (first,) = schedule(*nodes, web, *pending(web, 1)).values()
    assert (first.node_id, first.assigned_generic_resources) == ("b", counted)
    placed = schedule(*nodes, web, all_, first, *pending(all_, 2))
    assert {t.node_id for t in placed.values()} == {"b"}
    assert not any(t.assigned_generic_resources for t in placed.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(states(), min_size=2, max_size=4))
def test_what_a_scheduler_remembers_changes_no_decision(seen: list[ClusterState]) -> None:
    scheduler = Scheduler()
    for first in seen:
        state = first
        for _ in range(2):
            plan = scheduler.reconcile(state, PENDING_TASKS, seconds(NOW), counting_ids())
            assert {t.id: t for t in plan.update} == schedule_in(state)
            state = state.preview(map(Updated, plan.update), 2)
            ended = [
                replace(t, status=replace(t.status, state=S.COMPLETE))
                for t in state.tasks.find("state", "ASSIGNED")[::2]
            ]
            state = state.preview(map(Updated, ended), 3)
