"""The first state after a backup: one manager, which is new, and nobody else's word counts."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from cluster.ca.credentials import belong_together
from cluster.ca.membership import check_member
from cluster.clock import SystemClock
from cluster.daemon.restoring import restore_cluster
from cluster.errors import InvalidArgument, PermissionDenied
from cluster.model.audit import Author
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.node import ManagerStatus, Node, NodeSpec, NodeStatus
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.store.audit_log import record
from cluster.store.change import Created
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import make_service, make_task_spec
from tests.support.identities import cluster_object, credentials

MANAGERS, WORKER = ("m1", "m2"), "w1"


def node(name: str, raft_id: int = 0) -> Created:
    role = "manager" if raft_id else "worker"
    return Created(
        Node(
            id=NodeId(name),
            meta=Meta(),
            spec=NodeSpec(role=role),
            role=role,
            status=NodeStatus(state="ready", addr="10.0.0.9"),
            manager_status=ManagerStatus(raft_id=raft_id, addr="10.0.0.9:2377")
            if raft_id
            else None,
        )
    )


def task(name: str, on: str) -> Created:
    return Created(
        Task(
            id=TaskId(name),
            meta=Meta(),
            service_id=ServiceId("s"),
            service_name="s",
            spec=make_task_spec(),
            slot=1,
            node_id=NodeId(on),
            status=TaskStatus(state=TaskState.RUNNING),
            desired_state=TaskState.RUNNING,
        )
    )


STATE = ClusterState().apply(
    (
        Created(msgspec.structs.replace(cluster_object(), last_raft_id=2)),
        node("m1", 1),
        node("m2", 2),
        node(WORKER),
        task("on-manager", "m1"),
        task("on-worker", WORKER),
    )
)


def restored(state: ClusterState = STATE):
    numbers = itertools.count(1)
    return restore_cluster(
        state,
        availability="active",
        listen_addr="0.0.0.0:2377",
        advertise_host="10.0.0.77",
        advertise_addr="10.0.0.77:2377",
        clock=SystemClock(),
        new_id=lambda: f"new{next(numbers)}",
    )


def test_this_node_is_the_only_manager_and_has_a_certificate_of_the_old_root() -> None:
    membership, mine, state = restored()
    managers = [one for one in state.nodes if one.manager_status]
    assert [one.id for one in managers] == [membership.node_id]
    assert managers[0].manager_addr == "10.0.0.77:2377"
    assert membership.raft_id not in (0, 1, 2)
    assert belong_together(mine)
    assert mine.identity.role == "manager"
    assert mine.root_ca_pem == cluster_object().root_ca.cert_pem
    check_member(mine.identity, mine.certificate_pem, state)
    assert state.cluster is not None
    assert state.cluster.worker_token == cluster_object().worker_token


def test_former_managers_are_shut_out_and_workers_are_down() -> None:
    _, _, state = restored()
    for name in MANAGERS:
        assert state.node(NodeId(name)) is None
        former = credentials(name, "manager")
        with pytest.raises(PermissionDenied):
            check_member(former.identity, former.certificate_pem, state)
    worker = state.node(NodeId(WORKER))
    assert worker is not None
    assert worker.status.state == "down"
    again = credentials(WORKER, "worker")
    check_member(again.identity, again.certificate_pem, state)


def test_what_ran_on_former_managers_counts_as_lost() -> None:
    _, _, state = restored()
    lost, kept = state.task(TaskId("on-manager")), state.task(TaskId("on-worker"))
    assert lost is not None
    assert kept is not None
    assert lost.status.state is TaskState.ORPHANED
    assert kept.status.state is TaskState.RUNNING  # its node is down: it is replaced elsewhere


def test_the_audit_log_goes_on_with_the_restoring() -> None:
    tx = Transaction(STATE, Timestamp(1))
    tx.create(make_service("web"))
    record(tx, STATE, Author(name="user root"), "service create")
    membership, _, state = restored(STATE.apply(tx.changes))
    before, last = state.audit
    assert before.action == "service create"
    assert (last.action, last.author.node_id) == ("cluster restore", membership.node_id)
    assert {(one.deed, one.name) for one in last.changes} >= {("removed", "m1"), ("removed", "m2")}


def test_without_a_cluster_there_is_nothing_to_restore() -> None:
    with pytest.raises(InvalidArgument, match="holds no cluster"):
        restored(ClusterState())
