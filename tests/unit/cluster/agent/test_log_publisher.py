"""What a node sends of its tasks' logs, and when it stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster.agent.log_publisher import LogPublisher
from cluster.errors import Unavailable
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.units import Timestamp
from cluster.rpc.messages import LogOrder, PublishLogsRequest, PublishLogsResponse
from cluster.rpc.methods import Method
from tests.support.fake_executor import FakeExecutor
from tests.unit.cluster.agent.tasks import a_task

ONE = TaskId("one")
ORDER = LogOrder(log_id="log", task_id=ONE)
FOLLOW = LogOrder(log_id="log", task_id=ONE, options=LogOptions(is_followed=True))


class Bench:
    """A publisher, what it sent, and what the manager answers."""

    def __init__(self) -> None:
        self.executor = FakeExecutor()
        self.sent: list[PublishLogsRequest] = []
        self.answers: list[PublishLogsResponse | Unavailable] = []
        tasks = {ONE: a_task("one")}
        self.publisher = LogPublisher(tasks.get, self.executor.log, self._publish)

    def prints(self, *texts: str) -> None:
        self.executor.printed[ONE] = [
            LogLine(task_id=ONE, stream=1, timestamp=Timestamp(n), data=text.encode())
            for n, text in enumerate(texts, 1)
        ]

    async def _publish(self, method: Method[Any, Any], request: Any, *, timeout_s: float) -> Any:
        assert timeout_s > 0
        self.sent.append(request)
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else PublishLogsResponse()
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    @property
    def texts(self) -> list[bytes]:
        return [line.data for request in self.sent for line in request.lines]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_log_is_sent_to_its_end(bench: Bench) -> None:
    bench.prints("a", "b")
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(ORDER, group)
        bench.publisher.take(ORDER, group)  # is being sent already
    assert bench.texts == [b"a", b"b"]
    assert [(r.is_end, r.error) for r in bench.sent] == [(False, ""), (False, ""), (True, "")]


async def test_a_log_goes_on_after_a_moment(bench: Bench) -> None:
    bench.prints("a", "b", "c")
    order = LogOrder(log_id="log", task_id=ONE, options=LogOptions(since=Timestamp(3)))
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(order, group)
    assert bench.texts == [b"c"]


async def test_a_reader_that_has_enough_is_asked_until_it_needs_more(bench: Bench) -> None:
    bench.prints("a", "b")
    bench.answers = [PublishLogsResponse(is_full=True), PublishLogsResponse(is_full=True)]
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(ORDER, group)
    assert [len(request.lines) for request in bench.sent] == [1, 0, 0, 1, 0]


async def test_nothing_is_sent_that_nobody_wants(bench: Bench) -> None:
    bench.prints("a", "b")
    bench.answers = [PublishLogsResponse(is_wanted=False)]
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(ORDER, group)
    assert bench.texts == [b"a"]


async def test_a_closed_log_ends(bench: Bench) -> None:
    bench.prints("a")
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(FOLLOW, group)
        while not bench.sent:
            await asyncio.sleep(0)
        bench.publisher.take(LogOrder(log_id="another", is_closed=True), group)
        bench.publisher.take(LogOrder(log_id="log", is_closed=True), group)
    assert bench.texts == [b"a"]


async def test_why_a_log_cannot_be_read_is_told(bench: Bench) -> None:
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(ORDER, group)
        bench.publisher.take(LogOrder(log_id="log", task_id=TaskId("other")), group)
    assert sorted(request.error for request in bench.sent) == [
        "no such container: web.1.one",
        "the task is not on its node any more",
    ]


async def test_a_manager_that_does_not_answer_ends_the_log_and_nothing_else(bench: Bench) -> None:
    bench.prints("a", "b")
    bench.answers = [Unavailable("gone"), Unavailable("gone")]
    async with asyncio.TaskGroup() as group:
        bench.publisher.take(ORDER, group)
    assert bench.texts == [b"a"]
