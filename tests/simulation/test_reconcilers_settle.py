"""For any state whatever: a plan that was carried out leaves nothing to plan.

And for any course of events: the cluster ends up as its specs say once the events cease.
"""

from __future__ import annotations

import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.model.objects import StoredObject
from cluster.model.service import (
    FailedSlot,
    GlobalJobMode,
    ReplicatedJobMode,
    ReplicatedMode,
    Service,
    ServiceMode,
    TaskSpec,
    UpdateState,
    UpdateStatus,
)
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import (
    CPU,
    counting_ids,
    make_cluster,
    make_node,
    make_service,
    make_state,
    make_task,
    make_task_spec,
    seconds,
)
from tests.support.cluster_model import (
    Behaviour,
    ClusterModel,
    all_reconcilers,
    one_task_runs_per_slot,
)

NOW = 1000
NODES = ("a", "b", "c")
STATES = [s for s in TaskState if s is not TaskState.REMOVE]
DESIRED = [
    TaskState.READY,
    TaskState.RUNNING,
    TaskState.COMPLETE,
    TaskState.SHUTDOWN,
    TaskState.REMOVE,
]

policies = st.builds(
    RestartPolicy,
    condition=st.sampled_from(["", "none", "on-failure", "any"]),
    delay=st.sampled_from([None, 0, 5 * CPU, 100 * CPU]),
    max_attempts=st.sampled_from([None, 0, 1, 3]),
    window=st.sampled_from([None, 50 * CPU]),
)
updates = st.none() | st.builds(
    UpdateConfig,
    parallelism=st.integers(0, 3),
    delay=st.sampled_from([0, 10 * CPU, 2000 * CPU]),
    order=st.sampled_from(["", "stop-first", "start-first"]),
    failure_action=st.sampled_from(["", "pause", "continue", "rollback"]),
    monitor=st.sampled_from([0, 1 * CPU, 30 * CPU]),
    max_failure_ratio=st.sampled_from([0.0, 0.3, 1.0]),
)
statuses = st.none() | st.builds(
    UpdateStatus,
    state=st.sampled_from(typing.get_args(UpdateState)),
    started_at=st.integers(1, NOW - 1).map(seconds),
    since=st.integers(1, NOW - 1).map(seconds),
    outdated_slots=st.integers(0, 4),
    failed_slots=st.lists(
        st.builds(
            FailedSlot,
            place=st.sampled_from(["1", "2", "a"]),
            at=st.integers(1, NOW - 1).map(seconds),
        ),
        max_size=2,
    ).map(tuple),
)
jobs = st.builds(GlobalJobMode) | st.builds(
    ReplicatedJobMode, max_concurrent=st.integers(0, 3), total_completions=st.integers(0, 4)
)
task_specs = st.fixed_dictionaries(
    {
        "image": st.sampled_from(["web:1", "web:2"]),
        "constraints": st.sampled_from([[], ["node.labels.zone==x"], ["node.role!=manager"]]),
        "cpus": st.sampled_from([0, 1, 2.5]),
        "spread": st.sampled_from([[], ["node.labels.zone"]]),
        "max_replicas": st.integers(0, 2),
        "restart": st.none() | policies,
    }
)


@st.composite
def nodes(draw: Any, node_id: str) -> Any:
    return make_node(
        node_id,
        state=draw(st.sampled_from(["ready", "ready", "down", "unknown"])),
        availability=draw(st.sampled_from(["active", "active", "pause", "drain"])),
        labels=draw(st.sampled_from([{}, {"zone": "x"}, {"zone": "y"}])),
        cpus=draw(st.sampled_from([1, 4])),
        since=draw(st.sampled_from([0, 900])),
    )


@st.composite
def services(draw: Any, service_id: str) -> Service:
    job = draw(st.none() | st.none() | jobs)
    version = draw(st.integers(1, 3))
    service = make_service(
        service_id,
        replicas=draw(st.integers(0, 4)),
        is_global=draw(st.booleans()),
        job=job,
        iteration=version if job else 0,
        update=draw(updates),
        rollback=draw(updates),
        host_ports=draw(st.sampled_from([[], [80]])),
        spec_version=version,
        **draw(task_specs),
    )
    if job:
        return service
    before = draw(st.none() | st.just(service.spec))
    if before:
        before = replace(before, task_template=make_task_spec(**draw(task_specs)))
    return replace(service, update_status=draw(statuses), previous_spec=before)


@st.composite
def tasks(draw: Any, task_id: str, service: Service, older: dict[int, TaskSpec]) -> Task:
    state = draw(st.sampled_from(STATES))
    made_at = draw(st.integers(1, NOW - 2))
    has_node = service.spec.is_global or state >= TaskState.ASSIGNED
    version = draw(st.integers(1, 3))
    task = make_task(
        task_id,
        service,
        slot=draw(st.integers(0 if service.spec.is_job else 1, 5)),
        node=draw(st.sampled_from([*NODES, "gone"])) if has_node else "",
        state=state,
        desired=draw(st.sampled_from(DESIRED)),
        made_at=made_at,
        at=draw(st.integers(made_at, NOW - 1)),
        start_after=draw(st.sampled_from([0, 0, NOW - 50, NOW + 50])),
        restarts=draw(st.integers(0, 5)),
        spec_version=version,
        spec=older.get(version, service.spec.task_template),
        message=draw(st.sampled_from(["", "task rejected by constraint enforcer"])),
        running_since=draw(st.sampled_from([None, made_at])) if state > TaskState.RUNNING else None,
    )
    return replace(task, job_iteration=version) if service.spec.is_job else task


@st.composite
def clusters(draw: Any) -> ClusterState:
    objects: list[StoredObject] = [make_cluster(task_history=draw(st.integers(-1, 3)))]
    objects += [draw(nodes(n)) for n in NODES]
    wishes = [draw(services(name)) for name in ("s1", "s2")]
    removed = draw(services("s3"))
    objects += wishes
    # tasks of one service and version are all made from the same spec
    earlier_specs = {
        s.id: {v: make_task_spec(**draw(task_specs)) for v in (1, 2, 3) if v != s.spec_version}
        for s in (*wishes, removed)
    }
    for number in range(draw(st.integers(0, 12))):
        service = draw(st.sampled_from([*wishes, *wishes, removed]))
        older = earlier_specs[service.id]
        objects.append(draw(tasks(f"task{number:02}", service, older)))
    return make_state(*objects)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(clusters())
def test_a_plan_carried_out_leaves_nothing_to_plan(state: ClusterState) -> None:
    settles(state)


def test_a_plan_for_a_lost_task_and_an_outdated_one_that_was_made_later_leaves_nothing() -> None:
    service = make_service("s1", replicas=1, spec_version=2)
    settles(
        make_state(
            make_cluster(),
            make_node("a"),
            service,
            make_task("lost", service, node="gone", state=TaskState.ASSIGNED, made_at=10, at=10),
            make_task(
                "outdated",
                service,
                node="a",
                state=TaskState.RUNNING,
                made_at=20,
                at=20,
                spec_version=1,
                spec=make_task_spec(image="web:0"),
            ),
        )
    )


def settles(state: ClusterState) -> None:
    for reconciler in all_reconcilers():
        for key in reconciler.all_keys(state):
            new_id = counting_ids()
            now = seconds(NOW)
            plan = reconciler.reconcile(state, key, now, new_id)
            assert plan == reconciler.reconcile(state, key, now, counting_ids()), (
                "not the same twice"
            )
            tx = Transaction(state, now)
            tx.carry_out(plan)
            assert len(tx.changes) == len(plan.create + plan.update + plan.delete), "idle steps"
            after = state.apply(tx.changes)
            again = reconciler.reconcile(after, key, now, new_id)
            assert again.is_empty, f"{reconciler.name} {key}:\n{plan}\nleaves\n{again}"
            for plan_ in (plan, again):
                assert plan_.wake_at is None or plan_.wake_at > now


events = st.one_of(
    st.tuples(st.just("lose"), st.sampled_from(NODES)),
    st.tuples(st.just("restore"), st.sampled_from(NODES)),
    st.tuples(
        st.just("availability"),
        st.sampled_from(NODES),
        st.sampled_from(["active", "pause", "drain"]),
    ),
    st.tuples(st.just("labels"), st.sampled_from(NODES), st.sampled_from(["x", "y"])),
    st.tuples(st.just("scale"), st.integers(0, 5)),
    st.tuples(st.just("image"), st.sampled_from(["web:1", "web:2", "bad", "none"])),
    st.tuples(st.just("kill")),
    st.tuples(st.just("leader")),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(events, st.sampled_from([0, 0.3, 2, 30])), max_size=12), updates)
def test_whatever_happens_the_cluster_ends_up_as_its_specs_say(
    course: list[Any], update: UpdateConfig | None
) -> None:
    update = update and replace(update, order="stop-first", delay=min(update.delay, 10 * CPU))
    labels = {"zone": "x"}
    model = ClusterModel(
        make_cluster(),
        *(make_node(n, labels=labels) for n in NODES),
        make_service("web", replicas=3, update=update, constraints=["node.labels.zone==x"]),
        make_service("agent", is_global=True, image="agent:1", update=update),
        behaviours={"bad": Behaviour(crash_after_s=1), "none": Behaviour(is_missing=True)},
    )
    model.checks.append(one_task_runs_per_slot)
    for event, pause_s in course:
        _happen(model, event)
        model.run_for(pause_s)
    for node_id in NODES:
        model.restore_node(node_id)
        model.set_node(node_id, availability="active", labels=labels)
    model.change_image("web", "web:9")
    model.run_for(300)
    wanted = model.service("web").spec.replicas
    assert len(model.running("web")) == len(model.wanted("web")) == wanted
    assert {t.slot for t in model.running("web")} == {t.slot for t in model.wanted("web")}
    assert all(
        t.spec.container_spec.image == "web:9"
        for t in model.running("web")
        if t.spec.container_spec
    )
    assert model.per_node("agent") == {"a": 1, "b": 1, "c": 1}
    if wanted:
        status = model.service("web").update_status
        assert status is None or status.state == "completed"


def _happen(model: ClusterModel, event: tuple[Any, ...]) -> None:
    match event:
        case ("lose", node_id):
            model.lose_node(node_id)
        case ("restore", node_id):
            model.restore_node(node_id)
        case ("availability", node_id, availability):
            model.set_node(node_id, availability=availability)
        case ("labels", node_id, zone):
            model.set_node(node_id, labels={"zone": zone})
        case ("scale", number):
            model.change_service(
                "web", mode=ServiceMode(replicated=ReplicatedMode(replicas=number))
            )
        case ("image", image):
            model.change_image("web", image)
        case ("kill",):
            for task in model.running("web")[:1]:
                model.kill_container(task)
        case ("leader",):
            model.change_leader()
