from __future__ import annotations

from collections import Counter

from cluster.model.task_state import TaskState
from cluster.scheduler.node_load import Demand, NodeLoad, demand_of
from cluster.scheduler.preferences import Branches, choice_among
from cluster.scheduler.ranking import Ranking
from tests.support.builders import make_node, make_service, make_task


def demand(*spread: str) -> Demand:
    return demand_of(make_task("t", make_service("web", spread=spread), state=TaskState.PENDING))


def in_zones(**zones: str) -> list[NodeLoad]:
    return [NodeLoad(make_node(name, labels={"zone": zone})) for name, zone in zones.items()]


def test_without_preferences_there_is_just_a_ranking() -> None:
    assert isinstance(choice_among(demand(), [], {}, frozenset()), Ranking)
    assert isinstance(choice_among(demand("node.labels.zone"), [], {}, frozenset()), Branches)


def test_what_runs_already_is_evened_out() -> None:
    loads = in_zones(a="x", b="y")
    wish = demand("node.labels.zone")
    for _ in range(3):
        loads[0].count(wish.service_id)
    choice = choice_among(wish, loads, {}, frozenset())
    picked = [choice.pick(lambda _: True) for _ in range(5)]
    assert Counter(load.id for load in picked if load) == {"b": 4, "a": 1}


def test_a_node_without_the_label_is_a_branch_of_its_own() -> None:
    loads = [*in_zones(a="x", b="x"), NodeLoad(make_node("c"))]
    choice = choice_among(demand("node.labels.zone"), loads, {}, frozenset())
    picked = [choice.pick(lambda _: True) for _ in range(4)]
    assert Counter(load.id for load in picked if load) == {"a": 1, "b": 1, "c": 2}


def test_a_refusing_branch_is_left_out_but_not_when_a_home_is_in_it() -> None:
    loads = in_zones(a="x", b="y")
    choice = choice_among(demand("node.labels.zone"), loads, {}, frozenset({loads[0].id}))
    assert choice.pick(lambda n: n.id != "a") is loads[1]
    assert choice.pick(lambda _: False) is None
    assert not choice.is_exhausted
    assert choice.pick(lambda _: True) is loads[0]
    without = choice_among(demand("node.labels.zone"), loads, {}, frozenset())
    assert without.pick(lambda _: False) is None
    assert without.is_exhausted
