"""Logs over the API's socket; the nodes' side is what the test puts there."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from cluster.api.server import ApiServer
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.logs import LogLine, LogOptions, LogSelection
from cluster.model.task import Task
from cluster.model.units import Timestamp
from tests.compat.memory_node import MemoryNode, counting_ids
from tests.support.builders import make_service, make_task
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api.golden_files import golden, moment

NODE = NodeId("lgj25nvj4zgetm62gdn8fgq5w")
SERVICE = ServiceId("sro7kome2qhwb37nwhf4sgns7")


def _task(task_id: str = "t1") -> Task:
    task = make_task(task_id, make_service(SERVICE), node=NODE)
    return msgspec.structs.replace(task, id=TaskId(task_id))


def _line(text: str, stream: Any = 1, at: int = 1_795_424_955_865_730_090) -> LogLine:
    return LogLine(task_id=TaskId("t1"), stream=stream, timestamp=Timestamp(at), data=text.encode())


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
async def session(node: MemoryNode, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A manager with the service ``web``."""
    server = ApiServer(node, tmp_path / "nothing.sock", ManualClock(), counting_ids())
    socket = tmp_path / "stackd.sock"
    async with (
        server.serving(socket),
        aiohttp.ClientSession("http://d", connector=aiohttp.UnixConnector(str(socket))) as session,
    ):
        await session.post("/swarm/init", json=golden("swarm-init-request"))
        assert node.memory is not None
        node.memory.put(make_service("web"), _task())
        yield session


async def test_lines_come_in_frames(node: MemoryNode, session: aiohttp.ClientSession) -> None:
    node.printed.lines = [(_task(), _line("out\n")), (_task(), _line("err\n", 2))]
    async with session.get("/v1.50/services/web/logs?stdout=1&stderr=1") as answer:
        assert answer.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
        assert await answer.read() == b"\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n"
    async with session.get("/v1.41/tasks/t1/logs?stdout=1") as answer:
        assert answer.headers["Content-Type"] == "application/vnd.docker.raw-stream"
    assert [selection for selection, _ in node.printed.asked] == [
        LogSelection(service_id=ServiceId("web")),
        LogSelection(task_id=TaskId("t1")),
    ]


@pytest.mark.parametrize("number", [0, 1])
async def test_bytes_are_those_of_docker_swarm(
    node: MemoryNode, session: aiohttp.ClientSession, number: int
) -> None:
    recorded = golden("logs-multiplexed-stream")[number]
    expected = base64.b64decode(recorded["body"]["base64"])
    node.printed.lines = list(_recorded_lines(expected, has_moments=number == 1))
    query = recorded["path"].partition("?")[2].replace("&follow=1", "")
    async with session.get(f"/v1.50/services/web/logs?{query}") as answer:
        assert await answer.read() == expected


def _recorded_lines(data: bytes, *, has_moments: bool) -> Any:
    while data:
        stream, length = data[0], int.from_bytes(data[4:8], "big")
        words, data = data[8 : 8 + length].decode(), data[8 + length :]
        at = Timestamp(0)
        if has_moments:
            text, _, words = words.partition(" ")
            at = moment(text)
        details, _, line = words.partition(" ")
        task = _task(details.rpartition("=")[2])
        yield task, LogLine(task_id=task.id, stream=stream, timestamp=at, data=line.encode())


async def test_moments_have_a_fixed_length(
    node: MemoryNode, session: aiohttp.ClientSession
) -> None:
    node.printed.lines = [(_task(), _line("out\n"))]
    async with session.get("/services/web/logs?stdout=1&timestamps=1") as answer:
        assert (await answer.read())[8:] == b"2026-11-23T09:09:15.865730090Z out\n"


async def test_a_terminal_has_no_frames(node: MemoryNode, session: aiohttp.ClientSession) -> None:
    service = make_service("tty")
    template = service.spec.task_template
    container = msgspec.structs.replace(template.container_spec, tty=True)  # type: ignore[type-var]
    spec = msgspec.structs.replace(
        service.spec,
        name="tty",
        task_template=msgspec.structs.replace(template, container_spec=container),
    )
    assert node.memory is not None
    node.memory.put(msgspec.structs.replace(service, spec=spec))
    node.printed.lines = [(_task(), _line("out\r\n"))]
    async with session.get("/v1.50/services/tty/logs?stdout=1") as answer:
        assert answer.headers["Content-Type"] == "application/vnd.docker.raw-stream"
        assert await answer.read() == b"out\r\n"


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 400, "Bad parameters: you must choose at least one stream"),
        ("stdout=0&stderr=false", 400, "Bad parameters: you must choose at least one stream"),
        ("stdout=1&tail=abc", 400, 'tail value must be a positive integer or "all"'),
        ("stdout=1&tail=-1", 400, 'tail value must be a positive integer or "all"'),
        ("stdout=1&since=yesterday", 400, "since: 'yesterday' is no number of seconds"),
        ("stdout=1&since=999999999999", 400, "since: '999999999999' is no number of seconds"),
    ],
)
async def test_wrong_parameters_are_refused(
    session: aiohttp.ClientSession, query: str, status: int, message: str
) -> None:
    async with session.get(f"/services/web/logs?{query}") as answer:
        assert answer.status == status
        assert message in (await answer.json())["message"]


async def test_what_is_not_there_has_no_log(session: aiohttp.ClientSession) -> None:
    for path in ("/services/nosuch", "/tasks/nosuch"):
        async with session.get(f"{path}/logs?stdout=1") as answer:
            assert answer.status == 404


async def test_parameters_reach_the_nodes(node: MemoryNode, session: aiohttp.ClientSession) -> None:
    await session.get("/services/web/logs?stderr=True&tail=7&since=12.5")
    assert node.printed.asked[0][1] == LogOptions(
        has_stdout=False, tail=7, since=Timestamp(12_500_000_000)
    )


async def test_a_reader_that_hangs_up_ends_the_log(
    node: MemoryNode, session: aiohttp.ClientSession
) -> None:
    async with asyncio.timeout(5), session.get("/services/web/logs?stdout=1&follow=1") as answer:
        assert answer.status == 200, "the head comes before any line"
        assert node.printed.open_count == 1
        answer.close()
        while node.printed.open_count:
            await asyncio.sleep(0.001)
