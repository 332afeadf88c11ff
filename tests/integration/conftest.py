"""One host with a real Docker Engine, for all tests of a run."""

from __future__ import annotations

import gc
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab

IMAGE = "stackyard/test:1"


class RealEngine:
    """The Docker Engine of a lab host, and what tests do to it behind the executor's back."""

    def __init__(self, lab: Lab, shared: Path) -> None:
        self._lab = lab
        self.shared = shared  # what the tests mount below it, the engine sees
        self._host = lab.host(1)
        self.image = IMAGE

    @property
    def url(self) -> str:
        return f"unix://{self._host.engine_socket}"

    def api(self, method: str, path: str, body: object = None) -> Any:
        return self._lab.engine(1, method, path, body)

    def containers(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.api("GET", "/containers/json?all=1")
        return listed

    def logs(self, container: str) -> str:
        """What a container has printed, on both streams; asked of the stock client."""
        command = ["docker", "-H", self.url, "logs", container]
        done = subprocess.run(
            command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return done.stdout

    def kill(self) -> None:
        self._lab.kill_engine(1)

    def start(self, *options: str) -> None:
        self._lab.start_engine(1, *options)

    def clear(self) -> None:
        self.start()
        for container in self.containers():
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")


@pytest.fixture(scope="session")
def real_engine() -> Iterator[RealEngine]:
    with (
        tempfile.TemporaryDirectory(prefix="sy-it-", dir="/tmp") as folder,
        Lab(state=Path(folder) / "lab") as lab,
    ):
        shared = Path(folder) / "shared"
        shared.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", shared], check=True)
        try:
            subprocess.run(["mount", "--make-shared", shared], check=True)
            lab.up(1)
            yield RealEngine(lab, shared)
            lab.down()
        finally:
            subprocess.run(["umount", "--recursive", "--lazy", shared], check=True)


@pytest.fixture
def engine(real_engine: RealEngine) -> Iterator[RealEngine]:
    """The engine, running and without containers before and after the test."""
    real_engine.clear()
    yield real_engine
    real_engine.clear()


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test has left to the garbage collector is collected while its warnings are ignored."""
    yield
    gc.collect()
