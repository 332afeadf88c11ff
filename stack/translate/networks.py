"""Networks: the objects to create, and the services' references to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stack.compose.types import Compose, IpamConfig, Network, Service
from stack.engine.payloads import Json
from stack.errors import ComposeError
from stack.translate.names import PREDEFINED_NETWORKS, labelled, scoped
from stack.translate.notes import is_one

_MODES_OF_THE_NODE = ("host", "none")


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
            "Options": dict(network.ipam_options) or None,
            "Config": [_ipam_config(part) for part in network.ipam_config],
        }
    if network.enable_ipv4 is not None:
        request["EnableIPv4"] = network.enable_ipv4
    if network.enable_ipv6 is not None:
        request["EnableIPv6"] = network.enable_ipv6
    return request


def attachments(compose: Compose, service: Service) -> list[Json]:
    """A service's ``TaskTemplate.Networks``, in the order of their targets.

    ``network_mode: bridge`` needs none: a task without networks is on its engine's bridge.

    Raises:
        ComposeError: the network of another container.
    """
    if service.network_mode in _MODES_OF_THE_NODE:
        return [{"Target": service.network_mode}]
    if service.network_mode.startswith(("service:", "container:")):
        raise ComposeError(
            f"services.{service.name}.network_mode: {service.network_mode}: tasks of two services "
            "may be on different nodes and cannot share a network: let them join one"
        )
    joined: list[Json] = []
    for reference in service.networks:
        target = network_name(compose.name, compose.networks[reference.name])
        attachment: Json = {"Target": target}
        if target not in PREDEFINED_NETWORKS:
            names = [*reference.aliases, service.name, *_further_names(compose, service)]
            attachment["Aliases"] = list(dict.fromkeys(names))
        if reference.driver_opts:
            attachment["DriverOpts"] = dict(reference.driver_opts)
        joined.append(attachment)
    return sorted(joined, key=lambda attachment: str(attachment["Target"]))


def network_extensions(compose: Compose, service: Service) -> dict[str, Json]:
    """The extension label's ``networks``: settings of memberships, by the network's name."""
    settings: dict[str, Json] = {}
    for joined in service.networks:
        made: Json = {
            "ipv4_address": joined.ipv4_address,
            "ipv6_address": joined.ipv6_address,
            "link_local_ips": list(joined.link_local_ips),
            "mac_address": joined.mac_address,
            "priority": joined.priority,
            "gw_priority": joined.gw_priority,
            "interface_name": joined.interface_name,
        }
        kept = {name: value for name, value in made.items() if value}
        if kept:
            settings[network_name(compose.name, compose.networks[joined.name])] = kept
    return settings


def _further_names(compose: Compose, service: Service) -> Iterator[str]:
    """Names by which a service is known on one machine: its container's, and those of links."""
    if service.container_name and is_one(service):
        yield service.container_name
    for other in compose.services:
        if other.links:
            yield from (alias for alias, linked in other.links.items() if linked == service.name)


def _ipam_config(part: IpamConfig) -> Json:
    payload: Mapping[str, object] = {
        "Subnet": part.subnet,
        "Gateway": part.gateway,
        "IPRange": part.ip_range,
        "AuxiliaryAddresses": dict(part.aux_addresses),
    }
    return {name: value for name, value in payload.items() if value}
