"""The cluster object as the API shows it, without and with its join tokens."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.objects import common_members
from cluster.model.cluster import Cluster
from cluster.model.node import Node
from cluster.store.state import ClusterState

DEFAULT_DATA_PATH_PORT = 4789
DEFAULT_SUBNET_SIZE = 24


def cluster_json(cluster: Cluster, state: ClusterState) -> dict[str, Any]:
    """Return the cluster as ``/info`` shows it, which holds no secrets."""
    shown = common_members(cluster.id, cluster.meta)
    # The name is there even when it is the default one, which the model leaves out.
    shown["Spec"] = {"Name": cluster.spec.name} | msgspec.to_builtins(cluster.spec)
    shown["TLSInfo"] = _tls_info(cluster, state)
    shown["RootRotationInProgress"] = False
    shown["DefaultAddrPool"] = None
    shown["SubnetSize"] = DEFAULT_SUBNET_SIZE
    shown["DataPathPort"] = DEFAULT_DATA_PATH_PORT
    return shown


def swarm_json(cluster: Cluster, state: ClusterState) -> dict[str, Any]:
    """Return the cluster as ``/swarm`` shows it to those who may invite nodes."""
    shown = cluster_json(cluster, state)
    shown["JoinTokens"] = {"Worker": cluster.worker_token, "Manager": cluster.manager_token}
    return shown


def _tls_info(cluster: Cluster, state: ClusterState) -> dict[str, str]:
    """Return the CA's data; subject and key as a node that trusts this CA has described them."""
    for node in state.nodes:
        if _trusts(node, cluster.root_ca.cert_pem) and node.description is not None:
            described: dict[str, str] = msgspec.to_builtins(node.description.tls_info)
            return described
    return {"TrustRoot": cluster.root_ca.cert_pem}


def _trusts(node: Node, cert_pem: str) -> bool:
    return node.description is not None and node.description.tls_info.trust_root == cert_pem
