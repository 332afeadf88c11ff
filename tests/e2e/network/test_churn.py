"""Names keep up with tasks that come and go; `scripts/churn` does the same for longer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.churn import Churn, Load, summary
from tests.support.cluster import Cluster

STEPS = 6
LIMIT_S = 1200  # cuts, power off and on: a busy machine takes long


@pytest.mark.timeout(LIMIT_S)
def test_names_lead_to_exactly_the_tasks_that_run(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    with Churn(cluster, seed=1, shortest_cut_s=2.0, longest_cut_s=6.0) as churn:
        churn.deploy()
        with Load(cluster) as load:
            churn.run(STEPS)  # waits after each step until names are right everywhere
    assert load.answered > 0
    record_property(summary(churn.steps), "churn")
