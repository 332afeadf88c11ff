from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cluster.errors import ClusterError, NotFound, Unavailable
from cluster.executor.container_feed import ContainerFeed
from cluster.executor.container_view import View
from cluster.executor.engine import EngineFailure
from cluster.model.ids import ClusterId, TaskId

T = TaskId("t")
Json = dict[str, Any]


class ScriptedEngine:
    """An engine whose answers the test holds back and lets go."""

    def __init__(self) -> None:
        self.containers: dict[str, Json] = {}
        self.inspections: dict[str, int] = {}
        self.gate: asyncio.Event | None = None
        self.is_away = False
        self.list_errors: list[ClusterError] = []  # each fails one call
        self.inspect_errors: list[ClusterError] = []
        self._broken = asyncio.Event()
        self._on_event: Callable[[Json], None] = lambda _: None

    def put(self, status: str = "running", container_id: str = "c1", **state: Any) -> None:
        self.containers[container_id] = {
            "Id": container_id,
            "State": {"Status": status, **state},
            "Config": {},
        }

    def event(self, action: str, container_id: str = "c1", **attributes: str) -> None:
        actor = {"ID": container_id, "Attributes": {"com.docker.swarm.task.id": T, **attributes}}
        self._on_event({"Action": action, "Actor": actor})

    def go_away(self) -> None:
        self.is_away = True
        self._broken.set()

    # ---- what the feed calls

    async def follow_events(
        self,
        filters: Mapping[str, Sequence[str]],
        on_open: Callable[[], None],
        on_event: Callable[[Json], None],
    ) -> None:
        if self.is_away:
            raise Unavailable("away")
        self._on_event = on_event
        self._broken.clear()
        on_open()
        await self._broken.wait()
        raise Unavailable("went away")

    async def list_containers(self, filters: Mapping[str, Sequence[str]]) -> list[Json]:
        if self.is_away:
            raise Unavailable("away")
        if self.list_errors:
            raise self.list_errors.pop(0)
        return [
            {
                "Id": key,
                "State": found["State"]["Status"],
                "Labels": {"com.docker.swarm.task.id": T},
            }
            for key, found in self.containers.items()
        ]

    async def inspect(self, container: str) -> Json:
        self.inspections[container] = self.inspections.get(container, 0) + 1
        found = self.containers.get(container)
        if self.gate is not None:
            await self.gate.wait()
        if self.inspect_errors:
            raise self.inspect_errors.pop(0)
        if found is None:
            raise NotFound("no such container")
        return found


class Bench:
    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.feed = ContainerFeed(self.engine, ClusterId("x"))  # type: ignore[arg-type]
        self.changes = 0
        self.feed.listen(T, self._count)

    def _count(self) -> None:
        self.changes += 1

    @property
    def view(self) -> View:
        view = self.feed.view(T)
        assert view is not None
        return view


@asynccontextmanager
async def at_work(bench: Bench) -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.feed.run())
        await bench.feed.until_current()
        yield bench
        running.cancel()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_is_there_at_the_start_is_seen(bench: Bench) -> None:
    bench.engine.put(Pid=5)
    async with at_work(bench):
        assert (bench.view.phase, bench.view.pid) == ("running", 5)


async def test_events_tell_of_health_and_end_without_a_call(bench: Bench) -> None:
    bench.engine.put(Health={"Status": "starting"})
    async with at_work(bench):
        asked = dict(bench.engine.inspections)
        bench.engine.event("health_status: healthy")
        assert bench.view.health == "healthy"
        bench.engine.event("oom")
        bench.engine.event("die", exitCode="137")
        assert (bench.view.exit_code, bench.view.cause) == (137, "out of memory")
        bench.engine.event("destroy")
        assert (bench.view.phase, bench.view.exit_code) == ("removed", 137)
        assert bench.engine.inspections == asked


async def test_events_of_another_container_of_the_task_are_not_ours(bench: Bench) -> None:
    bench.engine.put()
    async with at_work(bench):
        bench.engine.event("die", container_id="older", exitCode="1")
        assert bench.view.phase == "running"


async def test_an_end_that_comes_during_a_look_wins(bench: Bench) -> None:
    async with at_work(bench):
        bench.feed.note_created(T, "c1")
        bench.engine.put()
        bench.engine.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.feed.refresh(T, "c1"))
            await asyncio.sleep(0)
            bench.engine.event("die", exitCode="3")
            bench.engine.gate.set()
        assert (bench.view.phase, bench.view.exit_code) == ("ended", 3)


async def test_health_that_comes_during_a_look_is_joined_to_it(bench: Bench) -> None:
    async with at_work(bench):
        bench.feed.note_created(T, "c1")
        bench.engine.put(Pid=9, Health={"Status": "starting"})
        bench.engine.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.feed.refresh(T, "c1"))
            await asyncio.sleep(0)
            bench.engine.event("health_status: healthy")
            bench.engine.gate.set()
        assert (bench.view.phase, bench.view.pid, bench.view.health) == ("running", 9, "healthy")


async def test_a_look_does_not_bring_back_what_was_removed_meanwhile(bench: Bench) -> None:
    bench.engine.put()
    async with at_work(bench):
        bench.engine.gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.feed.refresh(T, "c1"))
            await asyncio.sleep(0)
            bench.feed.note_removed(T)
            bench.feed.forget(T)
            bench.engine.gate.set()
        assert bench.feed.view(T) is None


async def test_a_task_that_somebody_else_listens_to_is_not_forgotten(bench: Bench) -> None:
    async with at_work(bench):
        bench.feed.note_created(T, "c1")
        before = bench.changes
        bench.feed.forget(T, lambda: None)
        bench.engine.event("die", exitCode="0")
        assert bench.changes == before + 1


async def test_the_view_stands_while_the_engine_is_away_and_is_renewed_after(bench: Bench) -> None:
    bench.engine.put()
    async with at_work(bench):
        before = bench.changes
        bench.engine.go_away()
        await asyncio.sleep(0.15)
        assert bench.view.phase == "running"
        assert bench.changes == before
        bench.engine.put("exited", ExitCode=255)
        bench.engine.is_away = False
        await until(lambda: bench.view.phase == "ended")
        assert bench.view.exit_code == 255


async def test_a_container_that_vanished_while_the_engine_was_away_is_removed(
    bench: Bench,
) -> None:
    bench.engine.put()
    async with at_work(bench):
        bench.engine.go_away()
        await asyncio.sleep(0.01)
        del bench.engine.containers["c1"]
        bench.engine.is_away = False
        await until(lambda: bench.view.phase == "removed")
        assert bench.view.exit_code is None
        assert bench.feed.task_ids == ()


async def test_a_container_that_we_made_is_known_from_its_event_too(bench: Bench) -> None:
    async with at_work(bench):
        bench.engine.event("create")
        assert bench.view == View(container_id="c1", phase="created")


async def test_an_engine_that_cannot_list_is_asked_again(bench: Bench) -> None:
    bench.engine.put(Pid=5)
    bench.engine.list_errors = [EngineFailure("layer does not exist")]
    async with at_work(bench):
        assert (bench.view.phase, bench.view.pid) == ("running", 5)


async def test_a_container_that_cannot_be_inspected_is_known_and_looked_at_again(
    bench: Bench,
) -> None:
    bench.engine.put(Pid=5)
    bench.engine.inspect_errors = [EngineFailure("no such layer")]
    async with at_work(bench):
        assert bench.view.phase == "running"
        await until(lambda: bench.view.pid == 5)


async def test_an_ended_container_that_somebody_starts_is_seen_to_run(bench: Bench) -> None:
    bench.engine.put("exited", ExitCode=1)
    async with at_work(bench):
        assert bench.view.phase == "ended"
        bench.engine.put(Pid=7)
        bench.engine.event("start")
        await until(lambda: bench.view.phase == "running")
        assert bench.view.pid == 7


async def test_a_failing_look_at_a_started_container_is_repeated(bench: Bench) -> None:
    bench.engine.put("exited", ExitCode=1)
    async with at_work(bench):
        bench.engine.put(Pid=7)
        bench.engine.inspect_errors = [EngineFailure("try later")]
        bench.engine.event("start")
        await until(lambda: bench.view.phase == "running")


async def test_a_start_of_our_own_is_inspected_once(bench: Bench) -> None:
    async with at_work(bench):
        bench.feed.note_created(T, "c1")
        bench.engine.put()
        bench.engine.event("start")
        await bench.feed.refresh(T, "c1")
        await asyncio.sleep(0.25)
        assert bench.engine.inspections == {"c1": 1}


async def test_who_waits_for_the_engine_to_be_away_is_told_as_the_stream_breaks(
    bench: Bench,
) -> None:
    async with at_work(bench), asyncio.TaskGroup() as group:
        waiting = group.create_task(bench.feed.until_away())
        await asyncio.sleep(0)
        assert not waiting.done()
        bench.engine.go_away()
        await until(waiting.done)
