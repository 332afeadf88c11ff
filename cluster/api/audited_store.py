"""The store as requests use it: what they change is noted in the audit log, in the same step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeVar

import structlog

from cluster.clock import Clock
from cluster.errors import ClusterError
from cluster.model.audit import Author
from cluster.store.audit_log import may_note_refusal, record, record_refusal
from cluster.store.interface import ClusterStore, Subscription
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

log = structlog.get_logger(__name__)

T = TypeVar("T")


class AuditedStore:
    """A `ClusterStore` for one request."""

    def __init__(self, store: ClusterStore, author: Author, action: str) -> None:
        """Note that `author` asks for `action`."""
        self._store = store
        self._author = author
        self._action = action

    def view(self) -> ClusterState:
        """Return the last committed state."""
        return self._store.view()

    async def update(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as `ClusterStore.update` does."""

        def audited(tx: Transaction) -> T:
            before = tx.state
            result = work(tx)
            record(tx, before, self._author, self._action)
            return result

        return await self._store.update(audited)

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Open a feed of committed changes."""
        return self._store.subscribe()


async def note_refusal(
    store: ClusterStore, author: Author, action: str, reason: str, clock: Clock
) -> None:
    """Note what a deploy token may not do, each time in the log of this node.

    In the audit log it is noted now and then only: a token's holder must not be able to fill it.
    """
    log.info(
        "deploy token refused", token=author.name, origin=author.origin, action=action, why=reason
    )
    if not may_note_refusal(store.view(), author.token_id, clock.now()):
        return
    with suppress(ClusterError):  # the refusal itself is what has to be told
        await store.update(lambda tx: record_refusal(tx, author, action, reason))
