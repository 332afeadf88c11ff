"""Complete sets and differences: a node that applies them knows what the store wants of it."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cluster.dispatcher.assignments import Assignments, tasks_for
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from tests.support.memory_store import MemoryStore

NODE = NodeId("n1")


def task(name: str, *, node: str = NODE, state=TaskState.ASSIGNED, desired=TaskState.RUNNING):
    return Task(
        id=TaskId(name),
        meta=Meta(),
        service_id=ServiceId("web"),
        service_name="web",
        slot=1,
        node_id=NodeId(node),
        spec=TaskSpec(),
        desired_state=desired,
        status=TaskStatus(state=state),
    )


def test_the_first_message_is_complete_even_when_empty() -> None:
    message = Assignments().next_message({})
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
    assert sorted(tasks_for(store.view(), NODE)) == ["due", "ended"]


def test_only_differences_follow() -> None:
    store = MemoryStore(task("a"), task("b"))
    told = Assignments()
    told.next_message(tasks_for(store.view(), NODE))
    assert told.next_message(tasks_for(store.view(), NODE)) is None
    store.put(task("a", desired=TaskState.SHUTDOWN), task("c"))
    store.remove(task("b"))
    message = told.next_message(tasks_for(store.view(), NODE))
    assert not message.is_complete
    assert message.sequence == 1
    assert [t.id for t in message.tasks] == ["a", "c"]
    assert message.removed == ("b",)


def test_a_nodes_own_report_is_no_news_to_it() -> None:
    store = MemoryStore(task("a"))
    told = Assignments()
    told.next_message(tasks_for(store.view(), NODE))
    store.put(task("a", state=TaskState.RUNNING))
    assert told.next_message(tasks_for(store.view(), NODE)) is None
    store.put(task("a", state=TaskState.RUNNING, desired=TaskState.SHUTDOWN))
    assert [t.id for t in told.next_message(tasks_for(store.view(), NODE)).tasks] == ["a"]


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
        message = told.next_message(tasks_for(store.view(), NODE))
        if message is not None:
            assert message.sequence == sequence
            sequence += 1
            if message.is_complete:
                applied.clear()
            applied.update((t.id, t) for t in message.tasks)
            for gone in message.removed:
                del applied[gone]
        assert wanted(applied) == wanted(tasks_for(store.view(), NODE))
