"""What the core wants done: the only way anything leaves it."""

from __future__ import annotations

from enum import Enum

import msgspec

from cluster.raft.entry import Entry, HardState, Snapshot
from cluster.raft.messages import Message


class Role(Enum):
    """What a node is in its term (Raft paper, section 5.1; pre-candidate: thesis, 9.6)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class SoftState(msgspec.Struct, frozen=True):
    """What is good to know and need not survive.

    Attributes:
        role: this node's role.
        leader: raft ID of the leader as far as known, 0 for unknown.
        term: the current term.
    """

    role: Role = Role.FOLLOWER
    leader: int = 0
    term: int = 0


class ReadState(msgspec.Struct, frozen=True):
    """A read that may be answered once `index` is applied (Raft thesis, section 6.4).

    Attributes:
        number: what `RaftCore.read_index` returned.
        index: apply at least up to here first.
    """

    number: int
    index: int


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of work. The order is part of the algorithm.

    1. Send `messages`, apply `committed` (all of them are durable here), answer `read_states`.
       None of these waits for the disk.
    2. Make `snapshot`, then `entries`, then `hard` durable; sync when `must_sync`. In that
       order: a hard state must never survive without the entries it speaks of.
    3. Load the state of `snapshot`, if there is one, into the state machine.
    4. Send `messages_after_persist`: votes and acknowledgements are promises, and a promise
       that a crash can undo elects two leaders (Raft paper, figure 2, "updated on stable
       storage before responding to RPCs").
    5. Call `advance()`.

    `step`, `tick` and `propose` may be called at any time in between; what they cause is in the
    next batch.

    Attributes:
        soft: set when it changed.
        hard: set when it changed.
        entries: to append to the log on disk; the first one may lie below the end of that log,
            then everything from there on is replaced.
        snapshot: received from the leader; replaces the log.
        committed: to apply, in order.
        messages: may leave before the sync.
        messages_after_persist: must not leave before step 2 is done.
        read_states: reads that may be answered.
        must_sync: step 2 has to reach the disk before step 4. When false, only the commit index
            moved; writing that may wait for the next batch.
    """

    soft: SoftState | None = None
    hard: HardState | None = None
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None
    committed: tuple[Entry, ...] = ()
    messages: tuple[Message, ...] = ()
    messages_after_persist: tuple[Message, ...] = ()
    read_states: tuple[ReadState, ...] = ()
    must_sync: bool = False
