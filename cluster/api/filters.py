"""The ``filters`` of a list request.

Clients send ``{"label": {"a=b": true}}`` (Go) or ``{"label": ["a=b"]}`` (docker-py and old ones).
Values of one key are alternatives, labels excepted, which must all fit; keys must all fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cluster.errors import InvalidArgument


class Filters:
    """The parsed filters of one request."""

    def __init__(self, values: Mapping[str, tuple[str, ...]]) -> None:
        """Take the values by key; `parse` is the usual way to make one."""
        self._values = values

    @classmethod
    def parse(cls, text: str | None, known: Iterable[str]) -> Filters:
        """Return the filters that a query parameter holds.

        Args:
            text: the parameter as sent, None or empty for no filters.
            known: keys that the list understands.

        Raises:
            InvalidArgument: no JSON of one of the two forms, or an unknown key.
        """
        if not text:
            return cls({})
        try:
            tree = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise InvalidArgument(f"filters: not valid JSON: {error}") from None
        if tree is None:
            return cls({})
        if not isinstance(tree, dict):
            raise InvalidArgument('filters: expected an object such as {"name": ["web"]}')
        allowed = frozenset(known)
        for key in tree:
            if key not in allowed:
                raise InvalidArgument(f"invalid filter '{key}'")
        return cls({key: _values_of(key, value) for key, value in tree.items()})

    def __contains__(self, key: str) -> bool:
        return bool(self._values.get(key))

    def get(self, key: str) -> tuple[str, ...]:
        """Return the values of a key, none if it is absent."""
        return self._values.get(key, ())

    def one_is(self, key: str, *candidates: str) -> bool:
        """Whether the key is absent or one of its values equals a candidate."""
        values = self.get(key)
        return not values or any(value in candidates for value in values)

    def one_starts(self, key: str, *candidates: str) -> bool:
        """Whether the key is absent or a candidate starts with one of its values."""
        values = self.get(key)
        return not values or any(c.startswith(value) for value in values for c in candidates)

    def one_is_part_of(self, key: str, candidate: str) -> bool:
        """Whether the key is absent or one of its values is a part of the candidate."""
        values = self.get(key)
        return not values or any(value in candidate for value in values)

    def labels_fit(self, key: str, labels: Mapping[str, str] | None) -> bool:
        """Whether the labels hold every ``name`` or ``name=value`` of the key."""
        return all(_has_label(labels or {}, wanted) for wanted in self.get(key))

    def labels_avoid(self, key: str, labels: Mapping[str, str] | None) -> bool:
        """Whether the labels hold no ``name`` or ``name=value`` of the key."""
        return not any(_has_label(labels or {}, unwanted) for unwanted in self.get(key))

    def flag(self, key: str) -> bool | None:
        """Return a key that stands for yes or no, None when it is absent.

        Raises:
            InvalidArgument: any other value.
        """
        values = self.get(key)
        if not values:
            return None
        if set(values) <= {"1", "true", "True"}:
            return True
        if set(values) <= {"0", "false", "False"}:
            return False
        raise InvalidArgument(f"invalid filter '{key}={values[0]}': expected true or false")


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    name, is_pair, value = wanted.partition("=")
    return name in labels and (not is_pair or labels[name] == value)


def _values_of(key: str, value: Any) -> tuple[str, ...]:
    # In the object form the values are its keys; whether they map to true is not looked at.
    if isinstance(value, dict):
        return tuple(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InvalidArgument(f'filters: {key}: expected ["value"] or {{"value": true}}')
