"""Variables in values: ``$V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+a} ${V+a}``.

Follows the Compose Specification as compose-go implements it: defaults, messages and alternatives
are texts with variables themselves, to any depth, and are looked at only when they are used;
``$$`` is a dollar sign; a dollar sign that begins no variable stays as it is.  A value is never
interpolated twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stack.compose.tree import RESET, Entry, Mapping, Mark, Node, Scalar, Sequence, fail

Lookup = Callable[[str], str | None]
"""A variable's value, or None when it is not set."""

Unset = Callable[[str, Mark], None]
"""Told of each variable that is not set and has no default, with the place of its use."""

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATORS = (":?", ":-", ":+", "?", "-", "+")


class BadTemplate(Exception):
    """A text that cannot be interpolated; says why."""


class RequiredVariable(Exception):
    """A variable that the text says is required (``:?``) is missing."""


def interpolate_tree(root: Node, lookup: Lookup, unset: Unset) -> Node:
    """Replace the variables in all values of a tree; keys are left alone.

    Raises:
        ComposeError: a text is malformed or a required variable is missing.
    """

    def visit(node: Node, path: str) -> Node:
        if node.tag == RESET:
            return Scalar(None, node.mark, RESET)
        match node:
            case Scalar(value=str() as text) if "$" in text:
                missing: list[str] = []
                try:
                    replaced = interpolate(text, lookup, missing.append)
                except BadTemplate as error:
                    raise fail(node.mark, path, str(error)) from None
                except RequiredVariable as error:
                    raise fail(node.mark, path, str(error)) from None
                for name in missing:
                    unset(name, node.mark)
                return Scalar(replaced, node.mark, node.tag)
            case Scalar():
                return node
            case Sequence():
                items = (visit(item, f"{path}[{index}]") for index, item in enumerate(node.items))
                return Sequence(tuple(items), node.mark, node.tag)
            case Mapping():
                entries = {
                    key: Entry(entry.key_mark, visit(entry.value, f"{path}.{key}" if path else key))
                    for key, entry in node.entries.items()
                }
                return Mapping(entries, node.mark, node.tag)

    return visit(root, "")


_SHOWN = 80
MAX_DEPTH = 50
"""How deep defaults may stand inside each other."""


def interpolate(text: str, lookup: Lookup, unset: Callable[[str], None], depth: int = 0) -> str:
    """Replace the variables of one text.

    Args:
        text: the text as written.
        lookup: gives the values.
        unset: told of each variable without a value and without a default; it becomes "".
        depth: how deep this text stands in others.

    Raises:
        BadTemplate: a ``${`` that is no valid form, or too many inside each other.
        RequiredVariable: a ``${V:?message}`` whose variable is missing.
    """
    if depth > MAX_DEPTH:
        raise BadTemplate(f"variables nested more than {MAX_DEPTH} deep")
    return "".join(_pieces(text, lookup, unset, depth))


def _pieces(text: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> Iterator[str]:
    position = 0
    while True:
        dollar = text.find("$", position)
        if dollar < 0 or dollar + 1 == len(text):
            yield text[position:]
            return
        yield text[position:dollar]
        following = text[dollar + 1]
        name = _NAME.match(text, dollar + 1)
        if following == "$":
            yield "$"
            position = dollar + 2
        elif following == "{":
            end = _closing_brace(text, dollar + 2)
            if "\n" in text[dollar:end]:
                raise _malformed(text[dollar : end + 1])
            yield _braced(text[dollar + 2 : end], lookup, unset, depth)
            position = end + 1
        elif name:
            yield _value(name[0], lookup, unset)
            position = name.end()
        else:
            yield "$"
            position = dollar + 1


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for index in range(start, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise _malformed(text)


def _braced(inside: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> str:
    name = _NAME.match(inside)
    if not name:
        raise _malformed(f"${{{inside}}}")
    rest = inside[name.end() :]
    if not rest:
        return _value(name[0], lookup, unset)
    operator = next((known for known in _OPERATORS if rest.startswith(known)), None)
    if operator is None:
        raise _malformed(f"${{{inside}}}")
    argument = rest[len(operator) :]
    value = lookup(name[0])
    given = value is not None and (value != "" or not operator.startswith(":"))
    match operator[-1]:
        case "-":
            return (
                value
                if given and value is not None
                else interpolate(argument, lookup, unset, depth + 1)
            )
        case "+":
            return interpolate(argument, lookup, unset, depth + 1) if given else ""
        case _:
            if given and value is not None:
                return value
            reason = interpolate(argument, lookup, unset, depth + 1)
            detail = f": {reason}" if reason else ""
            raise RequiredVariable(f"required variable {name[0]} is missing a value{detail}")


def _value(name: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
        return ""
    return value


def _malformed(text: str) -> BadTemplate:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return BadTemplate(
        f"invalid interpolation format: {shown!r} (write $$ for a plain dollar sign)"
    )
