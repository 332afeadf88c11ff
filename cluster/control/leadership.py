"""Starts the duties when this manager is elected and ends them all when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from cluster.errors import NotLeader

log = structlog.get_logger()

Duty = Callable[[], Awaitable[None]]
"""Something only a leader does; it runs until it is cancelled."""


class Candidate(Protocol):
    """What can be elected."""

    async def wait_leader(self) -> None:
        """Return once this manager leads and may write."""
        ...

    async def wait_not_leader(self) -> None:
        """Return once this manager does not lead."""
        ...


async def run_duties(candidate: Candidate, duties: Callable[[], Sequence[Duty]]) -> None:
    """Run fresh duties in every term in which this manager leads; never returns by itself.

    Args:
        candidate: tells when leadership begins and ends.
        duties: makes the duties of one term; nothing is carried over from an earlier one.

    Raises:
        BaseExceptionGroup: a duty failed for another reason than lost leadership.
    """
    while True:
        await candidate.wait_leader()
        log.info("leadership begins")
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(_perform(duty)) for duty in duties()]
                await candidate.wait_not_leader()
                for task in running:
                    task.cancel()
        except* NotLeader:
            pass  # a duty noticed before we did
        log.info("leadership ends")


async def _perform(duty: Duty) -> None:
    await duty()
