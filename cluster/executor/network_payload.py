"""A task's networks in the engine's requests.

The engine knows each of the cluster's networks as a network of the driver of our network process,
without address management of its own: the address goes along as an option of the endpoint.
Aliases are not passed on, since names are the network process's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import ClusterId
from cluster.model.network_view import (
    ADDRESS_OPTION,
    DRIVER_NAME,
    GATEWAY_OPTION,
    NETWORK_OPTION,
    NetworkView,
)

Json = dict[str, Any]

CLUSTER_LABEL: Final = "com.stackyard.cluster"


class Joined(NamedTuple):
    """A network that a task is in, and what the node's engine calls it."""

    attachment: NetworkAttachment
    network: NetworkView
    is_ingress: bool
    engine_name: str


def network_request(network: NetworkView, cluster_id: ClusterId) -> Json:
    """Return the body of ``POST /networks/create`` for a network of the cluster."""
    return {
        "Name": network.name,
        "Driver": DRIVER_NAME,
        "Internal": network.is_internal,
        "IPAM": {"Driver": "null"},
        "Options": {NETWORK_OPTION: network.id},
        "Labels": {CLUSTER_LABEL: cluster_id},
    }


def endpoint_settings(joined: Joined) -> Json:
    """Return what the engine must know of a task's place in one network."""
    options = {ADDRESS_OPTION: joined.attachment.address}
    if joined.is_ingress:
        options[GATEWAY_OPTION] = "1"
    return {"DriverOpts": options}


def join_first(payload: Json, networks: Sequence[Joined]) -> None:
    """Put the first network into a container-create request, and the resolver of names.

    Engines before API 1.44 take one network when a container is made; the others are connected
    after that.
    """
    first = networks[0]
    payload["HostConfig"]["NetworkMode"] = first.engine_name
    payload["NetworkingConfig"] = {"EndpointsConfig": {first.engine_name: endpoint_settings(first)}}
    resolver = next((j.network.gateway for j in networks if not j.is_ingress), None)
    if resolver is not None:
        payload["HostConfig"]["Dns"] = [resolver, *payload["HostConfig"].get("Dns", ())]
