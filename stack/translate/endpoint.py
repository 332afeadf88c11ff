"""How a service is reached: ``EndpointSpec``, and the addresses it is published on."""

from __future__ import annotations

from stack.compose.types import Port, Service
from stack.engine.payloads import Json
from stack.errors import ComposeError

_ALL_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104 (what a file may say)


def endpoint_spec(service: Service) -> Json:
    """Endpoint mode and published ports, in the order of the published port.

    Raises:
        ComposeError: a port that only an engine of its own could publish.
    """
    payload: Json = {}
    if service.deploy.endpoint_mode:
        payload["Mode"] = service.deploy.endpoint_mode
    if service.ports:
        in_order = sorted(service.ports, key=lambda port: port.published)
        ports = [_port(service, port) for port in in_order]
        payload["Ports"] = [port for index, port in enumerate(ports) if port not in ports[:index]]
    return payload


def port_addresses(service: Service) -> list[Json]:
    """The extension label's ``ports``: which host-mode ports are not published on all addresses."""
    by_port: dict[tuple[int, int, str], list[str]] = {}
    for port in service.ports:
        if port.mode == "host":
            key = (port.target, port.published, port.protocol)
            by_port.setdefault(key, []).append(port.host_ip)
    return [
        {"target": target, "published": published, "protocol": protocol, "host_ips": addresses}
        for (target, published, protocol), addresses in sorted(by_port.items())
        if not any(address in _ALL_ADDRESSES for address in addresses)
    ]


def _port(service: Service, port: Port) -> Json:
    place = f"services.{service.name}.ports"
    if port.published_end:
        raise ComposeError(
            f"{place}: {port.published}-{port.published_end}:{port.target}: a cluster cannot "
            "choose one port of a range: name one"
        )
    if port.mode != "host" and port.host_ip not in _ALL_ADDRESSES:
        raise ComposeError(
            f"{place}: {port.host_ip}:{port.published}:{port.target}: a port of mode ingress is "
            "published on all addresses: leave the address out, or write mode: host"
        )
    payload: Json = {"Protocol": port.protocol, "TargetPort": port.target}
    if port.name:
        payload["Name"] = port.name
    if port.published:
        payload["PublishedPort"] = port.published
    payload["PublishMode"] = port.mode
    return payload
