"""The port through which shells know the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from cluster.model.spec_struct import ObjectStruct
from cluster.store.change import Change
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

T = TypeVar("T")


class Committed(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Committed changes of one or several log entries, and the state after them."""

    changes: tuple[Change, ...]
    state: ClusterState


class Subscription(Protocol):
    """A feed of committed changes that begins right after `start`; nothing is lost between."""

    start: ClusterState

    def __aiter__(self) -> AsyncIterator[Committed]:
        """Iterate over what is committed from now on; several entries may come as one."""
        ...


class ClusterStore(Protocol):
    """The replicated state of the cluster."""

    def view(self) -> ClusterState:
        """Return the last committed state this manager knows."""
        ...

    async def update(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the newest state and return its result once the changes are durable.

        `work` runs synchronously, at once, on a state that includes changes which are proposed
        but not yet committed; it must not wait nor keep the transaction.  An exception from it
        changes nothing and is passed on.

        Raises:
            NotLeader: this manager may not write, or ceased to be leader before the commit; in
                the latter case the change may still come to pass.
        """
        ...

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Open a feed of committed changes; it ends with the context."""
        ...
