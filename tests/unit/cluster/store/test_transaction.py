import msgspec
import pytest

from cluster.errors import AlreadyExists, NotFound, OutOfSequence
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.node import Node, NodeSpec, NodeStatus
from cluster.model.service import Service, ServiceSpec, TaskSpec
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.store.change import Created, Updated
from cluster.store.codec import decode_entry, decode_snapshot, encode_entry, encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

NOW = Timestamp(1_000)


def service(name: str, key: str = "s1") -> Service:
    return Service(id=ServiceId(key), meta=Meta(), spec=ServiceSpec(name=name), spec_version=1)


def committed(*items: object) -> ClusterState:
    tx = Transaction(ClusterState(), NOW)
    for item in items:
        tx.create(item)  # type: ignore[arg-type]
    return ClusterState().apply(tx.changes)


def test_new_objects_get_the_revision_of_the_entry_and_the_date() -> None:
    tx = Transaction(committed(service("a")), Timestamp(2_000))
    tx.create(service("b", "s2"))
    (change,) = tx.changes
    assert isinstance(change, Created)
    assert change.item.meta == Meta(
        version=2, created_at=Timestamp(2_000), updated_at=Timestamp(2_000)
    )


def test_a_taken_name_is_refused_whatever_its_case() -> None:
    tx = Transaction(committed(service("Web")), NOW)
    with pytest.raises(AlreadyExists, match="name conflicts"):
        tx.create(service("web", "s2"))
    assert tx.changes == ()


def test_an_update_must_name_the_version_that_was_read() -> None:
    state = committed(service("a"))
    changed = msgspec.structs.replace(service("a"), spec=ServiceSpec(name="a", labels={"x": "1"}))
    with pytest.raises(OutOfSequence):
        Transaction(state, NOW).update(changed, expected_version=7)
    tx = Transaction(state, NOW)
    tx.update(changed, expected_version=1)
    assert tx.state.service(ServiceId("s1")).meta.version == 2  # type: ignore[union-attr]


def test_an_equal_object_changes_nothing() -> None:
    tx = Transaction(committed(service("a")), Timestamp(9_000))
    tx.update(service("a"))
    assert tx.changes == ()


def test_what_a_user_writes_gets_a_new_version_even_if_it_is_equal() -> None:
    tx = Transaction(committed(service("a")), Timestamp(9_000))
    tx.update(service("a"), expected_version=1)
    assert tx.state.service(ServiceId("s1")).meta.version == 2  # type: ignore[union-attr]


def test_observations_do_not_move_the_version_that_users_must_name() -> None:
    node = Node(id=NodeId("n1"), meta=Meta())
    state = committed(node)
    tx = Transaction(state, Timestamp(5_000))
    tx.update(msgspec.structs.replace(node, status=NodeStatus(state="ready")))
    after = tx.state.node(NodeId("n1"))
    assert after is not None
    assert (after.meta.version, after.meta.updated_at) == (1, 5_000)
    tx.update(msgspec.structs.replace(after, spec=NodeSpec(availability="drain")))
    assert tx.state.node(NodeId("n1")).meta.version == 2  # type: ignore[union-attr]


def test_several_changes_of_one_object_become_one() -> None:
    task = Task(
        id=TaskId("t"), meta=Meta(), service_id=ServiceId("s1"), service_name="a", spec=TaskSpec()
    )
    tx = Transaction(ClusterState(), NOW)
    tx.create(task)
    tx.update(msgspec.structs.replace(task, desired_state=TaskState.SHUTDOWN))
    (change,) = tx.changes
    assert isinstance(change, Created)
    assert isinstance(change.item, Task)
    assert change.item.desired_state == TaskState.SHUTDOWN
    tx.delete(task)
    assert tx.changes == ()


def test_deleting_and_making_again_is_an_update() -> None:
    tx = Transaction(committed(service("a")), NOW)
    tx.delete(service("a"))
    tx.create(service("b"))
    assert [type(change) for change in tx.changes] == [Updated]
    assert tx.state.service_by_name("b") is not None
    assert tx.state.service_by_name("a") is None


def test_what_is_not_there_cannot_be_changed() -> None:
    with pytest.raises(NotFound, match="service s1 not found"):
        Transaction(ClusterState(), NOW).update(service("a"))


def test_entries_and_snapshots_come_back_as_they_were() -> None:
    tx = Transaction(ClusterState(), NOW)
    tx.create(service("a"))
    tx.create(Node(id=NodeId("n1"), meta=Meta()))
    assert decode_entry(encode_entry(tx.changes)) == tx.changes
    state = ClusterState().apply(tx.changes)
    again = decode_snapshot(encode_snapshot(state))
    assert again.revision == 1
    assert list(again.everything()) == list(state.everything())
