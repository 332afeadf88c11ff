from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from cluster.store.table import Table


class Item(NamedTuple):
    id: str
    colours: tuple[str, ...]


def empty() -> Table[Item]:
    return Table({"colour": lambda item: item.colours})


def test_a_changed_table_leaves_the_old_one_as_it_was() -> None:
    old = empty().put(Item("a", ("red",)))
    new = old.put(Item("a", ("blue",))).put(Item("b", ("red", "blue")))
    assert old.find("colour", "red") == [Item("a", ("red",))]
    assert new.ids("colour", "blue") == ["a", "b"]
    assert new.ids("colour", "red") == ["b"]
    assert len(old) == 1


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.none() | st.lists(st.sampled_from(["red", "blue", "green"]), unique=True),
    )
)


@given(ACTIONS)
def test_indexes_always_equal_a_scan(actions: list[tuple[str, list[str] | None]]) -> None:
    table = empty()
    for key, colours in actions:
        if colours is not None:
            table = table.put(Item(key, tuple(colours)))
        elif key in table:
            table = table.remove(key)
        for colour in ("red", "blue", "green"):
            assert table.find("colour", colour) == [i for i in table if colour in i.colours]
            assert table.count("colour", colour) == sum(colour in i.colours for i in table)
