from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.raft import append, election
from cluster.raft.core import ProposalDropped, RaftCore
from cluster.raft.entry import ConfState
from cluster.raft.log import Log
from cluster.raft.membership import Membership, refusal
from cluster.raft.quorum import committed_index
from cluster.raft.ready import Role
from cluster.raft.state import RaftState
from tests.scenarios.raft.raft_world import RaftWorld
from tests.simulation.raft_simulation import Simulation
from tests.support.datadriven import run_file

SEEDS = 250
STEPS = 1500
SCENARIOS = Path(__file__).parents[1] / "scenarios" / "raft"


def test_no_seed_breaks_a_promise(only_seed: int | None) -> None:
    for seed in range(SEEDS) if only_seed is None else [only_seed]:
        run(seed)


def test_no_seed_breaks_a_promise_while_members_change(only_seed: int | None) -> None:
    for seed in range(SEEDS) if only_seed is None else [only_seed]:
        run(seed, changeable=True)


def run(seed: int, *, changeable: bool = False) -> None:
    try:
        simulation = Simulation(seed, changeable=changeable)
        simulation.run(STEPS)
        simulation.heal()
    except AssertionError as error:
        error.add_note(f"repeat it with: pytest tests/simulation --seed {seed}")
        raise


# The simulation is worth something only as long as it finds bugs. These are put in on purpose.
# Two bugs need so long a chain of accidents that no budget of seconds finds them; for these there
# are scenarios, see the end.


def promises_leave_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(self: RaftState, message: object) -> None:
        (self.promises if message.to == self.id else self.outbox).append(message)

    monkeypatch.setattr(RaftState, "send", send)


def old_terms_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def maybe_commit(state: RaftState) -> bool:
        return state.log.commit_to(committed_index(state.conf.voters, state.matched()))

    monkeypatch.setattr(append, "maybe_commit", maybe_commit)


def candidates_may_lack_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "is_up_to_date", lambda self, index, term: True)


def appends_always_truncate(monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(self: Log, entries: list) -> None:
        if entries and entries[0].index <= self.last_index:
            self._truncate(entries[0].index)
        self._entries.extend(entries)

    monkeypatch.setattr(Log, "accept", accept)


def votes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = election.handle_vote_request

    def forget(state: RaftState, message: object) -> None:
        handle(state, message)
        state.vote = 0

    monkeypatch.setattr(election, "handle_vote_request", forget)


def members_change_before_an_own_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the thesis as printed: two leaders step away from one configuration."""

    def propose_conf(self: RaftCore, conf: ConfState) -> int:
        state = self._state
        if state.role is not Role.LEADER or not self.is_conf_committed:
            raise ProposalDropped
        if refusal(state.conf, conf) is not None:
            raise ProposalDropped
        append.append_conf(state, conf)
        return state.log.last_index

    monkeypatch.setattr(RaftCore, "propose_conf", propose_conf)


def members_change_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RaftCore, "is_conf_committed", property(lambda self: True))


def replaced_members_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Membership, "truncate", lambda self, index: False)


MEMBERSHIP = (members_change_twice_at_once, replaced_members_stay)


@pytest.mark.parametrize(
    ("break_it", "budget"),
    [
        (promises_leave_early, 400),
        (candidates_may_lack_entries, 100),
        (appends_always_truncate, 100),
        (votes_are_forgotten, 400),
        (members_change_twice_at_once, 1000),
        (replaced_members_stay, 1000),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_simulation_finds_a_bug_put_in_on_purpose(
    break_it: Callable[[pytest.MonkeyPatch], None], budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    for seed in range(budget):
        try:
            Simulation(seed, changeable=break_it in MEMBERSHIP).run(STEPS)
        except AssertionError as error:
            print(f"found with seed {seed}: {error}")
            return
    pytest.fail(f"not found in {budget} seeds")


@pytest.mark.parametrize(
    ("break_it", "scenario"),
    [
        (old_terms_are_counted, "old_term_commit"),
        (members_change_before_an_own_entry, "members_two_leaders"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_scenario_shows_the_bugs_that_are_too_rare_for_dice(
    break_it: Callable[[pytest.MonkeyPatch], None], scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    with pytest.raises(AssertionError):
        run_file(SCENARIOS / f"{scenario}.txt", RaftWorld().handle, rewrite=False)
