"""How a service is reached: ``EndpointSpec``."""

from __future__ import annotations

from stack.compose.types import Port, Service
from stack.engine.payloads import Json


def endpoint_spec(service: Service) -> Json:
    """Endpoint mode and published ports, in the order of the published port."""
    payload: Json = {}
    if service.deploy.endpoint_mode:
        payload["Mode"] = service.deploy.endpoint_mode
    if service.ports:
        in_order = sorted(service.ports, key=lambda port: port.published)
        payload["Ports"] = [_port(port) for port in in_order]
    return payload


def _port(port: Port) -> Json:
    payload: Json = {"Protocol": port.protocol, "TargetPort": port.target}
    if port.name:
        payload["Name"] = port.name
    if port.published:
        payload["PublishedPort"] = port.published
    payload["PublishMode"] = port.mode
    return payload
