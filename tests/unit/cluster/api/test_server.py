"""The server over its socket; behind it a small engine, or none."""

from __future__ import annotations

import asyncio
import io
import stat
from pathlib import Path

import pytest

from cluster.api.server import ApiServer, listen
from tests.compat.memory_node import MemoryNode, counting_ids
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api.api_client import SERVICE, Client


async def test_ping_tells_what_the_node_is(api: Client, local_node: MemoryNode) -> None:
    for method in ("GET", "HEAD"):
        async with api.session.request(method, "http://d/_ping") as answer:
            assert answer.status == 200
            assert answer.headers["Swarm"] == "inactive"
            assert answer.headers["Api-Version"] == "1.50"
            assert answer.headers["Ostype"] == "linux"
            assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
            assert await answer.read() == (b"OK" if method == "GET" else b"")
    local_node.become_worker()
    async with api.session.get("http://d/v1.50/_ping") as answer:
        assert answer.headers["Swarm"] == "active/worker"


async def test_errors_are_json_without_a_character_set(api: Client) -> None:
    async with api.session.get("http://d/nodes") as answer:
        assert answer.status == 503
        assert answer.headers["Content-Type"] == "application/json"
        assert "not a swarm manager" in (await answer.json())["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/services"),
        ("GET", "/services/a/b"),
        ("DELETE", "/swarm"),
        ("POST", "/nodes"),
        ("GET", "/v1.41/tasks/"),
    ],
)
async def test_a_wrong_path_or_method_is_not_found(manager: Client, method: str, path: str) -> None:
    assert await manager(method, path) == (404, {"message": "page not found"})


async def test_versions_that_are_not_served(manager: Client) -> None:
    """On every path, whoever answers it; the headers say what is served."""
    for path in ("_ping", "info", "services", "nodes/self", "containers/json", "nosuch"):
        async with manager.session.get(f"http://d/v1.99/{path}") as answer:
            assert answer.status == 400
            assert answer.headers["Api-Version"] == "1.50"
            content = await answer.json()
            told = "client version 1.99 is too new. Maximum supported API version is 1.50"
            assert content == {"message": told}
        async with manager.session.get(f"http://d/v1.9/{path}") as answer:
            assert answer.status == 400
            assert answer.headers["Api-Version"] == "1.50"
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert (await answer.text()).startswith("client version 1.9 is too old. Minimum ")


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.40", "1.41", "1.44", "1.50"])
async def test_every_version_from_the_oldest_to_the_newest_is_served(
    manager: Client, version: str
) -> None:
    assert (await manager("POST", f"/v{version}/services/create", SERVICE))[0] == 201
    _, (service,) = await manager("GET", f"/v{version}/services", status="true")
    assert ("ServiceStatus" in service) is (tuple(map(int, version.split("."))) >= (1, 41))
    async with manager.session.head(f"http://d/v{version}/_ping") as answer:
        assert (answer.status, answer.headers["Api-Version"]) == (200, "1.50")
        assert ("Builder-Version" in answer.headers) is (version in {"1.44", "1.50"})


async def test_the_cluster_answers_without_an_engine(manager: Client) -> None:
    status, created = await manager("POST", "/services/create", SERVICE)
    assert status == 201
    status, (service,) = await manager("GET", "/services", status="true")
    assert status == 200
    assert service["ID"] == created["ID"]
    assert service["ServiceStatus"] == {
        "RunningTasks": 0,
        "DesiredTasks": 2,
        "CompletedTasks": 0,
    }
    status, content = await manager("GET", "/info")
    assert status == 503
    assert "cannot reach the local Docker Engine at" in content["message"]
    assert "is dockerd running?" in content["message"]
    assert (await manager("GET", "/containers/json"))[0] == 503


async def test_a_body_too_large_is_refused(manager: Client) -> None:
    status, content = await manager("POST", "/services/create", io.BytesIO(b" " * (17 << 20)))
    assert status == 413
    assert "message" in content


async def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    listener = listen(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(OSError, match="another process serves on this socket"):
        listen(path)
    listener.close()
    listen(path).close()


async def test_the_socket_goes_with_the_server(local_node: MemoryNode, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    server = ApiServer(local_node, tmp_path / "e.sock", ManualClock(), counting_ids())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(path))
        while not path.exists():
            await asyncio.sleep(0)
        task.cancel()
    assert not path.exists()
