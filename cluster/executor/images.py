"""Images: what is here is taken, what is not is pulled, once for all tasks that wait for it."""

from __future__ import annotations

import asyncio

import structlog

from cluster.errors import ClusterError, NotFound, Unavailable
from cluster.executor.engine import Engine

log = structlog.get_logger(__name__)


class Images:
    """Pulls through the local engine."""

    def __init__(self, engine: Engine) -> None:
        """Make a puller."""
        self._engine = engine
        self._pulling: dict[str, asyncio.Lock] = {}
        self._pulled: dict[str, int] = {}  # count of pulls that succeeded, by image

    async def fetch(self, image: str) -> None:
        """Pull an image that the engine does not have; waits for a pull that is under way.

        Raises:
            NotFound: ``No such image: X``, and what the registry said.
            Unavailable: the engine is away.
        """
        before = self._pulled.get(image, 0)
        lock = self._pulling.setdefault(image, asyncio.Lock())
        async with lock:
            if self._pulled.get(image, 0) != before:
                return
            log.info("pulling image", image=image)
            try:
                await self._engine.pull(image)
            except Unavailable:
                raise
            except ClusterError as error:
                raise NotFound(f"No such image: {image} (pull failed: {error})") from error
            self._pulled[image] = before + 1
