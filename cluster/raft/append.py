"""Log replication: sending entries, taking them, and committing what a majority holds.

Raft paper, sections 5.3 and 5.4.2; pipelining: Raft thesis, section 10.2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.raft import reads, snapshot
from cluster.raft.entry import ConfState, Entry
from cluster.raft.membership import encode_conf
from cluster.raft.messages import AppendEntries, AppendReply, Heartbeat, HeartbeatReply
from cluster.raft.progress import SendMode
from cluster.raft.quorum import committed_index
from cluster.raft.ready import Role
from cluster.raft.state import RaftState


def append_own(state: RaftState, datas: Sequence[bytes]) -> None:
    """Append a leader's new entries to its own log (Raft paper, section 5.3).

    The leader's own acknowledgement is sent when `RaftCore.ready` hands the entries out, so it
    counts its own copy no earlier than anybody else's: once it is on disk.
    """
    next_index = state.log.last_index + 1
    entries = [Entry(next_index + at, state.term, data) for at, data in enumerate(datas)]
    state.uncommitted_bytes += sum(len(data) for data in datas)
    state.append(entries)
    state.append_due = True


def append_conf(state: RaftState, conf: ConfState) -> None:
    """Append a configuration, which is in force from now on (Raft thesis, section 4.1)."""
    index = state.log.last_index + 1
    state.append([Entry(index, state.term, encode_conf(conf), changes_members=True)])
    state.append_due = True


def send_due(state: RaftState) -> None:
    """Send what was gathered since the last batch (batching: Raft thesis, section 10.2.2).

    New entries go to every follower in as many messages as its window allows, a new commit
    index goes with them or alone, and one round of heartbeats serves all reads that wait.
    """
    if state.append_due or state.commit_due:
        for peer in state.peers():
            sent = send_append(state, peer, even_empty=state.commit_due)
            while sent:
                sent = send_append(state, peer, even_empty=False)
    if state.heartbeat_due:
        broadcast_heartbeat(state)
    state.append_due = state.commit_due = state.heartbeat_due = False


def send_append(state: RaftState, peer: int, *, even_empty: bool) -> bool:
    """Send one follower the next entries, or a snapshot when those are gone (paper, 5.3, 7).

    Args:
        state: a leader.
        peer: the follower.
        even_empty: send the commit index even when there are no entries to send.

    Returns:
        Whether anything was sent.
    """
    progress = state.progress[peer]
    if progress.is_paused:
        return False
    prev_index = progress.next - 1
    prev_term = state.log.term_at(prev_index)
    if prev_term is None:
        return snapshot.send_snapshot(state, peer)
    entries = state.log.page(prev_index, state.config.max_append_bytes)
    if not entries and not even_empty:
        return False
    state.send(
        AppendEntries(
            sender=state.id,
            to=peer,
            term=state.term,
            prev_index=prev_index,
            prev_term=prev_term,
            commit=state.log.commit,
            entries=entries,
        )
    )
    size_bytes = sum(len(entry.data) for entry in entries)
    progress.sent(prev_index + len(entries), len(entries), size_bytes)
    return True


def handle_append(state: RaftState, message: AppendEntries) -> None:
    """Take entries whose predecessor is here (Raft paper, figure 2, "AppendEntries RPC").

    A follower that lacks the predecessor refuses and says where the logs may meet, so that the
    leader skips a whole term at a time (section 5.3, end).
    """
    log = state.log
    if message.prev_index < log.commit:
        # What is committed matches by definition; an old message must not reopen it.
        _reply(state, message.sender, log.commit)
    elif log.matches(message.prev_index, message.prev_term):
        state.accept(message.entries)
        last_new = message.prev_index + len(message.entries)
        log.commit_to(min(message.commit, last_new))
        _reply(state, message.sender, last_new)
    else:
        hint_index, hint_term = log.probe_hint(
            min(message.prev_index, log.last_index), message.prev_term
        )
        state.send(
            AppendReply(
                sender=state.id,
                to=message.sender,
                term=state.term,
                index=message.prev_index,
                rejected=True,
                hint_index=hint_index,
                hint_term=hint_term,
            )
        )


def handle_append_reply(state: RaftState, message: AppendReply) -> None:
    """Learn what a follower holds; send more, commit more (Raft paper, 5.3, figure 2)."""
    progress = state.progress.get(message.sender)
    if progress is None:
        return
    progress.recent_active = True
    if message.rejected:
        # The leader looks in its own log for the last entry of a term the follower may have.
        next_probe = message.hint_index
        if message.hint_term:
            next_probe, _ = state.log.probe_hint(message.hint_index, message.hint_term)
        if progress.rejected(message.index, next_probe):
            if progress.mode is SendMode.REPLICATE:
                progress.probe()
            send_append(state, message.sender, even_empty=True)
        return
    was_paused = progress.is_paused
    is_news = progress.accepted(message.index)
    _follow_progress(state, message.sender, is_news=is_news)
    if maybe_commit(state):
        state.commit_due = True
    elif was_paused and message.sender != state.id:
        send_append(state, message.sender, even_empty=True)
    if message.sender != state.id:
        while send_append(state, message.sender, even_empty=False):
            pass


def maybe_commit(state: RaftState) -> bool:
    """Commit what a majority holds, if its last entry is of this leader's term.

    Entries of earlier terms are never committed by counting copies: a later leader could still
    replace them (Raft paper, section 5.4.2 and figure 8).
    """
    index = committed_index(state.conf.voters, state.matched())
    if index <= state.log.commit or not state.log.matches(index, state.term):
        return False
    return state.log.commit_to(index)


def broadcast_heartbeat(state: RaftState) -> None:
    """Tell every follower that the leader is alive (Raft paper, section 5.2)."""
    for peer in state.peers():
        state.send(
            Heartbeat(
                sender=state.id,
                to=peer,
                term=state.term,
                # Only what the follower surely holds may be committed there.
                commit=min(state.progress[peer].match, state.log.commit),
                read_number=max(state.waiting_reads, default=0),
            )
        )


def handle_heartbeat(state: RaftState, message: Heartbeat) -> None:
    """Learn the commit index and answer (Raft paper, section 5.2)."""
    state.log.commit_to(message.commit)
    state.send(
        HeartbeatReply(
            sender=state.id, to=message.sender, term=state.term, read_number=message.read_number
        )
    )


def handle_heartbeat_reply(state: RaftState, message: HeartbeatReply) -> None:
    """Send again to a follower that is behind; confirm reads (thesis, 6.4)."""
    progress = state.progress.get(message.sender)
    if progress is None:
        return
    progress.heartbeat_answered()
    if progress.match < state.log.last_index or progress.mode is SendMode.PROBE:
        send_append(state, message.sender, even_empty=True)
    if message.read_number:
        reads.confirm(state, message.sender, message.read_number)


def _follow_progress(state: RaftState, peer: int, *, is_news: bool) -> None:
    """Choose how to serve a follower that has accepted something."""
    progress = state.progress[peer]
    match progress.mode:
        case SendMode.PROBE:
            # Even an answer without news shows that the logs meet where the probe was.
            if is_news or progress.match + 1 == progress.next:
                progress.replicate()
        case SendMode.SNAPSHOT:
            if progress.match + 1 >= state.log.first_index:
                progress.probe()
                progress.replicate()
        case SendMode.REPLICATE:
            pass


def _reply(state: RaftState, to: int, index: int) -> None:
    assert state.role is Role.FOLLOWER
    state.send(AppendReply(sender=state.id, to=to, term=state.term, index=index))
