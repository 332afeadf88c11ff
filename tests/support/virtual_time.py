"""An event loop whose clock jumps: hours of waiting take no time, and always the same course.

Only for code that waits for timers and for other tasks in the loop; sockets work, threads do not.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from cluster.model.units import SECOND_NS, Timestamp
from tests.support.manual_clock import START

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """When nothing can run but timers, goes on to the next timer at once."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Let time pass in which this process stood still."""
        self._now_s += seconds


class VirtualClock:
    """A `cluster.clock.Clock` that shows the running loop's virtual time."""

    def now(self) -> Timestamp:
        return self.now_at(self.monotonic_s())

    @staticmethod
    def now_at(monotonic_s: float) -> Timestamp:
        return Timestamp(START + round(monotonic_s * SECOND_NS))

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time; a coroutine that would wait for ever raises."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def jump(seconds: float) -> None:
    """Let time pass in which the process of the running virtual loop stood still."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.jump(seconds)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("every task waits for something that will never happen")
        self._loop.jump(timeout)
        return ready
