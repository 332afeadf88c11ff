"""What a user may do with nodes."""

from __future__ import annotations

from typing import Final

import msgspec

from cluster.api.commands.lookup import find_node
from cluster.errors import FailedPrecondition
from cluster.model.cluster import RemovedNode
from cluster.model.node import Node, NodeSpec
from cluster.model.task import TaskStatus
from cluster.model.task_state import TaskState, Writer, may_move
from cluster.model.units import SECOND_NS, Timestamp
from cluster.store.transaction import Transaction

GRACE_NS: Final = 24 * 3600 * SECOND_NS
"""A removed node is remembered for so long after its certificates have ended: clocks differ."""


def update_node(tx: Transaction, node_text: str, version: int, spec: NodeSpec) -> None:
    """Change a node's name, labels, availability and role.

    A new role is a wish: the role manager then brings the node in or out of the consensus group.

    Args:
        tx: the transaction.
        node_text: ID, name or beginning of an ID.
        version: the node's version the user has read.
        spec: the new spec.

    Raises:
        NotFound: no such node.
        OutOfSequence: the node changed meanwhile.
        FailedPrecondition: the last manager would be demoted.
    """
    node = find_node(tx.state, node_text)
    if spec.role != node.spec.role:
        managers = sum(1 for n in tx.state.nodes if n.spec.role == "manager")
        if spec.role == "worker" and managers == 1:
            raise FailedPrecondition("attempting to demote the last manager of the swarm")
    tx.update(msgspec.structs.replace(node, spec=spec), expected_version=version)


def remove_node(tx: Transaction, node_text: str, *, force: bool) -> None:
    """Remove a node; what ran there counts as lost.

    Raises:
        NotFound: no such node.
        FailedPrecondition: the node is a manager, or not down and not `force`.
    """
    node = find_node(tx.state, node_text)
    if node.role == "manager" or node.manager_status is not None:
        raise FailedPrecondition(
            f"node {node.id} is a cluster manager and is a member of the raft cluster. "
            "It must be demoted to worker before removal"
        )
    if node.status.state != "down" and not force:
        raise FailedPrecondition(
            f"node {node.id} is not down and can't be removed; let it leave first or use --force"
        )
    drop_node(tx, node)


def drop_node(tx: Transaction, node: Node) -> None:
    """Remove a node whatever it is; what ran there counts as lost, and it is shut out."""
    for task in tx.state.tasks_of_node(node.id):
        # The dispatcher would say so once the node stays away; with the node nobody would be left
        # to do it.
        if may_move(Writer.DISPATCHER, task.status.state, TaskState.ORPHANED):
            status = TaskStatus(
                state=TaskState.ORPHANED,
                timestamp=tx.now,
                message="node removed from the swarm",
                container=task.status.container,
            )
            tx.update(msgspec.structs.replace(task, status=status))
    for attachment in tx.state.attachments.find("node", node.id):
        tx.delete(attachment)
    tx.delete(node)
    shut_out(tx, node)


def shut_out(tx: Transaction, node: Node) -> None:
    """Remember that a node is removed, until every certificate it has is void by itself."""
    cluster = tx.state.cluster
    if cluster is None:
        return
    ends = [issued.not_after for issued in node.certificates]
    until = max((*ends, tx.now + cluster.node_cert_expiry_ns)) + GRACE_NS
    remembered = (removed for removed in cluster.removed_nodes if removed.until > tx.now)
    removed_nodes = (*remembered, RemovedNode(id=node.id, until=Timestamp(until)))
    tx.update(msgspec.structs.replace(cluster, removed_nodes=removed_nodes))
