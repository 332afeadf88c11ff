from __future__ import annotations

import pytest

from cluster.model.generic_resources import Stock, wish_of
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource


def discrete(kind: str, number: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind=kind, value=number))


def named(kind: str, *names: str) -> tuple[GenericResource, ...]:
    return tuple(
        GenericResource(named_resource_spec=NamedResource(kind=kind, value=name)) for name in names
    )


def test_numbers_are_taken_from_numbers() -> None:
    stock = Stock([discrete("ssd", 3)])
    wish = wish_of([discrete("ssd", 2)])
    assert stock.covers(wish)
    assert stock.take(wish) == (discrete("ssd", 2),)
    assert not stock.covers(wish)
    assert stock.covers(wish_of([discrete("ssd", 1)]))


def test_a_number_of_named_ones_is_given_by_name_the_first_free_first() -> None:
    stock = Stock(named("gpu", "c", "a", "b"))
    assert stock.take(wish_of([discrete("gpu", 2)])) == named("gpu", "a", "b")
    assert stock.take(wish_of([discrete("gpu", 1)])) == named("gpu", "c")
    assert not stock.covers(wish_of([discrete("gpu", 1)]))


def test_a_name_that_is_asked_for_must_be_free() -> None:
    stock = Stock(named("gpu", "a", "b"))
    wish = wish_of(named("gpu", "b"))
    assert stock.take(wish) == named("gpu", "b")
    assert not stock.covers(wish)
    assert stock.covers(wish_of([discrete("gpu", 1)]))
    assert not stock.covers(wish_of([*named("gpu", "a"), discrete("gpu", 1)]))


def test_what_a_running_task_was_given_is_not_free() -> None:
    stock = Stock([*named("gpu", "a", "b"), discrete("ssd", 1)])
    stock.hold([*named("gpu", "a"), discrete("ssd", 1)])
    assert stock.take(wish_of([discrete("gpu", 1)])) == named("gpu", "b")
    assert not stock.covers(wish_of([discrete("ssd", 1)]))


def test_what_a_former_task_holds_may_be_taken_over() -> None:
    stock = Stock(named("gpu", "a"))
    stock.hold(named("gpu", "a"))
    wish = wish_of([discrete("gpu", 1)])
    allowed = Stock(named("gpu", "a"))
    assert not stock.covers(wish)
    assert stock.covers(wish, allowed)
    assert stock.take(wish, allowed) == named("gpu", "a")


@pytest.mark.parametrize("wish", [[discrete("fpga", 1)], named("ssd", "x")])
def test_what_the_node_does_not_have(wish: list[GenericResource]) -> None:
    assert not Stock([discrete("ssd", 9)]).covers(wish_of(wish))


def test_a_copy_is_a_stock_of_its_own() -> None:
    stock = Stock([discrete("ssd", 1), *named("gpu", "a")])
    copy = stock.copy()
    copy.take(wish_of([discrete("ssd", 1), discrete("gpu", 1)]))
    assert stock.covers(wish_of([discrete("ssd", 1), *named("gpu", "a")]))


def test_nothing_asks_for_nothing() -> None:
    assert not wish_of([GenericResource(), discrete("ssd", 0)])
