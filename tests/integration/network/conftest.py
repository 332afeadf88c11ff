"""Three hosts with network processes, the containers of two stacks, and a client, for all tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.model.ids import ServiceId
from cluster.model.network_view import PublishedPort, ServiceEndpoint
from tests.support.data_plane import INGRESS, PORT, DataPlane, Net, data_plane

TEST_LIMIT_S = 180


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))


def service(name: str, vip: str, *aliases: str) -> ServiceEndpoint:
    return ServiceEndpoint(service_id=ServiceId(f"id{name}"), name=name, aliases=aliases, vip=vip)


@pytest.fixture(scope="session")
def plane() -> Iterator[DataPlane]:
    """h1 and h2 with tasks, h3 without; web behind a virtual address, also published."""
    with (
        tempfile.TemporaryDirectory(prefix="sy-net-", dir="/tmp") as folder,
        data_plane("", "10.75.0.0/24", 3, Path(folder) / "lab") as plane,
    ):
        front = plane.add_network(Net("frontnet00", "shop_front", 0x100001, "10.50.1"))
        back = plane.add_network(
            Net("backnet000", "shop_back", 0x100002, "10.50.2", is_internal=True)
        )
        plane.add_network(Net("othernet00", "blog_default", 0x100003, "10.50.3"))
        ingress = plane.add_network(Net(INGRESS, "ingress", 0x100004, "10.255.1"))
        front.services += [service("shop_web", "10.50.1.200", "web"), service("shop_rr", "", "rr")]
        back.services.append(service("shop_db", "10.50.2.200", "db"))
        ingress.services.append(service("shop_web", ""))
        for protocol in ("tcp", "udp"):
            plane.ports += [
                PublishedPort(
                    protocol=protocol,
                    published_port=8080,
                    target_port=PORT,
                    service_id=ServiceId("idshop_web"),
                ),
                PublishedPort(
                    protocol=protocol,
                    published_port=8081,
                    target_port=PORT,
                    service_id=ServiceId("idshop_web"),
                    host_ips=("127.0.0.1",),
                ),
                PublishedPort(
                    protocol=protocol,
                    published_port=8082,
                    target_port=PORT,
                    service_id=ServiceId("idshop_web"),
                    keeps_source=False,
                ),
            ]
        web = "idshop_web"
        plane.run(1, "web.1", {front.id: "10.50.1.11", INGRESS: "10.255.1.11"}, service=web)
        plane.run(2, "web.2", {front.id: "10.50.1.12", INGRESS: "10.255.1.12"}, service=web)
        plane.run(1, "cli.1", {front.id: "10.50.1.21", back.id: "10.50.2.21"})
        plane.run(2, "rr.1", {front.id: "10.50.1.31"}, service="idshop_rr")
        plane.run(1, "rr.2", {front.id: "10.50.1.32"}, service="idshop_rr")
        plane.run(2, "db.1", {back.id: "10.50.2.11"}, service="idshop_db")
        plane.run(1, "blog.1", {"othernet00": "10.50.3.11"})
        yield plane
