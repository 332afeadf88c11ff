"""Brings task statuses to the manager: the newest of each task, until it is accepted.

Nothing is delayed on purpose: the first status goes out at once, and what comes while a request
is on its way shares the next one.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from cluster.model.ids import TaskId
from cluster.model.task import TaskStatus
from cluster.rpc.messages import TaskStatusUpdate

BATCH = 500  # statuses a request


class Send(Protocol):
    """Delivers statuses; returns once the manager has accepted them."""

    async def __call__(self, updates: tuple[TaskStatusUpdate, ...]) -> None:
        """Deliver.

        Raises:
            ClusterError: not accepted; the session is over.
        """
        ...


class Reporter:
    """The newest status of each task, and which of them the manager has not accepted."""

    def __init__(self) -> None:
        self._newest: dict[TaskId, TaskStatus] = {}
        self._unsent: dict[TaskId, None] = {}  # in the order in which they changed
        self._wake = asyncio.Event()

    @property
    def newest(self) -> dict[TaskId, TaskStatus]:
        """The newest status of each task; read only."""
        return self._newest

    def report(self, task_id: TaskId, status: TaskStatus) -> None:
        """Take a new status."""
        self._newest[task_id] = status
        self._unsent[task_id] = None
        self._wake.set()

    def forget(self, task_id: TaskId) -> None:
        """Drop a task that left the node."""
        self._newest.pop(task_id, None)
        self._unsent.pop(task_id, None)

    async def run(self, send: Send) -> None:
        """Serve one session: report everything, then what changes.

        Raises:
            ClusterError: from `send`; what it was about is reported again in the next session.
        """
        self._unsent = dict.fromkeys(self._newest)
        while True:
            while self._unsent:
                await self._send_some(send)
            self._wake.clear()
            await self._wake.wait()

    async def _send_some(self, send: Send) -> None:
        batch = {task_id: self._newest[task_id] for task_id in list(self._unsent)[:BATCH]}
        await send(tuple(TaskStatusUpdate(task_id=t, status=s) for t, s in batch.items()))
        for task_id, status in batch.items():
            if self._newest.get(task_id) is status:
                self._unsent.pop(task_id, None)
