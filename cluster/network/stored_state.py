"""What the network process must know when it starts alone: the last view, and the engine's calls.

The engine names its networks and endpoints to a driver once, and never again; so they are on
disk before it is answered. The view is there so that a restart needs no manager.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from cluster.errors import FatalStorageError
from cluster.model.network_view import NodeView

FILE: Final = "network.json"


class EnginePort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port of one container; `published_port` 0 leaves the choice to whoever publishes it."""

    protocol: str
    published_port: int
    target_port: int
    host_ip: str = ""


class EngineEndpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container's place in a network, as the engine named it.

    `ports` are those that the engine wants published for the container, whichever of its networks
    it told; `sandbox` is the same for all places of one container, once it has joined.
    """

    engine_network: str
    network_id: str
    address: str
    prefix: int
    is_gateway: bool = False
    sandbox: str = ""
    ports: tuple[EnginePort, ...] = ()

    @property
    def is_joined(self) -> bool:
        """Whether the container has its link."""
        return bool(self.sandbox)


class StoredState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything; engine networks are by the engine's ID with the cluster's ID as value.

    `retained` are the networks of the view that are only there for containers that have not left.
    `is_partial` is set while the engine may know networks and containers of ours that are not here:
    nothing may be taken for a leftover then.
    """

    view: NodeView | None = None
    engine_networks: Mapping[str, str] = {}
    endpoints: Mapping[str, EngineEndpoint] = {}
    retained: tuple[str, ...] = ()
    is_partial: bool = False


def load(folder: Path) -> StoredState:
    """Read the state; an empty one, which is partial, where none is.

    Raises:
        FatalStorageError: the file cannot be read or is damaged.
    """
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredState)
    except FileNotFoundError:
        return StoredState(is_partial=True)
    except (OSError, msgspec.DecodeError) as error:
        raise FatalStorageError(
            f"{path}: {error}; move it away to start empty: containers that run stay connected,"
            " the engine is asked for them, and the node's agent sends the networks again"
        ) from error


def save(folder: Path, state: StoredState) -> None:
    """Write the state so that a crash leaves the old one or the new one.

    Raises:
        FatalStorageError: the disk refused.
    """
    path = folder / FILE
    temporary = path.with_suffix(".tmp")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise FatalStorageError(f"{path}: cannot write: {error.strerror or error}") from error
