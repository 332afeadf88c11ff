"""In which networks a service or a task needs an address, and which one it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cluster.errors import NotFound
from cluster.model.endpoint import EndpointSpec
from cluster.model.ids import NetworkId
from cluster.model.network import Network
from cluster.model.service import ServiceSpec, TaskSpec
from cluster.model.update_policy import UpdateConfig
from cluster.store.state import ClusterState

PREDEFINED: Final = ("bridge", "host", "none")
"""Networks that every node has by itself; nothing is allocated in them."""


def publishes_everywhere(endpoint: EndpointSpec | None) -> bool:
    """Whether a port is published on every node."""
    return any(port.publish_mode != "host" for port in (endpoint.ports if endpoint else ()))


def why_not_fixed(spec: ServiceSpec) -> str:
    """Return why tasks of a service cannot have addresses of their own choice, "" if they can."""
    if spec.mode_name != "replicated":
        return f"a service of mode {spec.mode_name} may have several tasks at a time"
    if spec.replicas > 1:
        return f"{spec.replicas} replicas cannot share it"
    if any(c is not None and c.order == "start-first" for c in _policies(spec)):
        return "with order start-first a new task would wait for the old one's; use stop-first"
    return ""


def fixed_addresses(spec: ServiceSpec) -> Mapping[str, str]:
    """Return the addresses that the only task of a service is to have, by networks' names."""
    extensions = spec.task_template.extensions
    if extensions is None or not extensions.addresses or why_not_fixed(spec):
        return {}
    return extensions.addresses


def _policies(spec: ServiceSpec) -> tuple[UpdateConfig | None, ...]:
    return spec.update_config, spec.rollback_config


def ingress_network(state: ClusterState) -> Network | None:
    """Return the network through which published ports are reached, None if it was removed."""
    return next((network for network in state.networks if network.spec.ingress), None)


def wanted_networks(
    state: ClusterState, template: TaskSpec, endpoint: EndpointSpec | None
) -> list[Network]:
    """Return the networks that tasks are to join, in the order of the spec, published ports last.

    Raises:
        NotFound: one of them is not there (any more).
    """
    networks = []
    for attachment in template.networks:
        if attachment.target in PREDEFINED:
            continue
        network = state.network(NetworkId(attachment.target))
        if network is None:
            raise NotFound(f"network {attachment.target} is not there: update the service")
        networks.append(network)
    if publishes_everywhere(endpoint):
        ingress = ingress_network(state)
        if ingress is None:
            raise NotFound(
                "there is no network for published ports: make one with docker network create "
                "--driver overlay --ingress NAME, or publish in mode host"
            )
        networks.append(ingress)
    return networks
