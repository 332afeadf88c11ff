"""The agent's memory in a folder, sealed as on a node."""

from __future__ import annotations

from pathlib import Path

from cluster.agent.local_state import LocalState
from cluster.ca.file_key import FileKey
from cluster.ca.node_lock import NodeLock


def file_key(folder: Path) -> FileKey:
    """The key in a folder; made if it is not there."""
    return FileKey(folder / "key", NodeLock(folder))


def local_state(folder: Path) -> LocalState:
    """The memory in a folder, as a new process finds it."""
    return LocalState(folder, file_key(folder))
