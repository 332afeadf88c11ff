"""Texts where numbers, booleans or file modes are meant, turned into what they say.

A variable always gives text, and Compose also takes quoted numbers; so this runs on every file
right behind interpolation.
"""

from __future__ import annotations

import re

from stack.compose.key import Key, Value
from stack.compose.tree import RESET, Entry, Mapping, Node, Scalar, ScalarValue, Sequence, fail

TRUE = ("true", "yes", "y", "on")
FALSE = ("false", "no", "n", "off")
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def cast(node: Node, key: Key, path: str = "") -> Node:
    """Turn the texts of a tree into the values that the key table expects.

    Raises:
        ComposeError: a text that says no such value.
    """
    match node:
        case Scalar(value=str() as text) if node.tag != RESET:
            change = _CASTS.get(key.value)
            if change is None and "integer" in key.accepts.split("|") and key.children:
                change = _whole  # ulimits: a number instead of a map
            if change is None or (key.value is not Value.ANY and _is_text_only(key)):
                return node
            try:
                return Scalar(change(text), node.mark, node.tag)
            except ValueError as error:
                raise fail(node.mark, path, str(error)) from None
        case Mapping() if key.children is not None or key.each is not None:
            entries = {
                name: Entry(
                    entry.key_mark,
                    cast(entry.value, key.child(name), f"{path}.{name}" if path else name),
                )
                for name, entry in node.entries.items()
            }
            return Mapping(entries, node.mark, node.tag)
        case Sequence() if key.items is not None:
            row = key.items
            items = (cast(item, row, f"{path}[{i}]") for i, item in enumerate(node.items))
            return Sequence(tuple(items), node.mark, node.tag)
        case _:
            return node


def _is_text_only(key: Key) -> bool:
    return bool(key.accepts) and "string" not in key.accepts.split("|") and key.accepts != "boolean"


def _whole(text: str) -> ScalarValue:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"must be a whole number, not {text[:60]!r}")
    return int(text)


def _number(text: str) -> ScalarValue:
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"must be a number, not {text!r}")
    return float(text)


def _boolean(text: str) -> ScalarValue:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError(f"must be true or false, not {text!r}")


def _mode(text: str) -> ScalarValue:
    try:
        return int(text.removeprefix("0o"), 8)
    except ValueError:
        raise ValueError(f"{text!r} is no file mode: write one like 0440") from None


_CASTS = {
    Value.INTEGER: _whole,
    Value.NUMBER: _number,
    Value.BOOLEAN: _boolean,
    Value.MODE: _mode,
}
