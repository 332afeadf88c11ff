"""Keeps a manager's keys on disk as the cluster wants them: in clear, or wrapped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from cluster.ca.node_lock import NodeLock
from cluster.model.cluster import Cluster
from cluster.store.interface import ClusterStore

log = structlog.get_logger()


class WrappedLog(Protocol):
    """The log on disk; `cluster.replication.driver.Driver` has it."""

    async def wrap_keys(self, *, with_new: bool) -> None:
        """Write the data keys as the lock says; `with_new`, go on with a fresh one."""
        ...


class LockKeeper:
    """Follows the cluster's unlock key; a restart can go on from wherever it was cut off."""

    def __init__(
        self,
        lock: NodeLock,
        log_on_disk: WrappedLog,
        save_credentials: Callable[[], Awaitable[None]],
    ) -> None:
        """Make it.

        Args:
            lock: this node's.
            log_on_disk: whose keys are wrapped.
            save_credentials: writes this node's private key anew, as the lock says.
        """
        self._lock = lock
        self._log_on_disk = log_on_disk
        self._save_credentials = save_credentials
        self.settled = asyncio.Event()

    async def follow(self, store: ClusterStore) -> None:
        """Do it until cancelled; `store` must hold what the cluster wants now, not long ago.

        Raises:
            FatalStorageError: the disk failed.
        """
        async with store.subscribe() as feed:
            if feed.start.cluster is not None:
                await self.apply(feed.start.cluster.unlock_key)
            self.settled.set()
            async for committed in feed:
                cluster = committed.state.cluster
                if cluster is not None and any(
                    isinstance(change.item, Cluster) for change in committed.changes
                ):
                    await self.apply(cluster.unlock_key)

    async def apply(self, unlock_key: str) -> None:
        """Wrap everything by the unlock key, or by none if it is empty."""
        lock = self._lock
        is_new = unlock_key != lock.opened_with
        if not is_new and not lock.is_changing:
            return
        if unlock_key:
            if is_new or lock.wrapping_key is None:
                await asyncio.to_thread(lock.begin, unlock_key)
            await self._wrap(with_new=is_new)
        else:
            await asyncio.to_thread(lock.begin_to_open)
            await self._wrap(with_new=False)
        await asyncio.to_thread(lock.complete)
        log.info("keys on disk wrapped anew", locked=bool(unlock_key))

    async def _wrap(self, *, with_new: bool) -> None:
        await self._save_credentials()
        await self._log_on_disk.wrap_keys(with_new=with_new)
