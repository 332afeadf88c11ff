"""A network process in memory, and networks of an agent that has none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cluster.agent.networks import IsWanted, Networks
from cluster.errors import Unavailable
from cluster.model.network_view import NodeView


class FakeNetworkProcess:
    """Keeps the views it was given; `gate` makes it wait, `is_away` makes it fail."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.views: list[NodeView] = []
        self.is_away = False
        self.problems: Mapping[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.has_ended = asyncio.Event()
        self.has_socket = is_there

    def is_there(self) -> bool:
        return self.has_socket

    async def put_view(self, view: NodeView) -> Mapping[str, str]:
        await self.gate.wait()
        if self.is_away:
            raise Unavailable("the network process is away")
        self.views.append(view)
        return self.problems

    async def view(self) -> NodeView | None:
        return self.views[-1] if self.views else None

    async def until_gone(self) -> None:
        if not self.has_socket:
            raise Unavailable("the network process is away")
        await self.has_ended.wait()
        self.has_ended.clear()


async def nothing_to_tidy_up(is_wanted: IsWanted) -> None:
    """Stand for an engine that keeps no networks."""


def no_networks() -> Networks:
    """Return the networks of a node without network process."""
    return Networks(FakeNetworkProcess(is_there=False), nothing_to_tidy_up)
