from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cluster.model.ids import ServiceId
from cluster.scheduler.node_load import NodeLoad
from cluster.scheduler.preferences import Group, Tree
from cluster.scheduler.ranking import Accepts
from tests.support.builders import make_node

WEB = ServiceId("web")
ZONE = "node.labels.zone"
RACK = "node.labels.rack"


def in_zones(**zones: str) -> list[NodeLoad]:
    return [NodeLoad(make_node(name, labels={"zone": zone})) for name, zone in zones.items()]


def group(
    loads: Sequence[NodeLoad], *spread: str, homes: Iterable[NodeLoad] = (), busy: bool = True
) -> Group:
    tree = Tree(loads, spread)
    counts = tree.counts(WEB, loads if busy else ())
    return Group(WEB, tree, counts, {}, frozenset(load.id for load in homes))


def pick(choice: Group, number: int, accepts: Accepts = lambda _: True) -> Counter[str]:
    found: Counter[str] = Counter()
    with choice:
        for _ in range(number):
            load = choice.pick(accepts)
            if load is not None:
                load.count(WEB)
                found[load.id] += 1
    return found


def test_without_preferences_the_nodes_are_just_ranked() -> None:
    assert pick(group(in_zones(a="x", b="y", c="y")), 6) == {"a": 2, "b": 2, "c": 2}


def test_what_runs_already_is_evened_out() -> None:
    loads = in_zones(a="x", b="y")
    for _ in range(3):
        loads[0].count(WEB)
    assert pick(group(loads, ZONE), 5) == {"b": 4, "a": 1}


def test_a_node_without_the_label_is_a_branch_of_its_own() -> None:
    loads = [*in_zones(a="x", b="x"), NodeLoad(make_node("c"))]
    assert pick(group(loads, ZONE), 4) == {"a": 1, "b": 1, "c": 2}


def test_levels_are_evened_out_from_the_top() -> None:
    loads = [
        NodeLoad(make_node(name, labels={"zone": zone, "rack": rack}))
        for name, zone, rack in (("a", "x", "1"), ("b", "x", "2"), ("c", "x", "2"), ("d", "y", "1"))
    ]
    assert pick(group(loads, ZONE, RACK), 8) == {"a": 2, "b": 1, "c": 1, "d": 4}


def test_a_refusing_branch_is_left_out_but_not_when_a_home_is_in_it() -> None:
    loads = in_zones(a="x", b="y")
    choice = group(loads, ZONE, homes=loads[:1])
    assert choice.pick(lambda n: n.id != "a") is loads[1]
    assert choice.pick(lambda _: False) is None
    assert choice.pick(lambda _: True) is loads[0]
    without = group(loads, ZONE)
    assert without.pick(lambda _: False) is None
    assert without.pick(lambda _: True) is None
