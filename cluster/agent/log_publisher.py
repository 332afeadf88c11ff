"""Sends the logs of this node's tasks to the manager, as far as somebody there reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

import structlog

from cluster.errors import ClusterError
from cluster.model.ids import TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.task import Task
from cluster.rpc import methods
from cluster.rpc.messages import LogOrder, PublishLogsRequest
from cluster.rpc.methods import Method

log = structlog.get_logger(__name__)

Request = TypeVar("Request")
Response = TypeVar("Response")

PUBLISH_TIMEOUT_S = 30.0


class Publish(Protocol):
    """Calls a method of the manager; as `cluster.agent.session.ManagerLink.call`."""

    async def __call__(
        self, method: Method[Request, Response], request: Request, *, timeout_s: float
    ) -> Response:
        """Call."""
        ...


ReadLog = Callable[[Task, LogOptions], AsyncGenerator[list[LogLine], None]]
"""Reads a task's log; as `cluster.agent.executor.Executor.log`."""


class LogPublisher:
    """The logs that are being sent in one session."""

    def __init__(
        self, find: Callable[[TaskId], Task | None], read: ReadLog, publish: Publish
    ) -> None:
        """Send through `publish` what `read` gives of the task that `find` knows."""
        self._find = find
        self._read = read
        self._publish = publish
        self._running: dict[tuple[str, TaskId], asyncio.Task[None]] = {}

    def take(self, order: LogOrder, group: asyncio.TaskGroup) -> None:
        """Begin or end what a manager ordered; `group` runs it."""
        if order.is_closed:
            for key, running in self._running.items():
                if key[0] == order.log_id:
                    running.cancel()
            return
        key = order.log_id, order.task_id
        if key in self._running:
            return
        running = group.create_task(self._send(order), name=f"log of {order.task_id}")
        self._running[key] = running
        running.add_done_callback(lambda _: self._running.pop(key, None))

    async def _send(self, order: LogOrder) -> None:
        error = ""
        try:
            task = self._find(order.task_id)
            if task is None:
                error = "the task is not on its node any more"
            else:
                async with aclosing(self._read(task, order.options)) as log_pieces:
                    async for lines in log_pieces:
                        await self._hand_over(order, tuple(lines))
        except Unwanted:
            return
        except ClusterError as failure:
            error = str(failure)
        end = PublishLogsRequest(
            log_id=order.log_id, task_id=order.task_id, is_end=True, error=error
        )
        try:
            await self._publish(methods.PUBLISH_LOGS, end, timeout_s=PUBLISH_TIMEOUT_S)
        except ClusterError as failure:
            log.debug("the end of a log was not told", task=order.task_id, error=str(failure))

    async def _hand_over(self, order: LogOrder, lines: tuple[LogLine, ...]) -> None:
        """Send lines, and wait while the reader has enough of them.

        Raises:
            Unwanted: nobody reads any more.
            ClusterError: the manager cannot be reached.
        """
        request = PublishLogsRequest(log_id=order.log_id, task_id=order.task_id, lines=lines)
        while True:
            answer = await self._publish(methods.PUBLISH_LOGS, request, timeout_s=PUBLISH_TIMEOUT_S)
            if not answer.is_wanted:
                raise Unwanted
            if not answer.is_full:
                return
            request = PublishLogsRequest(log_id=order.log_id, task_id=order.task_id)


class Unwanted(ClusterError):
    """Nobody reads the log any more."""

    def __init__(self) -> None:
        super().__init__("nobody reads the log any more")
