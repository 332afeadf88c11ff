"""What a node tells of its plain containers in networks; the engine has what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from cluster.agent.plain_containers import PlainContainers
from cluster.agent.session import Session
from cluster.model.attachment import PlainEndpoint
from cluster.model.ids import TaskId
from cluster.model.network_view import NetworkView
from cluster.rpc.messages import PlainContainersRequest, PlainContainersResponse
from tests.support.fake_networks import no_networks

BOX = PlainEndpoint(id=TaskId("p1"), container_id="c1", name="box")


class Engine:
    """Has the places that a test gives it, and says so when it is told to."""

    def __init__(self) -> None:
        self.places: tuple[PlainEndpoint, ...] = ()
        self.changed = asyncio.Event()

    async def plain_endpoints(self) -> tuple[PlainEndpoint, ...]:
        return self.places

    async def until_plain_change(self) -> None:
        await self.changed.wait()
        self.changed.clear()

    async def make_network(self, network: NetworkView) -> None:
        raise AssertionError(network)


class Manager:
    """Takes what the node tells."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[PlainContainersRequest] = asyncio.Queue()

    async def call(self, _method: object, request: Any, **_: object) -> PlainContainersResponse:
        self.told.put_nowait(request)
        return PlainContainersResponse(unseen=0)

    async def next(self) -> tuple[tuple[PlainEndpoint, ...], tuple[TaskId, ...]]:
        async with asyncio.timeout(60):
            request = await self.told.get()
        return request.endpoints, request.released


@asynccontextmanager
async def at_work(engine: Engine, manager: Manager) -> AsyncIterator[PlainContainers]:
    plain = PlainContainers(cast("Session", manager), no_networks(), engine)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(plain.run())
        assert await manager.next() == ((), ())
        yield plain
        running.cancel()


async def test_a_place_whose_container_was_gone_before_anybody_saw_it_is_given_back() -> None:
    """A container that is connected and at once disconnected: nothing differs from before."""
    engine, manager = Engine(), Manager()
    async with at_work(engine, manager) as plain:
        plain.made(TaskId("p1"))
        engine.changed.set()
        assert await manager.next() == ((), (TaskId("p1"),))
        engine.changed.set()  # and it is told of once
        await asyncio.sleep(0.05)
        assert manager.told.empty()


async def test_a_place_that_has_its_container_is_kept_until_that_goes() -> None:
    engine, manager = Engine(), Manager()
    async with at_work(engine, manager) as plain:
        engine.places = (BOX,)
        plain.made(BOX.id)
        engine.changed.set()
        assert await manager.next() == ((BOX,), ())
        engine.places = ()
        engine.changed.set()
        assert await manager.next() == ((), ())
