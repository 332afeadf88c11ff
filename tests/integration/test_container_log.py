"""A container's log, read from a real Docker Engine."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest

from cluster.errors import NotFound, Unavailable
from cluster.executor.container_log import read_container_log
from cluster.executor.engine import EngineFailure
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.units import Timestamp
from tests.integration.conftest import RealEngine

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TASK = TaskId("task")


def _run(engine: RealEngine, script: str, **settings: Any) -> str:
    body = {"Image": engine.image, "Entrypoint": ["sh", "-c", script], **settings}
    container: str = engine.api("POST", "/containers/create", body)["Id"]
    engine.api("POST", f"/containers/{container}/start")
    return container


async def _read(
    engine: RealEngine, container: str, options: LogOptions, *, has_terminal: bool = False
) -> list[LogLine]:
    socket = engine.url.removeprefix("unix://")
    log = read_container_log(socket, container, TASK, options, has_terminal=has_terminal)
    async with aclosing(log):
        return [line async for lines in log for line in lines]


def _ended(engine: RealEngine, container: str) -> str:
    engine.api("POST", f"/containers/{container}/wait")
    return container


async def test_lines_have_stream_and_moment(engine: RealEngine) -> None:
    before = time.time_ns()
    container = _ended(engine, _run(engine, "echo one; sleep 0.2; echo two >&2"))
    lines = await _read(engine, container, LogOptions())
    assert [(line.stream, line.data) for line in lines] == [(1, b"one\n"), (2, b"two\n")]
    assert before < lines[0].timestamp < lines[1].timestamp
    only = await _read(engine, container, LogOptions(has_stdout=False))
    assert [line.data for line in only] == [b"two\n"]
    newest = await _read(engine, container, LogOptions(tail=1))
    assert [line.data for line in newest] == [b"two\n"]
    after = Timestamp(lines[0].timestamp + 1)
    later = await _read(engine, container, LogOptions(since=after))
    assert [line.data for line in later] == [b"two\n"]


async def test_a_followed_log_ends_with_its_container(engine: RealEngine) -> None:
    container = _run(engine, "echo one; sleep 0.5; echo two")
    async with asyncio.timeout(30):
        lines = await _read(engine, container, LogOptions(is_followed=True))
    assert [line.data for line in lines] == [b"one\n", b"two\n"]


async def test_a_terminal_has_one_stream(engine: RealEngine) -> None:
    container = _ended(engine, _run(engine, "echo one; echo two >&2", Tty=True))
    lines = await _read(engine, container, LogOptions(), has_terminal=True)
    assert [(line.stream, line.data) for line in lines] == [(1, b"one\r\n"), (1, b"two\r\n")]


async def test_why_there_is_no_log_is_told(engine: RealEngine) -> None:
    with pytest.raises(NotFound, match="No such container: nosuch"):
        await _read(engine, "nosuch", LogOptions())
    settings = {"HostConfig": {"LogConfig": {"Type": "none"}}}
    container = _ended(engine, _run(engine, "echo one", **settings))
    with pytest.raises(EngineFailure, match="configured logging driver does not support reading"):
        await _read(engine, container, LogOptions())
    with pytest.raises(Unavailable, match="engine /nowhere is away"):
        async for _ in read_container_log("/nowhere", "a", TASK, LogOptions(), has_terminal=False):
            pass
