"""The stock ``docker events``: what happens in the cluster and on the local engine, as one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.compat.conftest import IMAGE, DockerCli
from tests.compat.memory_node import MANAGER_ID

pytestmark = pytest.mark.integration

QUIET = ("--detach", "--no-resolve-image")
JSON = ("--format", "{{json .}}")


@asynccontextmanager
async def listening(docker: DockerCli, *options: str) -> AsyncIterator[asyncio.StreamReader]:
    events = await docker.start("events", *JSON, *options)
    assert events.stdout is not None
    try:
        yield events.stdout
    finally:
        events.kill()
        await events.communicate()


async def past(docker: DockerCli, *options: str) -> list[dict[str, Any]]:
    now = await docker("info", "--format", "{{.SystemTime}}")
    out = await docker("events", *JSON, "--since", "0", "--until", now.strip(), *options)
    return [json.loads(line) for line in out.splitlines()]


async def test_services_of_the_cluster_are_told_as_they_come_and_go(swarm: DockerCli) -> None:
    service_id = ""
    async with listening(swarm, "--filter", "type=service") as lines:
        first = asyncio.ensure_future(lines.readline())
        number = 0
        while not first.done():  # the command says nothing when it has begun to listen
            number += 1
            await swarm("service", "create", *QUIET, "--name", f"s{number}", IMAGE)
        made = json.loads(first.result())
        service_id = made["Actor"]["ID"]
        name = made["Actor"]["Attributes"]["name"]
        assert (made["Type"], made["Action"], made["scope"]) == ("service", "create", "swarm")
        await swarm("service", "update", *QUIET, "--replicas", "3", service_id)
        await swarm("service", "rm", service_id)
        mine: list[dict[str, Any]] = []
        while not mine or mine[-1]["Action"] != "remove":
            told = json.loads(await lines.readline())
            if told["Actor"]["ID"] == service_id:
                mine.append(told)
    assert [e["Action"] for e in mine] == ["update", "remove"]
    assert mine[0]["Actor"]["Attributes"] == {
        "name": name,
        "replicas.old": "1",
        "replicas.new": "3",
    }


async def test_the_past_of_both_is_told_in_the_order_of_time(swarm: DockerCli) -> None:
    await asyncio.sleep(0.6)  # until the server has noticed that the node is a manager
    await swarm("service", "create", *QUIET, "--name", "web", IMAGE)
    await swarm("run", "--rm", "--name", "eventful", IMAGE, "true")
    await swarm("service", "rm", "web")
    await asyncio.sleep(0.1)
    told = await past(swarm)
    marks = [
        (e["Type"], e["Action"])
        for e in told
        if e["Actor"]["Attributes"].get("name") in {"web", "eventful"}
    ]
    assert marks[0] == ("service", "create")
    assert ("container", "die") in marks
    assert marks[-1] == ("service", "remove")
    times = [e["timeNano"] for e in told]
    assert times == sorted(times)


async def test_filters_hold_for_both(swarm: DockerCli) -> None:
    await asyncio.sleep(0.6)
    await swarm("service", "create", *QUIET, "--name", "web", IMAGE)
    await swarm("service", "create", *QUIET, "--name", "other", IMAGE)
    await swarm("run", "--rm", "--name", "eventful", IMAGE, "true")
    await swarm("node", "update", "--availability", "drain", MANAGER_ID)
    await asyncio.sleep(0.1)
    assert {e["Type"] for e in await past(swarm, "--filter", "scope=swarm")} <= {
        "service",
        "node",
        "network",
    }
    named = await past(swarm, "--filter", "service=web")
    assert [e["Actor"]["Attributes"]["name"] for e in named] == ["web"]
    drained = await past(swarm, "--filter", "type=node", "--filter", "event=update")
    assert drained[-1]["Actor"]["Attributes"]["availability.new"] == "drain"
    removed = await past(swarm, "--filter", "event=remove", "--filter", "type=service")
    assert removed == []


async def test_a_bad_time_and_a_bad_filter_are_refused(swarm: DockerCli) -> None:
    assert "invalid filter 'nosuch'" in await swarm("events", "--filter", "nosuch=1", rc=1)


async def test_a_node_in_no_cluster_tells_of_its_engine_alone(docker: DockerCli) -> None:
    await docker("run", "--rm", "--name", "alone", IMAGE, "true")
    told = await past(docker, "--filter", "container=alone")
    assert {e["Type"] for e in told} == {"container"}
