"""What makes a node a member, written in an order that survives a crash, and changed later."""

from __future__ import annotations

import msgspec

from cluster.ca.credentials import NodeCredentials
from cluster.ca.key_files import KeyFiles
from cluster.ca.node_lock import NodeLock
from cluster.clock import Clock
from cluster.daemon.addresses import resolve_advertise_addr, resolve_listen_addr, with_port
from cluster.daemon.founding import stand_alone
from cluster.daemon.state_dir import Membership, StateDir
from cluster.model.audit import CLUSTER_ITSELF, Author
from cluster.replication.bootstrap import (
    FIRST_RAFT_ID,
    create_cluster_of,
    create_joiner,
    restart_alone,
)
from cluster.store.audit_log import record
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction


def write_member(
    state_dir: StateDir,
    lock: NodeLock,
    membership: Membership,
    credentials: NodeCredentials,
    initial: ClusterState | None,
) -> None:
    """Write everything, the membership last; whatever fails leaves the node a member of none.

    Args:
        state_dir: where to.
        lock: wraps the private key.
        membership: the node's.
        credentials: the node's.
        initial: the first state of a new cluster, None when one is joined.

    Raises:
        FailedPrecondition: the state of a cluster is there already.
        FatalStorageError: the disk failed.
    """
    try:
        if initial is not None:
            create_cluster_of(state_dir.raft, initial, membership.raft_id)
        elif membership.role == "manager":
            create_joiner(state_dir.raft)
        KeyFiles(state_dir.certificates, lock).save(credentials)
        state_dir.save(membership)
    except BaseException:
        state_dir.forget()
        raise


def write_alone(
    state_dir: StateDir,
    lock: NodeLock,
    clock: Clock,
    membership: Membership,
    author: Author = CLUSTER_ITSELF,
) -> None:
    """Make a manager, which must not run, the only one of its cluster; errors as `restart_alone`.

    Args:
        state_dir: the manager's.
        lock: wraps the keys of its log.
        clock: dates the change.
        membership: the manager's, with the address at which it will be reached.
        author: who asks for it.
    """

    def work(tx: Transaction) -> None:
        before = tx.state
        stand_alone(tx, membership.node_id, membership.manager_addr)
        record(tx, before, author, "cluster init --force-new-cluster")

    restart_alone(
        state_dir.raft,
        clock,
        membership.raft_id or FIRST_RAFT_ID,
        work,
        lock,
    )
    state_dir.save(membership)


def readdressed(membership: Membership, advertise_addr: str) -> Membership:
    """Return a membership of the same node at another address.

    Raises:
        InvalidArgument: it is no address of this machine.
    """
    host = resolve_advertise_addr(advertise_addr, "")
    listen_host, port = resolve_listen_addr(membership.listen_addr)
    if listen_host == membership.advertise_addr:
        listen_host = host
    return msgspec.structs.replace(
        membership, advertise_addr=host, listen_addr=with_port(listen_host, port)
    )
