"""Certificates of small clusters, made once a test run (keys are not cheap)."""

from __future__ import annotations

import functools

from cluster.ca.authority import Authority, new_key_and_request, new_root_ca
from cluster.ca.credentials import NodeCredentials
from cluster.ca.join_token import new_join_token
from cluster.clock import SystemClock
from cluster.model.cluster import Cluster, ClusterSpec, RootCa
from cluster.model.ids import ClusterId, NodeId
from cluster.model.meta import Meta
from cluster.model.node import Role
from cluster.model.units import SECOND_NS

CLUSTER_ID = ClusterId("c" * 25)


@functools.cache
def _root_ca(name: str) -> RootCa:
    return new_root_ca(SystemClock().now())


def root_ca(name: str = "ours") -> RootCa:
    """A root; another name gives another one."""
    return _root_ca(name)


@functools.cache
def credentials(
    node_id: str, role: Role, *, root: str = "ours", cluster_id: ClusterId = CLUSTER_ID
) -> NodeCredentials:
    """A node's credentials, valid now for a day."""
    key_pem, csr_pem = new_key_and_request()
    certificate_pem = Authority(root_ca(root)).sign(
        csr_pem,
        node_id=NodeId(node_id),
        role=role,
        cluster_id=cluster_id,
        validity_ns=24 * 3600 * SECOND_NS,
        now=SystemClock().now(),
    )
    return NodeCredentials(
        key_pem=key_pem, certificate_pem=certificate_pem, root_ca_pem=root_ca(root).cert_pem
    )


@functools.cache
def cluster_object() -> Cluster:
    """The cluster of `root_ca()`, with tokens."""
    root = root_ca()
    return Cluster(
        id=CLUSTER_ID,
        meta=Meta(),
        spec=ClusterSpec(),
        root_ca=root,
        worker_token=new_join_token(root.cert_pem),
        manager_token=new_join_token(root.cert_pem),
    )
