"""How a service is reached: ``EndpointSpec``, and the addresses it is published on."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from stack.compose.types import Port, Service
from stack.engine.payloads import Json
from stack.errors import ComposeError

_ALL_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104 (what a file may say)
_OWN_NETWORKS = ("host", "none")


def endpoint_spec(service: Service) -> Json:
    """Endpoint mode and published ports, in the order of the published port.

    Raises:
        ComposeError: a port that only an engine of its own could publish.
    """
    payload: Json = {}
    if service.deploy.endpoint_mode:
        payload["Mode"] = service.deploy.endpoint_mode
    if service.ports:
        in_order = sorted(_single_ports(service), key=lambda port: port.published)
        ports = [_port(service, port) for port in in_order]
        payload["Ports"] = [port for index, port in enumerate(ports) if port not in ports[:index]]
    return payload


def port_settings(service: Service) -> list[Json]:
    """The extension label's ``ports``: addresses they are limited to, and hidden clients."""
    by_port: dict[tuple[int, int, str], list[Port]] = {}
    for port in _single_ports(service):
        by_port.setdefault((port.target, port.published, port.protocol), []).append(port)
    settings: list[Json] = []
    for (target, published, protocol), ports in sorted(by_port.items()):
        said: Json = {}
        addresses = [port.host_ip for port in ports]
        if not any(address in _ALL_ADDRESSES for address in addresses):
            said["host_ips"] = addresses
        if any(port.hide_client for port in ports):
            said["hide_client"] = True
        if said:
            settings.append(
                {"target": target, "published": published, "protocol": protocol, **said}
            )
    return settings


def _single_ports(service: Service) -> Iterator[Port]:
    """Yield each port by itself: all of a range are published, as Docker's client does it.

    In mode host a range remains; which port of it is free is known on the node alone.
    """
    for port in service.ports:
        if not port.published_end or port.mode == "host":
            yield port
            continue
        for number in range(port.published, port.published_end + 1):
            yield replace(port, published=number, published_end=0)


def _port(service: Service, port: Port) -> Json:
    place = f"services.{service.name}.ports"
    if port.published_end:
        raise ComposeError(
            f"{place}: {port.published}-{port.published_end}:{port.target}: a cluster cannot "
            "choose one port of a range on a node: name one, or leave mode: host out"
        )
    if port.mode != "host" and ":" in port.host_ip and port.host_ip not in _ALL_ADDRESSES:
        raise ComposeError(
            f"{place}: [{port.host_ip}]:{port.published}:{port.target}: in mode ingress ports are "
            "published on IPv4 addresses only: name one, or write mode: host"
        )
    if port.mode != "host" and service.network_mode in _OWN_NETWORKS:
        raise ComposeError(
            f"{place}: {port.published or port.target}: a service with network_mode "
            f"{service.network_mode} has no ports of mode ingress: leave the port out"
        )
    payload: Json = {"Protocol": port.protocol, "TargetPort": port.target}
    if port.name:
        payload["Name"] = port.name
    if port.published:
        payload["PublishedPort"] = port.published
    payload["PublishMode"] = port.mode
    return payload
