"""Files of tasks on this node: a tmpfs per task, so that no secret ever lies on a disk.

The mounts belong to the kernel, not to this process: containers keep their files while it is
away, and its next life finds them.  Writing to memory waits for nothing, so unlike calls of the
engine these are made in the event loop; that keeps them in order.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from cluster.errors import FailedPrecondition
from cluster.executor.attached_files import AttachedFile
from cluster.model.ids import TaskId

Json = dict[str, Any]

# <sys/mount.h>. Not MS_NOEXEC: scripts are often delivered as configs and run.
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8
_PAGE_BYTES: Final = 64 * 1024  # the largest page of any platform

_libc = ctypes.CDLL(None, use_errno=True)
_text = ctypes.c_char_p
_libc.mount.argtypes = (_text, _text, _text, ctypes.c_ulong, _text)
_libc.umount2.argtypes = (_text, ctypes.c_int)

log = structlog.get_logger(__name__)


class TaskFiles:
    """The folders of this node's tasks below one root."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which belongs to this node alone; it is made on first use."""
        self._root = root

    @property
    def task_ids(self) -> tuple[TaskId, ...]:
        """Tasks that have files here, of earlier lives of this process too."""
        try:
            return tuple(TaskId(entry.name) for entry in sorted(self._root.iterdir()))
        except FileNotFoundError:
            return ()

    def has(self, task_id: TaskId) -> bool:
        """Whether the task's files are here."""
        return os.path.ismount(self._folder(task_id))

    def write(self, task_id: TaskId, files: Sequence[AttachedFile]) -> None:
        """Make the task's files, in place of any that are there.

        Raises:
            FailedPrecondition: this process may not mount, or memory is short.
        """
        self.discard(task_id)
        folder = self._folder(task_id)
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            _mount_tmpfs(folder, sum(len(f.content) + 2 * _PAGE_BYTES for f in files))
            for number, file in enumerate(files):
                _write(folder / str(number), file)
        except OSError as error:
            self.discard(task_id)
            raise FailedPrecondition(
                f"{folder}: secrets and configs cannot be put there: {error.strerror}; "
                "stackd must run as root and may not be confined to its own view of /run"
            ) from error

    def mounts(self, task_id: TaskId, files: Iterable[AttachedFile]) -> list[Json]:
        """Return the mounts that show the files, once written, in the task's container."""
        folder = self._folder(task_id)
        return [
            {
                "Type": "bind",
                "Source": str(folder / str(number)),
                "Target": file.target,
                "ReadOnly": True,
            }
            for number, file in enumerate(files)
        ]

    def discard(self, task_id: TaskId) -> None:
        """Remove the task's files; a container that still runs keeps what it has open."""
        folder = self._folder(task_id)
        while _libc.umount2(os.fsencode(folder), _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0:
            pass  # whatever was mounted there, however often
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("folder of a task stays", path=str(folder), error=error.strerror)

    def _folder(self, task_id: TaskId) -> Path:
        return self._root / task_id


def _mount_tmpfs(folder: Path, size_bytes: int) -> None:
    options = f"mode=0700,size={size_bytes}".encode()
    flags = _MS_NOSUID | _MS_NODEV
    if _libc.mount(b"stackyard", os.fsencode(folder), b"tmpfs", flags, options) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: Path, file: AttachedFile) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(file.content)
        os.fchown(descriptor, file.uid, file.gid)
        os.fchmod(descriptor, file.mode)
