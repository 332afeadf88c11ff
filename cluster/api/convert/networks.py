"""Networks as the API shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.timestamps import rfc3339
from cluster.model.network import Network

DEFAULT_DRIVER = "overlay"


def network_json(network: Network) -> dict[str, Any]:
    """Return a cluster network as the API shows it; the same in lists and alone."""
    spec = network.spec
    shown: dict[str, Any] = {
        "Name": spec.name,
        "Id": network.id,
        "Created": rfc3339(network.meta.created_at),
        "Scope": "swarm",
        "Driver": spec.driver or DEFAULT_DRIVER,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": _ipam(network),
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": spec.ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": dict(spec.options) if spec.options else None,
        "Labels": dict(spec.labels) if spec.labels else None,
    }
    return shown


def predefined_network_json(name: str, driver: str) -> dict[str, Any]:
    """Return one of the networks that every node has, as a service may name it.

    Its ID is its name: the IDs that the engines give differ from node to node.
    """
    return {
        "Name": name,
        "Id": name,
        "Scope": "swarm",
        "Driver": driver,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": []},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": None,
        "Labels": None,
    }


def _ipam(network: Network) -> dict[str, Any]:
    ipam = network.spec.ipam
    if ipam is None:
        return {"Driver": "default", "Options": None, "Config": []}
    return {
        "Driver": ipam.driver or "default",
        "Options": dict(ipam.options) if ipam.options else None,
        "Config": [msgspec.to_builtins(config) for config in ipam.config],
    }
