"""The first state of a new cluster, and the first steps of a node that joins one."""

from __future__ import annotations

import msgspec

from cluster.allocator.subnets import address_pools, allocated
from cluster.api.local_node import InitRequest
from cluster.ca.authority import Authority, new_key_and_request, new_root_ca
from cluster.ca.credentials import NodeCredentials
from cluster.ca.identity import identity_of
from cluster.ca.join_token import new_join_token
from cluster.ca.membership import noted
from cluster.ca.node_lock import new_unlock_key
from cluster.clock import Clock
from cluster.daemon.state_dir import Membership
from cluster.errors import ClusterError, InvalidArgument
from cluster.model.cluster import Cluster
from cluster.model.ids import ClusterId, NetworkId, NewId, NodeId
from cluster.model.meta import Meta
from cluster.model.network import INGRESS_NAME, Network, NetworkSpec
from cluster.model.node import Availability, ManagerStatus, Node, NodeSpec, NodeStatus
from cluster.replication.bootstrap import FIRST_RAFT_ID
from cluster.rpc.join_client import fetch_root_ca, request_certificate
from cluster.store.audit_log import record
from cluster.store.change import Change
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction


def found_cluster(
    request: InitRequest,
    *,
    listen_addr: str,
    advertise_host: str,
    advertise_addr: str,
    clock: Clock,
    new_id: NewId,
) -> tuple[Membership, NodeCredentials, tuple[Change, ...]]:
    """Make a cluster of one manager; nothing is written yet.

    Args:
        request: settings of the cluster and of this node; its addresses are passed over.
        listen_addr: host:port to listen on.
        advertise_host: IP address of this node for others.
        advertise_addr: the same with the port.
        clock: dates it.
        new_id: names it.

    Raises:
        InvalidArgument: an address pool or a number is wrong.
    """
    spec = request.spec
    pools = address_pools(request.default_addr_pool, request.subnet_size, request.data_path_port)
    now = clock.now()
    cluster_id, node_id = ClusterId(new_id()), NodeId(new_id())
    root = new_root_ca(now)
    cluster = Cluster(
        id=cluster_id,
        meta=Meta(),
        spec=spec,
        root_ca=root,
        worker_token=new_join_token(root.cert_pem),
        manager_token=new_join_token(root.cert_pem),
        unlock_key=new_unlock_key() if spec.encryption_config.auto_lock_managers else "",
        address_pools=pools.pools,
        subnet_size=pools.subnet_size,
        data_port=pools.data_port,
    )
    key_pem, csr_pem = new_key_and_request()
    certificate = Authority(root).sign(
        csr_pem,
        node_id=node_id,
        role="manager",
        cluster_id=cluster_id,
        validity_ns=cluster.node_cert_expiry_ns,
        now=now,
    )
    node = Node(
        id=node_id,
        meta=Meta(),
        spec=NodeSpec(role="manager", availability=request.availability),
        role="manager",
        status=NodeStatus(state="unknown", message="not heard of yet", addr=advertise_host),
        manager_status=ManagerStatus(raft_id=FIRST_RAFT_ID, addr=advertise_addr),
        manager_addr=advertise_addr,
    )
    tx = Transaction(ClusterState(), now)
    tx.create(cluster)
    tx.create(noted(node, certificate, identity_of(certificate).not_after))
    ingress = NetworkSpec(name=INGRESS_NAME, driver="overlay", ingress=True)
    network = Network(id=NetworkId(new_id()), meta=Meta(), spec=ingress)
    tx.create(allocated(tx.state, network))
    author = msgspec.structs.replace(request.author, node_id=node_id)
    record(tx, ClusterState(), author, "cluster init")
    membership = Membership(
        node_id=node_id,
        cluster_id=cluster_id,
        role="manager",
        listen_addr=listen_addr,
        advertise_addr=advertise_host,
        managers=(advertise_addr,),
        raft_id=FIRST_RAFT_ID,
    )
    credentials = NodeCredentials(
        key_pem=key_pem, certificate_pem=certificate, root_ca_pem=root.cert_pem
    )
    return membership, credentials, tx.changes


def stand_alone(tx: Transaction, node_id: NodeId, manager_addr: str) -> None:
    """Make a node the only manager; the others become workers when they come back.

    Args:
        tx: works on the state the node has.
        node_id: the node.
        manager_addr: host:port on which it is reached from now on.
    """
    for node in tuple(tx.state.nodes):
        if node.id == node_id:
            assert node.manager_status is not None, "only a manager has the state"
            status = msgspec.structs.replace(node.manager_status, addr=manager_addr)
            spec = msgspec.structs.replace(node.spec, role="manager")
            tx.update(
                msgspec.structs.replace(
                    node, spec=spec, manager_status=status, manager_addr=manager_addr
                )
            )
        elif node.spec.role == "manager" or node.manager_status is not None:
            spec = msgspec.structs.replace(node.spec, role="worker")
            tx.update(msgspec.structs.replace(node, spec=spec, role="worker", manager_status=None))


async def ask_to_join(
    *,
    remote_addrs: tuple[str, ...],
    token: str,
    availability: Availability,
    listen_addr: str,
    advertise_host: str,
    manager_addr: str,
) -> tuple[Membership, NodeCredentials]:
    """Ask managers, one after the other, to admit this node; nothing is written here yet.

    Raises:
        InvalidArgument: no address, or the token is wrong.
        ClusterError: what the last manager that was asked said.
    """
    if not remote_addrs:
        raise InvalidArgument("at least 1 address of a manager is needed to join")
    failure: ClusterError | None = None
    for addr in remote_addrs:
        try:
            root_ca_pem = await fetch_root_ca(addr, token)
            key_pem, csr_pem = new_key_and_request()
            answer = await request_certificate(
                addr,
                token,
                root_ca_pem,
                csr_pem,
                availability=availability,
                manager_addr=manager_addr,
            )
        except InvalidArgument:
            raise  # the token is no better at the next one
        except ClusterError as error:
            failure = error
            continue
        credentials = NodeCredentials(
            key_pem=key_pem,
            certificate_pem=answer.certificate_pem,
            root_ca_pem=answer.root_ca_pem,
        )
        identity = credentials.identity
        membership = Membership(
            node_id=identity.node_id,
            cluster_id=identity.cluster_id,
            role=identity.role,
            listen_addr=listen_addr,
            advertise_addr=advertise_host,
            managers=remote_addrs,
            raft_id=answer.raft_id,
        )
        return membership, credentials
    assert failure is not None
    raise failure
