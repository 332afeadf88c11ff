"""Ports that are published on every node: no two services share one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from cluster.allocator.wants import ingress_network, publishes_everywhere
from cluster.errors import FailedPrecondition, InvalidArgument
from cluster.model.endpoint import PortConfig
from cluster.model.ids import ServiceId
from cluster.model.service import Service, ServiceSpec
from cluster.store.change import Updated
from cluster.store.state import ClusterState, port_key

FIRST_CHOSEN: Final = 30000
LAST_CHOSEN: Final = 32767
"""The ports given to services that name none, as in Docker Swarm."""


def with_ports(state: ClusterState, service: Service, released: Iterable[Service] = ()) -> Service:
    """Return the service with the published ports of its spec, chosen where it names none.

    A port that was chosen before stays as it is, whatever else of the spec changes.

    Args:
        state: with the other services.
        service: with the spec.
        released: others that the same step is still to change, as `releasing` returns them: what
            they give up is free.

    Raises:
        InvalidArgument: another service has the port, on all nodes or on its tasks' nodes.
        FailedPrecondition: no port is left to choose, or there is no network for such ports.
    """
    others = (Updated(one) for one in released if one.id != service.id)
    state = state.preview(others, state.revision)
    spec = service.spec.endpoint_spec
    if publishes_everywhere(spec) and ingress_network(state) is None:
        raise FailedPrecondition(
            "service needs ingress network, but no ingress network is present: make one with "
            "docker network create --driver overlay --ingress NAME, or publish in mode host"
        )
    before = list(service.endpoint.ports)
    ports: list[PortConfig] = []
    named = {
        port_key(port)
        for port in (spec.ports if spec else ())
        if port.publish_mode != "host" and port.published_port
    }
    for port in spec.ports if spec else ():
        if port.publish_mode == "host":
            _check_free(state, service.id, port, "port")
            ports.append(port)
        elif port.published_port:
            _check_free(state, service.id, port, "port")
            _check_free(state, service.id, port, "host port")
            ports.append(port)
        else:
            chosen = _kept(before, port, named) or _choose(state, service.id, port, named)
            named.add(port_key(chosen))
            ports.append(chosen)
    return replace(service, endpoint=replace(service.endpoint, ports=tuple(ports)))


def releasing(changes: Iterable[tuple[Service, ServiceSpec]]) -> dict[ServiceId, Service]:
    """Return those services that give ports up with the specs they are to get, without the ports.

    So several services that change in one step can hand ports to each other, in any order.
    """
    released = {}
    for service, spec in changes:
        after = _released(service, spec)
        if _held(service) - _held(after):
            released[service.id] = after
    return released


def _released(service: Service, spec: ServiceSpec) -> Service:
    wanted = [
        port
        for port in (spec.endpoint_spec.ports if spec.endpoint_spec else ())
        if port.publish_mode != "host"
    ]
    ports = [port for port in wanted if port.published_port]
    named = {port_key(port) for port in ports}
    for port in wanted:
        chosen = None if port.published_port else _kept(list(service.endpoint.ports), port, named)
        if chosen is not None:
            ports.append(chosen)
    endpoint = replace(service.endpoint, ports=tuple(ports))
    return replace(service, spec=spec, endpoint=endpoint)


def _held(service: Service) -> set[tuple[str, bool]]:
    """Return the ports that a service keeps others from, and whether in mode host."""
    spec = service.spec.endpoint_spec
    held = {(port_key(p), False) for p in service.endpoint.ports if p.publish_mode != "host"}
    held |= {(port_key(p), True) for p in (spec.ports if spec else ()) if p.publish_mode == "host"}
    return held


def _check_free(state: ClusterState, service_id: ServiceId, port: PortConfig, index: str) -> None:
    for other in state.services.find(index, port_key(port)):
        if other.id != service_id:
            kind = "an ingress port" if index == "port" else "a host-published port"
            raise InvalidArgument(
                f"port '{port.published_port}' is already in use by service '{other.spec.name}' "
                f"({other.id}) as {kind}"
            )


def _kept(before: list[PortConfig], port: PortConfig, named: set[str]) -> PortConfig | None:
    for earlier in before:
        is_same = replace(earlier, published_port=0) == port
        if is_same and earlier.published_port and port_key(earlier) not in named:
            return earlier
    return None


def _choose(
    state: ClusterState, service_id: ServiceId, port: PortConfig, named: set[str]
) -> PortConfig:
    for candidate in _candidates(port):
        key = port_key(candidate)
        users = {*state.services.ids("port", key), *state.services.ids("host port", key)}
        if key not in named and not users - {service_id}:
            return candidate
    raise FailedPrecondition(
        f"EndpointSpec.Ports: no port of {FIRST_CHOSEN} to {LAST_CHOSEN} is free for target port "
        f"{port.target_port}: name the published port, or remove services that publish one"
    )


def _candidates(port: PortConfig) -> Iterator[PortConfig]:
    for number in range(FIRST_CHOSEN, LAST_CHOSEN + 1):
        yield replace(port, published_port=number)
