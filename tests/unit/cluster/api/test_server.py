"""The server over its socket; behind it a small engine, or none."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import aiohttp
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from cluster.api.server import ApiServer, listen
from cluster.model.ids import NodeId
from cluster.model.node import NodeStatus
from tests.compat.memory_node import MANAGER_ID, MemoryNode, counting_ids, node
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api.golden_files import golden

SERVICE: dict[str, Any] = {
    "Name": "web",
    "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}},
    "Mode": {"Replicated": {"Replicas": 2}},
}


class Client:
    """Requests to one socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> tuple[int, Any]:
        """Return status and content, decoded if it is JSON."""
        data = body if body is None or isinstance(body, io.BytesIO) else json.dumps(body).encode()
        async with self.session.request(
            method, f"http://d{path}", data=data, params=query
        ) as answer:
            content: Any = await answer.read()
            if content and answer.headers["Content-Type"] == "application/json":
                content = json.loads(content)
            return answer.status, content


@asynccontextmanager
async def _client(socket: Path) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
        yield Client(session)


@pytest.fixture
def local_node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
async def api(local_node: MemoryNode, tmp_path: Path) -> AsyncIterator[Client]:
    """A node in no cluster, without an engine."""
    server = ApiServer(local_node, tmp_path / "nothing.sock", ManualClock(), counting_ids())
    async with server.serving(tmp_path / "stackd.sock"), _client(tmp_path / "stackd.sock") as it:
        yield it


@pytest.fixture
async def manager(api: Client) -> Client:
    status, node_id = await api("POST", "/swarm/init", golden("swarm-init-request"))
    assert (status, node_id) == (200, MANAGER_ID)
    return api


@pytest.fixture
async def with_engine(local_node: MemoryNode, tmp_path: Path) -> AsyncIterator[Client]:
    """A node whose engine tells what it was asked."""

    streams: list[web.Request] = []

    async def engine(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/version"):
            content = {
                "Version": "20.10.24",
                "ApiVersion": "1.41",
                "MinAPIVersion": "1.30",
                "Components": [{"Name": "Engine", "Details": {"ApiVersion": "1.41"}}],
            }
            return web.json_response(content)
        if request.path.endswith("/info"):
            return web.json_response({"Name": "vm", "Plugins": {"Network": ["bridge"]}})
        if request.path.endswith("/containers/json"):
            task = {"Id": "t", "Labels": {"com.docker.swarm.task.id": "t"}}
            plain = [{"Id": number, "Labels": None} for number in "abc"]
            return web.json_response([{"Id": request.raw_path}, task, *plain])
        if request.path.endswith("/networks"):
            return web.json_response([{"Name": "bridge", "Id": "b1"}])
        if request.path.endswith("/streams"):
            return web.json_response(len(streams))
        if request.path.endswith("/events"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first\n")
            streams.append(request)
            try:
                await asyncio.Event().wait()
            finally:
                streams.remove(request)
        if request.path.endswith("/broken"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
            return response
        body = await request.read()
        headers = {"X-Seen": request.headers.get("X-Sent", ""), "Content-Encoding": "gzip"}
        content = f"{request.method} {request.raw_path} ".encode() + body
        return web.Response(status=299, body=content, headers=headers)

    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", engine)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    server = ApiServer(local_node, tmp_path / "engine.sock", ManualClock(), counting_ids())
    async with server.serving(tmp_path / "stackd.sock"), _client(tmp_path / "stackd.sock") as it:
        it.session._auto_decompress = False
        yield it
    await runner.cleanup()


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
    status, content = await manager("GET", "/v1.99/info")
    assert status == 400
    assert content["message"].startswith("client version 1.99 is too new. Maximum supported API")
    status, content = await manager("GET", "/v1.9/info")
    assert status == 400
    assert content.startswith(b"client version 1.9 is too old.")


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


async def test_updates_answer_json_and_removals_nothing(manager: Client) -> None:
    _, created = await manager("POST", "/services/create", SERVICE)
    path = f"/services/{created['ID']}"
    _, service = await manager("GET", path)
    version = str(service["Version"]["Index"])
    spec = service["Spec"] | {"Labels": {"a": "b"}}
    changed = await manager("POST", f"{path}/update", spec, version=version)
    assert changed == (200, {"Warnings": None})
    stale = await manager("POST", f"{path}/update", spec, version=version)
    assert stale == (500, {"message": "update out of sequence"})
    _, service = await manager("GET", path)
    assert service["PreviousSpec"]["Labels"] == {}
    assert (await manager("DELETE", path)) == (200, b"")
    assert (await manager("GET", path))[0] == 404


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({}, 400, "invalid service version ''"),
        ({"version": "abc"}, 400, "invalid service version 'abc'"),
        ({"version": "1", "rollback": "foo"}, 400, "unrecognized rollback option foo"),
        ({"version": "1", "registryAuthFrom": "foo"}, 400, "unsupported registryAuthFrom value"),
        ({"version": "1", "rollback": "previous"}, 400, "does not have a previous spec"),
    ],
)
async def test_parameters_of_updates(
    manager: Client, query: dict[str, str], status: int, message: str
) -> None:
    await manager("POST", "/services/create", SERVICE)
    answer = await manager("POST", "/services/web/update", SERVICE, **query)
    assert answer[0] == status
    assert message in answer[1]["message"]


@pytest.mark.parametrize(
    ("path", "filters", "status", "message"),
    [
        ("/services", "xx", 400, "not valid JSON"),
        ("/services", '{"foo":["a"]}', 400, "invalid filter 'foo'"),
        ("/services", '{"mode":["x"]}', 400, "invalid mode filter: 'x'"),
        ("/nodes", '{"role":["x"]}', 400, "invalid role filter: 'x'"),
        ("/tasks", '{"service":["nosuch"]}', 404, "service nosuch not found"),
        ("/tasks", '{"node":{"nosuch":true}}', 404, "node nosuch not found"),
        ("/tasks", '{"desired-state":["zzz"]}', 400, "invalid desired-state filter: 'zzz'"),
        ("/secrets", '{"foo":["a"]}', 400, "invalid filter 'foo'"),
    ],
)
async def test_wrong_filters(
    manager: Client, path: str, filters: str, status: int, message: str
) -> None:
    answer = await manager("GET", path, filters=filters)
    assert answer[0] == status
    assert message in answer[1]["message"]


def _changed(template: dict[str, Any], **members: Any) -> dict[str, Any]:
    own = SERVICE["TaskTemplate"]
    container = own["ContainerSpec"] | template.pop("ContainerSpec", {})
    return SERVICE | {"TaskTemplate": own | template | {"ContainerSpec": container}} | members


@pytest.mark.parametrize(
    ("wanted", "status", "place"),
    [
        (_changed({"RestartPolicy": {"Delay": 2**63}}), 400, "TaskTemplate.RestartPolicy.Delay: "),
        (_changed({"ForceUpdate": 2**64}), 400, "TaskTemplate.ForceUpdate: "),
        (_changed({}, Mode={"Replicated": {"Replicas": 2**64}}), 400, "Mode.Replicated.Replicas: "),
        (_changed({}, UpdateConfig={"Parallelism": 2**64}), 400, "UpdateConfig.Parallelism: "),
        (_changed({"ContainerSpec": {"Env": ["A\0=1"]}}), 400, "Env[0]: holds a NUL"),
        (_changed({"ContainerSpec": {"Hosts": ["a:1.2.3.4"]}}), 400, "Hosts[0]: "),
        (_changed({"Placement": {"Constraints": ["noderole"]}}), 400, "Constraints[0]: "),
        (_changed({"Networks": [{"Target": "nosuch"}]}), 404, "network nosuch not found"),
    ],
)
async def test_a_service_that_is_refused_leaves_lists_as_they_are(
    manager: Client, wanted: dict[str, Any], status: int, place: str
) -> None:
    answer = await manager("POST", "/services/create", wanted)
    assert answer[0] == status
    assert place in answer[1]["message"]
    assert await manager("GET", "/services") == (200, [])


async def test_the_word_self_is_no_node(manager: Client) -> None:
    assert (await manager("GET", "/nodes/self"))[0] == 404


async def test_recorded_requests_about_secrets_and_configs(manager: Client) -> None:
    ids: dict[str, str] = {}
    for request in golden("secret-config-create-requests"):
        path, name = request["path"].partition("?")[0], request["body"]["Name"]
        query = {}
        if path.endswith("/update"):
            kind = path.split("/")[2]
            path = f"/{kind}/{ids[name]}/update"
            _, shown = await manager("GET", f"/{kind}/{name}")
            query["version"] = str(shown["Version"]["Index"])
        status, content = await manager("POST", path, request["body"], **query)
        assert status == request["status"], request
        if status == 201:
            ids[name] = content["ID"]
        elif status == 409:
            assert content["message"] in request["response"]["message"]
        else:
            assert content == b""
    _, secrets = await manager("GET", "/secrets", filters='{"name":["s"],"names":["st_sec1"]}')
    assert [secret["ID"] for secret in secrets] == [ids["st_sec1"]]
    assert "Data" not in secrets[0]["Spec"]
    status, _ = await manager("DELETE", f"/secrets/{ids['st_sec1'][:6]}")
    assert status == 204


async def test_the_largest_config_passes(manager: Client) -> None:
    data = base64.b64encode(b"x" * 1_023_999).decode()
    body = io.BytesIO(json.dumps({"Name": "big", "Data": data}).encode())
    assert (await manager("POST", "/configs/create", body))[0] == 201
    assert (await manager("GET", "/configs/big"))[1]["Spec"]["Data"] == data


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_refused_updates_of_secrets_and_configs(manager: Client, kind: str) -> None:
    body = {"Name": "fz", "Data": "Zm9v"}
    await manager("POST", f"/{kind}s/create", body)
    _, shown = await manager("GET", f"/{kind}s/fz")
    version = str(shown["Version"]["Index"])
    path = f"/{kind}s/fz/update"
    status, content = await manager("POST", path, body | {"Data": "YmFy"}, version=version)
    assert (status, content["message"]) == (400, "only updates to Labels are allowed")
    status, content = await manager("POST", path, {"Name": "fz", "Labels": {"a": "b"}}, version="1")
    assert (status, content["message"]) == (500, "update out of sequence")
    status, content = await manager("POST", path, body)
    assert status == 400
    assert content["message"].startswith(f"invalid {kind} version ''")
    status, content = await manager("POST", f"/{kind}s/create", {"Name": "a", "Data": "%%"})
    assert status == 400
    assert content["message"].startswith("Data: ")


async def test_strict_flags(manager: Client) -> None:
    status, content = await manager("GET", "/services", status="maybe")
    assert status == 400
    assert "invalid value for status: maybe" in content["message"]


ALICE, BOB = "eyJ1c2VybmFtZSI6ImEifQ==", "eyJ1c2VybmFtZSI6ImIifQ=="


async def _send_with_login(manager: Client, path: str, header: str, **query: str) -> Any:
    async with manager.session.post(
        f"http://d/services/{path}", json=SERVICE, params=query, headers={"X-Registry-Auth": header}
    ) as answer:
        return answer.status, await answer.json()


async def test_credentials_are_kept_with_the_service_and_never_shown(
    manager: Client, local_node: MemoryNode
) -> None:
    assert local_node.memory is not None

    def stored() -> str:
        assert local_node.memory is not None
        (service,) = local_node.memory.view().services
        return service.registry_auth.encoded if service.registry_auth else ""

    assert await _send_with_login(manager, "create", ALICE) == (201, ANY)
    assert stored() == ALICE
    _, shown = await manager("GET", "/services/web")
    assert "registry" not in str(shown).lower()
    update = f"{shown['ID']}/update"

    async def version() -> str:
        _, now = await manager("GET", "/services/web")
        return str(now["Version"]["Index"])

    path = f"/services/{update}"
    assert await manager("POST", path, SERVICE, version=await version()) == (200, ANY)
    assert stored() == ALICE
    assert await _send_with_login(manager, update, BOB, version=await version()) == (200, ANY)
    assert stored() == BOB
    assert await _send_with_login(manager, update, "e30=", version=await version()) == (200, ANY)
    assert stored() == ""


async def test_credentials_that_are_none_are_refused_without_showing_them(manager: Client) -> None:
    for header in ("secret!", "c2VjcmV0", "WzFd"):
        status, content = await _send_with_login(manager, "create", header)
        assert status == 400
        assert content["message"].startswith("X-Registry-Auth: is not base64 of a JSON object")
        assert header not in content["message"]


async def test_a_changed_object_is_shown_changed(manager: Client, local_node: MemoryNode) -> None:
    assert local_node.memory is not None
    worker = node(NodeId("w" * 25), "two")
    local_node.memory.put(worker)
    _, nodes = await manager("GET", "/nodes", filters='{"role":["worker"]}')
    assert [n["Status"]["State"] for n in nodes] == ["ready"]
    _, (leader,) = await manager("GET", "/nodes", filters='{"name":["one"]}')
    assert leader["ManagerStatus"]["Leader"] is True
    stored = local_node.memory.view().nodes.get(worker.id)
    assert stored is not None
    local_node.memory.put(msgspec.structs.replace(stored, status=NodeStatus(state="down")))
    _, shown = await manager("GET", f"/nodes/{worker.id}")
    assert shown["Status"]["State"] == "down"


async def test_a_body_too_large_is_refused(manager: Client) -> None:
    status, content = await manager("POST", "/services/create", io.BytesIO(b" " * (17 << 20)))
    assert status == 413
    assert "message" in content


async def test_version_and_info_are_the_engines_with_our_part(with_engine: Client) -> None:
    _, version = await with_engine("GET", "/version")
    assert (version["ApiVersion"], version["MinAPIVersion"]) == ("1.41", "1.24")
    assert version["Components"][0]["Details"]["MinAPIVersion"] == "1.24"
    await with_engine("POST", "/swarm/init", golden("swarm-init-request"))
    _, info = await with_engine("GET", "/v1.41/info")
    assert info["Name"] == "vm"
    assert info["Plugins"]["Network"] == ["bridge", "overlay"]
    swarm = info["Swarm"]
    assert (swarm["NodeID"], swarm["Nodes"], swarm["Managers"]) == (MANAGER_ID, 1, 1)
    assert swarm["RemoteManagers"] == [{"NodeID": MANAGER_ID, "Addr": "127.0.0.1:2377"}]
    assert "JoinTokens" not in swarm["Cluster"]


async def test_other_requests_pass_through_as_they_are(with_engine: Client) -> None:
    body = os.urandom(1_000_000)
    async with with_engine.session.put(
        URL("http://d/v1.24/containers/a%2Fb/archive?path=%2Fx", encoded=True),
        data=body,
        headers={"X-Sent": "s", "Expect": "100-continue"},
    ) as answer:
        assert answer.status == 299
        assert answer.headers["X-Seen"] == "s"
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Api-Version"] == "1.41"
        content = await answer.read()
    assert content == b"PUT /v1.30/containers/a%2Fb/archive?path=%2Fx " + body


async def test_a_stream_of_unknown_length_passes_through(with_engine: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d," % number
            await asyncio.sleep(0)

    async with with_engine.session.post("http://d/build", data=pieces()) as answer:
        content = await answer.read()
    assert content == b"POST /build " + b"".join(b"%d," % number for number in range(100))


async def test_a_stream_ends_when_its_client_hangs_up(with_engine: Client) -> None:
    async with with_engine.session.get("http://d/events") as answer:
        assert await answer.content.readany() == b"first\n"
        answer.close()
    # The engine ends the stream once it is nobody's any more.
    async with asyncio.timeout(10):
        while (await with_engine("GET", "/streams"))[1] != b"0":
            await asyncio.sleep(0.01)


async def test_an_answer_that_breaks_off_does_not_look_complete(with_engine: Client) -> None:
    with pytest.raises(aiohttp.ClientError):
        await with_engine("GET", "/broken")


async def test_the_filter_for_tasks_is_translated(with_engine: Client) -> None:
    path, wanted = "/v1.41/containers/json", {"name": {"a": True}, "is-task": ["true"]}
    _, content = await with_engine("GET", path, filters=json.dumps(wanted), all="1", limit="2")
    asked = URL(content[0]["Id"])
    filters = json.loads(asked.query["filters"])
    assert filters == {"name": ["a"], "label": ["com.docker.swarm.task.id"]}
    assert (asked.query["all"], asked.query["limit"]) == ("1", "2")


async def test_containers_of_no_task_are_picked_out(with_engine: Client) -> None:
    wanted = json.dumps({"is-task": {"false": True}})
    _, content = await with_engine("GET", "/containers/json", filters=wanted, limit="3")
    assert [container["Id"] for container in content[1:]] == ["a", "b"]
    assert "limit" not in URL(content[0]["Id"]).query


async def test_a_local_network_is_made_by_the_engine(with_engine: Client) -> None:
    await with_engine("POST", "/swarm/init", golden("swarm-init-request"))
    local = {"Name": "b", "Driver": "bridge"}
    status, content = await with_engine("POST", "/networks/create", local)
    assert (status, content) == (299, b"POST /networks/create " + json.dumps(local).encode())
    overlay = {"Name": "o", "Driver": "overlay"}
    assert (await with_engine("POST", "/networks/create", overlay))[0] == 201
    _, networks = await with_engine("GET", "/networks")
    assert [n["Name"] for n in networks] == ["o", "ingress", "bridge"]
    assert (await with_engine("DELETE", "/networks/o"))[0] == 204


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
