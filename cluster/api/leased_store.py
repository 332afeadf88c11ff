"""The store as single requests use it: what belongs to a stack changes under its lease only.

Clients of the Engine API know no leases, so they need none as long as nobody has one.  Whoever has
it names it in a header.  `/stacks` has its own checks, and reconcilers need no lease.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

from cluster.api.commands.leases import check_leased_changes
from cluster.api.context import ApiContext
from cluster.api.limited_store import LimitedStore
from cluster.api.request import ApiRequest
from cluster.store.interface import ClusterStore, Subscription
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

LEASE: Final = "X-Stackyard-Lease"
"""Names the lease under which a request changes what belongs to a stack."""

T = TypeVar("T")


class LeasedStore:
    """A `ClusterStore` for one request."""

    def __init__(self, store: ClusterStore, token: str) -> None:
        """Change `store` under the lease of `token`, "" for none."""
        self._store = store
        self._token = token

    def view(self) -> ClusterState:
        """Return the last committed state."""
        return self._store.view()

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Follow the changes, as `ClusterStore.subscribe` does."""
        return self._store.subscribe()

    async def update(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as `ClusterStore.update` does.

        Raises:
            AlreadyExists: it changes an object of a stack that somebody else is deploying; nothing
                is done.
        """

        def leased(tx: Transaction) -> T:
            before = tx.state
            result = work(tx)
            check_leased_changes(tx, before, self._token)
            return result

        return await self._store.update(leased)


def leased_store(api: ApiContext, request: ApiRequest) -> ClusterStore:
    """Return the store for a request that changes single objects; raises as `api.store` does.

    What a deploy token may not do is refused first: who deploys other stacks is not for it to know.
    """
    store = LeasedStore(api.audited_store, request.http.headers.get(LEASE, ""))
    token = api.caller.token
    return store if token is None else LimitedStore(store, token)
