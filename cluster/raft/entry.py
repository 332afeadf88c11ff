"""What the log holds and what must survive a crash: entries, hard state, snapshot descriptions.

All are plain values, so that they can be compared, encoded and replayed.
"""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One log entry; `data` is opaque to the algorithm and empty for a leader's no-op.

    An entry with `changes_members` is the exception: its data is a configuration, and it is the
    algorithm's own (Raft thesis, section 4.1).

    Attributes:
        index: place in the log, the first is 1.
        term: term of the leader that created it.
        data: what the state machine applies.
        changes_members: `data` is not for the state machine but the members from here on.
    """

    index: int
    term: int
    data: bytes = b""
    changes_members: bool = False


class HardState(msgspec.Struct, frozen=True, array_like=True):
    """What a node must remember over a crash ("persistent state", Raft paper, figure 2).

    Attributes:
        term: the latest term this node has seen.
        vote: the node it voted for in that term, 0 for none.
        commit: highest index known to be committed. A hint that makes restarts quick, nothing
            breaks when an older one survives.
    """

    term: int = 0
    vote: int = 0
    commit: int = 0


class ConfState(msgspec.Struct, frozen=True, array_like=True):
    """Who takes part, as of one log index ("configuration", Raft paper, section 6).

    Attributes:
        voters: raft IDs in rising order.
        learners: raft IDs, in rising order, of those who get the log and do not count (thesis,
            section 4.2.1, "non-voting members"); none of them is a voter.
    """

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()

    @property
    def members(self) -> tuple[int, ...]:
        """Return everybody who gets the log, in rising order."""
        return tuple(sorted({*self.voters, *self.learners}))


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Describes a snapshot (Raft paper, section 7): the log up to `index` folded into one state.

    The state's bytes never pass through the algorithm: whoever keeps or carries snapshots finds
    them by index and term.

    Attributes:
        index: last entry the snapshot contains; 0 for "nothing yet".
        term: term of that entry.
        conf: membership as of that entry.
    """

    index: int = 0
    term: int = 0
    conf: ConfState = ConfState()
