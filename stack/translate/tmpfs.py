"""File systems in memory: the short spelling of ``tmpfs`` and ``shm_size`` as mounts."""

from __future__ import annotations

from stack.compose.quantities import size_bytes
from stack.engine.payloads import Json
from stack.errors import ComposeError

SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a mount point in the container)


def tmpfs_mount(service: str, text: str) -> Json:
    """A mount for ``/run:size=64m,mode=1770,noexec``.

    Raises:
        ComposeError: a size or mode that is no number.
    """
    target, _, options = text.partition(":")
    mount: Json = {"Type": "tmpfs", "Target": target}
    made: Json = {}
    others = []
    for option in filter(None, options.split(",")):
        name, sign, value = option.partition("=")
        match name:
            case "size":
                made["SizeBytes"] = _size(service, text, value)
            case "mode":
                made["Mode"] = _mode(service, text, value)
            case "ro":
                mount["ReadOnly"] = True
            case "rw":
                pass
            case _:
                others.append([name, value] if sign else [name])
    if others:
        made["Options"] = others
    if made:
        mount["TmpfsOptions"] = made
    return mount


def shared_memory(size: int) -> Json:
    """A mount in place of the engine's 64 MiB of shared memory."""
    return {"Type": "tmpfs", "Target": SHARED_MEMORY, "TmpfsOptions": {"SizeBytes": size}}


def _size(service: str, text: str, value: str) -> int:
    try:
        return size_bytes(value)
    except ValueError as error:
        raise _wrong(service, text, f"size {value!r} is no size: {error}") from None


def _mode(service: str, text: str, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise _wrong(service, text, f"mode {value!r} is no octal number, as 1777") from None


def _wrong(service: str, text: str, problem: str) -> ComposeError:
    return ComposeError(f"services.{service}.tmpfs: {text!r}: {problem}")
