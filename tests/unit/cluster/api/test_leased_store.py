"""What belongs to a stack while somebody deploys it: who may change it, and the way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.api.leased_store import LEASE
from cluster.model.stack import NAMESPACE_LABEL
from tests.compat.memory_node import MemoryNode
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore
from tests.unit.cluster.api.api_client import HeaderClient, cluster_client

SHOP = {NAMESPACE_LABEL: "shop"}
HELD = "stack shop is being deployed by ann@desk (began 0 s ago, at most 31 s more"
WAY_OUT = "wait until it has ended, or end its hold with `stack unlock shop`"


def service(name: str, image: str = "i:1", **more: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Labels": SHOP,
        "TaskTemplate": {"ContainerSpec": {"Image": image}},
    } | more


class Client(HeaderClient):
    """Requests of clients of the Engine API, and those that deploy."""

    async def version(self, path: str) -> int:
        _, shown = await self("GET", path)
        return int(shown["Version"]["Index"])

    async def hold(self) -> str:
        wanted = {"Holder": "ann@desk", "Seconds": 30}
        status, lease = await self("POST", "/stacks/shop/lease", wanted)
        assert status == 200, lease
        return str(lease["Token"])


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
async def api(node: MemoryNode, tmp_path: Path) -> AsyncIterator[Client]:
    async with cluster_client(Client, node, ManualClock(), tmp_path) as client:
        for wanted in (service("shop_web"), service("other_web", Labels={})):
            status, said = await client("POST", "/services/create", wanted)
            assert status == 201, said
        for kind in ("secrets", "configs"):
            wanted = {"Name": "shop_file", "Labels": SHOP, "Data": "b25l"}
            status, said = await client("POST", f"/{kind}/create", wanted)
            assert status == 201, said
        yield client


WRITES: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", "/services/create", service("shop_new")),
    "update": ("POST", "/services/shop_web/update?version={}", service("shop_web", "i:2")),
    "take away": ("POST", "/services/shop_web/update?version={}", service("shop_web", Labels={})),
    "take in": ("POST", "/services/other_web/update?version={}", service("other_web")),
    "remove": ("DELETE", "/services/shop_web", None),
    "secret": ("POST", "/secrets/create", {"Name": "shop_b", "Labels": SHOP, "Data": "YQ=="}),
    "rotate": (
        "POST",
        "/secrets/shop_file/update?version={}",
        {"Name": "shop_file", "Labels": SHOP, "Data": "dHdv"},
    ),
    "remove secret": ("DELETE", "/secrets/shop_file", None),
    "config": ("POST", "/configs/create", {"Name": "shop_b", "Labels": SHOP, "Data": "YQ=="}),
    "remove config": ("DELETE", "/configs/shop_file", None),
}
"""What the stock client sends for what belongs to a stack: method, path and body."""


@pytest.mark.parametrize("write", WRITES)
async def test_only_whoever_deploys_a_stack_changes_what_belongs_to_it(
    api: Client, write: str
) -> None:
    method, path, body = WRITES[write]
    if "{}" in path:
        path = path.format(await api.version(path.partition("/update")[0]))
    token = await api.hold()
    status, said = await api(method, path, body)
    assert status == 409, said
    assert said["message"].startswith(HELD)
    assert said["message"].endswith(WAY_OUT)
    status, said = await api(method, path, body, **{LEASE: "another"})
    assert status == 409, said
    status, said = await api(method, path, body, **{LEASE: token})
    assert status in {200, 201, 204}, said


async def test_other_stacks_and_services_of_none_are_free(api: Client) -> None:
    await api.hold()
    wanted = service("blog_web", Labels={NAMESPACE_LABEL: "blog"})
    assert (await api("POST", "/services/create", wanted))[0] == 201
    assert (await api("DELETE", "/services/other_web"))[0] == 200


async def test_a_stack_is_free_again_when_its_lease_is_over(api: Client, node: MemoryNode) -> None:
    await api.hold()
    store = node.store()
    assert isinstance(store, MemoryStore)
    assert isinstance(store.clock, ManualClock)
    store.clock.advance(31)
    assert (await api("DELETE", "/services/shop_web"))[0] == 200


async def test_an_operator_ends_the_hold_and_its_holder_hears_of_it(api: Client) -> None:
    token = await api.hold()
    _, shown = await api("GET", "/stacks/shop")
    assert shown["Lease"].keys() == {"Holder", "Since", "Until"}
    assert (await api("DELETE", "/stacks/shop/lease"))[0] == 204  # no token: nothing is given back
    assert (await api("DELETE", "/services/shop_web"))[0] == 409
    assert (await api("DELETE", "/stacks/shop/lease?force=true"))[0] == 204
    _, shown = await api("GET", "/stacks/shop")
    assert "Lease" not in shown
    wanted = {"Holder": "ann@desk", "Seconds": 30, "Token": token}
    status, said = await api("POST", "/stacks/shop/lease", wanted)
    assert status == 409
    assert "has ended this deployment's hold on stack shop" in said["message"]
    assert (await api("DELETE", "/services/shop_web"))[0] == 200
