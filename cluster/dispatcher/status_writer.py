"""Writes what nodes report of their tasks: all that came in during one write goes into the next."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Final

from cluster.errors import ClusterError, NotLeader
from cluster.model.task import Task
from cluster.model.task_state import Writer, may_move
from cluster.rpc.messages import TaskStatusUpdate
from cluster.store.interface import ClusterStore
from cluster.store.transaction import Transaction

_LARGEST_BATCH: Final = 1000

_Report = tuple[Sequence[TaskStatusUpdate], asyncio.Future[None]]
"""What one node reported at once, and the future that tells when it is durable."""


class StatusWriter:
    """Groups reports into store updates; grows with the load, waits for nobody when idle."""

    def __init__(self, store: ClusterStore) -> None:
        """Write to `store` while `run` runs."""
        self._store = store
        self._waiting: list[_Report] = []
        self._wake = asyncio.Event()
        self._has_ended = False

    async def write(self, updates: Sequence[TaskStatusUpdate]) -> None:
        """Return once the reports are durable; those that may not be applied are left out.

        Raises:
            NotLeader: they may or may not have been written; report to the leader again.
        """
        if self._has_ended:
            raise NotLeader("this manager leads no more")
        if not updates:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((updates, done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Write what comes in until cancelled.

        Raises:
            NotLeader: this manager ceased to lead.
        """
        batch: list[_Report] = []
        try:
            while True:
                await self._wake.wait()
                batch = self._take()
                try:
                    await self._store.update(functools.partial(_apply, batch))
                except NotLeader:
                    raise
                except ClusterError as error:
                    _settle(batch, error)
                else:
                    _settle(batch, None)
        finally:
            self._has_ended = True
            _settle(batch + self._waiting, NotLeader("this manager leads no more"))

    def _take(self) -> list[_Report]:
        size = 0
        count = 0
        for updates, _ in self._waiting:
            if count and size + len(updates) > _LARGEST_BATCH:
                break
            size += len(updates)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._wake.clear()
        return batch


def _apply(batch: Sequence[_Report], tx: Transaction) -> None:
    for updates, _ in batch:
        for update in updates:
            task = tx.state.task(update.task_id)
            if task is not None and _is_allowed(task, update):
                tx.update(task.observed(update.status))


def _is_allowed(task: Task, update: TaskStatusUpdate) -> bool:
    """Whether the report moves the task on, or says more about the state it is in.

    A report that was overtaken by a later one, or that comes after another's verdict (orphaned),
    is left out.
    """
    old, new = task.status.state, update.status.state
    return old == new or may_move(Writer.AGENT, old, new)


def _settle(
    batch: Sequence[_Report],
    error: ClusterError | None,
) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
