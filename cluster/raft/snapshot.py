"""Snapshots: for a follower that needs entries which are compacted (Raft paper, section 7)."""

from __future__ import annotations

from cluster.raft.messages import AppendReply, InstallSnapshot
from cluster.raft.progress import SendMode
from cluster.raft.state import RaftState


def send_snapshot(state: RaftState, peer: int) -> bool:
    """Send the newest snapshot to a follower that was heard of lately; say whether it was.

    Nothing else is sent to it until it answers or the transfer is reported as failed.
    """
    progress = state.progress[peer]
    if not progress.recent_active:
        return False
    newest = state.log.snapshot
    progress.wait_for_snapshot(newest.index)
    state.send(InstallSnapshot(sender=state.id, to=peer, term=state.term, snapshot=newest))
    return True


def handle_snapshot(state: RaftState, message: InstallSnapshot) -> None:
    """Replace the log by a snapshot (Raft paper, figure 13).

    One that holds nothing new is only acknowledged; one whose last entry is here already moves
    the commit index and keeps the entries after it (figure 13, rule 6).
    """
    log = state.log
    offered = message.snapshot
    if offered.index > log.commit:
        if log.matches(offered.index, offered.term):
            log.commit_to(offered.index)
        else:
            state.restore(offered)
    state.send(AppendReply(sender=state.id, to=message.sender, term=state.term, index=log.commit))


def handle_report(state: RaftState, peer: int, *, delivered: bool) -> None:
    """Note how sending a snapshot ended; after a failure the follower is probed anew."""
    progress = state.progress.get(peer)
    if progress is None or progress.mode is not SendMode.SNAPSHOT:
        return
    if not delivered:
        progress.pending_snapshot = 0
    progress.probe()
    # Whatever happened, the next message waits for a sign of life.
    progress.probe_sent = True
