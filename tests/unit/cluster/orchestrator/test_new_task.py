from __future__ import annotations

from cluster.model.ids import NodeId
from cluster.model.task_state import TaskState
from cluster.orchestrator.new_task import new_task
from tests.support.builders import make_service, seconds


def test_a_slot_is_a_number_or_a_node() -> None:
    wishes = {
        "desired_state": TaskState.READY,
        "start_after": seconds(9),
        "restarts": 2,
        "now": seconds(4),
    }
    numbered = new_task(make_service("web"), 3, "t1", **wishes)
    assert (numbered.slot, numbered.node_id, numbered.container_name) == (3, "", "web.3.t1")
    assert (numbered.start_after, numbered.restarts) == (seconds(9), 2)
    placed = new_task(make_service("agent", is_global=True), NodeId("n"), "t2", **wishes)
    assert (placed.slot, placed.node_id, placed.container_name) == (0, "n", "agent.n.t2")
