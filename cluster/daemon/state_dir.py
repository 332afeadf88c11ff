"""The folder in which a node keeps what must survive a restart.

    membership.json   written last when the node becomes a member, removed first when it leaves
    certificates/     key, certificate and root
    raft/             log and snapshots (managers only)
    node-key          wraps the keys in the two folders above while managers lock themselves
    tasks/            what the agent was told and has observed

The membership file decides: without it the rest is left over from a join that never ended, or a
leave that was cut off, and is swept away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from cluster.ca.node_lock import FILE_NAME as NODE_KEY
from cluster.errors import FatalStorageError
from cluster.model.ids import ClusterId, NodeId
from cluster.model.node import Role
from cluster.model.spec_struct import ObjectStruct

MEMBERSHIP: Final = "membership.json"


class Membership(ObjectStruct, frozen=True, kw_only=True):
    """Which cluster the node belongs to, and how it is reached and reaches others."""

    node_id: NodeId
    cluster_id: ClusterId
    role: Role
    listen_addr: str  # host:port, what a manager listens on
    advertise_addr: str  # IP address without port, what others use
    managers: tuple[str, ...] = ()  # host:port, last known
    raft_id: int = 0  # a manager's place in the consensus group

    @property
    def manager_addr(self) -> str:
        """Return the host:port on which others reach this node while it is a manager."""
        port = self.listen_addr.rpartition(":")[2]
        host = self.advertise_addr
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class StateDir:
    """Paths and the membership file."""

    def __init__(self, root: Path) -> None:
        """Use `root`; it is made on first use with mode 0700."""
        self.root = root
        self.certificates = root / "certificates"
        self.raft = root / "raft"
        self.tasks = root / "tasks"
        self._membership = root / MEMBERSHIP

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process alone.

        Raises:
            FatalStorageError: another process has it, or it cannot be made.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.fdopen(os.open(self.root / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w")
        except OSError as error:
            raise FatalStorageError(
                f"{self.root}: cannot be used as state folder: {error.strerror};"
                " run as root or choose another with --state-dir"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FatalStorageError(
                    f"{self.root}: in use by another stackd; stop it or choose another --state-dir"
                ) from error
            yield

    def load(self) -> Membership | None:
        """Return the membership, None if the node belongs to no cluster.

        Raises:
            FatalStorageError: the file is damaged.
        """
        try:
            text = self._membership.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FatalStorageError(f"{self._membership}: {error.strerror}") from error
        try:
            return msgspec.json.decode(text, type=Membership)
        except msgspec.DecodeError as error:
            raise FatalStorageError(
                f"{self._membership}: damaged ({error}); restore it from a copy, or remove"
                f" {self.root} and join again"
            ) from error

    def save(self, membership: Membership) -> None:
        """Make the node a member, durably."""
        fresh = self._membership.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(membership)))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._membership)
        self._sync()

    def forget_raft(self) -> None:
        """Remove log and snapshots; the membership must not say any more that they are needed."""
        shutil.rmtree(self.raft, ignore_errors=True)

    def forget(self) -> None:
        """End the membership: its file first, then everything else."""
        self._membership.unlink(missing_ok=True)
        self._sync()
        self.sweep()

    def sweep(self) -> None:
        """Remove what has no meaning without a membership."""
        for folder in (self.certificates, self.raft, self.tasks):
            shutil.rmtree(folder, ignore_errors=True)
        for leftover in (NODE_KEY, NODE_KEY + ".new"):
            (self.root / leftover).unlink(missing_ok=True)

    def _sync(self) -> None:
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
