from __future__ import annotations

import msgspec
import pytest

from cluster.api.commands.nodes import remove_node, update_node
from cluster.errors import FailedPrecondition, NotFound, OutOfSequence
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.node import NodeSpec
from cluster.model.service import TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.api.commands.transactions import node


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(node("m", is_manager=True), node("w"), node("d", state="down"))


def _task(task_id: str, state: TaskState) -> Task:
    return Task(
        id=TaskId(task_id),
        meta=Meta(),
        service_id=ServiceId("s"),
        service_name="web",
        node_id=NodeId("d"),
        spec=TaskSpec(),
        status=TaskStatus(state=state),
    )


def _version(store: MemoryStore, node_id: str) -> int:
    found = store.view().nodes.get(node_id)
    assert found is not None
    return found.meta.version


def test_availability_and_labels_are_changed(store: MemoryStore) -> None:
    wanted = NodeSpec(availability="drain", labels={"zone": "a"})
    version = _version(store, "w")
    store.commit(lambda tx: update_node(tx, "name-w", version, wanted))
    changed = store.view().nodes.get("w")
    assert changed is not None
    assert changed.spec == wanted
    with pytest.raises(OutOfSequence):
        store.commit(lambda tx: update_node(tx, "w", version, NodeSpec()))


def test_a_role_is_a_wish(store: MemoryStore) -> None:
    store.commit(lambda tx: update_node(tx, "w", _version(store, "w"), NodeSpec(role="manager")))
    node = store.view().node("w")
    assert (node.spec.role, node.role) == ("manager", "worker")
    store.commit(lambda tx: update_node(tx, "w", _version(store, "w"), NodeSpec()))
    with pytest.raises(FailedPrecondition, match="demote the last manager of the swarm"):
        store.commit(lambda tx: update_node(tx, "m", _version(store, "m"), NodeSpec()))


def test_only_a_worker_that_is_down_is_removed(store: MemoryStore) -> None:
    with pytest.raises(FailedPrecondition, match="is a cluster manager"):
        store.commit(lambda tx: remove_node(tx, "m", force=True))
    with pytest.raises(FailedPrecondition, match="is not down and can't be removed"):
        store.commit(lambda tx: remove_node(tx, "w", force=False))
    store.commit(lambda tx: remove_node(tx, "w", force=True))
    store.commit(lambda tx: remove_node(tx, "d", force=False))
    assert [n.id for n in store.view().nodes] == ["m"]
    with pytest.raises(NotFound, match="node w not found"):
        store.commit(lambda tx: remove_node(tx, "w", force=True))


def test_what_ran_on_a_removed_node_counts_as_lost(store: MemoryStore) -> None:
    ended = _task("ended", TaskState.COMPLETE)
    store.put(_task("running", TaskState.RUNNING), ended)
    store.commit(lambda tx: remove_node(tx, "d", force=False))
    states = {task.id: task.status.state for task in store.view().tasks}
    assert states == {"running": TaskState.ORPHANED, "ended": TaskState.COMPLETE}
    left = store.view().tasks.get("ended")
    assert left == msgspec.structs.replace(ended, meta=left.meta if left else Meta())
