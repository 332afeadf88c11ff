"""How one root takes the place of another while nodes come and go. Pure: from state to state.

    begin    the new root signs; the old one has cross-signed its key and is still trusted
             nodes renew: what they get is believed by whoever trusts either root
    finish   once every manager, and every worker that is there, has renewed: the new root is
             trusted, tokens change, the old key is dropped

A worker that was away meanwhile still trusts the old root alone. It believes the managers because
they show the cross-signed certificate with their own. They believe it because the old root, now
retired, counts for exactly the certificates that the store has noted as given out: whoever stole
the old key can sign others, but not these. When no node is left behind, the root is forgotten.

The idea of cross-signing is Docker Swarm's (swarmkit, ``ca/reconciler.go``); there a rotation waits
for nodes that are away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from cluster.ca.authority import Authority
from cluster.ca.chain import issuer_info
from cluster.ca.join_token import join_token_of
from cluster.model.cluster import Cluster, RetiredRoot, RootCa, RootRotation
from cluster.model.ids import NewId
from cluster.model.node import Node
from cluster.model.units import Timestamp
from cluster.store.change import Change
from cluster.store.plan import Plan
from cluster.store.state import ClusterState

KEY: Final = "root"

_AWAY: Final = ("down", "disconnected")


def begin(cluster: Cluster, root: RootCa) -> Cluster:
    """Return the cluster with `root` on its way in, in place of one that may be so already."""
    cross_signed = Authority(cluster.root_ca).cross_sign(root.cert_pem)
    rotation = RootRotation(root=root, cross_signed_pem=cross_signed)
    return msgspec.structs.replace(cluster, root_rotation=rotation)


def chain_of(cluster: Cluster) -> str:
    """Return what a new certificate needs to lead up to every root that nodes may trust, as PEM."""
    between = [retired.cross_signed_pem for retired in reversed(cluster.retired_roots)]
    if cluster.root_rotation is not None:
        between.insert(0, cluster.root_rotation.cross_signed_pem)
    return "".join(between)


def accepted_roots(cluster: Cluster) -> str:
    """Return the roots whose certificates managers look at when a node calls, as PEM."""
    roots = [retired.cert_pem for retired in cluster.retired_roots]
    roots.append(cluster.root_ca.cert_pem)
    if cluster.root_rotation is not None:
        roots.append(cluster.root_rotation.root.cert_pem)
    return "".join(roots)


class RootRotations:
    """The reconciler that ends a rotation, and forgets roots that nobody needs any more."""

    name = "root rotation"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Look whenever a node or the cluster changes."""
        cluster = state.cluster
        if cluster is None or not (cluster.root_rotation or cluster.retired_roots):
            return ()
        return (KEY,) if isinstance(change.item, Node | Cluster) else ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:  # noqa: ARG002
        """Return the one key."""
        return (KEY,)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:  # noqa: ARG002
        """Return the cluster's next form, if there is one."""
        cluster = state.cluster
        if cluster is None:
            return Plan()
        wanted = _next(cluster, tuple(state.nodes), now, new_id)
        return Plan() if wanted == cluster else Plan(update=(wanted,))


def _next(cluster: Cluster, nodes: tuple[Node, ...], now: Timestamp, new_id: NewId) -> Cluster:
    if cluster.root_rotation is None and not cluster.retired_roots:
        return cluster
    issuer = issuer_info(cluster.signing_root.cert_pem)
    behind = [node for node in nodes if _issuer_of(node) != issuer]
    if cluster.root_rotation is not None:
        if any(_is_waited_for(node) for node in behind):
            return cluster
        cluster = _finished(cluster, cluster.root_rotation, behind, now, new_id)
    needed = tuple(root for root in cluster.retired_roots if root.until > now) if behind else ()
    return msgspec.structs.replace(cluster, retired_roots=needed)


def _is_waited_for(node: Node) -> bool:
    # Managers call each other, and none could believe one that has only the old root's word; that
    # one might be needed for a quorum, without which nobody gets a new certificate.
    return node.status.state not in _AWAY or node.manager_status is not None


def _finished(
    cluster: Cluster, rotation: RootRotation, behind: list[Node], now: Timestamp, new_id: NewId
) -> Cluster:
    ends = [issued.not_after for node in behind for issued in node.certificates]
    retired = RetiredRoot(
        cert_pem=cluster.root_ca.cert_pem,
        cross_signed_pem=rotation.cross_signed_pem,
        until=max(ends, default=now),
    )
    trusted = rotation.root.cert_pem
    return msgspec.structs.replace(
        cluster,
        root_ca=rotation.root,
        root_rotation=None,
        retired_roots=(*cluster.retired_roots, retired),
        worker_token=join_token_of(trusted, new_id()),
        manager_token=join_token_of(trusted, new_id()),
    )


def _issuer_of(node: Node) -> tuple[str, str]:
    if node.description is None:
        return "", ""
    info = node.description.tls_info
    return info.cert_issuer_subject, info.cert_issuer_public_key
