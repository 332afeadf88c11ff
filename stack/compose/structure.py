"""The structural check: are all keys known, and is every value of a kind that its key takes?

It checks what ``schema/compose-spec.json`` says, from the key table the schema is printed from,
over trees that know the line of every value.  Checking with a schema library instead takes longer
than all the rest of loading, and its messages cannot name the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from stack.compose.key import Form, Key, Unique, Value
from stack.compose.keys import ROOT
from stack.compose.spelling import near_name
from stack.compose.tree import (
    DATE,
    RESET,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sequence,
    fail,
    kind_of,
    to_plain,
)

_USUAL = {
    Value.TEXT: "string",
    Value.BOOLEAN: "boolean|string",
    Value.INTEGER: "integer|string",
    Value.NUMBER: "number|string",
    Value.SIZE: "number|string",
    Value.DURATION: "string",
    Value.MODE: "number|string",
    Value.TEXTS: "array",
    Value.WORDS: "string|array",
    Value.TEXT_MAP: "array|object",
    Value.OPTION_MAP: "object",
    Value.MAP: "object",
    Value.LIST: "array",
    Value.ANY: "",
}
_WORDS = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a map",
    "null": "empty",
}
_TEXT = Key(value=Value.TEXT)
_NAME = Key(value=Value.TEXT, accepts="string|number|boolean|null")
_OPTION = Key(value=Value.TEXT, accepts="string|number")
_EMPTY_OPTION = Key(value=Value.TEXT, accepts="string|number|null")


def accepted_types(key: Key) -> tuple[str, ...]:
    """The JSON types of values that a key takes; () for all."""
    return _split(key.accepts or _USUAL[key.value])


@lru_cache(maxsize=128)
def _split(names: str) -> tuple[str, ...]:
    return tuple(names.split("|")) if names else ()


def item_row(key: Key) -> Key | None:
    """The row that items of a list have; None when they may be anything."""
    if key.items is not None:
        return key.items
    if key.value in (Value.TEXTS, Value.WORDS, Value.TEXT_MAP):
        return _TEXT
    return _TEXT if key.form in (Form.NAMES, Form.DEPENDENCIES) else None


def value_row(key: Key) -> Key | None:
    """The row that values under free keys of a map have; None when they may be anything."""
    if key.each is not None:
        return key.each
    if key.form is Form.HOSTS:
        return Key(value=Value.TEXTS, accepts="string|array")
    if key.value is Value.TEXT_MAP:
        return _NAME
    if key.value is Value.OPTION_MAP:
        return _EMPTY_OPTION if key.nullable else _OPTION
    return None


def check_structure(root: Mapping) -> None:
    """Check one file, short forms and all; what other files may add is not missed yet.

    Raises:
        ComposeError: an unknown key, or a value of a wrong kind; names place, value and remedy.
    """
    _check(root, ROOT, "")


def check_value(node: Node, key: Key, path: str) -> None:
    """Check a part of a file."""
    _check(node, key, path)


def _check(node: Node, key: Key, path: str) -> None:
    if node.tag == RESET:
        return
    accepted = accepted_types(key)
    match node:
        case Scalar():
            if accepted and not _fits(node, accepted):
                raise fail(node.mark, path, _misfit(node, key))
            if accepted and node.tag == DATE:
                raise fail(node.mark, path, f"{node.text} is read as a date: put it in quotes")
            _check_scalar(node, key, path)
        case Sequence():
            if accepted and "array" not in accepted:
                raise fail(node.mark, path, _misfit(node, key))
            _check_items(node, key, path)
        case Mapping():
            if accepted and "object" not in accepted:
                raise fail(node.mark, path, _misfit(node, key))
            _check_entries(node, key, path)


_TYPED = (Value.BOOLEAN, Value.INTEGER, Value.NUMBER)


def _misfit(node: Node, key: Key) -> str:
    """Say what a value must be, leaving out spellings that only variables need."""
    names = [name for name in accepted_types(key) if name != "null"]
    if key.value in _TYPED and len(names) > 1:
        names.remove("string")
    expected = " or ".join(_WORDS[name] for name in names)
    problem = f"must be {expected}, not {_shown(node)}"
    if not isinstance(node, Scalar) or node.value is None:
        return problem
    if key.value is Value.DURATION:
        return f"{node.text} has no unit: write a duration like 10s"
    return f"{problem}: put it in quotes" if "string" in names else problem


def _fits(node: Scalar, accepted: tuple[str, ...]) -> bool:
    match node.value:
        case None:
            return "null" in accepted
        case bool():
            return "boolean" in accepted
        case int():
            return "integer" in accepted or "number" in accepted
        case float() as number:
            return "number" in accepted or ("integer" in accepted and number.is_integer())
        case str():
            return "string" in accepted


def _check_scalar(node: Scalar, key: Key, path: str) -> None:
    value = node.value
    if isinstance(value, str):
        if key.choices and value not in key.choices:
            near = near_name(value, key.choices)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise fail(node.mark, path, f"{value!r} is none of {', '.join(key.choices)}{hint}")
        if key.pattern and not re.search(key.pattern, value):
            raise fail(node.mark, path, f"{value!r} does not look like {key.pattern}")
        if key.form is Form.GPUS and value != "all":
            raise fail(node.mark, path, f"{value!r} is neither 'all' nor a list of devices")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if key.lowest is not None and value < key.lowest:
            raise fail(node.mark, path, f"{node.text} is below {key.lowest}")
        if key.highest is not None and value > key.highest:
            raise fail(node.mark, path, f"{node.text} is above {key.highest}")


def _check_items(node: Sequence, key: Key, path: str) -> None:
    row = item_row(key)
    if row is not None:
        for index, item in enumerate(node.items):
            _check(item, row, f"{path}[{index}]")
    if key.unique in (Unique.NOTHING, Unique.TEXT) and must_differ(key):
        seen: dict[str, Mark] = {}
        for index, item in enumerate(node.items):
            text = repr(to_plain(item))
            if text in seen:
                problem = f"is there twice (first in line {seen[text].line}): leave one out"
                raise fail(item.mark, f"{path}[{index}]", problem)
            seen[text] = item.mark


def must_differ(key: Key) -> bool:
    """Whether items of a list may not be the same."""
    return (
        key.distinct
        or key.form in (Form.NAMES, Form.DEPENDENCIES, Form.HOSTS)
        or key.value is Value.TEXT_MAP
    )


def _check_entries(node: Mapping, key: Key, path: str) -> None:
    row = value_row(key)
    for name, entry in node.entries.items():
        below = f"{path}.{name}" if path else name
        if key.children is not None:
            if name in key.children:
                _check(entry.value, key.children[name], below)
            elif not (key.extensible and name.startswith("x-")):
                raise fail(entry.key_mark, path, _unknown(name, key.children))
        elif row is not None:
            if not name and key.value is Value.TEXT_MAP:
                raise fail(entry.key_mark, path, "a name is empty: every value needs one")
            if key.each is not None and key.names and not re.search(key.names, name):
                if key.extensible and name.startswith("x-"):
                    continue
                raise fail(entry.key_mark, path, f"{name!r} is no name: {_NAMES_HINT}")
            _check(entry.value, row, below)


_NAMES_HINT = "use letters, digits, '.', '_' and '-'"


def _unknown(name: str, known: Iterable[str]) -> str:
    near = near_name(name, known)
    hint = f" (did you mean '{near}'?)" if near else ""
    return f"unknown key '{name}'{hint}"


_SHOWN = 60  # characters of a value in a message


def _shown(node: Node) -> str:
    if not isinstance(node, Scalar) or node.value is None:
        return kind_of(node)
    if isinstance(node.value, bool):
        return node.text
    text = node.text if len(node.text) <= _SHOWN else f"{node.text[:_SHOWN]}…"
    return repr(text) if isinstance(node.value, str) else f"{kind_of(node)} ({text})"


def check_required(node: Node, key: Key = ROOT, path: str = "") -> None:
    """Check that maps of the merged project have the keys they cannot do without.

    Raises:
        ComposeError: a key is missing.
    """
    match node:
        case Mapping():
            for name in key.required:
                if name not in node.entries:
                    raise fail(node.mark, path, f"'{name}' is missing")
            if key.children is None and key.each is None:
                return
            for name, entry in node.entries.items():
                check_required(entry.value, key.child(name), f"{path}.{name}" if path else name)
        case Sequence() if key.items is not None:
            for index, item in enumerate(node.items):
                check_required(item, key.items, f"{path}[{index}]")
        case _:
            return
