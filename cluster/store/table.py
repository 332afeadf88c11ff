"""A copy-on-write table with secondary indexes.

Objects and indexes live in hash array mapped tries, so that a changed table shares all but a few
nodes with the one it was made from: a change costs O(log n), and whoever still holds the old
table keeps reading it undisturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from immutables import Map


class HasId(Protocol):
    """Anything that can be kept in a table."""

    @property
    def id(self) -> str:
        """The key."""
        ...


O = TypeVar("O", bound=HasId)  # noqa: E741 - the one letter stands for "object"
IndexKeys = Callable[[O], tuple[str, ...]]
"""Tells under which keys an object stands in an index."""


class Table(Generic[O]):
    """An immutable set of objects by ID, with indexes by further keys."""

    __slots__ = ("_index_keys", "_indexes", "_objects")

    def __init__(
        self,
        index_keys: Mapping[str, IndexKeys[O]],
        objects: Map[str, O] | None = None,
        indexes: Map[str, Map[str, Map[str, None]]] | None = None,
    ) -> None:
        """Make a table; `index_keys` maps an index's name to the function that gives its keys."""
        self._index_keys = index_keys
        self._objects: Map[str, O] = Map() if objects is None else objects
        self._indexes: Map[str, Map[str, Map[str, None]]] = (
            Map({name: Map() for name in index_keys}) if indexes is None else indexes
        )

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._objects

    def __iter__(self) -> Iterator[O]:
        """Iterate over all objects in the order of their IDs."""
        for object_id in sorted(self._objects):
            yield self._objects[object_id]

    def get(self, object_id: str) -> O | None:
        """Return the object of that ID, or None."""
        return self._objects.get(object_id)

    def ids(self, index: str, key: str) -> list[str]:
        """Return the IDs under `key` of an index, sorted."""
        return sorted(self._indexes[index].get(key, Map()))

    def find(self, index: str, key: str) -> list[O]:
        """Return the objects under `key` of an index, sorted by ID."""
        return [self._objects[object_id] for object_id in self.ids(index, key)]

    def count(self, index: str, key: str) -> int:
        """Return how many objects stand under `key` of an index."""
        return len(self._indexes[index].get(key, Map()))

    def members(self, index: str, key: str) -> Map[str, None] | None:
        """Return the IDs under `key` of an index, None if there are none.

        It is the very same object as long as no ID comes or goes.
        """
        return self._indexes[index].get(key)

    def put(self, item: O) -> Table[O]:
        """Return a table that holds `item` in place of any object of the same ID."""
        old = self._objects.get(item.id)
        indexes = self._indexes
        for name, keys_of in self._index_keys.items():
            before = () if old is None else keys_of(old)
            after = keys_of(item)
            if before == after:
                continue
            index = indexes[name]
            index = _drop(index, item.id, before)
            for key in after:
                index = index.set(key, index.get(key, Map()).set(item.id, None))
            indexes = indexes.set(name, index)
        return Table(self._index_keys, self._objects.set(item.id, item), indexes)

    def remove(self, object_id: str) -> Table[O]:
        """Return a table without the object of that ID.

        Raises:
            KeyError: there is none.
        """
        old = self._objects[object_id]
        indexes = self._indexes
        for name, keys_of in self._index_keys.items():
            indexes = indexes.set(name, _drop(indexes[name], object_id, keys_of(old)))
        return Table(self._index_keys, self._objects.delete(object_id), indexes)


def _drop(
    index: Map[str, Map[str, None]], object_id: str, keys: tuple[str, ...]
) -> Map[str, Map[str, None]]:
    for key in keys:
        members = index[key].delete(object_id)
        index = index.set(key, members) if len(members) else index.delete(key)
    return index
