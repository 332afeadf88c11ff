"""The store as a deploy token may use it: every change is judged before it is committed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from cluster.api.commands.token_scope import check_changes, visible
from cluster.errors import Unauthenticated
from cluster.model.token import DeployToken
from cluster.store.interface import ClusterStore, Subscription
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

T = TypeVar("T")


class LimitedStore:
    """A `ClusterStore` for one token."""

    def __init__(self, store: ClusterStore, token: DeployToken) -> None:
        """Let `token` use `store`."""
        self._store = store
        self._token = token

    def view(self) -> ClusterState:
        """Return what the token may see of the last committed state."""
        return visible(self._store.view(), self._token)

    async def update(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as `ClusterStore.update` does.

        Raises:
            PermissionDenied: what it changes is not for the token to change; nothing is done.
            Unauthenticated: the token was taken back or has ended meanwhile; nothing is done.
        """

        def limited(tx: Transaction) -> T:
            before = tx.state
            token = before.tokens.get(self._token.id)
            if token is None or token.digest != self._token.digest:
                raise Unauthenticated(f"deploy token {self._token.name} was taken back just now")
            if token.until and token.until <= tx.now:
                raise Unauthenticated(f"deploy token {token.name} has expired just now")
            result = work(tx)
            check_changes(tx, before, token)
            return result

        return await self._store.update(limited)

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Refuse: no request of a token follows all changes."""
        raise AssertionError("changes of the whole cluster are not for a deploy token")
