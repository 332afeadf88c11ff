"""What clients saw of a cluster under random faults could have happened one after the other."""

from __future__ import annotations

import pytest

from tests.support.chaos import Schedule
from tests.support.linearizability import check
from tests.support.manager_group import ManagerGroup


@pytest.mark.parametrize("seed", range(2))
def test_the_history_of_a_fault_schedule_is_linearizable(group: ManagerGroup, seed: int) -> None:
    schedule = Schedule(group, seed)
    wrong = check(schedule.run())
    assert not wrong, "\n".join((wrong, *schedule.faults))
    assert [o for o in schedule.history if o.outcome == "done" and not o.is_read]
