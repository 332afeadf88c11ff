"""Requests about the objects of a cluster, to a manager in memory."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest

from cluster.model.ids import NodeId
from cluster.model.node import NodeStatus
from tests.compat.memory_node import MemoryNode, node
from tests.unit.cluster.api.api_client import SERVICE, Client
from tests.unit.cluster.api.golden_files import golden


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
