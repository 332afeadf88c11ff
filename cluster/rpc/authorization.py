"""Whether a certificate's holder may call a method."""

from __future__ import annotations

from typing import Any

from cluster.ca.identity import NodeIdentity
from cluster.errors import PermissionDenied, Unauthenticated
from cluster.model.ids import ClusterId
from cluster.model.units import Timestamp
from cluster.rpc.methods import Method


def check_caller(
    caller: NodeIdentity, method: Method[Any, Any], cluster_id: ClusterId, now: Timestamp
) -> None:
    """Let the caller pass or say why not; that the CA signed the certificate is known by then.

    Raises:
        Unauthenticated: the certificate is of another cluster, or ended while the connection
            stood.
        PermissionDenied: the role in it may not call this method.
    """
    if caller.cluster_id != cluster_id:
        raise Unauthenticated(
            f"the certificate of node {caller.node_id} is of cluster {caller.cluster_id},"
            f" this is cluster {cluster_id}"
        )
    if caller.not_after < now:
        raise Unauthenticated(
            f"the certificate of node {caller.node_id} has expired: leave and join again"
        )
    if caller.role not in method.roles:
        allowed = " or ".join(sorted(method.roles))
        raise PermissionDenied(
            f"{method.name} is for a {allowed}: node {caller.node_id} is a {caller.role}"
        )
