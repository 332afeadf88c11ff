from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.api.context import ApiContext
from cluster.api.engine import open_engine
from cluster.errors import InvalidArgument, NotManager, Unavailable
from tests.compat.memory_node import MemoryNode, counting_ids
from tests.support.manual_clock import ManualClock


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[ApiContext]:
    async with open_engine(tmp_path / "no.sock") as engine, asyncio.TaskGroup() as group:
        yield ApiContext(MemoryNode(), engine, ManualClock(), counting_ids(), group)


async def test_work_goes_on_when_nobody_waits_any_more(context: ApiContext) -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        done.set()

    async with asyncio.TaskGroup() as group:
        client = group.create_task(context.to_the_end(work()))
        await begun.wait()
        client.cancel()
    go.set()
    await done.wait()


async def test_results_and_errors_come_back(context: ApiContext) -> None:
    async def succeed() -> int:
        return 7

    async def fail() -> int:
        raise InvalidArgument("no")

    assert await context.to_the_end(succeed()) == 7
    with pytest.raises(InvalidArgument):
        await context.to_the_end(fail())


async def test_what_is_cancelled_from_below_is_an_error_for_the_client(
    context: ApiContext,
) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Unavailable, match="broke off"):
        await context.to_the_end(work())


async def test_a_node_without_state_has_none(context: ApiContext) -> None:
    assert context.state_or_none() is None
    with pytest.raises(NotManager):
        _ = context.state
