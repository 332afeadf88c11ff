"""Network namespaces: make them, remove them, open sockets in them.

A named namespace is a file in /run/netns, as `ip netns` makes them, so that it outlives every
process. A socket belongs to the namespace of the thread that made it, for ever; so a moment in
the namespace is enough. Python has `os.setns` from 3.12 on, hence ctypes.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

NAMESPACES: Final = Path("/run/netns")
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 4096
MNT_DETACH: Final = 2

_libc = ctypes.CDLL("libc.so.6", use_errno=True)


def names(prefix: str) -> set[str]:
    """Return the named namespaces that begin with a prefix."""
    if not NAMESPACES.is_dir():
        return set()
    return {path.name for path in NAMESPACES.iterdir() if path.name.startswith(prefix)}


def exists(name: str) -> bool:
    """Say whether there is a living namespace of that name; a mere file does not count."""
    path = NAMESPACES / name
    try:
        return path.stat().st_dev != NAMESPACES.stat().st_dev
    except FileNotFoundError:
        return False


def identity(name: str) -> tuple[int, int]:
    """Return what tells a namespace from a later one of the same name; zeros if there is none."""
    try:
        about = (NAMESPACES / name).stat()
    except FileNotFoundError:
        return (0, 0)
    return (about.st_dev, about.st_ino)


def create(name: str) -> None:
    """Make a named namespace.

    Raises:
        OSError: not root, or the name is taken.
    """
    NAMESPACES.mkdir(parents=True, exist_ok=True)
    path = NAMESPACES / name
    path.touch(exist_ok=False)

    def bind() -> None:
        _check(_libc.unshare(CLONE_NEWNET))
        source = b"/proc/thread-self/ns/net"
        _check(_libc.mount(source, bytes(path), b"none", MS_BIND, None))

    try:
        in_thread(bind)
    except BaseException:
        path.unlink()
        raise


def remove(name: str) -> None:
    """Take a namespace's name away; it ends when the last socket and process in it has gone."""
    path = NAMESPACES / name
    _libc.umount2(bytes(path), MNT_DETACH)  # not mounted: only the file is left
    path.unlink(missing_ok=True)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Put the calling thread into a namespace, and back."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(NAMESPACES / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(target, CLONE_NEWNET))
        finally:
            os.close(target)
        try:
            yield
        finally:
            _check(_libc.setns(back, CLONE_NEWNET))
    finally:
        os.close(back)


def write_sysctls(name: str, values: dict[tuple[str, ...], int]) -> None:
    """Set kernel parameters in a namespace; a key is the path below /proc/sys."""
    with inside(name):
        write_own_sysctls(values)


def write_own_sysctls(values: dict[tuple[str, ...], int]) -> None:
    """Set kernel parameters in the caller's own namespace, where they differ."""
    for key, value in values.items():
        path = Path("/proc/sys", *key)
        if path.read_text().strip() != str(value):
            path.write_text(str(value))


def in_thread(act: Callable[[], T]) -> T:
    """Run something in a thread of its own that may leave its namespaces as they please."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
