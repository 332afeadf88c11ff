from __future__ import annotations

from cluster.model.ids import ServiceId
from cluster.scheduler.node_load import NodeLoad
from cluster.scheduler.ranking import EmptiestFirst, Ranking
from tests.support.builders import make_node

WEB = ServiceId("web")


def nodes(*names: str) -> list[NodeLoad]:
    return [NodeLoad(make_node(name)) for name in names]


def test_a_node_that_refuses_once_is_not_asked_again() -> None:
    asked: list[str] = []

    def accepts(load: NodeLoad) -> bool:
        asked.append(load.id)
        return load.id != "a"

    ranking = Ranking(WEB, nodes("a", "b"), {}, frozenset())
    picked = [ranking.pick(accepts) for _ in range(3)]
    assert [load and load.id for load in picked] == ["b", "b", "b"]
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
    ranking = Ranking(WEB, [first, second], {first.id: 3}, frozenset())
    assert ranking.pick(lambda _: True) is second


def test_the_emptiest_node_without_the_service_is_first() -> None:
    loads = nodes("a", "b", "c")
    order = EmptiestFirst(loads)
    for load in (loads[0], loads[0], loads[1]):
        load.count(ServiceId("other"))
        order.note_one_more(load)
    assert [n.id for n in order.pick(WEB, lambda _: True, 2)] == ["c", "b"]
    loads[2].count(WEB)
    order.note_one_more(loads[2])
    assert [n.id for n in order.pick(WEB, lambda _: True, 9)] == ["b", "a"]
    assert [n.id for n in order.pick(WEB, lambda n: n.id != "b", 9)] == ["a"]
