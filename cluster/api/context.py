"""What the routes work with."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, TypeVar

from cluster.api.audited_store import AuditedStore, note_refusal
from cluster.api.callers import Caller
from cluster.api.commands.token_scope import check_own, visible
from cluster.api.encoded_objects import EncodedObjects
from cluster.api.engine import Engine
from cluster.api.event_stream import ClusterEvents
from cluster.api.limited_store import LimitedStore
from cluster.api.local_node import LocalNode
from cluster.api.pacing import Pacing
from cluster.clock import Clock
from cluster.errors import NotManager, Unavailable
from cluster.model.audit import Author
from cluster.model.ids import NewId, TokenId
from cluster.model.spec_struct import Labels
from cluster.store.interface import ClusterStore
from cluster.store.state import ClusterState

T = TypeVar("T")


class ApiContext:
    """The node, its engine, and where time and identifiers come from."""

    def __init__(
        self,
        node: LocalNode,
        engine: Engine,
        clock: Clock,
        new_id: NewId,
        group: asyncio.TaskGroup,
    ) -> None:
        """Collect the parts; `group` runs what must go on when a client hangs up."""
        self.node = node
        self.engine = engine
        self.clock = clock
        self.new_id = new_id
        self.encoded = EncodedObjects()
        self.pacing = Pacing()
        self.events = ClusterEvents(node, clock)
        self._group = group
        self.caller = Caller("the node itself")
        self.action = ""
        self._shown: tuple[ClusterState, ClusterState] | None = None

    def limited_to(self, caller: Caller) -> ApiContext:
        """Return a context for one request, of which the handlers can do what the caller may."""
        limited = copy(self)
        limited.caller = caller
        if caller.token is not None:
            # what is kept of other clients' answers may show more
            limited.encoded = EncodedObjects()
            limited.pacing = Pacing()
        return limited

    @property
    def is_limited(self) -> bool:
        """Whether the caller may see and change some stacks only, and nothing of the engine."""
        return self.caller.token is not None

    def check_own(self, kind: str, name: str, labels: Labels | None) -> None:
        """Check early that the caller may make an object, before it hears who has that name.

        Raises:
            PermissionDenied: it is not of a stack of the caller's token.
        """
        if self.caller.token is not None:
            check_own(self.caller.token, kind, name, labels)

    @property
    def author(self) -> Author:
        """The caller as the audit log names it."""
        token, origin = self.caller.token, self.caller.origin
        return Author(
            name=self.caller.name,
            origin=origin.place,
            node_id=origin.node_id or self.node.info().node_id,
            token_id=token.id if token is not None else TokenId(""),
        )

    @property
    def store(self) -> ClusterStore:
        """The cluster's store, to change it; raises as `LocalNode.store` does."""
        store = self.audited_store
        return store if self.caller.token is None else LimitedStore(store, self.caller.token)

    @property
    def audited_store(self) -> ClusterStore:
        """The store for any change, which it notes; for what judges changes before."""
        return AuditedStore(self.node.store(), self.author, self.action)

    async def note_refusal(self, reason: str) -> None:
        """Note that the caller may not do what it asked for."""
        await note_refusal(self.node.store(), self.author, self.action, reason, self.clock)

    @property
    def state(self) -> ClusterState:
        """The cluster's state as the caller may see it; raises as `LocalNode.replica` does."""
        state = self.node.replica().view()
        if self.caller.token is None:
            return state
        if self._shown is None or self._shown[0] is not state:
            self._shown = (state, visible(state, self.caller.token))
        return self._shown[1]

    def state_or_none(self) -> ClusterState | None:
        """Return the cluster's state, None on a node that holds none."""
        try:
            return self.state
        except NotManager:
            return None

    @contextmanager
    def beside(self, work: Coroutine[Any, Any, None]) -> Iterator[None]:
        """Run `work`, which must not fail, as long as the context is open."""
        task = self._group.create_task(work)
        try:
            yield
        finally:
            task.cancel()

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and return its result; a client that hangs up does not stop it halfway.

        Raises:
            Unavailable: something that the work waited for was cancelled under it.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                outcome.set_result(await work)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # the server stops
                    outcome.cancel()
                    raise
                outcome.set_exception(Unavailable("the node broke off in the middle; try again"))
                outcome.exception()
            except Exception as error:  # noqa: BLE001 - whoever waits for the outcome gets it
                outcome.set_exception(error)
                outcome.exception()  # nobody may be waiting any more: that is no fault

        self._group.create_task(run())
        return await asyncio.shield(outcome)
