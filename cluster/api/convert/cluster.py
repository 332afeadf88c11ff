"""The cluster object as the API shows it, without and with its join tokens."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.objects import common_members
from cluster.model.cluster import Cluster


def cluster_json(cluster: Cluster, issuer: tuple[str, str]) -> dict[str, Any]:
    """Return the cluster as ``/info`` shows it, which holds no secrets.

    Args:
        cluster: the cluster.
        issuer: subject and public key of the root that signs now, DER in base64.
    """
    shown = common_members(cluster.id, cluster.meta)
    # The name is there even when it is the default one, which the model leaves out.
    shown["Spec"] = {"Name": cluster.spec.name} | msgspec.to_builtins(cluster.spec)
    shown["TLSInfo"] = {
        "TrustRoot": cluster.root_ca.cert_pem,
        "CertIssuerSubject": issuer[0],
        "CertIssuerPublicKey": issuer[1],
    }
    shown["RootRotationInProgress"] = cluster.root_rotation is not None
    shown["DefaultAddrPool"] = list(cluster.address_pools) or None
    shown["SubnetSize"] = cluster.subnet_size
    shown["DataPathPort"] = cluster.data_port
    return shown


def swarm_json(cluster: Cluster, issuer: tuple[str, str]) -> dict[str, Any]:
    """Return the cluster as ``/swarm`` shows it to those who may invite nodes."""
    shown = cluster_json(cluster, issuer)
    if cluster.rebalancing is not None:  # no member of Docker's; its clients pass over it
        shown["StackyardRebalancing"] = {
            "Request": cluster.rebalancing.request,
            "State": cluster.rebalancing.state,
            "Moved": cluster.rebalancing.moved,
            "Message": cluster.rebalancing.message,
        }
    shown["JoinTokens"] = {"Worker": cluster.worker_token, "Manager": cluster.manager_token}
    return shown
