import itertools

from cluster.api.local_node import InitRequest
from cluster.ca.credentials import belong_together
from cluster.ca.join_token import is_root_of, parse_join_token
from cluster.clock import SystemClock
from cluster.daemon.founding import found_cluster
from cluster.model.audit import Author
from cluster.model.ids import NodeId
from cluster.store.state import ClusterState


def test_a_new_cluster_has_one_manager_that_can_prove_itself() -> None:
    numbers = itertools.count(1)
    membership, credentials, changes = found_cluster(
        InitRequest(
            availability="drain",
            default_addr_pool=("172.30.0.0/16",),
            author=Author(name="user root", node_id=NodeId("none yet")),
        ),
        listen_addr="0.0.0.0:2377",
        advertise_host="10.0.0.1",
        advertise_addr="10.0.0.1:2377",
        clock=SystemClock(),
        new_id=lambda: f"id{next(numbers)}",
    )
    state = ClusterState().apply(changes)
    (node,) = state.nodes
    cluster = state.cluster
    (entry,) = state.audit
    assert (entry.action, entry.author.name) == ("cluster init", "user root")
    assert entry.author.node_id == node.id
    assert cluster is not None
    assert belong_together(credentials)
    assert credentials.identity.node_id == node.id == membership.node_id
    assert credentials.identity.cluster_id == cluster.id == membership.cluster_id
    assert (node.role, node.spec.role, node.spec.availability) == ("manager", "manager", "drain")
    assert node.manager_status is not None
    assert node.manager_status.addr == "10.0.0.1:2377"
    (network,) = state.networks
    assert network.spec.ingress
    assert network.allocation is not None
    assert network.allocation.subnet == "172.30.0.0/24"
    assert cluster.worker_token != cluster.manager_token
    for token in (cluster.worker_token, cluster.manager_token):
        assert is_root_of(parse_join_token(token), credentials.root_ca_pem)
