from __future__ import annotations

from cluster.model.ids import ServiceId
from cluster.scheduler.node_load import NodeLoad
from cluster.scheduler.ranking import Choice, EmptiestFirst, Ranking
from tests.support.builders import make_node

WEB = ServiceId("web")


def nodes(*names: str) -> list[NodeLoad]:
    return [NodeLoad(make_node(name)) for name in names]


def picked(order: EmptiestFirst, number: int, refused: str = "") -> list[str]:
    choice = Choice(WEB, order, {}, frozenset())
    found = []
    for _ in range(number):
        load = choice.pick(lambda n: n.id != refused)
        if load is not None:
            load.count(WEB)
            found.append(load.id)
    choice.close()
    return [str(name) for name in found]


def test_a_node_that_refuses_once_is_not_asked_again() -> None:
    asked: list[str] = []

    def accepts(load: NodeLoad) -> bool:
        asked.append(load.id)
        return load.id != "a"

    ranking = Ranking(WEB, nodes("a", "b"), {}, frozenset())
    found = [ranking.pick(accepts) for _ in range(3)]
    assert [load and load.id for load in found] == ["b", "b", "b"]
    assert asked.count("a") == 1


def test_a_home_is_asked_again_as_it_may_accept_another_task() -> None:
    (home,) = nodes("a")
    ranking = Ranking(WEB, [home], {}, frozenset({home.id}))
    assert ranking.pick(lambda _: False) is None
    assert not ranking.is_exhausted
    assert ranking.pick(lambda _: True) is home


def test_without_homes_a_refusal_exhausts() -> None:
    ranking = Ranking(WEB, nodes("a"), {}, frozenset())
    assert ranking.pick(lambda _: False) is None
    assert ranking.is_exhausted


def test_failures_weigh_most() -> None:
    first, second = nodes("a", "b")
    second.count(WEB)
    choice = Choice(WEB, EmptiestFirst([first, second]), {first.id: 3}, frozenset())
    assert choice.pick(lambda _: True) is second


def test_the_emptiest_node_without_the_service_is_first() -> None:
    loads = nodes("a", "b", "c")
    order = EmptiestFirst(loads)
    for load in (loads[0], loads[0], loads[1]):
        load.count(ServiceId("other"))  # after they were ordered
    assert picked(order, 2) == ["c", "b"]
    assert picked(order, 3) == ["a", "c", "b"], "one each before any gets a second"


def test_groups_after_one_another_see_what_was_placed_before() -> None:
    loads = nodes("a", "b")
    order = EmptiestFirst(loads)
    assert picked(order, 1) == ["a"]
    other = Choice(ServiceId("other"), order, {}, frozenset())
    assert other.pick(lambda _: True) is loads[1]


def test_nodes_that_refused_one_group_are_there_for_the_next() -> None:
    order = EmptiestFirst(nodes("a", "b"))
    assert picked(order, 2, refused="a") == ["b", "b"]
    assert picked(order, 1) == ["a"]
