"""Whether the holder of a certificate that TLS accepts is a member of the cluster (any more)."""

from __future__ import annotations

from typing import Final

import msgspec

from cluster.ca.chain import digest_of, leads_to
from cluster.ca.identity import NodeIdentity
from cluster.errors import PermissionDenied, Unauthenticated
from cluster.model.ids import NodeId
from cluster.model.node import IssuedCertificate, Node
from cluster.model.units import Timestamp
from cluster.store.state import ClusterState

_NOTED: Final = 2


def check_member(
    caller: NodeIdentity, chain_pem: str, state: ClusterState, *, may_lag: bool = False
) -> None:
    """Let the caller pass, or say why not.

    A manager whose state lags behind may let a node pass a moment longer than others.

    Args:
        caller: whom the certificate names.
        chain_pem: its certificate, and what the caller showed with it.
        state: this manager's copy, which is current where it leads.
        may_lag: the call is one by which a copy gets current. So it must be let in although its
            certificate is of a root that the copy does not know yet, if that one is vouched for
            by a root which is not retired.

    Raises:
        PermissionDenied: the node was removed.
        Unauthenticated: the certificate is of a root that was replaced, and none that the cluster
            has given out.
    """
    cluster = state.cluster
    if cluster is None:
        return
    if any(removed.id == caller.node_id for removed in cluster.removed_nodes):
        raise no_member(caller.node_id)
    if cluster.root_rotation is None and not cluster.retired_roots:
        return
    roots = cluster.signing_root.cert_pem
    if may_lag:
        roots += cluster.root_ca.cert_pem
    if leads_to(chain_pem, roots):
        return
    node = state.node(caller.node_id)
    noted = node.certificates if node is not None else ()
    if digest_of(chain_pem) not in [issued.digest for issued in noted]:
        raise Unauthenticated(
            f"node {caller.node_id} shows a certificate of an older root that this cluster has not"
            " given to it: leave on that node and join again"
        )


def no_member(node_id: NodeId) -> PermissionDenied:
    """Return the error that a removed node gets."""
    return PermissionDenied(
        f"node {node_id} is no member of this cluster (any more): leave on that node and join again"
    )


def noted(node: Node, certificate_pem: str, not_after: Timestamp) -> Node:
    """Return the node with a certificate noted that it is given.

    The one before stays: the node may go down before it has stored the new one.
    """
    issued = IssuedCertificate(digest=digest_of(certificate_pem), not_after=not_after)
    certificates = (issued, *node.certificates)[:_NOTED]
    return msgspec.structs.replace(node, certificates=certificates)
