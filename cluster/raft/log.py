"""The log in memory: everything since the last compaction, durable or not.

Raft paper, section 5.3, and section 7 for the compacted start. Indexes:

    base <= applied <= handed_out <= stable and commit <= last

`base` is the last compacted entry (only its term is kept), `stable` the last one known to be on
disk, `handed_out` the last one given to the state machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.raft.entry import ConfState, Entry, Snapshot

ENTRY_OVERHEAD = 16
"""What an entry takes in a message besides its data, roughly, in bytes."""


class Log:
    """Entries above a compacted base.

    Attributes:
        commit: highest index known to be committed.
        applied: highest index the state machine has finished.
        handed_out: highest index given to the state machine.
        stable: highest index that is durable here.
        snapshot: the newest snapshot that can be sent to a follower.
        unstable_snapshot: a received snapshot that is not on disk yet.
    """

    __slots__ = (
        "_base_index",
        "_base_term",
        "_entries",
        "applied",
        "commit",
        "handed_out",
        "snapshot",
        "stable",
        "unstable_snapshot",
    )

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry], commit: int) -> None:
        """Take what was recovered from disk.

        Args:
            snapshot: the newest one, with index 0 when there is none.
            entries: consecutive, the first directly after the snapshot.
            commit: from the hard state; at least the snapshot's index is taken.
        """
        for position, entry in enumerate(entries):
            assert entry.index == snapshot.index + 1 + position, (
                f"log: entry {entry.index} where {snapshot.index + 1 + position} belongs"
            )
        self._base_index = snapshot.index
        self._base_term = snapshot.term
        self._entries = list(entries)
        self.snapshot = snapshot
        self.unstable_snapshot: Snapshot | None = None
        self.applied = snapshot.index
        self.handed_out = snapshot.index
        self.stable = self.last_index
        self.commit = max(commit, snapshot.index)
        assert self.commit <= self.last_index, (
            f"log: commit {self.commit} lies beyond the last entry {self.last_index}"
        )

    @property
    def first_index(self) -> int:
        """Lowest index whose entry is here (or would be, when the log is empty)."""
        return self._base_index + 1

    @property
    def last_index(self) -> int:
        """Highest index, that of the base when the log is empty."""
        return self._base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """Term of the entry at `last_index`."""
        return self._entries[-1].term if self._entries else self._base_term

    def term_at(self, index: int) -> int | None:
        """Return the term of the entry at `index`, None when it is compacted or not there."""
        if index == self._base_index:
            return self._base_term
        if self._base_index < index <= self.last_index:
            return self._entries[index - self._base_index - 1].term
        return None

    def matches(self, index: int, term: int) -> bool:
        """Say whether the entry at `index` has `term`: then all before it match too (5.3)."""
        return self.term_at(index) == term

    def between(self, after: int, last: int) -> tuple[Entry, ...]:
        """Return the entries with `after` < index <= `last`."""
        assert after >= self._base_index, f"log: entry {after + 1} is compacted"
        return tuple(self._entries[after - self._base_index : last - self._base_index])

    def page(self, after: int, max_bytes: int) -> tuple[Entry, ...]:
        """Return entries behind `after`, at least one if there is one, within `max_bytes`."""
        assert after >= self._base_index, f"log: entry {after + 1} is compacted"
        size = 0
        start = after - self._base_index
        end = start
        while end < len(self._entries):
            size += ENTRY_OVERHEAD + len(self._entries[end].data)
            if size > max_bytes and end > start:
                break
            end += 1
        return tuple(self._entries[start:end])

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Compare a candidate's log with this one (Raft paper, section 5.4.1).

        The later last term wins; with equal terms, the longer log.
        """
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def append(self, entries: Sequence[Entry]) -> None:
        """Append a leader's own entries at the end."""
        assert not entries or entries[0].index == self.last_index + 1
        self._entries.extend(entries)

    def accept(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Take a leader's entries whose predecessor matches (Raft paper, figure 2, 3 and 4).

        Only a real conflict of terms removes anything. A message that was delayed or repeated
        holds a part of what is already here and must not shorten the log.

        Returns:
            What was new; everything that was here from the first of them on is gone.
        """
        for position, entry in enumerate(entries):
            if entry.index <= self._base_index:
                continue  # compacted means committed, so it is the same entry
            term = self.term_at(entry.index)
            if term == entry.term:
                continue
            if term is not None:
                self._truncate(entry.index)
            self._entries.extend(entries[position:])
            return entries[position:]
        return ()

    def probe_hint(self, index: int, term: int) -> tuple[int, int]:
        """Return (index, term) of the last entry at or below `index` with a term <= `term`.

        After a rejection both sides use it to skip whole terms instead of single entries (Raft
        paper, section 5.3, end). The term is 0 when the entry is compacted.
        """
        index = min(index, self.last_index)
        while index > self._base_index:
            found = self._entries[index - self._base_index - 1].term
            if found <= term:
                return index, found
            index -= 1
        if index == self._base_index:
            return index, self._base_term
        return index, 0

    def commit_to(self, index: int) -> bool:
        """Move the commit index forward to `index`; say whether it moved."""
        if index <= self.commit:
            return False
        assert index <= self.last_index, (
            f"log: commit {index} lies beyond the last entry {self.last_index}: "
            "was this node's log lost or replaced?"
        )
        self.commit = index
        return True

    def unstable(self) -> tuple[Entry, ...]:
        """Return what is not on disk yet."""
        return self.between(self.stable, self.last_index)

    def stable_to(self, index: int, term: int) -> None:
        """Note that entries up to (`index`, `term`) are durable.

        Ignored when the entry was replaced while the disk was busy: then it comes again.
        """
        if index > self.stable and self.term_at(index) == term:
            self.stable = index

    def to_apply(self) -> tuple[Entry, ...]:
        """Return committed entries that are durable here and were not handed out."""
        last = min(self.commit, self.stable)
        if last <= self.handed_out or self.unstable_snapshot is not None:
            return ()
        return self.between(self.handed_out, last)

    def restore(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot from the leader (Raft paper, figure 13, 7)."""
        assert snapshot.index > self.commit
        self._base_index = snapshot.index
        self._base_term = snapshot.term
        self._entries.clear()
        self.commit = snapshot.index
        self.stable = snapshot.index
        self.unstable_snapshot = snapshot

    def snapshot_stable(self, snapshot: Snapshot) -> None:
        """Note that a received snapshot is on disk and loaded."""
        self.applied = max(self.applied, snapshot.index)
        self.handed_out = max(self.handed_out, snapshot.index)
        if snapshot.index > self.snapshot.index:
            self.snapshot = snapshot
        if self.unstable_snapshot == snapshot:
            self.unstable_snapshot = None

    def describe_applied(self, conf: ConfState) -> Snapshot:
        """Describe a snapshot of the applied state; none from the leader is on its way."""
        assert self.unstable_snapshot is None
        term = self.term_at(self.applied)
        assert term is not None, f"log: entry {self.applied} is not here"
        return Snapshot(index=self.applied, term=term, conf=conf)

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """Drop entries that `snapshot` contains, but keep the newest `keep` of them.

        Those let a follower that is only a little behind catch up without the snapshot.
        """
        if snapshot.index <= self.snapshot.index and self._base_index >= snapshot.index - keep:
            return
        assert snapshot.index <= self.applied, f"log: entry {snapshot.index} is not applied"
        if snapshot.index > self.snapshot.index:
            self.snapshot = snapshot
        new_base = min(snapshot.index - keep, self.stable)
        if new_base <= self._base_index:
            return
        term = self.term_at(new_base)
        assert term is not None
        del self._entries[: new_base - self._base_index]
        self._base_index, self._base_term = new_base, term

    def _truncate(self, index: int) -> None:
        """Remove the entries from `index` on; never a committed one (Raft paper, figure 3)."""
        assert index > self.commit, (
            f"log: entry {index} is committed (up to {self.commit}), a leader must not replace it"
        )
        del self._entries[index - self._base_index - 1 :]
        self.stable = min(self.stable, index - 1)
