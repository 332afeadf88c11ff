"""What a node keeps on disk: its tasks and what it last observed of them.

With it an agent that was killed adopts its containers again without asking a manager.  The file
may lag a moment behind: whatever is missing in it is found again from the containers' labels and
states, so a write per change would buy nothing.  Environment values may be secret, so it is sealed,
and only the owner may read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from cluster.errors import FatalStorageError
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.rpc.messages import ManagerAddress, TaskStatusUpdate

log = structlog.get_logger(__name__)

FORMAT = 1
FILE_NAME = "agent.sealed"
QUIET_S = 0.05  # changes within this time share one write
RETRY_S = 1.0  # pause after a failed write


class Snapshot(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The file's contents."""

    format: int = FORMAT
    tasks: tuple[Task, ...] = ()
    statuses: tuple[TaskStatusUpdate, ...] = ()
    managers: tuple[ManagerAddress, ...] = ()


class Seal(Protocol):
    """Hides the file's contents from whoever gets the disk; `cluster.ca.file_key` has one."""

    def seal(self, data: bytes) -> bytes:
        """Encrypt."""
        ...

    def unseal(self, sealed: bytes) -> bytes | None:
        """Undo `seal`; None if it was another's."""
        ...


class LocalState:
    """The file, read once at the start and written behind the changes."""

    def __init__(self, directory: Path, seal: Seal) -> None:
        """Name the file; `directory` must exist and belong to this process alone."""
        self._path = directory / FILE_NAME
        self._seal = seal
        self._take: Callable[[], Snapshot] | None = None
        self._dirty = asyncio.Event()

    def load(self) -> Snapshot:
        """Read the last snapshot; a broken file is put aside and counts as empty.

        Raises:
            FatalStorageError: the file is there and cannot be read, or a newer version wrote it.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return Snapshot()
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot read it: {error.strerror}") from error
        try:
            snapshot = msgspec.json.decode(self._seal.unseal(data) or b"", type=Snapshot)
        except msgspec.DecodeError:
            aside = self._path.with_suffix(".broken")
            self._path.replace(aside)
            log.exception("local state is broken, asking the manager instead", kept_as=str(aside))
            return Snapshot()
        if snapshot.format > FORMAT:
            raise FatalStorageError(
                f"{self._path}: format {snapshot.format} was written by a newer version; this one "
                f"reads up to {FORMAT}: install the newer version again, or remove the file"
            )
        return snapshot

    def changed(self, take: Callable[[], Snapshot]) -> None:
        """Have a snapshot written soon; `take` makes it, once the changes have settled."""
        self._take = take
        self._dirty.set()

    async def run(self) -> None:
        """Write behind the changes until cancelled, then once more what is left."""
        try:
            while True:
                await self._dirty.wait()
                await asyncio.sleep(QUIET_S)
                await self._write_once()
        finally:
            if self._dirty.is_set() and self._take is not None:
                with contextlib.suppress(OSError):
                    _replace_file(self._path, self._seal.seal(msgspec.json.encode(self._take())))

    async def _write_once(self) -> None:
        assert self._take is not None
        self._dirty.clear()
        data = self._seal.seal(msgspec.json.encode(self._take()))
        try:
            await asyncio.to_thread(_replace_file, self._path, data)
        except OSError as error:
            log.error("local state cannot be written", path=str(self._path), error=error.strerror)  # noqa: TRY400  # a full disk needs no traceback
            self._dirty.set()
            await asyncio.sleep(RETRY_S)


def _replace_file(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new one, never half of it."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
