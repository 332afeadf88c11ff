"""Typed access to a map of the tree: each value checked, each message with its place.

Numbers and booleans may come as text, because a variable always gives text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from stack.compose.command_line import split_words
from stack.compose.quantities import duration_ns, nano_cpus, size_bytes
from stack.compose.tree import Mapping, Mark, Node, Scalar, Sequence, fail, is_null, kind_of
from stack.errors import ComposeError

T = TypeVar("T")

_TRUE = ("true", "yes", "y", "on")
_FALSE = ("false", "no", "n", "off")


class Reader:
    """Reads the values of one map; `path` is where the map stands, as "services.web"."""

    def __init__(self, node: Node | None, path: str) -> None:
        if node is not None and not is_null(node) and not isinstance(node, Mapping):
            raise fail(node.mark, path, f"must be a map, not {kind_of(node)}")
        self.node = node if isinstance(node, Mapping) else None
        self.path = path

    def get(self, key: str) -> Node | None:
        """The value of a key; None when it is absent or empty."""
        value = self.node.get(key) if self.node else None
        return None if is_null(value) else value

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return self.get(key) is not None

    def mark(self, key: str) -> Mark:
        """Where a key stands."""
        assert self.node is not None
        return self.node.entries[key].key_mark

    def fail(self, key: str, problem: str) -> ComposeError:
        """An error about a key."""
        path = f"{self.path}.{key}" if self.path else key
        return fail(self.mark(key), path, problem)

    def below(self, key: str) -> Reader:
        """A reader of the map under a key; an empty one when the key is absent."""
        return Reader(self.get(key), f"{self.path}.{key}" if self.path else key)

    def children(self) -> Iterator[tuple[str, Reader]]:
        """A reader for each value, all of which must be maps or empty."""
        if self.node:
            for name, entry in self.node.entries.items():
                yield name, Reader(entry.value, f"{self.path}.{name}")

    def string(self, key: str) -> str:
        """A text; numbers and booleans in the spelling of Go; "" when absent."""
        value = self.get(key)
        if value is None:
            return ""
        if not isinstance(value, Scalar):
            raise self.fail(key, f"must be text, not {kind_of(value)}")
        return value.text

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """One of a few words; "" when absent."""
        value = self.string(key)
        if self.has(key) and value not in allowed:
            raise self.fail(key, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def boolean(self, key: str) -> bool | None:
        """True or false; None when absent."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, Scalar):
            if isinstance(value.value, bool):
                return value.value
            if isinstance(value.value, str) and value.value.lower() in _TRUE + _FALSE:
                return value.value.lower() in _TRUE
        raise self.fail(key, f"must be true or false, not {_shown(value)}")

    def integer(self, key: str, lowest: int = 0) -> int | None:
        """A whole number not below `lowest`; None when absent."""
        value = self.get(key)
        if value is None:
            return None
        number: int | None = None
        if isinstance(value, Scalar) and not isinstance(value.value, bool):
            if isinstance(value.value, int):
                number = value.value
            elif isinstance(value.value, float) and value.value.is_integer():
                number = int(value.value)
            elif re.fullmatch(r"-?[0-9]{1,19}", value.text):
                number = int(value.text)
        if number is None:
            raise self.fail(key, f"must be a whole number, not {_shown(value)}")
        if number < lowest:
            raise self.fail(key, f"{number} is below {lowest}")
        return number

    def number(self, key: str) -> float:
        """A number; 0 when absent."""
        return self._parsed(key, float, 0.0, "must be a number")

    def duration(self, key: str) -> int | None:
        """Nanoseconds of a duration, which must be text with a unit; None when absent."""
        value = self.get(key)
        if isinstance(value, Scalar) and not isinstance(value.value, str):
            raise self.fail(key, f"{value.text} has no unit: write a duration like 10s")
        return self._parsed(key, duration_ns, None)

    def size(self, key: str) -> int:
        """Bytes of a size; 0 when absent."""
        return self._parsed(key, size_bytes, 0)

    def cpus(self, key: str) -> int:
        """Billionths of a processor; 0 when absent."""
        return self._parsed(key, nano_cpus, 0)

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of texts; () when absent."""
        value = self.get(key)
        if value is None:
            return ()
        if not isinstance(value, Sequence):
            raise self.fail(key, f"must be a list, not {kind_of(value)}")
        for item in value.items:
            if not isinstance(item, Scalar) or item.value is None:
                path = f"{self.path}.{key}"
                raise fail(item.mark, path, f"must be a list of texts; this is {kind_of(item)}")
        return tuple(item.text for item in value.items if isinstance(item, Scalar))

    def words(self, key: str) -> tuple[str, ...]:
        """A command: a list of texts, or one text split into words; () when absent."""
        if isinstance(self.get(key), Scalar):
            return self._parsed(key, split_words, ())
        return self.strings(key)

    def maps(self, key: str) -> list[tuple[Mark, Reader]]:
        """A list of maps, each with its place; [] when absent."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, Sequence):
            raise self.fail(key, f"must be a list, not {kind_of(value)}")
        path = f"{self.path}.{key}"
        return [
            (item.mark, Reader(item, f"{path}[{index}]")) for index, item in enumerate(value.items)
        ]

    def string_map(self, key: str) -> dict[str, str] | None:
        """A map of texts, empty values as ""; None when absent."""
        reader = self.below(key)
        if reader.node is None:
            return None
        return {name: reader.string(name) for name in reader.node.entries}

    def _parsed(
        self, key: str, parse: Callable[[str], T], absent: T | None, problem: str = ""
    ) -> T:
        value = self.get(key)
        if value is None:
            return absent  # type: ignore[return-value]  # T includes None where absent is None
        try:
            return parse(self.string(key))
        except ValueError as error:
            raise self.fail(key, problem or str(error)) from None


def _shown(value: Node) -> str:
    return repr(value.text) if isinstance(value, Scalar) else kind_of(value)
