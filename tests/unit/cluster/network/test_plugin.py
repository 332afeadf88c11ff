"""The engine's calls become endpoints; errors reach the user."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import NotFound
from cluster.network.http_socket import Answer, Request, serving
from cluster.network.plugin import Plugin
from cluster.network.stored_state import EngineEndpoint, EnginePort
from tests.support.lab_engine import UnixConnection


class Recorder:
    """Remembers what was asked for."""

    def __init__(self) -> None:
        self.networks: dict[str, str] = {}
        self.places: dict[str, EngineEndpoint] = {}
        self.published = 0

    def add_engine_network(self, engine_network: str, network_id: str) -> None:
        self.networks[engine_network] = network_id

    def remove_engine_network(self, engine_network: str) -> None:
        self.networks.pop(engine_network, None)

    def engine_network(self, engine_network: str) -> str:
        if engine_network not in self.networks:
            raise NotFound(f"engine network {engine_network} is not known")
        return self.networks[engine_network]

    def add_endpoint(self, endpoint_id: str, endpoint: EngineEndpoint) -> None:
        self.places[endpoint_id] = endpoint

    def join(self, endpoint_id: str, sandbox: str) -> tuple[str, str]:
        return f"sk{endpoint_id}", "10.255.255.254" if self.places[endpoint_id].is_gateway else ""

    def publish(self) -> None:
        self.published += 1

    def leave(self, endpoint_id: str) -> None:
        assert endpoint_id in self.places

    def remove_endpoint(self, endpoint_id: str) -> None:
        self.places.pop(endpoint_id, None)


class Engine:
    """Calls a plugin as the engine does."""

    def __init__(self) -> None:
        self.networks = Recorder()
        self._plugin = Plugin(self.networks, ThreadPoolExecutor(1))

    async def call(self, method: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        body = json.dumps(arguments).encode()
        answer = await self._plugin.handle(Request("POST", f"/{method}", body))
        return answer.status, json.loads(answer.body)


@pytest.fixture
async def engine() -> Engine:
    engine = Engine()
    options = {"com.docker.network.generic": {"stackyard.network": "front000"}}
    assert await engine.call("NetworkDriver.CreateNetwork", NetworkID="n", Options=options) == (
        200,
        {},
    )
    return engine


async def test_a_container_gets_the_address_that_the_cluster_gave(engine: Engine) -> None:
    assert await engine.call(
        "NetworkDriver.CreateEndpoint",
        NetworkID="n",
        EndpointID="e",
        Interface={},
        Options={"stackyard.address": "10.0.1.9/24"},
    ) == (200, {"Interface": {"Address": "10.0.1.9/24", "MacAddress": "02:42:0a:00:01:09"}})
    assert engine.networks.places["e"] == EngineEndpoint(
        engine_network="n", network_id="front000", address="10.0.1.9", prefix=24
    )
    assert await engine.call("NetworkDriver.Join", NetworkID="n", EndpointID="e") == (
        200,
        {"InterfaceName": {"SrcName": "ske", "DstPrefix": "eth"}},
    )


async def test_what_the_engine_gave_is_not_given_back(engine: Engine) -> None:
    interface = {"Address": "10.0.1.9/24", "MacAddress": "02:42:00:00:00:01"}
    assert await engine.call(
        "NetworkDriver.CreateEndpoint", NetworkID="n", EndpointID="e", Interface=interface
    ) == (200, {"Interface": {}})


async def test_the_ingress_network_is_the_way_out_and_carries_host_ports(engine: Engine) -> None:
    ports = [{"Proto": 6, "Port": 80, "HostPort": 8088, "HostIP": "127.0.0.1"}]
    options = {
        "stackyard.address": "10.255.1.9/16",
        "stackyard.gateway": "1",
        "com.docker.network.portmap": ports,
    }
    status, _ = await engine.call(
        "NetworkDriver.CreateEndpoint", NetworkID="n", EndpointID="e", Options=options
    )
    assert status == 200
    assert engine.networks.places["e"].ports == (
        EnginePort(protocol="tcp", published_port=8088, target_port=80, host_ip="127.0.0.1"),
    )
    _, joined = await engine.call("NetworkDriver.Join", NetworkID="n", EndpointID="e")
    assert joined["Gateway"] == "10.255.255.254"
    await engine.call("NetworkDriver.ProgramExternalConnectivity", NetworkID="n", EndpointID="e")
    assert engine.networks.published == 1


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("CreateNetwork", {"NetworkID": "x"}, "option stackyard.network is missing"),
        ("CreateEndpoint", {"NetworkID": "n", "EndpointID": "e"}, "stackyard.address is missing"),
        (
            "CreateEndpoint",
            {"NetworkID": "n", "EndpointID": "e", "Options": {"stackyard.address": "x"}},
            "want an address like 10.0.1.5/24",
        ),
        (
            "CreateEndpoint",
            {"NetworkID": "x", "EndpointID": "e", "Options": {"stackyard.address": "10.0.1.9/24"}},
            "engine network x is not known",
        ),
    ],
)
async def test_an_error_is_told_to_the_engine(
    engine: Engine, method: str, arguments: dict[str, Any], said: str
) -> None:
    status, answer = await engine.call(f"NetworkDriver.{method}", **arguments)
    assert status == 500
    assert said in answer["Err"]


async def test_a_method_that_is_not_offered_is_404(engine: Engine) -> None:
    assert (await engine.call("NetworkDriver.AllocateNetwork"))[0] == 404
    assert (await engine.call("Plugin.Activate"))[1] == {"Implements": ["NetworkDriver"]}


async def test_requests_come_over_connections_that_are_kept(tmp_path: Path) -> None:
    import asyncio

    async def echo(request: Request) -> Answer:
        if request.path == "/bad":
            raise NotFound("no such thing")
        return Answer(200, request.body or b"{}")

    def talk() -> list[tuple[int, bytes]]:
        connection = UnixConnection(tmp_path / "s.sock", 10)
        answers = []
        for path, body in (("/a", b"1"), ("/bad", b""), ("/b", iter([b"2", b"3"]))):
            chunked = not isinstance(body, bytes)
            connection.request("POST", path, body, encode_chunked=chunked)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
        connection.close()
        return answers

    async with serving(tmp_path / "s.sock", echo):
        first, bad, chunked = await asyncio.to_thread(talk)
        # A process that takes over replaces the socket of the one before.
        async with serving(tmp_path / "s.sock", echo):
            assert len(await asyncio.to_thread(talk)) == 3
    assert first == (200, b"1")
    assert bad[0] == 400
    assert b"no such thing" in bad[1]
    assert chunked == (200, b"23")
    assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o600
