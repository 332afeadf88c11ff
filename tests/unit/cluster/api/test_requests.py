"""Requests about the objects of a cluster, to a manager in memory."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest

from cluster.api.callers import NEWEST_THERE
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


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_templates_need_a_client_that_knows_them(manager: Client, kind: str) -> None:
    wanted = {"Name": "t", "Data": "YQ==", "Templating": {"Name": "golang"}}
    status, content = await manager("POST", f"/v1.36/{kind}s/create", wanted)
    assert status == 400
    told = f"{kind} templating is not supported on the specified API version: 1.36"
    assert told in content["message"]
    assert (await manager("POST", f"/v1.37/{kind}s/create", wanted))[0] == 201


async def test_members_newer_than_the_request_are_dropped(manager: Client) -> None:
    container = {"Image": "busybox", "Sysctls": {"a": "1"}, "OomScoreAdj": 5}
    wanted = {**SERVICE, "TaskTemplate": {"ContainerSpec": container}}
    for version, name, kept in (
        ("/v1.39", "a", set()),
        ("/v1.45", "b", {"Sysctls"}),
        ("/v1.50", "c", {"Sysctls", "OomScoreAdj"}),
        ("", "d", {"Sysctls", "OomScoreAdj"}),
    ):
        await manager("POST", f"{version}/services/create", {**wanted, "Name": name})
        _, shown = await manager("GET", f"/services/{name}")
        assert set(shown["Spec"]["TaskTemplate"]["ContainerSpec"]) & container.keys() == {
            "Image",
            *kept,
        }
    spec, index = shown["Spec"], str(shown["Version"]["Index"])
    assert (await manager("POST", "/v1.45/services/d/update", spec, version=index))[0] == 200
    _, shown = await manager("GET", "/services/d")
    assert "OomScoreAdj" not in shown["Spec"]["TaskTemplate"]["ContainerSpec"]


async def test_a_mode_without_members_is_replicated(manager: Client) -> None:
    assert (await manager("POST", "/services/create", {**SERVICE, "Mode": {}}))[0] == 201
    _, shown = await manager("GET", "/services/web")
    assert shown["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}


async def test_the_newest_version_may_say_what_only_this_engine_does_not_know(
    with_engine: Client,
) -> None:
    """Else each change by a client that sends back what it was shown would take it away."""
    await with_engine("POST", "/swarm/init", golden("swarm-init-request"))
    container = {"Image": "busybox", "Privileges": {"NoNewPrivileges": True}}
    wanted = {**SERVICE, "TaskTemplate": {"ContainerSpec": container}}
    for version, is_kept in (("1.41", True), ("1.40", False)):
        name = f"v{version[-2:]}"
        await with_engine("POST", f"/v{version}/services/create", {**wanted, "Name": name})
        _, shown = await with_engine("GET", f"/services/{name}")
        kept = shown["Spec"]["TaskTemplate"]["ContainerSpec"]["Privileges"]
        assert ("NoNewPrivileges" in kept) is is_kept


async def test_what_is_passed_on_counts_as_where_it_came_in(with_engine: Client) -> None:
    """The engine beside the leader serves 1.41, that of the manager which the client asked not."""
    await with_engine("POST", "/swarm/init", golden("swarm-init-request"))
    assert (await with_engine("POST", "/v1.50/services/create", SERVICE))[0] == 400
    container = {"Image": "busybox", "OomScoreAdj": 5}
    wanted = {**SERVICE, "TaskTemplate": {"ContainerSpec": container}}
    for version, newest, is_kept in (
        ("1.50", "1.50", True),
        ("1.41", "1.50", False),
        ("1.40", "1.40", True),
    ):
        name = f"at{version[-2:]}"
        async with with_engine.session.post(
            f"http://d/v{version}/services/create",
            json={**wanted, "Name": name},
            headers={NEWEST_THERE: newest},
        ) as answer:
            assert answer.status == 201, await answer.text()
        _, shown = await with_engine("GET", f"/services/{name}")
        kept = shown["Spec"]["TaskTemplate"]["ContainerSpec"]
        assert ("OomScoreAdj" in kept) is is_kept
