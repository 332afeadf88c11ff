"""A small view that the tests of this folder share."""

from __future__ import annotations

from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.network_view import (
    EndpointState,
    IngressView,
    NetworkView,
    NodeView,
    PeerNode,
    PublishedPort,
    ServiceEndpoint,
    TaskEndpoint,
)


def task(
    name: str, address: str, node: int, service: str = "", state: EndpointState = "serving"
) -> TaskEndpoint:
    return TaskEndpoint(
        task_id=TaskId(f"t-{name}"),
        name=name,
        address=address,
        node_index=node,
        service_id=ServiceId(service),
        state=state,
    )


def front(*tasks: TaskEndpoint) -> NetworkView:
    return NetworkView(
        id=NetworkId("front000"),
        name="shop_front",
        vni=0x100001,
        subnet="10.0.1.0/24",
        gateway="10.0.1.1",
        services=(
            ServiceEndpoint(service_id=ServiceId("rr"), name="shop_rr", aliases=("rr",)),
            ServiceEndpoint(
                service_id=ServiceId("web"), name="shop_web", aliases=("web",), vip="10.0.1.2"
            ),
        ),
        tasks=tasks
        or (
            task("web.1", "10.0.1.11", 1, "web"),
            task("web.2", "10.0.1.12", 2, "web"),
            task("web.3", "10.0.1.13", 2, "web", "draining"),
            task("rr.1", "10.0.1.21", 2, "rr"),
            task("rr.2", "10.0.1.22", 1, "rr"),
            task("cli", "10.0.1.31", 1),
        ),
    )


def back() -> NetworkView:
    return NetworkView(
        id=NetworkId("back0000"),
        name="shop_back",
        vni=0x100002,
        subnet="10.0.2.0/24",
        gateway="10.0.2.1",
        is_internal=True,
        services=(
            ServiceEndpoint(
                service_id=ServiceId("db"), name="shop_db", aliases=("db",), vip="10.0.2.2"
            ),
        ),
        tasks=(task("db.1", "10.0.2.11", 2, "db"), task("cli", "10.0.2.31", 1)),
    )


def ingress(*ports: PublishedPort) -> IngressView:
    return IngressView(
        network=NetworkView(
            id=NetworkId("ingress0"),
            name="ingress",
            vni=0x100003,
            subnet="10.255.0.0/16",
            gateway="10.255.255.254",
            tasks=(
                task("web.1", "10.255.1.11", 1, "web"),
                task("web.2", "10.255.1.12", 2, "web"),
            ),
        ),
        own_address="10.255.0.1",
        node_addresses={1: "10.255.0.1", 2: "10.255.0.2"},
        ports=ports or (port(8080), port(9000, host_ips=("127.0.0.1",), keeps_source=False)),
    )


def port(
    published: int,
    *,
    host_ips: tuple[str, ...] = (),
    keeps_source: bool = True,
    service: str = "web",
) -> PublishedPort:
    return PublishedPort(
        protocol="tcp",
        published_port=published,
        target_port=80,
        service_id=ServiceId(service),
        host_ips=host_ips,
        keeps_source=keeps_source,
    )


def view(*networks: NetworkView, ingress_view: IngressView | None = None) -> NodeView:
    return NodeView(
        own_index=1,
        own_address="192.0.2.1",
        nodes=(
            PeerNode(index=1, address="192.0.2.1", node_id=NodeId("a")),
            PeerNode(index=2, address="192.0.2.2", node_id=NodeId("b")),
        ),
        networks=networks or (front(), back()),
        ingress=ingress_view,
        revision=7,
    )
