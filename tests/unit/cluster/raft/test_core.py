"""What the scenario files do not show: refused calls, sizes, and messages that survive encoding."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.raft.config import Config
from cluster.raft.core import ProposalDropped, RaftCore
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.messages import AppendEntries, Heartbeat, Message
from cluster.raft.ready import Role

ALONE = Snapshot(0, 0, ConfState((1,)))


def settle(core: RaftCore) -> list[Entry]:
    applied: list[Entry] = []
    while core.has_ready():
        applied += core.ready().committed
        core.advance()
    return applied


def lone_leader() -> RaftCore:
    core = RaftCore(Config(id=1), random.Random(0), ALONE)
    core.campaign()
    settle(core)
    return core


def test_a_lone_voter_commits_in_order() -> None:
    core = lone_leader()
    assert core.propose([b"a", b"b"]) == 2
    assert core.propose([b"c"]) == 4
    assert [entry.data for entry in settle(core)] == [b"a", b"b", b"c"]
    assert core.may_read


def test_a_follower_refuses_proposals_and_reads() -> None:
    core = RaftCore(Config(id=1), random.Random(0), ALONE)
    with pytest.raises(ProposalDropped, match="raft node 1 is not the leader"):
        core.propose([b"a"])
    with pytest.raises(ProposalDropped):
        core.read_index()


def test_the_timeout_is_between_one_and_two_election_times() -> None:
    seen = set()
    for seed in range(200):
        core = RaftCore(Config(id=1), random.Random(seed), ALONE)
        ticks = 0
        while core.soft.role is Role.FOLLOWER:
            core.tick()
            ticks += 1
        seen.add(ticks)
    assert seen == set(range(10, 20))


def test_a_node_outside_the_group_never_campaigns() -> None:
    core = RaftCore(Config(id=4), random.Random(0), Snapshot(5, 2, ConfState((1, 2, 3))))
    for _ in range(100):
        core.tick()
    core.campaign()
    assert core.soft.role is Role.FOLLOWER
    assert not core.has_ready()


def test_a_restart_hands_out_what_is_committed() -> None:
    entries = [Entry(1, 1), Entry(2, 1, b"a"), Entry(3, 1, b"b")]
    core = RaftCore(Config(id=1), random.Random(0), ALONE, HardState(1, 1, 2), entries)
    assert settle(core) == entries[:2]
    core.campaign()
    assert settle(core)[0] == entries[2]
    assert core.hard.term == 2


def test_a_second_ready_waits_for_advance() -> None:
    core = lone_leader()
    core.propose([b"a"])
    core.ready()
    core.propose([b"b"])
    assert not core.has_ready()
    with pytest.raises(AssertionError):
        core.ready()


def test_two_leaders_of_a_term_are_a_bug_that_is_not_survived() -> None:
    core = lone_leader()
    with pytest.raises(AssertionError, match="both lead term"):
        core.step(Heartbeat(sender=2, to=1, term=core.hard.term, commit=0))


@pytest.mark.parametrize("knobs", [{"id": 0}, {"id": 1, "heartbeat_ticks": 10}])
def test_impossible_knobs_are_refused(knobs: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Config(**knobs)


@given(st.integers(0, 1 << 40), st.lists(st.binary(max_size=20), max_size=3))
def test_messages_survive_encoding(number: int, datas: list[bytes]) -> None:
    entries = tuple(Entry(number + at, 3, data) for at, data in enumerate(datas, start=1))
    message = AppendEntries(
        sender=1, to=2, term=3, prev_index=number, prev_term=2, commit=number, entries=entries
    )
    encoded = msgspec.msgpack.encode(message)
    assert msgspec.msgpack.decode(encoded, type=Message) == message
