"""JSON of stored objects, kept because clients that watch ask for the same ones again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from cluster.model.objects import StoredObject

_ROOM_TO_SPARE = 256


class _Entry(NamedTuple):
    item: StoredObject
    json: bytes


class EncodedObjects:
    """The encoded form of objects, valid as long as the very same object is stored.

    Stored objects are immutable, so an object that is the same Python object has the same JSON.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[tuple[str, str], _Entry] = {}

    def encode(
        self, item: StoredObject, convert: Callable[[], dict[str, Any]], variant: str = ""
    ) -> bytes:
        """Return the object's JSON.

        Args:
            item: the stored object.
            convert: makes the API's form of it; called only when it is not known.
            variant: tells apart several forms of one object.
        """
        key = (item.id, variant)
        entry = self._entries.get(key)
        if entry is None or entry.item is not item:
            entry = _Entry(item, msgspec.json.encode(convert()))
            self._entries[key] = entry
        return entry.json

    def forget_all_but(self, count: int) -> None:
        """Start anew when far more than `count` objects are kept: most of them are gone."""
        if len(self._entries) > 4 * count + _ROOM_TO_SPARE:
            self._entries.clear()


def json_list(items: Iterable[bytes]) -> bytes:
    """Return encoded objects as one JSON list."""
    return b"[" + b",".join(items) + b"]"


def with_member(encoded: bytes, name: str, value: Any) -> bytes:
    """Return a JSON object, which must have members, with one more at its end."""
    return encoded[:-1] + b',"' + name.encode() + b'":' + msgspec.json.encode(value) + b"}"
