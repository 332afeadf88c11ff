"""Images: what is here is taken, what is not is pulled, once for all tasks that wait for it."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from cluster.errors import ClusterError, NotFound, Unavailable
from cluster.executor.engine import Engine
from cluster.model.ids import ServiceId
from cluster.model.registry_login import RegistryAuth

log = structlog.get_logger(__name__)

_Pull = tuple[str, int]  # image, hash of the credentials


class LoginSource(Protocol):
    """Knows the credentials of this node's services."""

    def registry_auth(self, service_id: ServiceId) -> RegistryAuth | None:
        """Return the credentials for a service's image, None for none.

        Raises:
            Unavailable: they are not known yet, try again.
        """
        ...


class Images:
    """Pulls through the local engine."""

    def __init__(self, engine: Engine) -> None:
        """Make a puller."""
        self._engine = engine
        self._pulling: dict[_Pull, asyncio.Lock] = {}
        self._pulled: dict[_Pull, int] = {}  # count of pulls that succeeded

    async def fetch(self, image: str, auth: RegistryAuth | None) -> None:
        """Pull an image; waits for an equal pull that is under way.

        Args:
            image: its name, with tag or digest.
            auth: the credentials for its registry; the node's own are never used.

        Raises:
            NotFound: ``No such image: X``, and what the registry said.
            Unavailable: the engine is away.
        """
        key = (image, hash(auth))
        before = self._pulled.get(key, 0)
        lock = self._pulling.setdefault(key, asyncio.Lock())
        async with lock:
            if self._pulled.get(key, 0) != before:
                return
            log.info("pulling image", image=image)
            try:
                await self._engine.pull(image, None if auth is None else auth.encoded)
            except Unavailable:
                raise
            except ClusterError as error:
                raise NotFound(f"No such image: {image} (pull failed: {error})") from error
            self._pulled[key] = before + 1
