"""Counting slots in flight, and the update's status; the course of updates is in the scenarios."""

from __future__ import annotations

from msgspec.structs import replace

from cluster.model.service import FailedSlot, Service, UpdateStatus
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.orchestrator.rolling_update import RollingUpdate
from cluster.orchestrator.slots import group
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
OLD = make_task_spec(image="web:0")
UPDATING = UpdateStatus(
    state="updating",
    started_at=seconds(900),
    since=seconds(900),
    message="update in progress",
    outdated_slots=1,
)


def web(**config) -> Service:
    return make_service("web", replicas=5, spec_version=2, update=UpdateConfig(**config))


def old(slot: int) -> Task:
    return make_task(f"old{slot}", web(), slot=slot, node="a", spec_version=1, spec=OLD)


def new(slot: int, state: TaskState = S.RUNNING, **kwargs) -> Task:
    kwargs = {"made_at": 990, "at": 995, "node": "a"} | kwargs
    return make_task(f"new{slot}", web(), slot=slot, state=state, **kwargs)


def advance(service: Service, *tasks: Task) -> tuple[list[int], Service | None, list[int]]:
    state = make_state(make_node("a"), service, *tasks)
    slots = list(group(tasks).values())
    succession = Succession(state, service, seconds(NOW), counting_ids())
    outdated = sum(1 for slot in slots if succession.is_all_outdated(slot))
    for slot in slots:
        succession.settle(slot)
    update = RollingUpdate(service, succession, seconds(NOW))
    changed = update.advance(slots, outdated)
    begun = [t.slot for slot in slots for t in slot.created]
    return begun, None if changed == service else changed, [w // SECOND_NS for w in update.wakes]


def test_parallelism_limits_what_is_begun() -> None:
    tasks = [old(i) for i in range(1, 6)]
    assert advance(web(parallelism=1), *tasks)[0] == [1]
    assert advance(web(parallelism=3), *tasks)[0] == [1, 2, 3]
    assert advance(web(parallelism=0), *tasks)[0] == [1, 2, 3, 4, 5]


def test_a_slot_is_in_flight_until_its_task_has_run_for_the_delay() -> None:
    for state in (S.NEW, S.PENDING, S.ASSIGNED, S.READY, S.STARTING):
        assert advance(web(), new(1, state), old(2))[0] == []
    assert advance(web(), new(1), old(2))[0] == [2]
    begun, _, wakes = advance(web(delay=10 * SECOND_NS), new(1), old(2))
    assert (begun, wakes) == ([], [1005])
    assert advance(web(delay=5 * SECOND_NS), new(1), old(2))[0] == [2]


def test_a_failure_that_is_forgiven_holds_up_the_next_slot_for_the_delay_only() -> None:
    failed = (FailedSlot(place="1", at=seconds(996)),)
    running = replace(
        web(delay=10 * SECOND_NS), update_status=replace(UPDATING, failed_slots=failed)
    )
    crashed = new(1, S.READY, desired=S.READY, start_after=1005)
    begun, _, wakes = advance(running, crashed, old(2))
    assert (begun, wakes) == ([], [1006])
    assert advance(replace(running, spec=web().spec), crashed, old(2))[0] == [2]


def test_while_paused_nothing_more_is_replaced() -> None:
    for state in ("paused", "rollback_paused"):
        paused = replace(web(), update_status=replace(UPDATING, state=state))
        assert advance(paused, old(1), old(2)) == ([], None, [])


def test_a_rollback_follows_its_own_policy_and_has_its_own_words() -> None:
    back = replace(UPDATING, state="rollback_started", outdated_slots=0)
    service = web(parallelism=1)
    spec = replace(service.spec, rollback_config=UpdateConfig(parallelism=2))
    service = replace(service, spec=spec, update_status=back)
    begun, changed, _ = advance(service, old(1), old(2), old(3))
    assert begun == [1, 2]
    assert changed is not None
    assert changed.update_status == replace(back, outdated_slots=3)
    _, changed, _ = advance(replace(service, update_status=replace(back, outdated_slots=1)), new(1))
    assert changed is not None
    assert changed.update_status is not None
    assert changed.update_status.message == "rollback completed"
    assert changed.update_status.state == "rollback_completed"


def test_a_rollback_of_nothing_is_complete_at_once() -> None:
    back = replace(UPDATING, state="rollback_started", outdated_slots=0, since=seconds(NOW))
    _, changed, _ = advance(replace(web(), update_status=back), new(1, at=999))
    assert changed is not None
    assert changed.update_status is not None
    assert changed.update_status.state == "rollback_completed"


def test_a_task_without_a_place_in_an_empty_slot_holds_up_nobody() -> None:
    stuck = new(1, S.PENDING, node="", error="no suitable node")
    assert advance(web(), stuck, old(2))[0] == [2]
    begun, _, _ = advance(web(), stuck, old(1), old(2))
    assert begun == [], "here an old task still serves"


def test_a_task_that_held_out_for_the_monitor_is_settled_however_it_ended() -> None:
    once = make_service("web", replicas=5, spec_version=2, restart=RestartPolicy(condition="none"))
    for since, begun in ((980, [2]), (992, []), (0, [])):
        for state in (S.COMPLETE, S.FAILED) if begun else (S.FAILED,):
            ended = make_task(
                "new1",
                once,
                state=state,
                desired=S.SHUTDOWN,
                node="a",
                made_at=970,
                running_since=since,
                at=995,
            )
            assert advance(once, ended, old(2))[0] == begun


def test_a_one_shot_is_settled_once_it_has_ended_well_however_soon() -> None:
    once = make_service("web", replicas=5, spec_version=2, restart=RestartPolicy(condition="none"))
    for state, begun in ((S.COMPLETE, [2]), (S.FAILED, [])):
        ended = make_task(
            "new1", once, state=state, desired=S.SHUTDOWN, node="a", made_at=970, at=995
        )
        assert advance(once, ended, old(2))[0] == begun


def test_status_begins_and_ends() -> None:
    _, changed, _ = advance(web(), old(1))
    assert changed is not None
    assert changed.update_status == UpdateStatus(
        state="updating",
        started_at=seconds(NOW),
        since=seconds(NOW),
        message="update in progress",
        outdated_slots=1,
    )
    running = replace(web(), update_status=UPDATING)
    assert advance(running, old(1))[1] is None
    _, changed, wakes = advance(running, new(1, at=996))
    assert (changed, wakes) == (None, [1001])
    _, changed, _ = advance(running, new(1, at=995))
    assert changed is not None
    assert changed.update_status == replace(
        UPDATING, state="completed", completed_at=seconds(NOW), message="update completed"
    )


def test_without_outdated_tasks_there_is_no_update() -> None:
    assert advance(web(), new(1)) == ([], None, [])
    completed = replace(web(), update_status=replace(UPDATING, state="completed"))
    assert advance(completed, new(1))[1] is None


def test_an_update_is_not_complete_while_a_task_does_not_run() -> None:
    running = replace(web(), update_status=UPDATING)
    assert advance(running, new(1), new(2, S.PENDING, node="", error="no suitable node"))[1] is None


def test_a_delay_longer_than_the_monitor_prolongs_it() -> None:
    running = replace(web(delay=10 * SECOND_NS, monitor=3 * SECOND_NS), update_status=UPDATING)
    assert advance(running, new(1, at=995))[2] == [1006]
