"""The Docker SDK for Python against our server: other spellings, kept connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import docker as sdk
import pytest
from docker.types import EndpointSpec, RestartPolicy, ServiceMode, UpdateConfig

from tests.compat.conftest import IMAGE, DockerCli

pytestmark = pytest.mark.integration

T = TypeVar("T")


async def _with_client(docker: DockerCli, work: Callable[[Any], T]) -> T:
    """Run `work` in a thread, as the SDK blocks."""

    def run() -> T:
        client = sdk.DockerClient(f"unix://{docker.socket}", timeout=30)
        try:
            return work(client)
        finally:
            client.close()

    return await asyncio.to_thread(run)


async def test_a_kept_connection_runs_a_command(docker: DockerCli) -> None:
    def work(client: Any) -> list[Any]:
        container = client.containers.run(IMAGE, "sleep 1000", detach=True)
        try:
            results = []
            for _ in range(3):
                container.reload()
                results.append(container.exec_run("echo hello").output)
                command = client.api.exec_create(container.id, "cat", stdin=True)
                socket = client.api.exec_start(command["Id"], socket=True)
                results.append(client.api.exec_inspect(command["Id"])["Running"])
                socket._sock.sendall(b"in")
                socket._sock.shutdown(1)
                results.append(socket._sock.recv(100)[8:])
                socket._response.close()
            return results
        finally:
            container.remove(force=True)

    assert await _with_client(docker, work) == [b"hello\n", True, b"in"] * 3


async def test_services_in_the_spelling_of_the_sdk(swarm: DockerCli) -> None:
    def work(client: Any) -> None:
        service = client.services.create(
            IMAGE,
            ["sleep", "1000"],
            name="web",
            labels={"Tier": "Front"},
            env=["A=1"],
            mode=ServiceMode("replicated", 3),
            update_config=UpdateConfig(parallelism=2, order="start-first"),
            restart_policy=RestartPolicy("on-failure", delay=1_000_000_000),
            endpoint_spec=EndpointSpec(ports={8080: (80, "tcp", "host")}),
            constraints=["node.role==manager"],
        )
        assert client.services.list(filters={"name": "we"})[0].id == service.id
        assert client.services.list(filters={"label": ["Tier=Front"]})
        assert not client.services.list(filters={"label": "tier"})
        spec = service.attrs["Spec"]
        assert spec["Labels"] == {"Tier": "Front"}
        assert spec["Mode"] == {"Replicated": {"Replicas": 3}}
        assert spec["UpdateConfig"]["Order"] == "start-first"
        assert service.tasks() == []
        assert service.scale(5)
        service.reload()
        assert service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"] == 5
        assert service.force_update()
        service.remove()
        with pytest.raises(sdk.errors.NotFound):
            client.services.get("web")

    await _with_client(swarm, work)


async def test_a_global_service(swarm: DockerCli) -> None:
    def work(client: Any) -> Any:
        service = client.services.create(IMAGE, name="agent", mode=ServiceMode("global"))
        return service.attrs["Spec"]["Mode"]

    assert await _with_client(swarm, work) == {"Global": {}}


async def test_errors_have_their_status(docker: DockerCli) -> None:
    def work(client: Any) -> None:
        with pytest.raises(sdk.errors.APIError) as caught:
            client.services.list()
        assert caught.value.status_code == 503
        assert "not a swarm manager" in caught.value.explanation
        with pytest.raises(sdk.errors.NotFound):
            client.containers.get("nosuch")
        with pytest.raises(sdk.errors.APIError, match="not part of a swarm"):
            client.swarm.leave()

    await _with_client(docker, work)


async def test_nodes_and_networks(swarm: DockerCli) -> None:
    def work(client: Any) -> None:
        (node,) = client.nodes.list(filters={"role": "manager"})
        assert node.update({"Availability": "drain", "Role": "manager", "Labels": {"a": "b"}})
        node.reload()
        assert node.attrs["Spec"]["Labels"] == {"a": "b"}
        network = client.networks.create("front", driver="overlay", scope="swarm")
        assert client.networks.list(names=["front"])[0].id == network.id
        network.remove()
        assert not client.networks.list(names=["front"])
        client.swarm.reload()
        assert client.swarm.attrs["JoinTokens"]["Worker"].startswith("SWMTKN-1-")

    await _with_client(swarm, work)
