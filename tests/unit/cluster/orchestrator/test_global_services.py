from __future__ import annotations

import pytest

from cluster.model.objects import StoredObject
from cluster.model.task_state import TaskState
from cluster.orchestrator.global_services import GlobalServices
from cluster.store.plan import Plan
from tests.support.builders import (
    counting_ids,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)

S = TaskState
AGENT = make_service("agent", is_global=True, constraints=["node.labels.disk==ssd"])
SSD = {"disk": "ssd"}


def plan(*objects: StoredObject) -> Plan:
    return GlobalServices().reconcile(make_state(*objects), "agent", seconds(100), counting_ids())


def test_each_node_that_fits_gets_one_task() -> None:
    made = plan(
        AGENT,
        make_node("a", labels=SSD),
        make_node("b"),
        make_node("c", labels=SSD, availability="pause"),
        make_node("d", labels=SSD, availability="drain"),
        make_node("e", labels=SSD, state="down"),
        make_node("f", labels=SSD),
    ).create
    assert [(t.node_id, t.slot, t.name) for t in made] == [("a", 0, "agent.a"), ("f", 0, "agent.f")]


@pytest.mark.parametrize(
    "node",
    [
        make_node("a", labels=SSD, state="down"),
        make_node("a", labels=SSD, availability="drain"),
        make_node("a"),
    ],
)
def test_a_node_that_fits_no_more_has_its_task_shut_down(node: StoredObject) -> None:
    step = plan(AGENT, node, make_task("t", AGENT, node="a"))
    assert [(t.id, t.desired_state) for t in step.update] == [("t", S.SHUTDOWN)]
    assert step.create == ()


def test_tasks_of_a_node_that_is_gone_are_removed() -> None:
    step = plan(AGENT, make_task("t", AGENT, node="gone"))
    assert [(t.id, t.desired_state) for t in step.update] == [("t", S.REMOVE)]


@pytest.mark.parametrize("changes", [{"availability": "pause"}, {"state": "unknown"}])
def test_a_node_that_takes_no_tasks_keeps_what_it_has(changes: dict[str, str]) -> None:
    node = make_node("a", labels=SSD, **changes)
    assert plan(AGENT, node, make_task("t", AGENT, node="a")).is_empty
    step = plan(AGENT, node, make_task("t", AGENT, node="a", state=S.FAILED))
    assert (step.create, [t.desired_state for t in step.update]) == ((), [S.SHUTDOWN])


def test_a_service_that_is_gone_or_replicated_is_none_of_its_business() -> None:
    assert plan(make_node("a")).is_empty
    assert plan(make_node("a"), make_service("agent")).is_empty
