"""A deploy token at the server: what is answered, what is refused, and how it proves itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cluster.api.callers import CALLER
from cluster.api.limited_routes import find_limited
from cluster.api.server import ROUTES
from cluster.model.stack import NAMESPACE_LABEL
from tests.compat.memory_node import MemoryNode
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api.api_client import HeaderClient, cluster_client

SHOP = {NAMESPACE_LABEL: "shop"}


def service(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "Name": name,
        "Labels": labels,
        "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}},
    }


class Client(HeaderClient):
    """Requests as an administrator or with a token."""

    async def create_token(self, **members: Any) -> str:
        wanted = {"Name": "ci", "Stacks": ["shop"], **members}
        status, made = await self("POST", "/stackyard/tokens/create", wanted)
        assert status == 201, made
        return str(made["Token"])


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[list[str]]:
    """Paths that the local engine is asked for."""
    paths: list[str] = []

    async def engine(request: web.Request) -> web.Response:
        paths.append(request.path)
        assert "Authorization" not in request.headers
        if request.path.endswith("/version"):
            return web.json_response(
                {"Version": "1", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}
            )
        if request.path.endswith("/info"):
            return web.json_response({"Name": "vm", "HttpProxy": "http://secret@proxy"})
        if request.path.endswith("/networks"):
            return web.json_response([{"Name": "bridge", "Id": "b1"}])
        if "/images/" in request.path:
            return web.json_response({"RepoDigests": ["a@sha256:1"], "Config": {"Env": ["P=hush"]}})
        return web.json_response({"Descriptor": {}})

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", engine)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    yield paths
    await runner.cleanup()


@pytest.fixture
async def api(
    node: MemoryNode, clock: ManualClock, asked: list[str], tmp_path: Path
) -> AsyncIterator[Client]:
    async with cluster_client(Client, node, clock, tmp_path) as client:
        for name, labels in (("shop_web", SHOP), ("other_web", {NAMESPACE_LABEL: "other"})):
            status, _ = await client("POST", "/services/create", service(name, labels))
            assert status == 201
        yield client


async def test_lists_hold_its_stacks_only(api: Client) -> None:
    api.token = await api.create_token()
    _, services = await api("GET", "/services")
    assert [one["Spec"]["Name"] for one in services] == ["shop_web"]
    _, stacks = await api("GET", "/stacks")
    assert [one["Name"] for one in stacks] == ["shop"]
    _, networks = await api("GET", "/networks")
    assert "bridge" not in [one["Name"] for one in networks]
    _, nodes = await api("GET", "/nodes")
    assert {key for one in nodes for key in one["Description"]} == {"Hostname"}
    assert "ManagerStatus" not in nodes[0]
    _, info = await api("GET", "/info")
    assert info["Swarm"]["ControlAvailable"]
    assert "secret@proxy" not in json.dumps(info)
    assert "RemoteManagers" not in info["Swarm"]


async def test_the_objects_of_others_are_refused_by_name(api: Client) -> None:
    api.token = await api.create_token()
    for method, path in (
        ("GET", "/services/other_web"),
        ("DELETE", "/services/other_web"),
        ("GET", "/services/other_web/logs?stdout=1"),
        ("GET", "/secrets/nobody"),
        ("GET", "/networks/bridge2"),
        ("GET", "/stacks/other"),
        ("POST", "/stacks/other/lease"),
        ("GET", "/stacks/other/revisions"),
    ):
        status, said = await api(method, path)
        assert status == 403, (path, said)
        assert said["message"].startswith("deploy token ci may only deploy shop, and may not use ")
        assert said["message"].endswith("ask an administrator")
    assert (await api("GET", "/services/shop_web"))[0] == 200
    assert (await api("GET", "/services/shop_missing"))[0] == 404
    assert (await api("GET", f"/services/{'0' * 25}"))[0] == 404
    status, said = await api("POST", "/services/create", service("other_x", {}))
    assert (status, "of no stack" in said["message"]) == (403, True)
    assert (await api("DELETE", "/services/shop_web"))[0] == 200
    api.token = ""
    _, services = await api("GET", "/services")
    assert [one["Spec"]["Name"] for one in services] == ["other_web"]


async def test_everything_else_is_refused(api: Client, asked: list[str]) -> None:
    api.token = await api.create_token()
    before = len(asked)
    for method, path in (
        ("GET", "/swarm"),
        ("GET", "/swarm/unlockkey"),
        ("POST", "/swarm/leave?force=1"),
        ("POST", "/swarm/init"),
        ("POST", "/swarm/update?version=1"),
        ("POST", "/nodes/x/update?version=1"),
        ("DELETE", "/nodes/x"),
        ("GET", "/stackyard/tokens"),
        ("POST", "/stackyard/tokens/create"),
        ("POST", "/stackyard/tokens/ci/rotate"),
        ("POST", "/stackyard/backup"),
        ("POST", "/networks/prune"),
        ("POST", "/networks/shop_x/connect"),
        ("GET", "/events"),
        ("GET", "/containers/json"),
        ("POST", "/containers/create"),
        ("POST", "/containers/x/exec"),
        ("POST", "/build"),
        ("GET", "/images/json"),
        ("POST", "/distribution/x/json"),
        ("GET", "/distribution/../containers/json"),
        ("GET", "/distribution/a/../../containers/b/json"),
        ("GET", "/distribution/%2e%2e/x/json"),
        ("GET", "/distribution//x/json"),
        ("GET", "/v1.40/containers/json"),
        ("PUT", "/services/shop_web"),
    ):
        status, said = await api(method, path)
        assert status == 403, (path, status, said)
        assert "may not send" in said["message"]
    assert all(path.endswith(("/version", "/_ping")) for path in asked[before:])


def test_every_route_is_refused_unless_it_is_meant() -> None:
    plain = str.maketrans("", "", "{}?")
    allowed = [
        (route.method, route.pattern)
        for route in ROUTES.routes
        if find_limited(ROUTES, route.method, route.pattern.translate(plain))
    ]
    assert {pattern.split("/")[1] for _, pattern in allowed} == {
        "_ping", "version", "info", "nodes", "tasks", "services", "networks", "secrets",
        "configs", "stacks",
    }  # fmt: skip
    assert not [one for one in allowed if one[1].startswith("/nodes") and one[0] != "GET"]


async def test_images_are_looked_up_by_the_engine(api: Client, asked: list[str]) -> None:
    api.token = await api.create_token()
    status, _ = await api("GET", "/distribution/registry.example:5000/a/b:1.0/json")
    assert status == 200
    assert asked[-1].endswith("/distribution/registry.example:5000/a/b:1.0/json")
    status, shown = await api("GET", "/images/registry.example:5000/a/b:1.0/json")
    assert (status, shown) == (200, {"RepoDigests": ["a@sha256:1"]})
    assert asked[-1].endswith("/images/registry.example:5000/a/b:1.0/json")


async def test_a_token_that_is_wrong_or_taken_back_is_a_401(api: Client) -> None:
    text = await api.create_token()
    for wrong in ("stk_x", "nonsense", f"{text}0", "Basic"):
        api.token = wrong
        for path in ("/_ping", "/services", "/containers/json", "/no/such/path"):
            status, _ = await api("GET", path)
            assert status == 401, path
    api.token = ""
    _, made = await api("POST", "/stackyard/tokens/ci/rotate", {})
    api.token = text
    assert (await api("GET", "/services"))[0] == 401
    api.token = made["Token"]
    assert (await api("GET", "/services"))[0] == 200
    api.token = ""
    assert (await api("DELETE", "/stackyard/tokens/ci"))[0] == 204
    api.token = made["Token"]
    assert (await api("GET", "/services"))[0] == 401


async def test_a_token_is_shown_once(api: Client) -> None:
    text = await api.create_token(Until=4_000_000_000)
    secret = text.rpartition("_")[2]
    for path in ("/stackyard/tokens", "/stackyard/tokens/ci"):
        _, shown = await api("GET", path)
        assert secret not in json.dumps(shown)
        assert "igest" not in json.dumps(shown)
    _, shown = await api("GET", "/stackyard/tokens/ci")
    assert shown["ExpiresAt"].startswith("2096-10-02T07:06:40")


async def test_the_token_deploys_under_its_own_name(api: Client) -> None:
    api.token = await api.create_token()
    body = {"Author": "the king", "Services": [{"Spec": service("shop_new", SHOP)}]}
    status, said = await api("POST", "/stacks/shop/deploy", body)
    assert status == 200, said
    _, revisions = await api("GET", "/stacks/shop/revisions")
    assert revisions[0]["Author"] == "token ci"
    _, lease = await api("POST", "/stacks/shop/lease", {"Holder": "the king", "Seconds": 9})
    assert lease["Token"]
    _, shown = await api("GET", "/stacks/shop")
    assert shown["Lease"]["Holder"] == "token ci"


async def test_the_managers_remove_for_a_token_only_what_it_could_remove(api: Client) -> None:
    ids = {}
    for name, labels in (("foreign", SHOP), ("shop_old", SHOP), ("other_old", {})):
        _, made = await api("POST", "/services/create", service(name, labels))
        ids[name] = made["ID"]
    api.token = await api.create_token()
    for name, expected in (("foreign", 403), ("other_old", 404), ("shop_old", 200)):
        watch = {"Timeout": 10**9, "Stable": 0, "PruneServices": [ids[name]]}
        status, said = await api("POST", "/stacks/shop/deploy", {"Services": [], "Atomic": watch})
        assert status == expected, said


async def test_a_client_cannot_say_who_it_is(api: Client) -> None:
    api.token = await api.create_token()
    status, _ = await api("GET", "/swarm", **{CALLER: "certificate root"})
    assert status == 403


async def test_a_log_that_is_followed_ends_with_the_token(api: Client, node: MemoryNode) -> None:
    text = await api.create_token()
    api.token = text

    async def follow() -> None:
        with pytest.raises(aiohttp.ClientError):
            await api("GET", "/services/shop_web/logs?stdout=1&follow=1")

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reading = group.create_task(follow())
        while not node.printed.open_count:
            await asyncio.sleep(0.01)
        api.token = ""
        await api("DELETE", "/stackyard/tokens/ci")
        await reading
