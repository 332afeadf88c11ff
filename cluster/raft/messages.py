"""The messages that nodes exchange: a closed union, one class for each remote call and its reply.

The calls are those of the Raft paper, figures 2 and 13, plus heartbeats of their own (so that
they stay small and can confirm reads), the pre-vote of the Raft thesis, section 9.6, and its
request to campaign at once, section 3.10.
"""

from __future__ import annotations

import msgspec

from cluster.raft.entry import Entry, Snapshot


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What every message carries.

    Attributes:
        sender: raft ID of the author.
        to: raft ID of the receiver.
        term: the author's term; in a pre-vote the term it would like to campaign in.
    """

    sender: int
    to: int
    term: int


class VoteRequest(_Envelope, frozen=True, kw_only=True, array_like=True, tag="vote"):
    """Asks for a vote, or with `pre_vote` whether a vote would be given.

    Attributes:
        last_index: index of the candidate's last entry.
        last_term: term of that entry.
        pre_vote: nothing is promised and no term changes yet.
        is_transfer: the leader asked for this campaign, so that being alive is no reason to
            refuse (thesis, section 4.2.3, last paragraph).
    """

    last_index: int
    last_term: int
    pre_vote: bool = False
    is_transfer: bool = False


class VoteReply(_Envelope, frozen=True, kw_only=True, array_like=True, tag="vote-reply"):
    """Answers a `VoteRequest` of the same kind.

    Attributes:
        granted: yes or no.
        pre_vote: copied from the request.
    """

    granted: bool
    pre_vote: bool = False


class AppendEntries(_Envelope, frozen=True, kw_only=True, array_like=True, tag="append"):
    """Carries entries that follow the entry (`prev_index`, `prev_term`).

    Attributes:
        prev_index: index of the entry before the first one sent.
        prev_term: its term.
        commit: the leader's commit index.
        entries: consecutive entries, perhaps none.
    """

    prev_index: int
    prev_term: int
    commit: int
    entries: tuple[Entry, ...] = ()


class AppendReply(_Envelope, frozen=True, kw_only=True, array_like=True, tag="append-reply"):
    """Answers `AppendEntries` and `InstallSnapshot`.

    Attributes:
        index: when accepted, the highest index known to match the leader's log; when rejected,
            the `prev_index` that did not match.
        rejected: the entry before the sent ones is missing or has another term.
        hint_index: with a rejection, the highest index that may match.
        hint_term: the term of the follower's entry there, 0 when it has none.
    """

    index: int
    rejected: bool = False
    hint_index: int = 0
    hint_term: int = 0


class Heartbeat(_Envelope, frozen=True, kw_only=True, array_like=True, tag="heartbeat"):
    """Keeps followers from campaigning.

    Attributes:
        commit: the commit index, but never beyond what this follower is known to hold.
        read_number: the newest read waiting for a confirmation of leadership, 0 for none.
    """

    commit: int
    read_number: int = 0


class HeartbeatReply(_Envelope, frozen=True, kw_only=True, array_like=True, tag="heartbeat-reply"):
    """Answers a `Heartbeat`.

    Attributes:
        read_number: copied from the heartbeat.
    """

    read_number: int = 0


class InstallSnapshot(_Envelope, frozen=True, kw_only=True, array_like=True, tag="snapshot"):
    """Replaces the receiver's log by a snapshot.

    The transport carries the bytes; it hands the message over only once they are on disk.

    Attributes:
        snapshot: what is sent.
    """

    snapshot: Snapshot


class CampaignNow(_Envelope, frozen=True, kw_only=True, array_like=True, tag="campaign-now"):
    """Tells the receiver, whose log is complete, to become leader ("TimeoutNow", thesis, 3.10)."""


Message = (
    VoteRequest
    | VoteReply
    | AppendEntries
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | CampaignNow
)
