"""Tells nodes that others came, went or moved, with less haste the more nodes there are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from cluster.dispatcher.session import Session
from cluster.model.ids import NodeId

_TOLD_AT_ONCE: Final = 10
_TOLD_A_SECOND: Final = 200
"""Without a pause a thousand nodes that join would tell of each other in a million messages."""


class PeerNews:
    """What has yet to be told to every node; who has a network with such a node hears it at once.

    Args:
        sessions: those that are open at any time.
    """

    def __init__(self, sessions: Mapping[NodeId, Session]) -> None:
        """Begin with nothing to tell."""
        self._sessions = sessions
        self._changed = asyncio.Event()

    def note(self) -> None:
        """Have all nodes look at their views, soon."""
        self._changed.set()

    async def tell(self) -> None:
        """Wake the streams of all sessions whenever there is news, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for sessions in _in_groups(tuple(self._sessions.values()), _TOLD_AT_ONCE):
                for session in sessions:
                    session.tasks_changed.set()
                await asyncio.sleep(len(sessions) / _TOLD_A_SECOND)


def _in_groups(sessions: tuple[Session, ...], size: int) -> Iterator[tuple[Session, ...]]:
    """Yield the sessions in groups of at most `size`."""
    for first in range(0, len(sessions), size):
        yield sessions[first : first + size]
