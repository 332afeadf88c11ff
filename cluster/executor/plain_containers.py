"""Plain containers of the local engine that are in networks of the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from cluster.errors import ClusterError, NotFound
from cluster.executor.create_payload import TASK_LABEL
from cluster.executor.engine import Engine
from cluster.model.attachment import PlainEndpoint
from cluster.model.ids import TaskId
from cluster.model.network_view import ATTACHMENT_OPTION, DRIVER_NAME

EVENTS: Final = ("create", "start", "die", "destroy", "rename", "connect", "disconnect")
RETRY_PAUSE_S: Final = 1.0
SHORT_ID: Final = 12
"""Characters of a container's ID that are a name of it."""


class PlainContainerFeed:
    """Tells when to look, and what there is."""

    def __init__(self, engine: Engine) -> None:
        """Look at `engine`; `run` notices changes."""
        self._engine = engine
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow the engine's events until cancelled."""
        filters = {"type": ["container", "network"], "event": list(EVENTS)}
        while True:
            try:
                await self._engine.follow_events(
                    filters, self._changed.set, lambda _: self._changed.set()
                )
            except ClusterError:  # the other feed says that the engine is away
                await asyncio.sleep(RETRY_PAUSE_S)

    async def until_change(self) -> None:
        """Wait until something may have changed since the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def endpoints(self) -> tuple[PlainEndpoint, ...]:
        """Return the places of all plain containers, stopped ones too, sorted.

        Raises:
            ClusterError: the engine does not tell.
        """
        networks = await self._engine.list_networks({"driver": [DRIVER_NAME]})
        names = {network["Name"] for network in networks}
        found: list[PlainEndpoint] = []
        for listed in await self._engine.list_containers({}) if names else ():
            joined = ((listed.get("NetworkSettings") or {}).get("Networks") or {}).keys()
            if TASK_LABEL in (listed.get("Labels") or {}) or not names & joined:
                continue
            try:
                found += endpoints_of(await self._engine.inspect(listed["Id"]))
            except NotFound:
                continue
        return tuple(sorted(found, key=lambda endpoint: endpoint.id))


def endpoints_of(inspected: dict[str, Any]) -> Iterator[PlainEndpoint]:
    """Read the places of a container from ``GET /containers/ID/json``."""
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    container_id = inspected["Id"]
    resolvers = (inspected.get("HostConfig") or {}).get("Dns") or ()
    for settings in networks.values():
        attachment_id = (settings.get("DriverOpts") or {}).get(ATTACHMENT_OPTION)
        if attachment_id:
            aliases = {*(settings.get("Aliases") or ()), container_id[:SHORT_ID]}
            yield PlainEndpoint(
                id=TaskId(attachment_id),
                container_id=container_id,
                name=inspected["Name"].removeprefix("/"),
                aliases=tuple(sorted(aliases)),
                is_running=bool(inspected["State"]["Running"]),
                has_resolvers=len(resolvers) > 1,  # the first is the network's
            )
