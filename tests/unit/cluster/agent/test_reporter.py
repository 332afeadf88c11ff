from __future__ import annotations

import asyncio

import pytest

from cluster.agent.reporter import Reporter
from cluster.errors import Unavailable
from cluster.model.ids import TaskId
from cluster.model.task import TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import TaskStatusUpdate

A, B = TaskId("a"), TaskId("b")


def status(state: TaskState) -> TaskStatus:
    return TaskStatus(state=state)


class Manager:
    """Accepts statuses one request at a time, when the test lets it."""

    def __init__(self) -> None:
        self.requests: list[list[tuple[str, str]]] = []
        self.gate = asyncio.Semaphore(0)
        self.is_away = False

    async def __call__(self, updates: tuple[TaskStatusUpdate, ...]) -> None:
        self.requests.append([(u.task_id, u.status.state.spelled) for u in updates])
        if self.is_away:
            raise Unavailable("gone")
        await self.gate.acquire()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_first_status_goes_at_once_and_the_newest_of_each_follows() -> None:
    reporter, manager = Reporter(), Manager()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(reporter.run(manager))
        await settle()
        reporter.report(A, status(TaskState.ACCEPTED))
        await settle()
        reporter.report(A, status(TaskState.READY))
        reporter.report(A, status(TaskState.RUNNING))
        reporter.report(B, status(TaskState.PREPARING))
        await settle()
        assert manager.requests == [[("a", "accepted")]]  # one request is on its way
        manager.gate.release()
        await settle()
        assert manager.requests[1:] == [[("a", "running"), ("b", "preparing")]]
        manager.gate.release()
        await settle()
        assert len(manager.requests) == 2
        running.cancel()


async def test_a_new_session_is_told_everything() -> None:
    reporter, manager = Reporter(), Manager()
    reporter.report(A, status(TaskState.RUNNING))
    reporter.report(B, status(TaskState.READY))
    manager.is_away = True
    with pytest.raises(Unavailable):
        await reporter.run(manager)
    manager.is_away = False
    async with asyncio.TaskGroup() as group:
        running = group.create_task(reporter.run(manager))
        await settle()
        running.cancel()
    assert manager.requests[1] == [("a", "running"), ("b", "ready")]


async def test_a_forgotten_task_is_not_reported() -> None:
    reporter, manager = Reporter(), Manager()
    reporter.report(A, status(TaskState.RUNNING))
    reporter.forget(A)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(reporter.run(manager))
        await settle()
        running.cancel()
    assert manager.requests == []
