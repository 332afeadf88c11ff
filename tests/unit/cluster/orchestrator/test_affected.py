from __future__ import annotations

import pytest

from cluster.model.task_state import TaskState
from cluster.orchestrator.affected import affected_services, services_of
from cluster.store.change import Change, Created, Deleted, Updated
from tests.support.builders import make_cluster, make_node, make_service, make_state, make_task

S = TaskState
WEB, AGENT = make_service("web"), make_service("agent", is_global=True)
TASK = make_task("t", WEB, node="a")
STATE = make_state(make_node("a"), WEB, AGENT, TASK)


def affected(change: Change) -> tuple[list[str], list[str]]:
    return (
        list(affected_services(change, STATE, ["replicated"])),
        list(affected_services(change, STATE, ["global"])),
    )


def test_services() -> None:
    assert affected(Updated(WEB)) == (["web"], [])
    assert affected(Created(AGENT)) == ([], ["agent"])
    assert affected(Deleted(make_service("gone"))) == ([], [])


@pytest.mark.parametrize("state", [S.READY, S.RUNNING, S.FAILED, S.PENDING, S.SHUTDOWN])
def test_states_of_tasks_that_matter(state: TaskState) -> None:
    assert affected(Updated(make_task("t", WEB, state=state))) == (["web"], [])


@pytest.mark.parametrize("state", [S.NEW, S.ASSIGNED, S.ACCEPTED, S.PREPARING, S.STARTING])
def test_states_of_tasks_that_only_lead_to_others(state: TaskState) -> None:
    assert affected(Updated(make_task("t", WEB, state=state))) == ([], [])
    assert affected(Deleted(make_task("t", WEB, state=state))) == (["web"], [])


def test_a_node_concerns_the_services_on_it_and_all_global_ones() -> None:
    assert affected(Updated(make_node("a"))) == (["web"], ["agent"])
    assert affected(Created(make_node("b"))) == ([], ["agent"])


def test_the_cluster_concerns_no_service() -> None:
    assert affected(Updated(make_cluster())) == ([], [])


def test_services_of() -> None:
    assert services_of(STATE, ["replicated"]) == ["web"]
    assert services_of(STATE, ["global"]) == ["agent"]
