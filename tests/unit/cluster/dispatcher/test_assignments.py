"""Complete sets and differences: a node that applies them knows what the store wants of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.dispatcher.assignments import Assignments, Wanted, wanted_by
from cluster.model.config import Config, ConfigSpec
from cluster.model.container import ConfigReference, ContainerSpec, SecretReference
from cluster.model.ids import ConfigId, NodeId, SecretId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.registry_login import RegistryAuth
from cluster.model.secret import Secret, SecretSpec
from cluster.model.service import Service, ServiceSpec, TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from tests.support.memory_store import MemoryStore

NODE = NodeId("n1")


def task(
    name: str,
    *,
    node: str = NODE,
    state=TaskState.ASSIGNED,
    desired=TaskState.RUNNING,
    container=None,
):
    return Task(
        id=TaskId(name),
        meta=Meta(),
        service_id=ServiceId("web"),
        service_name="web",
        slot=1,
        node_id=NodeId(node),
        spec=TaskSpec(container_spec=container),
        desired_state=desired,
        status=TaskStatus(state=state),
    )


def test_the_first_message_is_complete_even_when_empty() -> None:
    message = Assignments().next_message(Wanted())
    assert message.is_complete
    assert message.sequence == 0
    assert message.tasks == ()


def test_the_set_holds_the_nodes_tasks_from_assigned_on() -> None:
    store = MemoryStore(
        task("early", state=TaskState.PENDING),
        task("due"),
        task("ended", state=TaskState.FAILED, desired=TaskState.SHUTDOWN),
        task("other", node="n2"),
    )
    assert sorted(wanted_by(store.view(), NODE).tasks) == ["due", "ended"]


def test_only_differences_follow() -> None:
    store = MemoryStore(task("a"), task("b"))
    told = Assignments()
    told.next_message(wanted_by(store.view(), NODE))
    assert told.next_message(wanted_by(store.view(), NODE)) is None
    store.put(task("a", desired=TaskState.SHUTDOWN), task("c"))
    store.remove(task("b"))
    message = told.next_message(wanted_by(store.view(), NODE))
    assert not message.is_complete
    assert message.sequence == 1
    assert [t.id for t in message.tasks] == ["a", "c"]
    assert message.removed == ("b",)


def test_a_nodes_own_report_is_no_news_to_it() -> None:
    store = MemoryStore(task("a"))
    told = Assignments()
    told.next_message(wanted_by(store.view(), NODE))
    store.put(task("a", state=TaskState.RUNNING))
    assert told.next_message(wanted_by(store.view(), NODE)) is None
    store.put(task("a", state=TaskState.RUNNING, desired=TaskState.SHUTDOWN))
    assert [t.id for t in told.next_message(wanted_by(store.view(), NODE)).tasks] == ["a"]


WITH_FILES = ContainerSpec(
    secrets=(SecretReference(secret_id="s1", secret_name="s1"),),
    configs=(ConfigReference(config_id="c1", config_name="c1"),),
)


def store_with_files(*tasks: Task) -> MemoryStore:
    return MemoryStore(
        Secret(id=SecretId("s1"), meta=Meta(), spec=SecretSpec(name="s1", data=b"x")),
        Secret(id=SecretId("s2"), meta=Meta(), spec=SecretSpec(name="s2", data=b"x")),
        Config(id=ConfigId("c1"), meta=Meta(), spec=ConfigSpec(name="c1", data=b"x")),
        *tasks,
    )


def test_a_node_gets_only_the_files_that_its_tasks_need() -> None:
    store = store_with_files(task("a", container=WITH_FILES), task("b", node="n2"))
    wants = wanted_by(store.view(), NODE)
    assert (list(wants.secrets), list(wants.configs)) == (["s1"], ["c1"])
    others = wanted_by(store.view(), NodeId("n2"))
    assert (others.secrets, others.configs) == ({}, {})


@pytest.mark.parametrize(
    ("state", "desired", "needs"),
    [
        (TaskState.PENDING, TaskState.RUNNING, False),
        (TaskState.ASSIGNED, TaskState.READY, True),
        (TaskState.RUNNING, TaskState.RUNNING, True),
        (TaskState.RUNNING, TaskState.COMPLETE, True),
        (TaskState.RUNNING, TaskState.SHUTDOWN, False),
        (TaskState.FAILED, TaskState.RUNNING, False),
        (TaskState.RUNNING, TaskState.REMOVE, False),
    ],
)
def test_a_task_needs_its_files_while_it_is_wanted(state, desired, needs) -> None:
    store = store_with_files(task("a", state=state, desired=desired, container=WITH_FILES))
    assert bool(wanted_by(store.view(), NODE).secrets) is needs


def test_files_are_told_once_and_taken_away_after_the_last_task() -> None:
    store = store_with_files(task("a", container=WITH_FILES))
    told = Assignments()
    first = told.next_message(wanted_by(store.view(), NODE))
    assert ([s.id for s in first.secrets], [c.id for c in first.configs]) == (["s1"], ["c1"])
    store.put(task("b", container=WITH_FILES))
    second = told.next_message(wanted_by(store.view(), NODE))
    assert (second.secrets, second.configs) == ((), ())
    store.put(task("a", desired=TaskState.SHUTDOWN, container=WITH_FILES))
    assert told.next_message(wanted_by(store.view(), NODE)).removed_secrets == ()
    store.put(task("b", state=TaskState.FAILED, container=WITH_FILES))
    last = told.next_message(wanted_by(store.view(), NODE))
    assert last.tasks == ()
    assert (last.removed_secrets, last.removed_configs) == (("s1",), ("c1",))


def wanted(tasks):
    return {
        key: msgspec.structs.replace(t, meta=Meta(), status=TaskStatus())
        for key, t in tasks.items()
    }


STEP = st.tuples(
    st.sampled_from("abcdef"),
    st.sampled_from(["n1", "n2"]),
    st.sampled_from([TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING, TaskState.FAILED]),
    st.sampled_from([TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN, None]),
    st.booleans(),
)


@given(st.lists(STEP, max_size=40))
def test_applying_all_messages_gives_the_stores_set(steps) -> None:
    store = MemoryStore()
    told, applied, sequence = Assignments(), {}, 0
    for name, node, state, desired, is_sent in [
        *steps,
        ("a", "n1", TaskState.ASSIGNED, None, True),
    ]:
        if desired is not None:
            store.put(task(name, node=node, state=state, desired=desired))
        elif store.view().task(TaskId(name)):
            store.remove(task(name))
        if not is_sent:
            continue  # several changes go into one message
        message = told.next_message(wanted_by(store.view(), NODE))
        if message is not None:
            assert message.sequence == sequence
            sequence += 1
            if message.is_complete:
                applied.clear()
            applied.update((t.id, t) for t in message.tasks)
            for gone in message.removed:
                del applied[gone]
        assert wanted(applied) == wanted(wanted_by(store.view(), NODE).tasks)


def test_a_login_is_sent_to_the_nodes_of_its_service_while_they_run_tasks() -> None:
    def service(auth: str) -> Service:
        return Service(
            id=ServiceId("web"),
            meta=Meta(),
            spec=ServiceSpec(name="web"),
            spec_version=1,
            registry_auth=RegistryAuth(encoded=auth) if auth else None,
        )

    store = MemoryStore(service("alice"), task("t1", container=ContainerSpec()))
    told = Assignments()

    def news() -> tuple[list[str], list[str]]:
        message = told.next_message(wanted_by(store.view(), NODE))
        if message is None:
            return [], []
        return [login.auth.encoded for login in message.logins], list(message.removed_logins)

    assert wanted_by(store.view(), NodeId("n2")).logins == {}
    assert news() == (["alice"], [])
    assert news() == ([], [])
    store.put(service("bob"))
    assert news() == (["bob"], [])
    store.put(task("t1", container=ContainerSpec(), desired=TaskState.SHUTDOWN))
    assert news() == ([], ["web"])
