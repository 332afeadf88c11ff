from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.raft import append, election
from cluster.raft.log import Log
from cluster.raft.quorum import committed_index
from cluster.raft.state import RaftState
from tests.simulation.raft_simulation import Simulation

SEEDS = 250
STEPS = 1500


def test_no_seed_breaks_a_promise(only_seed: int | None) -> None:
    for seed in range(SEEDS) if only_seed is None else [only_seed]:
        run(seed)


def run(seed: int) -> None:
    try:
        simulation = Simulation(seed)
        simulation.run(STEPS)
        simulation.heal()
    except AssertionError as error:
        error.add_note(f"repeat it with: pytest tests/simulation --seed {seed}")
        raise


# The simulation is worth something only as long as it finds bugs. These are put in on purpose.


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


@pytest.mark.parametrize(
    ("break_it", "budget"),
    [
        (promises_leave_early, 400),
        (old_terms_are_counted, 300),
        (candidates_may_lack_entries, 100),
        (appends_always_truncate, 100),
        (votes_are_forgotten, 400),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_simulation_finds_a_bug_put_in_on_purpose(
    break_it: Callable[[pytest.MonkeyPatch], None], budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    for seed in range(budget):
        try:
            Simulation(seed, figure_8=break_it is old_terms_are_counted).run(STEPS)
        except AssertionError as error:
            print(f"found with seed {seed}: {error}")
            return
    pytest.fail(f"not found in {budget} seeds")
