"""The first state of a cluster that comes out of a backup, on a node that was not in it."""

from __future__ import annotations

import msgspec

from cluster.api.commands.nodes import drop_node
from cluster.ca.authority import Authority, new_key_and_request
from cluster.ca.credentials import NodeCredentials
from cluster.ca.identity import identity_of
from cluster.ca.issuer import next_raft_id
from cluster.ca.membership import noted
from cluster.ca.root_rotation import chain_of
from cluster.clock import Clock
from cluster.daemon.state_dir import Membership
from cluster.errors import InvalidArgument
from cluster.model.audit import CLUSTER_ITSELF, Author
from cluster.model.ids import NewId, NodeId
from cluster.model.meta import Meta
from cluster.model.node import Availability, ManagerStatus, Node, NodeSpec, NodeStatus
from cluster.store.audit_log import record
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

MESSAGE = "the cluster was restored from a backup"


def restore_cluster(
    state: ClusterState,
    *,
    availability: Availability,
    listen_addr: str,
    advertise_host: str,
    advertise_addr: str,
    clock: Clock,
    new_id: NewId,
    author: Author = CLUSTER_ITSELF,
) -> tuple[Membership, NodeCredentials, ClusterState]:
    """Make a cluster of one manager, this node, out of what a backup holds; nothing is written.

    The managers of that time are removed and shut out: if one still runs, it must not be taken
    for one of this cluster. Workers stay as nodes that are down: they come back by themselves if
    they find a manager where they look for one. Until then their tasks run elsewhere.

    Args:
        state: what the backup holds.
        availability: whether this node takes tasks.
        listen_addr: host:port to listen on.
        advertise_host: IP address of this node for others.
        advertise_addr: the same with the port.
        clock: dates it.
        new_id: names the node.
        author: who asks for it.

    Raises:
        InvalidArgument: the backup holds no cluster.
    """
    now = clock.now()
    tx = Transaction(state, now)
    if state.cluster is None:
        raise InvalidArgument("the backup holds no cluster")
    for node in sorted(state.nodes, key=lambda node: node.id):
        if node.manager_status is not None or "manager" in (node.role, node.spec.role):
            drop_node(tx, node)
        else:
            status = NodeStatus(state="down", message=MESSAGE, addr=node.status.addr, since=now)
            tx.update(msgspec.structs.replace(node, status=status))
    raft_id = next_raft_id(tx)
    cluster = tx.state.cluster
    assert cluster is not None
    node_id = NodeId(new_id())
    key_pem, csr_pem = new_key_and_request()
    certificate = Authority(cluster.signing_root).sign(
        csr_pem,
        node_id=node_id,
        role="manager",
        cluster_id=cluster.id,
        validity_ns=cluster.node_cert_expiry_ns,
        now=now,
    )
    mine = Node(
        id=node_id,
        meta=Meta(),
        spec=NodeSpec(role="manager", availability=availability),
        role="manager",
        status=NodeStatus(state="unknown", message="not heard of yet", addr=advertise_host),
        manager_status=ManagerStatus(raft_id=raft_id, addr=advertise_addr),
        manager_addr=advertise_addr,
    )
    tx.create(noted(mine, certificate, identity_of(certificate).not_after))
    author = msgspec.structs.replace(author, node_id=node_id)
    record(tx, state, author, "cluster restore")
    membership = Membership(
        node_id=node_id,
        cluster_id=cluster.id,
        role="manager",
        listen_addr=listen_addr,
        advertise_addr=advertise_host,
        managers=(advertise_addr,),
        raft_id=raft_id,
    )
    credentials = NodeCredentials(
        key_pem=key_pem,
        certificate_pem=certificate + chain_of(cluster),
        root_ca_pem=cluster.root_ca.cert_pem,
    )
    return membership, credentials, state.apply(tx.changes)
