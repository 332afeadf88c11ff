"""How a manager's member of the raft group comes to be: newly made, or back after a restart."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cluster.ca.node_lock import NodeLock
from cluster.clock import Clock
from cluster.errors import FatalStorageError
from cluster.raft.config import Config
from cluster.raft.core import RaftCore
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.membership import encode_conf
from cluster.replication import storage
from cluster.replication.driver import Driver, DriverOptions
from cluster.replication.ports import NoPeers, Peers
from cluster.replication.replicated_store import ReplicatedStore
from cluster.replication.storage import RaftStorage
from cluster.store.change import Change
from cluster.store.codec import decode_entry, decode_snapshot, encode_entry, encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

FIRST_RAFT_ID: Final = 1
"""The first manager of every cluster."""

ELECTION_TICKS: Final = 8
"""With ticks of 100 ms a leader is replaced 0.8 to 1.6 s after its last sign of life; that many
heartbeats in a row do not come late on a busy machine."""

# A group begins with a snapshot behind entry 1, not with entries, so that a member that joins
# with an empty log can only ever begin with a snapshot as well.
_FIRST_INDEX: Final = 1
_FIRST_TERM: Final = 1


def create_cluster(directory: Path, initial: Sequence[Change]) -> None:
    """Make a new cluster with this manager as its only voter.

    Args:
        directory: of this manager's member; a crash leaves it whole or as if nothing was done.
        initial: the first changes, in the store's revision 1.

    Raises:
        FailedPrecondition: a cluster is here already, or another process uses the directory.
        FatalStorageError: the disk failed.
    """
    create_cluster_of(directory, ClusterState().apply(initial))


def create_cluster_of(directory: Path, state: ClusterState, raft_id: int = FIRST_RAFT_ID) -> None:
    """Make a cluster that begins with a whole state; otherwise as `create_cluster`.

    Args:
        directory: of this manager's member.
        state: what the cluster begins with.
        raft_id: this manager's.
    """
    snapshot = Snapshot(_FIRST_INDEX, _FIRST_TERM, ConfState((raft_id,)))
    RaftStorage.create(directory, snapshot, encode_snapshot(state)).close()


def create_joiner(directory: Path, lock: NodeLock | None = None) -> None:
    """Make a member that knows nothing; the leader of the group it joins sends it everything.

    Raises:
        FailedPrecondition: a member is here already, or another process uses the directory.
        FatalStorageError: the disk failed.
    """
    RaftStorage.create(directory, Snapshot(), encode_snapshot(ClusterState()), lock=lock).close()


def restart_alone(
    directory: Path,
    clock: Clock,
    raft_id: int,
    work: Callable[[Transaction], None],
    lock: NodeLock | None = None,
) -> None:
    """Make this member the only voter, because a majority of the others is lost for good.

    Everything in its log counts as committed, also what it does not know to be: it may have been
    acknowledged. What only others had is lost, and they must not come back as managers.

    Args:
        directory: of this manager's member, which must not run.
        clock: dates the changes.
        raft_id: this member's.
        work: changes the state on the occasion.
        lock: wraps the keys of what is on disk.

    Raises:
        FailedPrecondition: no member is here, or another process uses it.
        FatalStorageError: something is damaged, or the disk failed.
    """
    opened = RaftStorage(directory, lock=lock)
    try:
        recovered = opened.recovered
        state = decode_snapshot(recovered.data)
        last_index, last_term = recovered.snapshot.index, recovered.snapshot.term
        for entry in recovered.entries:
            if entry.data and not entry.changes_members:
                state = state.apply(decode_entry(entry.data))
            last_index, last_term = entry.index, entry.term
        tx = Transaction(state, clock.now())
        work(tx)
        # Above all terms there were, so that nobody else led in it.
        term = max(recovered.hard.term, last_term) + 1
        alone = encode_conf(ConfState((raft_id,)))
        entries = [Entry(last_index + 1, term, alone, changes_members=True)]
        if tx.changes:
            entries.append(Entry(last_index + 2, term, encode_entry(tx.changes)))
        opened.persist(entries, HardState(term, raft_id, entries[-1].index))
    except ValueError as error:
        raise FatalStorageError(f"{directory}: {error}") from error
    finally:
        opened.close()


def has_cluster(directory: Path) -> bool:
    """Say whether a directory holds a member, so that it has to be opened, not created."""
    return storage.holds_member(directory)


def open_store(
    directory: Path,
    clock: Clock,
    *,
    raft_id: int = FIRST_RAFT_ID,
    peers: Peers | None = None,
    options: DriverOptions = DriverOptions(),  # noqa: B008 - it is frozen
    lock: NodeLock | None = None,
) -> ReplicatedStore:
    """Open a member after `create_cluster` or a restart; it blocks while it reads.

    Args:
        directory: of this manager's member.
        clock: dates changes.
        raft_id: this manager's raft ID.
        peers: the way to the other members, None for a lone voter.
        options: knobs of the loop.
        lock: wraps the keys of what is on disk.

    Returns:
        The store, with the state of the newest snapshot. `ReplicatedStore.run` applies what the
        log holds behind it and takes part in the cluster.

    Raises:
        FailedPrecondition: no cluster is here, or another process uses it.
        FatalStorageError: something is damaged, or the disk failed.
    """
    opened = RaftStorage(directory, lock=lock)
    try:
        recovered = opened.recovered
        core = RaftCore(
            Config(id=raft_id, election_ticks=ELECTION_TICKS),
            random.Random(),  # noqa: S311 - election timeouts are no secret
            recovered.snapshot,
            recovered.hard,
            recovered.entries,
        )
        state = decode_snapshot(recovered.data)
    except ValueError as error:
        opened.close()
        raise FatalStorageError(f"{directory}: {error}") from error
    driver = Driver(core, opened, peers or NoPeers(), options)
    return ReplicatedStore(driver, clock, state)
