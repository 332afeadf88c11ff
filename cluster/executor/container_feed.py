"""What all of this node's containers do, kept current by one stream of the engine's events.

The stream is opened first and the containers are listed after, so nothing is missed between; the
same is done again whenever the stream broke, because an engine that went away tells nothing of
what happened meanwhile.  While it is away the last view stands: an unreachable engine says
nothing about its containers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from cluster.errors import ClusterError, NotFound
from cluster.executor.container_view import (
    OUT_OF_MEMORY,
    View,
    agrees,
    view_of_inspect,
    view_of_listed,
)
from cluster.executor.create_payload import CLUSTER_LABEL, TASK_LABEL
from cluster.executor.engine import Engine
from cluster.model.ids import ClusterId, TaskId

log = structlog.get_logger(__name__)

Json = dict[str, Any]

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
SETTLE_S = 0.1  # a start of our own is looked at by then, and needs no second look
_HEALTH_ACTION = "health_status: "


class ContainerFeed:
    """The views of this cluster's containers on this engine, by task."""

    def __init__(self, engine: Engine, cluster_id: ClusterId) -> None:
        """Make a feed; `run` fills it."""
        self._engine = engine
        self._label = f"{CLUSTER_LABEL}={cluster_id}"
        self._views: dict[TaskId, View] = {}
        self._listeners: dict[TaskId, Callable[[], None]] = {}
        self._news = itertools.count(1)
        self._touched: dict[TaskId, int] = {}  # number of the last piece of news, by task
        self._out_of_memory: set[TaskId] = set()
        self._listing_due = asyncio.Event()
        self._is_current = asyncio.Event()
        self._is_away = asyncio.Event()
        self._told_started: dict[TaskId, str] = {}  # containers to look at, by task
        self._look_due = asyncio.Event()
        self._was_opened = False

    async def run(self) -> None:
        """Keep the views current until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._list_when_due())
            group.create_task(self._look_when_started())

    async def until_current(self) -> None:
        """Wait until every container has been seen at least once."""
        await self._is_current.wait()

    async def until_away(self) -> None:
        """Wait until the stream of events breaks; return at once while there is none."""
        await self._is_away.wait()

    def listen(self, task_id: TaskId, on_change: Callable[[], None]) -> None:
        """Have `on_change` called whenever the view of a task's container has changed."""
        self._listeners[task_id] = on_change

    def view(self, task_id: TaskId) -> View | None:
        """Return the container of a task as last seen."""
        return self._views.get(task_id)

    @property
    def task_ids(self) -> tuple[TaskId, ...]:
        """Tasks that have a container here."""
        return tuple(key for key, view in self._views.items() if view.phase != "removed")

    def note_created(self, task_id: TaskId, container_id: str) -> None:
        """Take the news that we made a container."""
        known = self._views.get(task_id)
        if known is None or known.container_id != container_id:
            self._put(task_id, View(container_id=container_id, phase="created"))

    def note_removed(self, task_id: TaskId) -> None:
        """Take the news that a task's container is gone and nobody will ask for it any more."""
        self._touch(task_id)
        self._views.pop(task_id, None)
        self._out_of_memory.discard(task_id)
        self._notify(task_id)

    def forget(self, task_id: TaskId, on_change: Callable[[], None] | None = None) -> None:
        """Drop a task for good, unless somebody else than `on_change` listens to it by now."""
        if self._listeners.get(task_id) != on_change:
            return
        self._listeners.pop(task_id, None)
        view = self._views.get(task_id)
        if view is None or view.phase == "removed":
            self._views.pop(task_id, None)
            self._touched.pop(task_id, None)

    async def refresh(self, task_id: TaskId, container: str) -> View | None:
        """Look at a container now, by ID or name; an event that comes meanwhile wins.

        Raises:
            Unavailable: the engine is away.
            ClusterError: the engine cannot tell.
        """
        touched = self._touched.get(task_id)
        try:
            seen = view_of_inspect(await self._engine.inspect(container))
        except NotFound:
            if self._touched.get(task_id) == touched:
                self._take_away(task_id)
            return self._views.get(task_id)
        if self._touched.get(task_id) != touched:
            known = self._views.get(task_id)
            if known is None:
                return None
            seen = _merged(seen, known)
        self._put(task_id, seen)
        return seen

    async def _follow(self) -> None:
        filters = {"type": ["container"], "label": [self._label]}
        pause_s = FIRST_PAUSE_S
        is_away_known = False
        while True:
            self._was_opened = False
            try:
                await self._engine.follow_events(filters, self._opened, self._take_event)
            except ClusterError as error:
                if self._was_opened or not is_away_known:
                    log.warning("engine is away", error=str(error))
            is_away_known = True
            self._is_away.set()
            pause_s = FIRST_PAUSE_S if self._was_opened else min(LONGEST_PAUSE_S, pause_s * 2)
            await asyncio.sleep(pause_s)

    def _opened(self) -> None:
        self._was_opened = True
        self._is_away.clear()
        log.info("following the engine's events")
        self._listing_due.set()

    async def _list_when_due(self) -> None:
        while True:
            await self._listing_due.wait()
            self._listing_due.clear()
            try:
                await self._list()
            except ClusterError as error:  # away, or in trouble of its own: neither lasts
                log.warning("containers cannot be listed", error=str(error))
                await asyncio.sleep(LONGEST_PAUSE_S)
                self._listing_due.set()
            else:
                self._is_current.set()

    async def _list(self) -> None:
        before = dict(self._touched)
        known = set(self._views)
        listed = {
            TaskId(entry["Labels"][TASK_LABEL]): entry
            for entry in await self._engine.list_containers({"label": [self._label, TASK_LABEL]})
        }
        for task_id in known - set(listed):
            if self._touched.get(task_id) == before.get(task_id):
                self._take_away(task_id)
        async with asyncio.TaskGroup() as group:
            for task_id, entry in listed.items():
                view = self._views.get(task_id)
                if view is None or not agrees(view, entry):
                    group.create_task(self._look_at_listed(task_id, entry))

    async def _look_at_listed(self, task_id: TaskId, entry: Json) -> None:
        if await self._look_at(task_id, entry["Id"]):
            return
        if task_id not in self._views:  # or its task would be told that it is gone
            self._put(task_id, view_of_listed(entry))
        await asyncio.sleep(LONGEST_PAUSE_S)
        self._listing_due.set()

    async def _look_at(self, task_id: TaskId, container_id: str) -> bool:
        try:
            await self.refresh(task_id, container_id)
        except ClusterError as error:
            log.warning("container cannot be looked at", task=task_id, error=str(error))
            return False
        return True

    async def _look_when_started(self) -> None:
        """Look at containers that somebody started: the event tells no process and no ports."""
        while True:
            await self._look_due.wait()
            await asyncio.sleep(SETTLE_S)
            self._look_due.clear()
            told, self._told_started = self._told_started, {}
            for task_id, container_id in told.items():
                view = self._views.get(task_id)
                if view is None or view.container_id != container_id or view.phase == "running":
                    continue
                if not await self._look_at(task_id, container_id):
                    self._listing_due.set()

    def _take_event(self, event: Json) -> None:
        actor = event.get("Actor") or {}
        attributes: Mapping[str, str] = actor.get("Attributes") or {}
        task_id = TaskId(attributes.get(TASK_LABEL, ""))
        container_id = str(actor.get("ID", ""))
        action = str(event.get("Action", ""))
        view = self._views.get(task_id)
        if action == "create" and view is None and task_id:
            self._put(task_id, View(container_id=container_id, phase="created"))
        elif view is None or view.container_id != container_id:
            return
        elif action == "oom":
            self._out_of_memory.add(task_id)
        elif action == "die":
            self._end(task_id, view, int(attributes.get("exitCode", "0")))
        elif action == "start":
            self._told_started[task_id] = container_id
            self._look_due.set()
        elif action == "destroy":
            self._take_away(task_id)
        elif action.startswith(_HEALTH_ACTION):
            self._take_health(task_id, view, action.removeprefix(_HEALTH_ACTION))

    def _end(self, task_id: TaskId, view: View, exit_code: int) -> None:
        cause = OUT_OF_MEMORY if exit_code and task_id in self._out_of_memory else ""
        ended = msgspec.structs.replace(
            view, phase="ended", pid=0, exit_code=exit_code, cause=cause, ports=()
        )
        self._put(task_id, ended)

    def _take_health(self, task_id: TaskId, view: View, health: str) -> None:
        if view.phase != "ended" and health in {"healthy", "unhealthy", "starting"}:
            self._put(task_id, msgspec.structs.replace(view, health=health))

    def _take_away(self, task_id: TaskId) -> None:
        view = self._views.get(task_id)
        if view is not None:
            self._put(task_id, msgspec.structs.replace(view, phase="removed", pid=0, ports=()))

    def _put(self, task_id: TaskId, view: View) -> None:
        self._touch(task_id)
        if self._views.get(task_id) != view:
            self._views[task_id] = view
            self._notify(task_id)

    def _touch(self, task_id: TaskId) -> None:
        self._touched[task_id] = next(self._news)

    def _notify(self, task_id: TaskId) -> None:
        listener = self._listeners.get(task_id)
        if listener is not None:
            listener()


def _merged(looked: View, told: View) -> View:
    """Join an inspection with events that came while it was under way and may be newer."""
    if looked.container_id != told.container_id or told.phase in {"ended", "removed"}:
        return told
    if told.health in {"healthy", "unhealthy"}:
        return msgspec.structs.replace(looked, health=told.health)
    return looked
