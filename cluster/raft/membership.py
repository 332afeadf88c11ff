"""Who takes part: one member at a time is added, promoted, demoted or removed.

Raft thesis, sections 4.1 to 4.3. A configuration is an entry of the log, and a node uses the
newest one in its log, committed or not (4.1): so every configuration has its place in the log and
falls back when the entry is replaced. As two that follow each other differ by one voter at most,
any majority of one shares a node with any majority of the other.

That is only true of neighbours. Two leaders of different terms could both step away from the
same configuration to two that share nothing, which is the error found after the thesis was
printed ("bug in single-server membership changes", raft-dev, 10 July 2015); its cure is that a
leader changes nothing before an entry of its own term is committed. See `refusal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from cluster.raft.entry import ConfState, Entry, Snapshot

encode_conf: Final = msgspec.msgpack.Encoder().encode
_decode_conf: Final = msgspec.msgpack.Decoder(ConfState).decode


class Membership:
    """The configurations of one node's log, from its newest snapshot on."""

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry]) -> None:
        """Collect them from what was recovered.

        Args:
            snapshot: the newest one.
            entries: all behind it.
        """
        self._steps: list[tuple[int, ConfState]] = [(snapshot.index, snapshot.conf)]
        self.append(entries)

    @property
    def current(self) -> ConfState:
        """The newest configuration, which is the one in force (thesis, 4.1)."""
        return self._steps[-1][1]

    @property
    def index(self) -> int:
        """Index of the entry, or snapshot, that holds the newest configuration."""
        return self._steps[-1][0]

    def at(self, index: int) -> ConfState:
        """Return the configuration as of the entry at `index`, which is not compacted."""
        for since, conf in reversed(self._steps):
            if since <= index:
                return conf
        raise AssertionError(f"the members as of entry {index} are compacted")

    def append(self, entries: Sequence[Entry]) -> bool:
        """Take the configurations among new entries; say whether there were any."""
        steps = [(e.index, _decode_conf(e.data)) for e in entries if e.changes_members]
        self._steps.extend(steps)
        return bool(steps)

    def truncate(self, index: int) -> bool:
        """Forget those from `index` on, whose entries are replaced; say whether there were any."""
        before = len(self._steps)
        while self._steps[-1][0] >= index and len(self._steps) > 1:
            self._steps.pop()
        return len(self._steps) < before

    def restore(self, snapshot: Snapshot) -> None:
        """Begin anew from a snapshot of the leader."""
        self._steps = [(snapshot.index, snapshot.conf)]

    def compact(self, index: int) -> None:
        """Forget those that only describe what is below `index`."""
        while len(self._steps) > 1 and self._steps[1][0] <= index:
            del self._steps[0]


def refusal(old: ConfState, new: ConfState) -> str | None:
    """Say why `new` must not follow `old`, None when it may.

    Args:
        old: the configuration in force; it must be committed.
        new: the wanted one.
    """
    if not new.voters:
        return "no voter would be left"
    for name, ids in (("voters", new.voters), ("learners", new.learners)):
        if list(ids) != sorted(set(ids)) or any(raft_id <= 0 for raft_id in ids):
            return f"{name}: {ids} are not distinct IDs above 0 in rising order"
    both = set(new.voters) & set(new.learners)
    if both:
        return f"{min(both)} would be a voter and a learner"
    changed = [
        member
        for member in sorted({*old.members, *new.members})
        if _rank(member, old) != _rank(member, new)
    ]
    if len(changed) != 1:
        return f"one member can change at a time, not {len(changed)}"
    return None


def _rank(member: int, conf: ConfState) -> int:
    if member in conf.voters:
        return 2
    return 1 if member in conf.learners else 0
