"""Which slots of a job are at work; courses of jobs are in the scenarios."""

from __future__ import annotations

from msgspec.structs import replace

from cluster.model.service import GlobalJobMode, ReplicatedJobMode, Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.update_policy import RestartPolicy
from cluster.orchestrator.jobs import Jobs
from cluster.orchestrator.replicated_services import MAX_NEW_SLOTS
from cluster.store.change import Created, Updated
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
NOW = 1000
ONCE = RestartPolicy(condition="none")


def job(concurrent: int = 2, total: int = 4, **kwargs) -> Service:
    mode = ReplicatedJobMode(max_concurrent=concurrent, total_completions=total)
    return make_service("job", job=mode, iteration=1, **kwargs)


def task(slot: int, state: TaskState = S.RUNNING, service: Service | None = None, **kwargs) -> Task:
    kwargs = {"node": "a", "desired": S.COMPLETE, "made_at": 900, "at": 950} | kwargs
    return make_task(f"old{slot}", service or job(), slot=slot, state=state, **kwargs)


def reconcile(service: Service, *objects) -> Plan:
    state = make_state(make_node("a"), service, *objects)
    return Jobs().reconcile(state, service.id, seconds(NOW), counting_ids())


def made(plan: Plan) -> list[int]:
    return [t.slot for t in plan.create if isinstance(t, Task)]


def test_slots_begin_at_zero_and_at_most_so_many_are_at_work() -> None:
    plan = reconcile(job())
    assert made(plan) == [0, 1]
    first = plan.create[0]
    assert isinstance(first, Task)
    assert (first.desired_state, first.mode, first.job_iteration, first.place) == (
        S.COMPLETE,
        "replicated-job",
        1,
        0,
    )
    assert made(reconcile(job(), task(0))) == [1]
    assert made(reconcile(job(), task(0), task(1))) == []


def test_a_slot_that_is_done_makes_room_for_the_next() -> None:
    assert made(reconcile(job(), task(0, S.COMPLETE), task(1))) == [2]
    done = [task(n, S.COMPLETE) for n in range(4)]
    assert reconcile(job(), *done).is_empty


def test_more_at_once_than_in_all_makes_no_difference() -> None:
    assert made(reconcile(job(concurrent=10, total=3))) == [0, 1, 2]
    assert reconcile(job(concurrent=0)).is_empty


def test_a_great_job_is_begun_in_parts() -> None:
    plan = reconcile(job(concurrent=MAX_NEW_SLOTS + 1, total=10_000))
    assert (len(plan.create), plan.wake_at) == (MAX_NEW_SLOTS, seconds(NOW))


def test_a_great_job_that_has_come_to_its_last_slots_is_left_alone() -> None:
    """Else the leader would look at it over and over, for good once it is done."""
    service = job(concurrent=MAX_NEW_SLOTS + 2, total=MAX_NEW_SLOTS + 2)
    done = [task(slot, S.COMPLETE, service) for slot in range(MAX_NEW_SLOTS + 1)]
    plan = reconcile(service, *done)
    assert (made(plan), plan.wake_at) == ([MAX_NEW_SLOTS + 1], None)
    last = MAX_NEW_SLOTS + 1
    assert reconcile(service, *done, task(last, S.RUNNING, service)).is_empty
    assert reconcile(service, *done, task(last, S.COMPLETE, service)).is_empty


def test_a_slot_whose_attempts_are_used_up_is_given_up() -> None:
    service = job(restart=ONCE)
    assert made(reconcile(service, task(0, S.FAILED, service), task(1, service=service))) == [2]


def test_a_helper_that_is_not_needed_any_more_is_shut_down() -> None:
    heir = replace(task(0, S.READY, desired=S.READY), id="heir")
    plan = reconcile(job(concurrent=1, total=1), task(0, S.COMPLETE), heir)
    assert [(t.id, t.desired_state) for t in plan.update if isinstance(t, Task)] == [
        ("heir", S.SHUTDOWN)
    ]


def test_an_earlier_iteration_goes() -> None:
    former = make_service("job", job=ReplicatedJobMode(max_concurrent=2, total_completions=4))
    plan = reconcile(job(), task(0, S.COMPLETE, former), task(1, service=former))
    assert {(t.slot, t.desired_state) for t in plan.update if isinstance(t, Task)} == {
        (0, S.SHUTDOWN),
        (1, S.REMOVE),
    }
    assert made(plan) == [0, 1]


def test_a_global_job_leaves_nodes_that_do_not_fit_and_keeps_what_is_done() -> None:
    service = make_service("job", job=GlobalJobMode())
    state = make_state(
        make_node("a"),
        make_node("b", availability="drain"),
        make_node("c", availability="drain"),
        make_node("d", availability="pause"),
        service,
        make_task("b1", service, node="b", desired=S.COMPLETE, made_at=900),
        make_task("c1", service, node="c", state=S.COMPLETE, desired=S.COMPLETE, made_at=900),
        make_task("gone1", service, node="gone", desired=S.COMPLETE, made_at=900),
    )
    plan = Jobs().reconcile(state, "job", seconds(NOW), counting_ids())
    assert [t.node_id for t in plan.create if isinstance(t, Task)] == ["a"]
    assert {(t.id, t.desired_state) for t in plan.update if isinstance(t, Task)} == {
        ("b1", S.SHUTDOWN),
        ("gone1", S.REMOVE),
    }


def test_keys() -> None:
    service, web = job(), make_service("web")
    state = make_state(make_node("a"), service, web)
    jobs = Jobs()
    assert list(jobs.all_keys(state)) == ["job"]
    assert list(jobs.keys_of(Created(service), state)) == ["job"]
    assert list(jobs.keys_of(Updated(web), state)) == []
    assert jobs.reconcile(state, "web", seconds(NOW), counting_ids()).is_empty
    assert jobs.reconcile(state, "none", seconds(NOW), counting_ids()).is_empty
