from __future__ import annotations

import msgspec

from cluster.api.convert.cluster import cluster_json, swarm_json
from cluster.api.payloads.decoding import convert_tree
from cluster.model.cluster import Cluster, ClusterSpec, RootCa
from cluster.model.ids import ClusterId, NodeId
from cluster.model.meta import Meta
from cluster.model.node import Node, NodeDescription, TlsInfo
from cluster.store.change import Created
from cluster.store.state import ClusterState
from tests.unit.cluster.api.golden_files import as_json, golden, meta

SHOWN = golden("swarm-inspect")


def _cluster() -> Cluster:
    return Cluster(
        id=ClusterId(SHOWN["ID"]),
        meta=meta(SHOWN),
        spec=convert_tree(SHOWN["Spec"], ClusterSpec),
        root_ca=RootCa(cert_pem=SHOWN["TLSInfo"]["TrustRoot"], key_pem="secret"),
        worker_token=SHOWN["JoinTokens"]["Worker"],
        manager_token=SHOWN["JoinTokens"]["Manager"],
    )


def test_the_cluster_looks_as_recorded() -> None:
    description = NodeDescription(tls_info=convert_tree(SHOWN["TLSInfo"], TlsInfo))
    node = Node(id=NodeId("n"), meta=Meta(), description=description)
    state = ClusterState().apply((Created(node),))
    assert as_json(swarm_json(_cluster(), state)) == SHOWN


def test_secrets_are_not_shown_where_anybody_may_look() -> None:
    shown = str(cluster_json(_cluster(), ClusterState()))
    assert "SWMTKN" not in shown
    assert "secret" not in shown


def test_the_name_is_shown_although_it_is_the_default() -> None:
    cluster = msgspec.structs.replace(_cluster(), spec=ClusterSpec())
    assert cluster_json(cluster, ClusterState())["Spec"]["Name"] == "default"


def test_before_a_node_has_described_itself_the_root_is_known() -> None:
    shown = cluster_json(_cluster(), ClusterState())
    assert shown["TLSInfo"] == {"TrustRoot": SHOWN["TLSInfo"]["TrustRoot"]}
