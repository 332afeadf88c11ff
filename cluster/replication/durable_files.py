"""Files that survive a power cut: written whole, synced, renamed, and their directory synced.

Errors of the disk become `FatalStorageError`: after a failed sync nobody knows what is on the
disk, and trying again may report success for data that is gone ("fsyncgate"). So nothing here is
ever repeated; the process stops and recovers from what is really there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from cluster.errors import FailedPrecondition, FatalStorageError

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def fatal_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an error of the operating system into `FatalStorageError`.

    Args:
        action: what is being done, for the message: "write", "sync"...
        path: the file or directory.
    """
    try:
        yield
    except OSError as error:
        raise FatalStorageError(
            f"{path}: cannot {action}: {error.strerror or error}; "
            "check the disk (full? failing?), then start again"
        ) from error


def sync_directory(path: Path) -> None:
    """Make creations, renames and removals in a directory durable."""
    with fatal_errors("sync", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory that only its owner may enter, if it is not there yet."""
    with fatal_errors("create", path):
        if path.is_dir():
            return
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_directory(path.parent)


def write_atomically(path: Path, parts: Iterable[bytes]) -> None:
    """Put a file of mode 0600 in place so that a crash leaves the old one or the new one."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with fatal_errors("write", temporary):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for part in parts:
                write_all(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data` at the file's position."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files of writes that a crash cut off."""
    with fatal_errors("clean up", directory):
        for leftover in directory.glob("*" + TEMPORARY_SUFFIX):
            leftover.unlink()


class DirectoryLock:
    """Keeps a second process out of a state directory; the kernel frees it when we die."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            FailedPrecondition: another process holds it.
        """
        path = directory / "lock"
        with fatal_errors("open", path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise FailedPrecondition(
                f"{directory}: in use by another process (pid {holder or 'unknown'}); "
                "stop it first or use another state directory"
            ) from None
        with fatal_errors("write", path):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)


def read_written(path: Path) -> bytes:
    """Return a file's bytes up to its last written part.

    What was preallocated and never written is a hole, which is zeros; most of the last segment
    is such, and nobody need look at it.
    """
    with path.open("rb") as file:
        descriptor, end = file.fileno(), 0
        with contextlib.suppress(OSError):  # no more data behind the offset
            while True:
                start = os.lseek(descriptor, end, os.SEEK_DATA)
                end = os.lseek(descriptor, start, os.SEEK_HOLE)
        file.seek(0)
        return file.read(end)
