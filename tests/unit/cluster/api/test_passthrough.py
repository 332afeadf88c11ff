"""Requests that go on to an engine, which tells what it was asked."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from tests.compat.memory_node import MANAGER_ID
from tests.unit.cluster.api.api_client import Client
from tests.unit.cluster.api.golden_files import golden


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


async def test_an_engine_that_was_upgraded_is_asked_again(
    with_engine: Client, engine_says: dict[str, str]
) -> None:
    async def newest() -> str:
        async with with_engine.session.get("http://d/_ping") as answer:
            return answer.headers["Api-Version"]

    assert (await with_engine("GET", "/v1.47/nosuch"))[0] == 400
    engine_says["ApiVersion"] = "1.47"
    assert await newest() == "1.41"
    await with_engine("GET", "/v1.41/nosuch")  # its answer tells
    assert await newest() == "1.47"
    assert await with_engine("GET", "/v1.47/nosuch") == (299, b"GET /v1.47/nosuch ")
    assert (await with_engine("GET", "/v1.48/nosuch"))[0] == 400
