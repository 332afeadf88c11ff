"""Brings the logs of tasks from their nodes to whoever reads them on this manager.

A node that holds a session also waits for orders here.  A reader's order goes to the nodes of the
tasks, and they send lines until the reader has enough for now.  A node that is not there costs a
line that says so, and never makes a reader wait; when somebody follows the log and the node comes
back, it goes on after the last line that was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import Final

import msgspec

from cluster.ca.identity import NodeIdentity
from cluster.clock import Clock
from cluster.model.ids import NewId, NodeId, TaskId
from cluster.model.logs import ALL_LINES, STDERR, LogLine, LogOptions, LogSelection
from cluster.model.node import Node
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.units import Timestamp
from cluster.rpc import methods
from cluster.rpc.messages import (
    LogOrder,
    LogsRequest,
    PublishLogsRequest,
    PublishLogsResponse,
)
from cluster.rpc.server import RpcServer
from cluster.store.change import Deleted
from cluster.store.interface import ClusterStore
from cluster.store.state import ClusterState

FULL_LINES: Final = 2000
"""A reader that has so many lines before it needs no more for now."""

PATIENCE_S: Final = 5.0
"""How long a node's call waits for a slow reader before the node is told to ask again."""

Orders = asyncio.Queue[LogOrder | None]
"""What a node is told; None ends its stream."""


class LogReading:
    """What one reader is to get; an asynchronous iterator over tasks and their lines."""

    def __init__(self, log_id: str, selection: LogSelection, options: LogOptions) -> None:
        """Begin with nothing; the broker adds."""
        self.id = log_id
        self.selection = selection
        self.options = options
        self.known: dict[TaskId, Task] = {}
        self.open: dict[TaskId, NodeId] = {}  # lines of these may still come
        self.away: dict[TaskId, NodeId] = {}  # these were to be read and their node is not there
        self.last: dict[TaskId, Timestamp] = {}
        self.may_grow = options.is_followed
        self._lines: deque[tuple[Task, LogLine]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._is_closed = False

    def __aiter__(self) -> LogReading:
        return self

    async def __anext__(self) -> tuple[Task, LogLine]:
        while not self._lines:
            if not self.open and not self.may_grow:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        item = self._lines.popleft()
        if not self.is_full:
            self._room.set()
        return item

    @property
    def is_full(self) -> bool:
        """Whether there are lines enough for now."""
        return len(self._lines) >= FULL_LINES and not self._is_closed

    def add(self, line: LogLine) -> None:
        """Take a line that a known task has printed."""
        before = self.last.get(line.task_id, Timestamp(0))
        self.last[line.task_id] = max(line.timestamp, before)
        self.say(line)

    def say(self, line: LogLine) -> None:
        """Take a line about a known task."""
        self._lines.append((self.known[line.task_id], line))
        self.wake()

    def wake(self) -> None:
        """Let the reader look whether there is more to come."""
        self._news.set()

    def end(self) -> None:
        """Let the reader have what has come, and no more."""
        self.open.clear()
        self.may_grow = False
        self.wake()

    def close(self) -> None:
        """Drop everything: nobody reads any more."""
        self._is_closed = True
        self._lines.clear()
        self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until the reader needs more lines; the caller limits the time."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()


class LogBroker:
    """The nodes that take orders, and the readers."""

    def __init__(self, store: ClusterStore, *, clock: Clock, new_id: NewId) -> None:
        """Read tasks from `store`; `clock` dates what the broker itself has to say."""
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._listeners: dict[NodeId, Orders] = {}
        self._readings: dict[str, LogReading] = {}

    def serve_on(self, server: RpcServer) -> None:
        """Add the handlers to a server that is not started yet."""
        server.handle_stream(methods.LOGS, self.orders)
        server.handle(methods.PUBLISH_LOGS, self.publish)

    async def run(self) -> None:
        """Look for new tasks of the logs that are followed, and for lost nodes, until cancelled.

        Run while this manager leads: the nodes go to the next leader, so all logs end with it.
        """
        try:
            async with self._store.subscribe() as feed:
                async for committed in feed:
                    for change in committed.changes:
                        if isinstance(change.item, Node) and (
                            isinstance(change, Deleted) or change.item.status.state == "down"
                        ):
                            self._hang_up(change.item.id)
                    kinds = {type(change.item) for change in committed.changes}
                    if kinds & {Task, Service}:
                        self._look_at_followed(committed.state)
        finally:
            for reading in self._readings.values():
                reading.end()

    @contextlib.contextmanager
    def open(self, selection: LogSelection, options: LogOptions) -> Iterator[LogReading]:
        """Open a log; to leave the context ends it."""
        reading = LogReading(self._new_id(), selection, options)
        self._readings[reading.id] = reading
        self._look(reading, self._store.view())
        try:
            yield reading
        finally:
            del self._readings[reading.id]
            reading.close()
            for node_id in set(reading.open.values()):
                if node_id in self._listeners:
                    order = LogOrder(log_id=reading.id, is_closed=True)
                    self._listeners[node_id].put_nowait(order)

    async def orders(
        self, caller: NodeIdentity, _request: LogsRequest
    ) -> AsyncGenerator[LogOrder, None]:
        """Stream to a node which logs of its tasks are wanted."""
        orders: Orders = asyncio.Queue()
        node_id = caller.node_id
        if node_id in self._listeners:  # its earlier stream has not been seen to end yet
            self._node_went(node_id)
        self._listeners[node_id] = orders
        for reading in self._readings.values():
            self._node_came(reading, node_id)
        try:
            while (order := await orders.get()) is not None:
                yield order
        finally:
            if self._listeners.get(node_id) is orders:
                del self._listeners[node_id]
                self._node_went(node_id)

    def _hang_up(self, node_id: NodeId) -> None:
        """End a node's stream: without power it would be a minute until that is seen to be dead."""
        orders = self._listeners.pop(node_id, None)
        if orders is not None:
            orders.put_nowait(None)
            self._node_went(node_id)

    async def publish(
        self, caller: NodeIdentity, request: PublishLogsRequest
    ) -> PublishLogsResponse:
        """Take lines of a task of the caller's, if somebody reads them."""
        reading = self._readings.get(request.log_id)
        if reading is None or reading.open.get(request.task_id) != caller.node_id:
            return PublishLogsResponse(is_wanted=False)
        for line in request.lines:
            reading.add(msgspec.structs.replace(line, task_id=request.task_id))
        if request.is_end:
            if request.error:
                self._warn(reading, reading.known[request.task_id], request.error)
            del reading.open[request.task_id]
            reading.wake()
            return PublishLogsResponse()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await reading.wait_for_room()
        return PublishLogsResponse(
            is_wanted=request.log_id in self._readings, is_full=reading.is_full
        )

    def _look_at_followed(self, state: ClusterState) -> None:
        for reading in self._readings.values():
            if reading.options.is_followed:
                self._look(reading, state)

    def _look(self, reading: LogReading, state: ClusterState) -> None:
        """Order the logs of tasks that the reader has not been given yet."""
        absent: dict[NodeId, Task] = {}
        for task in _tasks(reading.selection, state):
            if task.id in reading.known:
                continue
            reading.known[task.id] = task
            if task.node_id in self._listeners:
                self._order(reading, task)
            else:
                reading.away[task.id] = task.node_id
                absent.setdefault(task.node_id, task)
        for task in absent.values():
            self._warn(reading, task, self._absence(task.node_id))
        reading.may_grow = reading.options.is_followed and _may_grow(reading.selection, state)
        reading.wake()

    def _order(self, reading: LogReading, task: Task) -> None:
        options = reading.options
        if task.id in reading.last:
            after = Timestamp(reading.last[task.id] + 1)
            options = msgspec.structs.replace(options, since=after, tail=ALL_LINES)
        reading.open[task.id] = task.node_id
        order = LogOrder(log_id=reading.id, task_id=task.id, options=options)
        self._listeners[task.node_id].put_nowait(order)

    def _node_went(self, node_id: NodeId) -> None:
        for reading in self._readings.values():
            cut = [task_id for task_id, node in reading.open.items() if node == node_id]
            for task_id in cut:
                del reading.open[task_id]
                reading.away[task_id] = node_id
            if cut:
                self._warn(reading, reading.known[cut[0]], self._absence(node_id))
            reading.wake()

    def _node_came(self, reading: LogReading, node_id: NodeId) -> None:
        if not reading.options.is_followed:
            return
        for task_id in [t for t, node in reading.away.items() if node == node_id]:
            del reading.away[task_id]
            self._order(reading, reading.known[task_id])

    def _absence(self, node_id: NodeId) -> str:
        node = self._store.view().node(node_id)
        name = node_id if node is None else node.hostname or node_id
        return f"node {name} is not available: its part of the log is missing"

    def _warn(self, reading: LogReading, task: Task, text: str) -> None:
        line = LogLine(
            task_id=task.id,
            stream=STDERR,
            timestamp=self._clock.now(),
            data=f"warning: {text}\n".encode(),
        )
        reading.say(line)


def _tasks(selection: LogSelection, state: ClusterState) -> list[Task]:
    """Return the tasks that have had a container, ended ones too."""
    if selection.task_id:
        task = state.task(selection.task_id)
        found = [] if task is None else [task]
    else:
        found = state.tasks_of_service(selection.service_id)
    return [t for t in found if t.status.container is not None and t.node_id]


def _may_grow(selection: LogSelection, state: ClusterState) -> bool:
    """Whether tasks may print more, or more tasks may come."""
    if selection.task_id:
        task = state.task(selection.task_id)
        return task is not None and not task.status.state.is_terminal
    return state.service(selection.service_id) is not None
