from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.update_policy import UpdateConfig
from cluster.scheduler.loads import LoadMemory
from cluster.scheduler.rebalance import Move, is_settled, next_move
from cluster.store.change import Updated
from cluster.store.state import ClusterState
from tests.support.builders import make_node, make_service, make_state, make_task

S = TaskState


def placed(service: Service, **numbers: int) -> list[Task]:
    """Make running tasks, so many on each node."""
    where = [node for node, number in numbers.items() for _ in range(number)]
    return [
        make_task(f"{service.id}{slot:02}", service, slot=slot, node=node)
        for slot, node in enumerate(where, start=1)
    ]


def plan(state: ClusterState) -> Move | None:
    return next_move(state, state.services, LoadMemory())


def moves(*objects: StoredObject) -> tuple[int, ClusterState]:
    """Move tasks until all are spread well."""
    state = make_state(*objects)
    for number in range(200):
        move = plan(state)
        if move is None:
            return number, state
        state = state.preview([Updated(replace(move.task, node_id=move.target))], number)
    raise AssertionError("it does not come to an end")


def spread(state: ClusterState, service: str) -> dict[str, int]:
    return dict(sorted(Counter(t.node_id for t in state.tasks_of_service(service)).items()))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_one_service_gets_even_with_the_fewest_moves(numbers: list[int]) -> None:
    web = make_service("web")
    counts = {f"n{i}": number for i, number in enumerate(numbers)}
    number, state = moves(*map(make_node, counts), web, *placed(web, **counts))
    after = spread(state, "web")
    floor, rest = divmod(sum(numbers), len(numbers))
    assert sorted([0] * (len(numbers) - len(after)) + [*after.values()]) == sorted(
        [floor + 1] * rest + [floor] * (len(numbers) - rest)
    )
    keep = sorted(numbers, reverse=True)
    fair = [floor + 1] * rest + [floor] * (len(numbers) - rest)
    assert number == sum(max(0, has - may) for has, may in zip(keep, fair, strict=True))


@st.composite
def clusters(draw: Any) -> list[StoredObject]:
    nodes = [
        make_node(
            f"n{i}",
            cpus=draw(st.integers(2, 6)),
            labels={"zone": draw(st.sampled_from("xyz"))},
            availability=draw(st.sampled_from(["active", "active", "active", "pause"])),
        )
        for i in range(draw(st.integers(1, 5)))
    ]
    objects: list[StoredObject] = [*nodes]
    for name in ("s1", "s2", "s3"):
        service = make_service(
            name,
            cpus=draw(st.sampled_from([0, 0.5])),
            spread=draw(st.sampled_from([[], ["node.labels.zone"]])),
            constraints=draw(st.sampled_from([[], ["node.labels.zone!=z"]])),
            max_replicas=draw(st.sampled_from([0, 0, 2])),
        )
        numbers = {node.id: draw(st.integers(0, 4)) for node in nodes}
        objects += [service, *placed(service, **numbers)]
    return objects


@settings(max_examples=200, deadline=None)
@given(clusters())
def test_moves_always_come_to_an_end(objects: list[StoredObject]) -> None:
    moves(*objects)


def test_zones_are_evened_out_before_nodes() -> None:
    web = make_service("web", spread=["node.labels.zone"])
    nodes = [make_node(n, labels={"zone": z}) for n, z in (("a", "x"), ("b", "x"), ("c", "y"))]
    _, state = moves(*nodes, web, *placed(web, a=3, b=3))
    after = spread(state, "web")
    assert after["c"] == 3
    assert after["a"] + after["b"] == 3
    assert abs(after["a"] - after["b"]) == 1


def test_a_task_goes_only_where_it_may_run() -> None:
    web = make_service("web", constraints=["node.labels.disk==ssd"], cpus=1)
    ssd = {"disk": "ssd"}
    nodes = [make_node("a", labels=ssd), make_node("b"), make_node("c", labels=ssd, cpus=1)]
    number, state = moves(*nodes, web, *placed(web, a=4))
    assert (number, spread(state, "web")) == (1, {"a": 3, "c": 1})


def test_tasks_that_do_not_run_and_nodes_that_take_none_are_left_alone() -> None:
    web = make_service("web")
    tasks = [replace(t, desired_state=S.READY) for t in placed(web, a=3)]
    assert plan(make_state(make_node("a"), make_node("b"), web, *tasks)) is None
    paused = make_node("a", availability="pause")
    assert plan(make_state(paused, make_node("b"), web, *placed(web, a=3))) is None
    drained = make_node("b", availability="drain")
    assert plan(make_state(make_node("a"), drained, web, *placed(web, a=3))) is None


def test_settled() -> None:
    web = make_service("web", replicas=2, update=UpdateConfig())
    first, second = placed(web, a=2)
    ended = make_task("old", web, slot=1, node="a", state=S.FAILED, desired=S.SHUTDOWN)
    assert is_settled(make_state(web, first, second, ended), web)
    assert not is_settled(make_state(web, first), web)
    starting = replace(second, status=replace(second.status, state=S.STARTING))
    assert not is_settled(make_state(web, first, starting), web)
    assert not is_settled(make_state(web, first, replace(second, is_moving=True)), web)
