from __future__ import annotations

from msgspec.structs import replace

from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.scheduler.demand import host_ports
from cluster.scheduler.loads import Loads
from tests.support.builders import CPU, make_node, make_service, make_state, make_task

S = TaskState
WEB = make_service("web", cpus=1, host_ports=[80])


def loads(*tasks: Task, pending: tuple[Task, ...] = ()) -> Loads:
    return Loads(make_state(make_node("a"), make_node("b"), WEB, *tasks, *pending), pending)


def test_only_tasks_that_are_on_the_node_and_have_not_ended_hold_anything() -> None:
    load = loads(
        make_task("t1", WEB, slot=1, node="a"),
        make_task("t2", WEB, slot=2, node="a", state=S.ASSIGNED),
        make_task("t3", WEB, slot=3, node="a", desired=S.SHUTDOWN),
        make_task("t4", WEB, slot=4, node="a", state=S.FAILED),
        make_task("t5", WEB, slot=5, node="a", state=S.PENDING),
        make_task("t6", WEB, slot=6, node="gone"),
    ).nodes["a"]  # type: ignore[index]
    assert load.cpu_nano == CPU, "one that is told to stop still holds its reservation"
    assert load.tasks == 2, "but is not counted for ranking"
    assert load.tasks_of_service == {"web": 2}
    assert load.ports == {("tcp", 80): {("web", 1), ("web", 2), ("web", 3)}}


def test_a_task_that_is_about_to_be_replaced_is_not_counted() -> None:
    elder = make_task("elder", WEB, node="a")
    heir = make_task("heir", WEB, state=S.PENDING, desired=S.READY)
    both = loads(elder, pending=(heir,))
    assert both.nodes["a"].tasks == 0  # type: ignore[index]
    assert both.former_tasks(heir) == [elder]
    placed = make_task("heir", WEB, node="b", state=S.READY, desired=S.READY)
    both = loads(elder, placed)
    assert (both.nodes["a"].tasks, both.nodes["b"].tasks) == (0, 1)  # type: ignore[index]


def test_a_task_that_may_run_now_takes_over_from_nobody() -> None:
    elder = make_task("elder", WEB, node="a")
    heir = make_task("heir", WEB, state=S.PENDING, desired=S.RUNNING)
    assert loads(elder, pending=(heir,)).former_tasks(heir) == []


def test_host_ports() -> None:
    ports = (
        PortConfig(published_port=80, publish_mode="host"),
        PortConfig(published_port=53, publish_mode="host", protocol="udp"),
        PortConfig(published_port=0, publish_mode="host"),
        PortConfig(published_port=443, publish_mode="ingress"),
        PortConfig(published_port=444),
    )
    task = replace(make_task("t", WEB), endpoint_spec=EndpointSpec(ports=ports))
    assert host_ports(task) == (("tcp", 80), ("udp", 53))
    assert host_ports(replace(task, endpoint_spec=None)) == ()
