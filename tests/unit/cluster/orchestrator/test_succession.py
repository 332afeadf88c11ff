"""Cases that the scenarios do not come to."""

from __future__ import annotations

from msgspec.structs import replace

from cluster.model.container import ContainerSpec
from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.orchestrator.slots import Slot
from cluster.orchestrator.succession import Succession
from tests.support.builders import (
    counting_ids,
    make_node,
    make_service,
    make_state,
    make_task,
    make_task_spec,
    seconds,
)

S = TaskState
NOW = 1000
WEB = make_service("web", spec_version=2)
OLD = make_task_spec(image="web:0")


def settle(
    service: Service, *tasks: Task, nodes: tuple[StoredObject, ...] = ()
) -> tuple[Slot, Succession]:
    nodes = nodes or (make_node("a"), make_node("b"))
    succession = Succession(
        make_state(*nodes, service, *tasks), service, seconds(NOW), counting_ids()
    )
    slot = Slot(1, tasks)
    succession.settle(slot)
    return slot, succession


def desired(slot: Slot) -> dict[str, TaskState]:
    return {t.id: t.desired_state for t in slot.tasks}


def elder(task_id: str = "elder", **kwargs) -> Task:
    kwargs = {"node": "a", "spec_version": 1, "spec": OLD, "made_at": 1} | kwargs
    return make_task(task_id, WEB, **kwargs)


def heir(state: TaskState, **kwargs) -> Task:
    kwargs = {"node": "b", "made_at": 500, "desired": S.READY} | kwargs
    return make_task("heir", WEB, state=state, **kwargs)


def test_an_elder_serves_until_its_heir_is_prepared() -> None:
    slot, _ = settle(WEB, elder(), heir(S.PREPARING))
    assert slot.updated == []
    slot, _ = settle(WEB, elder(), heir(S.READY))
    assert desired(slot) == {"elder": S.SHUTDOWN, "heir": S.READY}


def test_an_elder_serves_until_its_heir_may_start() -> None:
    slot, succession = settle(WEB, elder(), heir(S.READY, start_after=NOW + 5))
    assert slot.updated == []
    assert succession.wakes == [seconds(NOW + 5)]


def test_the_heir_runs_once_the_elder_has_ended() -> None:
    ending = elder(desired=S.SHUTDOWN, at=NOW - 1)
    slot, _ = settle(WEB, ending, heir(S.READY))
    assert slot.updated == []
    slot, _ = settle(WEB, elder(desired=S.SHUTDOWN, state=S.SHUTDOWN), heir(S.READY))
    assert desired(slot)["heir"] is S.RUNNING


def test_the_heir_does_not_wait_for_an_elder_on_a_lost_node() -> None:
    nodes = (make_node("a", state="down"), make_node("b"))
    slot, _ = settle(WEB, elder(), heir(S.PREPARING), nodes=nodes)
    assert desired(slot) == {"elder": S.SHUTDOWN, "heir": S.RUNNING}


def test_patience_with_an_elder_that_does_not_end_is_limited() -> None:
    container = ContainerSpec(image="web:0", stop_grace_period=30 * SECOND_NS)
    stubborn = elder(desired=S.SHUTDOWN, at=NOW - 89, spec=replace(OLD, container_spec=container))
    slot, succession = settle(WEB, stubborn, heir(S.READY))
    assert slot.updated == []
    assert succession.wakes == [seconds(NOW + 1)]
    slot, _ = settle(WEB, elder(desired=S.SHUTDOWN, at=NOW - 70), heir(S.READY))
    assert desired(slot)["heir"] is S.RUNNING


def test_a_long_life_before_the_stop_does_not_count_as_patience() -> None:
    slot, _ = settle(WEB, elder(at=1), heir(S.READY))
    assert desired(slot)["heir"] is S.READY


def test_an_outdated_task_that_runs_waits_for_leave() -> None:
    slot, succession = settle(WEB, elder())
    assert (slot.created, slot.updated) == ([], [])
    assert succession.waits_for_leave(slot)
    succession.replace_outdated(slot)
    assert not succession.waits_for_leave(slot)
    assert [t.desired_state for t in slot.created] == [S.READY]


def test_an_outdated_task_that_does_not_run_is_replaced_at_once() -> None:
    slot, _ = settle(WEB, elder(state=S.PREPARING))
    assert desired(slot) == {"elder": S.SHUTDOWN, "t1": S.READY}
    slot, _ = settle(WEB, elder(state=S.PENDING, node=""))
    assert desired(slot) == {"elder": S.SHUTDOWN, "t1": S.RUNNING}


def test_an_outdated_task_that_had_ended_for_good_runs_again() -> None:
    never = replace(OLD, restart_policy=RestartPolicy(condition="none"))
    slot, _ = settle(WEB, elder(state=S.COMPLETE, spec=never))
    assert desired(slot) == {"elder": S.SHUTDOWN, "t1": S.RUNNING}


def test_start_first_lets_the_heir_run_before_the_elder_goes() -> None:
    service = make_service("web", spec_version=2, update=UpdateConfig(order="start-first"))
    slot, succession = settle(service, elder())
    succession.replace_outdated(slot)
    assert [t.desired_state for t in slot.created] == [S.RUNNING]
    slot, _ = settle(service, elder(), heir(S.STARTING, desired=S.RUNNING))
    assert slot.updated == []
    slot, _ = settle(service, elder(), heir(S.RUNNING, desired=S.RUNNING))
    assert desired(slot) == {"elder": S.SHUTDOWN, "heir": S.RUNNING}


def test_of_two_good_tasks_the_one_that_runs_stays() -> None:
    good = make_task("good", WEB, node="a", made_at=1)
    slot, _ = settle(WEB, good, heir(S.READY))
    assert desired(slot) == {"good": S.RUNNING, "heir": S.SHUTDOWN}


DRAINED = (make_node("a", availability="drain"), make_node("b"))


def test_on_a_drained_node_a_task_serves_until_its_heir_is_prepared() -> None:
    serving = make_task("serving", WEB, node="a", made_at=1)
    slot, _ = settle(WEB, serving, nodes=DRAINED)
    assert desired(slot) == {"serving": S.RUNNING, "t1": S.READY}
    slot, _ = settle(WEB, serving, heir(S.READY), nodes=DRAINED)
    assert desired(slot) == {"serving": S.SHUTDOWN, "heir": S.READY}


def test_a_drained_node_does_not_wait_for_an_heir_without_a_place_or_one_that_failed() -> None:
    serving = make_task("serving", WEB, node="a", made_at=1)
    homeless = heir(S.PENDING, node="", error="no suitable node")
    slot, _ = settle(WEB, serving, homeless, nodes=DRAINED)
    assert desired(slot)["serving"] is S.SHUTDOWN
    slot, _ = settle(WEB, serving, heir(S.REJECTED, at=999), nodes=DRAINED)
    assert desired(slot) == {"serving": S.SHUTDOWN, "heir": S.SHUTDOWN, "t1": S.READY}


def test_a_task_that_may_not_be_restarted_leaves_a_drained_node_without_heir() -> None:
    once = make_service("web", spec_version=2, restart=RestartPolicy(condition="none"))
    slot, _ = settle(once, make_task("serving", once, node="a"), nodes=DRAINED)
    assert desired(slot) == {"serving": S.SHUTDOWN}


def test_an_heir_that_failed_before_its_start_is_followed_only_then() -> None:
    failed = heir(S.REJECTED, start_after=NOW + 20, at=NOW, restarts=1)
    slot, succession = settle(WEB, elder(), failed)
    assert desired(slot) == {"elder": S.RUNNING, "heir": S.SHUTDOWN}
    assert succession.wakes == [seconds(NOW + 20)]


def test_an_heir_that_was_shut_down_before_its_start_is_followed_at_once() -> None:
    stopped = heir(S.SHUTDOWN, start_after=NOW + 20, at=NOW)
    slot, _ = settle(WEB, stopped)
    assert desired(slot) == {"heir": S.SHUTDOWN, "t1": S.READY}
    again, _ = settle(WEB, *slot.tasks)
    assert desired(again) == desired(slot)


def test_a_lost_heir_is_followed_while_the_elder_serves() -> None:
    nodes = (make_node("a"), make_node("b", state="down"))
    slot, _ = settle(WEB, elder(), heir(S.READY), nodes=nodes)
    assert desired(slot) == {"elder": S.RUNNING, "heir": S.SHUTDOWN, "t1": S.READY}
