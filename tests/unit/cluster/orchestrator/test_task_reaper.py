from __future__ import annotations

from msgspec.structs import replace

from cluster.model.ids import NetworkId, TaskId
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.model.objects import StoredObject
from cluster.model.service import ReplicatedJobMode
from cluster.model.task_state import TaskState
from cluster.model.update_policy import RestartPolicy
from cluster.orchestrator.task_reaper import TaskReaper
from cluster.store.change import Created, Deleted, Updated
from cluster.store.plan import Plan
from tests.support.builders import (
    counting_ids,
    make_cluster,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState
DAY = 24 * 3600
WEB = make_service("web")


def reap(*objects: StoredObject, now: float = 1000, key: str = "web") -> Plan:
    return TaskReaper().reconcile(make_state(*objects), key, seconds(now), counting_ids())


def history(number: int, **kwargs) -> list:
    kwargs = {"state": S.FAILED, "desired": S.SHUTDOWN, "node": "a"} | kwargs
    return [make_task(f"old{i:02}", WEB, made_at=i, at=i, **kwargs) for i in range(number)]


def test_a_slot_keeps_five_tasks_with_the_live_one() -> None:
    live = make_task("live", WEB, made_at=100, node="a")
    plan = reap(make_cluster(), make_node("a"), WEB, live, *history(7))
    assert [t.id for t in plan.delete] == ["old00", "old01", "old02"]


def test_the_limit_of_the_cluster_is_followed_and_the_latest_stays() -> None:
    node = make_node("a")
    plan = reap(make_cluster(task_history=0), node, WEB, *history(3))
    assert [t.id for t in plan.delete] == ["old00", "old01"]
    assert reap(make_cluster(task_history=-1), node, WEB, *history(9)).is_empty


def test_what_counts_as_an_attempt_stays() -> None:
    service = make_service("web", restart=RestartPolicy(max_attempts=7))
    tasks = [replace(t, spec=service.spec.task_template) for t in history(12)]
    plan = reap(make_cluster(), make_node("a"), service, *tasks)
    assert [t.id for t in plan.delete] == [f"old{i:02}" for i in range(4)]


def test_what_completed_a_job_stays_though_a_helper_was_made_after_it() -> None:
    job = make_service("web", job=ReplicatedJobMode(), iteration=2)
    ended = {"desired": S.SHUTDOWN, "node": "a", "slot": 0}
    first = make_task("old", job, state=S.COMPLETE, made_at=1, **ended)
    earlier = replace(first, id=TaskId("earlier"), job_iteration=1)
    helper = make_task("helper", job, state=S.SHUTDOWN, made_at=2, **ended)
    plan = reap(make_cluster(task_history=1), make_node("a"), job, earlier, first, helper)
    assert [t.id for t in plan.delete] == ["earlier"]


def test_ended_tasks_that_nobody_has_looked_at_yet_stay() -> None:
    plan = reap(make_cluster(), make_node("a"), WEB, *history(9, desired=S.RUNNING))
    assert plan.is_empty


def test_a_task_to_be_removed_goes_once_it_ended_or_when_it_never_began() -> None:
    remove = {"desired": S.REMOVE}
    plan = reap(
        make_cluster(),
        make_node("a"),
        make_node("down", state="down"),
        WEB,
        make_task("running", WEB, node="a", **remove),
        make_task("ended", WEB, node="a", state=S.SHUTDOWN, **remove),
        make_task("pending", WEB, state=S.PENDING, **remove),
        make_task("lost", WEB, node="down", **remove),
    )
    assert sorted(t.id for t in plan.delete) == ["ended", "lost", "pending"]


def test_tasks_without_a_service_go_together_a_moment_after_the_last_one_ended() -> None:
    node = make_node("a")
    first = make_task("t1", WEB, node="a", state=S.SHUTDOWN, desired=S.REMOVE, at=990)
    running = make_task("t2", WEB, node="a")
    plan = reap(node, first, running)
    assert [(t.id, t.desired_state) for t in plan.update] == [("t2", S.REMOVE)]
    assert plan.delete == ()
    ended = make_task("t2", WEB, node="a", state=S.SHUTDOWN, desired=S.REMOVE, at=999.9)
    waiting = reap(node, first, ended)
    assert waiting.is_empty
    assert waiting.wake_at == seconds(1000.15)
    assert len(reap(node, first, ended, now=1000.15).delete) == 2


def test_a_node_that_was_removed_orphans_its_tasks() -> None:
    plan = reap(WEB, make_task("t", WEB, node="gone", desired=S.SHUTDOWN))
    (task,) = plan.update
    assert task.status.state is S.ORPHANED
    assert task.status.message == "Task belonged to a node that has been deleted"


def test_a_node_that_is_down_for_a_day_orphans_its_tasks() -> None:
    node = make_node("a", state="down", since=1000)
    task = make_task("t", WEB, node="a", desired=S.SHUTDOWN)
    early = reap(node, WEB, task, now=1000 + DAY - 1)
    assert early.is_empty
    assert early.wake_at == seconds(1000 + DAY)
    (orphan,) = reap(node, WEB, task, now=1000 + DAY).update
    assert orphan.status.state is S.ORPHANED


def test_keys() -> None:
    reaper = TaskReaper()
    running, ended = make_task("t", WEB, node="a"), make_task("e", WEB, node="a", state=S.FAILED)
    node = make_node("a")
    state = make_state(node, WEB, running)
    assert list(reaper.keys_of(Updated(running), state)) == []
    assert list(reaper.keys_of(Created(running), state)) == ["web"]
    assert list(reaper.keys_of(Updated(ended), state)) == ["web"]
    assert list(reaper.keys_of(Deleted(WEB), state)) == ["web"]
    assert list(reaper.keys_of(Updated(node), state)) == []
    assert list(reaper.keys_of(Deleted(node), state)) == ["web"]
    assert list(reaper.keys_of(Updated(make_node("a", state="down")), state)) == ["web"]
    assert list(reaper.keys_of(Updated(make_cluster()), state)) == ["web"]
    orphan = replace(running, id="x", service_id="forgotten")
    assert list(reaper.all_keys(make_state(WEB, orphan))) == ["forgotten", "web"]


def test_a_network_concerns_no_task() -> None:
    network = Network(id=NetworkId("n"), meta=Meta(), spec=NetworkSpec(name="n"))
    assert list(TaskReaper().keys_of(Created(network), make_state(WEB))) == []
