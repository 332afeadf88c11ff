from __future__ import annotations

import asyncio

import pytest

from cluster.errors import NotFound, Unavailable
from cluster.executor.engine import EngineFailure
from cluster.executor.images import Images
from cluster.model.registry_login import RegistryAuth


class Puller:
    """The part of the engine that images need."""

    def __init__(self, error: Exception | None = None) -> None:
        self.pulls = 0
        self.auths: list[str | None] = []
        self.error = error

    async def pull(self, image: str, encoded_auth: str | None) -> None:
        self.pulls += 1
        self.auths.append(encoded_auth)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_tasks_that_wait_for_the_same_image_share_one_pull() -> None:
    puller = Puller()
    images = Images(puller)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(images.fetch("app:1", None))
    assert puller.pulls == 1
    await images.fetch("app:1", None)  # it was removed from the engine since
    assert puller.pulls == 2


async def test_a_failed_pull_names_image_and_reason() -> None:
    images = Images(Puller(EngineFailure("no such host")))  # type: ignore[arg-type]
    with pytest.raises(NotFound, match=r"^No such image: app:1 \(pull failed: no such host\)$"):
        await images.fetch("app:1", None)


async def test_an_absent_engine_is_no_missing_image() -> None:
    images = Images(Puller(Unavailable("away")))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await images.fetch("app:1", None)


async def test_nobody_waits_for_a_pull_with_credentials_of_others() -> None:
    puller = Puller()
    images = Images(puller)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        for auth in (None, RegistryAuth(encoded="YQ"), RegistryAuth(encoded="YQ")):
            group.create_task(images.fetch("app:1", auth))
    assert puller.auths == [None, "YQ"]
