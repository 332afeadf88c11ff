"""What the routes work with."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from cluster.api.encoded_objects import EncodedObjects
from cluster.api.engine import Engine
from cluster.api.event_stream import ClusterEvents
from cluster.api.local_node import LocalNode
from cluster.api.pacing import Pacing
from cluster.clock import Clock
from cluster.errors import NotManager, Unavailable
from cluster.model.ids import NewId
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

    @property
    def store(self) -> ClusterStore:
        """The cluster's store, to change it; raises as `LocalNode.store` does."""
        return self.node.store()

    @property
    def state(self) -> ClusterState:
        """The cluster's state; raises as `LocalNode.replica` does."""
        return self.node.replica().view()

    def state_or_none(self) -> ClusterState | None:
        """Return the cluster's state, None on a node that holds none."""
        try:
            return self.state
        except NotManager:
            return None

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
