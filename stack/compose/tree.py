"""A YAML document as a tree whose every node remembers where it was written.

Nodes are immutable and may be shared: an alias is the same node as its anchor.  All steps of the
loader take a tree and give a new one, so that a message late in the pipeline can still name the
file and the line that the user wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from typing import Final

from stack.errors import ComposeError

ScalarValue = str | int | float | bool | None


class Mark:
    """A place in a file; line and column count from 1, line 0 means "the file as a whole"."""

    __slots__ = ("column", "file", "line")

    def __init__(self, file: str, line: int = 0, column: int = 0) -> None:
        self.file: Final = file
        self.line: Final = line
        self.column: Final = column

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mark):
            return NotImplemented
        return (self.file, self.line, self.column) == (other.file, other.line, other.column)

    def __hash__(self) -> int:
        return hash((self.file, self.line, self.column))


class Scalar:
    """A single value, typed by the YAML rules."""

    __slots__ = ("mark", "tag", "value")

    def __init__(self, value: ScalarValue, mark: Mark, tag: str = "") -> None:
        self.value: Final = value
        self.mark: Final = mark
        self.tag: Final = tag

    @property
    def text(self) -> str:
        """The value as text, in the form Go programs print it; null is the empty text."""
        return go_text(self.value)


class Sequence:
    """A list."""

    __slots__ = ("items", "mark", "tag")

    def __init__(self, items: tuple[Node, ...], mark: Mark, tag: str = "") -> None:
        self.items: Final = items
        self.mark: Final = mark
        self.tag: Final = tag


class Entry:
    """A key's place and its value."""

    __slots__ = ("key_mark", "value")

    def __init__(self, key_mark: Mark, value: Node) -> None:
        self.key_mark: Final = key_mark
        self.value: Final = value


class Mapping:
    """A map with text keys, in the order of the file."""

    __slots__ = ("entries", "mark", "tag")

    def __init__(self, entries: AbstractMapping[str, Entry], mark: Mark, tag: str = "") -> None:
        self.entries: Final = entries
        self.mark: Final = mark
        self.tag: Final = tag

    def get(self, key: str) -> Node | None:
        """The value of a key, or None when the key is absent."""
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Scalar | Sequence | Mapping


def is_null(node: Node | None) -> bool:
    """Whether a value is absent or an explicit null."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def kind_of(node: Node) -> str:
    """What a node is, in words for a message."""
    match node:
        case Mapping():
            return "a map"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return "true or false"
        case Scalar(value=int() | float()):
            return "a number"
        case Scalar():
            return "text"


def go_text(value: ScalarValue) -> str:
    """Write a scalar the way Go's ``fmt.Sprint`` does: 1.0 is "1", 1e6 is "1e+06"."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
        case float():
            return _go_float(value)


def _go_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)  # the fewest digits that say this number, as in Go
    if value == 0 or 1e-4 <= abs(value) < 1e6:  # where Go changes to exponents
        return text.removesuffix(".0")
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).rstrip("0")
    power = len(whole) - 1 + int(exponent or 0)
    rest = f".{digits[1:]}" if digits[1:] else ""
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"


def fail(mark: Mark, path: str, problem: str) -> ComposeError:
    """An error that names the place, the key and the problem."""
    return ComposeError(f"{mark}: {path}: {problem}" if path else f"{mark}: {problem}")


RESET = "!reset"
OVERRIDE = "!override"
"""Tags with which a later file takes a value away or replaces it without merging."""

DATE = "!date"
"""The tag of an unquoted date; its value is the text."""


def placed(value: object, mark: Mark) -> Node:
    """A tree of plain Python values, all at one place; nodes in it stay as they are."""
    match value:
        case Scalar() | Sequence() | Mapping():
            return value
        case dict():
            return Mapping({k: Entry(mark, placed(v, mark)) for k, v in value.items()}, mark)
        case list() | tuple():
            return Sequence(tuple(placed(item, mark) for item in value), mark)
        case None | bool() | int() | float() | str():
            return Scalar(value, mark)
        case _:
            raise TypeError(f"no tree can hold {value!r}")


def with_values(node: Mapping, values: AbstractMapping[str, object]) -> Mapping:
    """A map with some values set; new keys stand where the map does."""
    entries = dict(node.entries)
    for key, value in values.items():
        mark = entries[key].key_mark if key in entries else node.mark
        entries[key] = Entry(mark, placed(value, mark))
    return Mapping(entries, node.mark, node.tag)


def without(node: Mapping, *keys: str) -> Mapping:
    """A map without some keys."""
    if not any(key in node.entries for key in keys):
        return node
    entries = {key: entry for key, entry in node.entries.items() if key not in keys}
    return Mapping(entries, node.mark, node.tag)


def map_values(node: Mapping, change: Callable[[str, Node], Node]) -> Mapping:
    """A map with every value changed."""
    entries = {
        key: Entry(entry.key_mark, change(key, entry.value)) for key, entry in node.entries.items()
    }
    return Mapping(entries, node.mark, node.tag)


def map_at(node: Node | None, key: str) -> Mapping | None:
    """The map under a key of a map; None when there is none."""
    value = node.get(key) if isinstance(node, Mapping) else None
    return value if isinstance(value, Mapping) else None


def text_at(node: Node | None, key: str) -> str:
    """The scalar under a key of a map as text; "" when there is none."""
    value = node.get(key) if isinstance(node, Mapping) else None
    return value.text if isinstance(value, Scalar) else ""


def items_at(node: Node | None, key: str) -> tuple[Node, ...]:
    """The items of the list under a key of a map; () when there is none."""
    value = node.get(key) if isinstance(node, Mapping) else None
    return value.items if isinstance(value, Sequence) else ()


def to_plain(node: Node) -> object:
    """The tree as plain Python values, for printing."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [to_plain(item) for item in node.items]
        case Mapping():
            return {key: to_plain(entry.value) for key, entry in node.entries.items()}
