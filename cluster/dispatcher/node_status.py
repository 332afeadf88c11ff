"""What the dispatcher writes of a node."""

from __future__ import annotations

import msgspec

from cluster.model.node import Node, NodeState, NodeStatus
from cluster.store.transaction import Transaction


def with_status(
    node: Node, tx: Transaction, state: NodeState, message: str, *, addr: str | None = None
) -> Node:
    """Return the node in a state, in which it is since now unless it was before.

    Args:
        node: as it is.
        tx: dates the change.
        state: the state it is in now.
        message: why.
        addr: its IP address if that is known anew.
    """
    status = NodeStatus(
        state=state,
        message=message,
        addr=node.status.addr if addr is None else addr,
        since=node.status.since if node.status.state == state else tx.now,
    )
    return msgspec.structs.replace(node, status=status)
