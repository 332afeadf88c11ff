"""Networks: the objects to create, and the services' references to them."""

from __future__ import annotations

from stack.compose.types import Compose, Network, Service
from stack.engine.payloads import Json
from stack.translate.names import PREDEFINED_NETWORKS, labelled, scoped


def network_name(stack: str, network: Network) -> str:
    """The network's name in the cluster."""
    if network.external:
        return network.name or network.key
    return network.name or scoped(stack, network.key)


def network_request(stack: str, network: Network) -> Json:
    """The body of ``POST /networks/create``."""
    request: Json = {
        "Name": network_name(stack, network),
        "Driver": network.driver or "overlay",
        "Scope": "",
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigOnly": False,
        "ConfigFrom": None,
        "Options": None if network.driver_opts is None else dict(network.driver_opts),
        "Labels": labelled(stack, network.labels),
        "IPAM": None,
    }
    if network.has_ipam:
        request["IPAM"] = {
            "Driver": network.ipam_driver,
            "Options": None,
            "Config": [
                _without_empty(
                    {"Subnet": part.subnet, "Gateway": part.gateway, "IPRange": part.ip_range}
                )
                for part in network.ipam_config
            ],
        }
    return request


def attachments(compose: Compose, service: Service) -> list[Json]:
    """A service's ``TaskTemplate.Networks``, in the order of their targets."""
    joined: list[Json] = []
    for reference in service.networks:
        target = network_name(compose.name, compose.networks[reference.name])
        attachment: Json = {"Target": target}
        if target not in PREDEFINED_NETWORKS:
            attachment["Aliases"] = [*reference.aliases, service.name]
        if reference.driver_opts:
            attachment["DriverOpts"] = dict(reference.driver_opts)
        joined.append(attachment)
    return sorted(joined, key=lambda attachment: str(attachment["Target"]))


def _without_empty(values: dict[str, str]) -> Json:
    return {name: value for name, value in values.items() if value}
