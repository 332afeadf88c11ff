"""Stores under random faults are linearizable, and the simulation would notice if they were not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cluster.raft.ready import SoftState
from cluster.replication.driver import Driver
from cluster.replication.replicated_store import ReplicatedStore
from tests.simulation.store_simulation import SimulatedStorage, StoreSimulation

SEEDS = 60

FOUND = (3037, 4935)
"""Seeds that have found something: a leader that was replaced and refused an update by its old
state; an own snapshot noted after a newer one of the leader's."""


def test_no_history_is_out_of_order(only_seed: int | None) -> None:
    for seed in (*range(SEEDS), *FOUND) if only_seed is None else [only_seed]:
        run(seed)


def run(seed: int) -> None:
    try:
        StoreSimulation(seed).play()
    except BaseException as error:
        error.add_note(f"repeat it with: pytest tests/simulation/test_store_seeds.py --seed {seed}")
        raise


# Bugs that are put in on purpose, each in the code that stands between the log and the client.


def updates_are_acknowledged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def settled(self: ReplicatedStore) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(ReplicatedStore, "_settled", settled)


def leaders_read_what_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_barrier(self: Driver) -> int:
        await asyncio.sleep(0)
        return self._core.log.applied

    monkeypatch.setattr(Driver, "read_barrier", read_barrier)


def followers_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_applied(self: Driver, index: int) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(Driver, "wait_applied", wait_applied)


def lost_changes_count_as_made(monkeypatch: pytest.MonkeyPatch) -> None:
    change = ReplicatedStore.role_changed

    def role_changed(self: ReplicatedStore, soft: SoftState) -> None:
        for proposed in self._proposed:
            for future in proposed.waiting:
                future.set_result(None)
            proposed.waiting.clear()
        change(self, soft)

    monkeypatch.setattr(ReplicatedStore, "role_changed", role_changed)


def disks_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is only in a cache: a crash loses the last batch though it was "durable"."""
    persist = SimulatedStorage.persist

    def late(self: SimulatedStorage, *batch: object) -> None:
        held = getattr(self, "held", None)
        if held is not None:
            persist(self, *held)
        self.held = batch if len(batch) == 3 else None
        if self.held is None:
            persist(self, *batch)

    monkeypatch.setattr(SimulatedStorage, "persist", late)


@pytest.mark.parametrize(
    "break_it",
    [
        updates_are_acknowledged_at_once,
        leaders_read_what_they_have,
        followers_do_not_wait,
        lost_changes_count_as_made,
        disks_forget,
    ],
    ids=lambda value: value.__name__,
)
def test_the_simulation_finds_a_bug_put_in_on_purpose(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    for seed in range(100):
        try:
            StoreSimulation(seed).play()
        except (AssertionError, TimeoutError, BaseExceptionGroup) as error:
            print(f"found with seed {seed}: {str(error).splitlines()[0]}")
            return
    pytest.fail("not found in 100 seeds")
