"""Events of the cluster, merged into the stream of the local engine's events.

Every manager reads them off the changes that are committed, so a follower tells what the leader
tells, with the same times.  The last ones are kept for clients that ask for the past.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from cluster.api.convert.events import FILTERS, ClusterEvent, event_of, leader_events
from cluster.api.engine import Engine
from cluster.api.filters import Filters
from cluster.api.local_node import LocalNode
from cluster.api.query import read_moment
from cluster.api.request import ApiRequest
from cluster.clock import Clock
from cluster.errors import NotManager, Unavailable
from cluster.model.objects import StoredObject
from cluster.model.units import Timestamp
from cluster.store.interface import ClusterStore

_KEPT: Final = 256
_MOST_WAITING: Final = 4096
"""A client that lets more events wait is cut off."""

_LOOK_S: Final = 0.25
"""How often to look whether this node has become, or ceased to be, a manager."""


class Listener:
    """The events that one client has not been told yet."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: deque[ClusterEvent] = deque()
        self._wake = asyncio.Event()
        self._is_cut_off = False

    def tell(self, event: ClusterEvent) -> None:
        """Add an event."""
        self._is_cut_off = self._is_cut_off or len(self._waiting) >= _MOST_WAITING
        if not self._is_cut_off:
            self._waiting.append(event)
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[ClusterEvent]:
        """Iterate over the events as they come; ends when too many wait."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._is_cut_off:
                return
            await self._wake.wait()
            self._wake.clear()


class ClusterEvents:
    """Hears of what is committed, and tells those who listen."""

    def __init__(self, node: LocalNode, clock: Clock) -> None:
        """Listen to the store of `node`, whenever it has one, while `run` runs."""
        self._node = node
        self._clock = clock
        self._past: deque[ClusterEvent] = deque(maxlen=_KEPT)
        self._listeners: set[Listener] = set()

    async def run(self) -> None:
        """Follow the cluster's changes until cancelled."""
        while True:
            store = self._store()
            if store is not None:
                await self._follow(store)
            await asyncio.sleep(_LOOK_S)

    @contextmanager
    def listening(self) -> Iterator[tuple[list[ClusterEvent], Listener]]:
        """Return the past and a listener for what comes right after it."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield list(self._past), listener
        finally:
            self._listeners.discard(listener)

    async def _follow(self, store: ClusterStore) -> None:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(store))
            leader = self._node.leader_id()
            while self._store() is store and not reading.done():
                await asyncio.wait((reading,), timeout=_LOOK_S)
                leads = self._node.leader_id() or leader  # none for a moment is no news
                for event in leader_events(store.view(), leader, leads, self._clock.now()):
                    self._tell(event)
                leader = leads
            reading.cancel()

    async def _read(self, store: ClusterStore) -> None:
        async with store.subscribe() as feed:
            state = feed.start
            async for committed in feed:
                known: dict[tuple[type, str], StoredObject] = {}
                for change in committed.changes:
                    item: Any = change.item
                    key = (type(item), item.id)
                    before = known.get(key) or state.table_of(item).get(item.id)
                    known[key] = item
                    event = event_of(change, before, self._clock.now())
                    if event is not None:
                        self._tell(event)
                state = committed.state

    def _tell(self, event: ClusterEvent) -> None:
        self._past.append(event)
        for listener in self._listeners:
            listener.tell(event)

    def _store(self) -> ClusterStore | None:
        try:
            return self._node.replica()
        except (NotManager, Unavailable):  # the latter: it cannot tell what is so
            return None


async def serve_events(
    events: ClusterEvents, engine: Engine, request: ApiRequest, clock: Clock
) -> web.StreamResponse:
    """Answer ``/events``: what the engine tells, and what fits of the cluster's.

    Raises:
        InvalidArgument: filters or a time of a wrong form.
        Unavailable: the engine cannot be reached.
    """
    filters = Filters.parse(request.query.get("filters"), FILTERS)
    path = await engine.path_for(request.http.raw_path)
    with events.listening() as (past, listener):
        async with engine.stream("GET", path) as answer:
            if answer.status != 200:
                content_type = {"Content-Type": answer.headers.get("Content-Type", "")}
                body = await answer.read()
                return web.Response(status=answer.status, body=body, headers=content_type)
            window = _Window(request.query.get("since"), request.query.get("until"))
            response = web.StreamResponse(
                headers={"Content-Type": answer.headers.get("Content-Type", "application/json")}
            )
            request.add_headers(response)
            await response.prepare(request.http)
            earlier = [e for e in past if window.asks_for_past(e.at) and e.fits(filters)]
            try:
                if window.is_over(clock.now()):
                    await _write_past(response, earlier, answer)
                else:
                    await _write_both(
                        response,
                        earlier,
                        listener,
                        answer,
                        lambda e: window.may_hold(e.at) and e.fits(filters),
                    )
            except* aiohttp.ClientError:
                # The engine broke off.  A proper end would make the client believe it has it all.
                if request.http.transport is not None:
                    request.http.transport.abort()
            else:
                await response.write_eof()
            return response


class _Window:
    """The time that a client asks for, in seconds since 1970 with a fraction."""

    def __init__(self, since: str | None, until: str | None) -> None:
        self._since = read_moment("since", since)
        self._until = read_moment("until", until)

    def asks_for_past(self, at: Timestamp) -> bool:
        """Whether an event of the past is asked for; without any bound none is."""
        if self._since is None and self._until is None:
            return False
        return at >= (self._since or 0) and self.may_hold(at)

    def may_hold(self, at: Timestamp) -> bool:
        return self._until is None or at <= self._until

    def is_over(self, now: Timestamp) -> bool:
        return self._until is not None and self._until <= now


async def _write_past(
    response: web.StreamResponse, earlier: list[ClusterEvent], answer: aiohttp.ClientResponse
) -> None:
    """Write all that has happened, in the order of time."""
    lines = [(int(event.at), event.line()) for event in earlier]
    lines += [(_time_of(line), line) async for line in _lines(answer)]
    lines.sort(key=lambda entry: entry[0])
    for _, line in lines:
        await response.write(line)


async def _write_both(
    response: web.StreamResponse,
    earlier: list[ClusterEvent],
    listener: Listener,
    answer: aiohttp.ClientResponse,
    is_wanted: Callable[[ClusterEvent], bool],
) -> None:
    """Write what happened, and what happens until the engine's stream ends."""
    for event in earlier:
        await response.write(event.line())

    async def write_cluster() -> None:
        async for event in listener:
            if is_wanted(event):
                await response.write(event.line())
        answer.close()  # the client did not keep up

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write_cluster())
        async for line in _lines(answer):
            await response.write(line)
        writing.cancel()


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Iterate over the engine's events, each whole, so that two streams can be one."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest + b"\n"


def _time_of(line: bytes) -> int:
    try:
        return int(msgspec.json.decode(line)["timeNano"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return 0
