"""Issues certificates for the members that the store knows: admits new ones, renews others'."""

from __future__ import annotations

import functools

import msgspec

from cluster.ca.authority import Authority
from cluster.ca.identity import NodeIdentity, identity_of
from cluster.ca.join_token import role_for
from cluster.ca.membership import no_member, noted
from cluster.ca.root_rotation import chain_of
from cluster.clock import Clock
from cluster.errors import InvalidArgument, Unavailable
from cluster.model.audit import Author
from cluster.model.cluster import Cluster, RootCa
from cluster.model.ids import NewId, NodeId
from cluster.model.meta import Meta
from cluster.model.node import Availability, ManagerStatus, Node, NodeSpec, NodeStatus, Role
from cluster.model.spec_struct import ObjectStruct
from cluster.store.audit_log import record
from cluster.store.interface import ClusterStore
from cluster.store.transaction import Transaction


class Issued(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A new certificate with what leads from it to a root, whose it is, and the root to trust."""

    node_id: NodeId
    certificate_pem: str
    root_ca_pem: str
    raft_id: int = 0  # of a manager


class CertificateIssuer:
    """The cluster's authority at work; only the leader admits and renews."""

    def __init__(self, store: ClusterStore, *, clock: Clock, new_id: NewId) -> None:
        """Sign with the root in `store`; `new_id` names new nodes."""
        self._store = store
        self._clock = clock
        self._new_id = new_id

    def root_ca_pem(self) -> str:
        """Return the root certificate that members trust.

        Raises:
            Unavailable: this manager does not know the cluster yet.
        """
        return _cluster(self._store.view().cluster).root_ca.cert_pem

    async def admit(
        self, token: str, csr_pem: str, availability: Availability, manager_addr: str
    ) -> Issued:
        """Make a new node and its certificate; the token decides its role.

        A new manager gets its ID for the consensus group here; the role manager then lets it in.

        Args:
            token: of workers or of managers.
            csr_pem: request for a certificate.
            availability: whether the node takes tasks at once.
            manager_addr: host:port on which the node is reached as a manager.

        Raises:
            InvalidArgument: "invalid join token", or the request is no good; nothing is changed.
            NotLeader: ask the leader.
        """

        def work(tx: Transaction) -> Issued:
            cluster = _cluster(tx.state.cluster)
            role = role_for(
                token, worker_token=cluster.worker_token, manager_token=cluster.manager_token
            )
            node_id = NodeId(self._new_id())
            manager_status = None
            if role == "manager":
                if not manager_addr:
                    raise InvalidArgument("a manager must tell the address it is reached on")
                manager_status = ManagerStatus(raft_id=next_raft_id(tx), addr=manager_addr)
            raft_id = manager_status.raft_id if manager_status else 0
            issued = self._sign(cluster, csr_pem, node_id, role, raft_id)
            node = Node(
                id=node_id,
                meta=Meta(),
                spec=NodeSpec(role=role, availability=availability),
                role=role,
                status=NodeStatus(
                    state="unknown", message="joined, not heard of yet", since=tx.now
                ),
                manager_status=manager_status,
                manager_addr=manager_addr,
            )
            before = tx.state
            tx.create(_noted(node, issued))
            record(tx, before, Author(name=f"{role} join token"), "cluster join")
            return issued

        return await self._store.update(work)

    async def renew(self, caller: NodeIdentity, csr_pem: str) -> Issued:
        """Make a new certificate for a member, with the role that the store gives it now.

        Raises:
            PermissionDenied: the node was removed from the cluster.
            InvalidArgument: the request is no good.
            NotLeader: ask the leader.
        """

        def work(tx: Transaction) -> Issued:
            node = tx.state.node(caller.node_id)
            if node is None:
                raise no_member(caller.node_id)
            raft_id = node.manager_status.raft_id if node.manager_status else 0
            cluster = _cluster(tx.state.cluster)
            issued = self._sign(cluster, csr_pem, node.id, node.role, raft_id)
            tx.update(_noted(node, issued))
            return issued

        return await self._store.update(work)

    def _sign(
        self, cluster: Cluster, csr_pem: str, node_id: NodeId, role: Role, raft_id: int
    ) -> Issued:
        certificate = _authority(cluster.signing_root).sign(
            csr_pem,
            node_id=node_id,
            role=role,
            cluster_id=cluster.id,
            validity_ns=cluster.node_cert_expiry_ns,
            now=self._clock.now(),
        )
        return Issued(
            node_id=node_id,
            certificate_pem=certificate + chain_of(cluster),
            root_ca_pem=cluster.root_ca.cert_pem,
            raft_id=raft_id,
        )


def _noted(node: Node, issued: Issued) -> Node:
    return noted(node, issued.certificate_pem, identity_of(issued.certificate_pem).not_after)


def next_raft_id(tx: Transaction) -> int:
    """Take an ID for a new member of the consensus group; none is ever given twice.

    Raises:
        Unavailable: this manager does not know the cluster yet.
    """
    cluster = _cluster(tx.state.cluster)
    raft_id = cluster.last_raft_id + 1
    tx.update(msgspec.structs.replace(cluster, last_raft_id=raft_id))
    return raft_id


@functools.lru_cache(maxsize=2)
def _authority(root: RootCa) -> Authority:
    return Authority(root)


def _cluster(cluster: Cluster | None) -> Cluster:
    if cluster is None:
        raise Unavailable("this manager does not know the cluster yet: try again")
    return cluster
