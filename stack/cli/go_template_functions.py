"""The functions of templates: those of Go's text/template, and those Docker's client adds."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

Function = Callable[..., object]


class TemplateError(Exception):
    """A template that is wrong, or more than is supported here."""


def shown(value: object) -> str:
    """A value as Go prints it."""
    match value:
        case None:
            return "<no value>"
        case bool():
            return str(value).lower()
        case Mapping():
            return f"map[{' '.join(f'{shown(k)}:{shown(value[k])}' for k in sorted(value))}]"
        case list() | tuple():
            return f"[{' '.join(map(shown, value))}]"
        case _:
            return str(value)


def is_true(value: object) -> bool:
    """Whether a condition holds: not for false, 0, nothing, and what is empty."""
    return bool(value)


def to_json(value: object) -> str:
    """A value as JSON on one line, members in the order of their names."""
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if not callable(item)}
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda found: found[0].upper(), text)


def _pad(text: str, before: int, after: int) -> str:
    return f"{' ' * before}{text}{' ' * after}" if text else text


def _join(parts: list[str], separator: str) -> str:
    if not isinstance(parts, list | tuple):
        raise TemplateError(f"error calling join: {shown(parts)!r} is no list")
    return separator.join(parts)


def _text(function: Callable[[str], str]) -> Function:
    def checked(text: object) -> str:
        if not isinstance(text, str):
            raise TemplateError(f"wrong type: {shown(text)!r} is no text")
        return function(text)

    return checked


def _index(value: Any, *keys: Any) -> object:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else _item(value, key)
    return value


def _item(value: Any, key: int) -> object:
    if not 0 <= key < len(value):
        raise TemplateError(f"error calling index: index out of range: {key}")
    item: object = value[key]
    return item


def _slice(value: Any, *bounds: int) -> object:
    begin = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= begin <= end <= len(value):
        raise TemplateError(f"error calling slice: index out of range: {begin} to {end}")
    part: object = value[begin:end]
    return part


def _and(*values: object) -> object:
    return next((value for value in values if not is_true(value)), values[-1])


def _or(*values: object) -> object:
    return next((value for value in values if is_true(value)), values[-1])


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise TemplateError("error calling eq: missing argument for comparison")
    if any(isinstance(one, str) != isinstance(first, str) for one in others):
        raise TemplateError("error calling eq: incompatible types for comparison")
    return any(first == other for other in others)


def _compare(holds: Callable[[Any, Any], bool]) -> Function:
    def compare(first: object, second: object) -> bool:
        if isinstance(first, str) != isinstance(second, str):
            raise TemplateError("incompatible types for comparison")
        return holds(first, second)

    return compare


_VERB = re.compile(r"%([-+# 0]*\d*(?:\.\d+)?)(.)")


def _printf(form: str, *values: object) -> str:
    rest = list(values)

    def one(found: re.Match[str]) -> str:
        flags, verb = found.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        if verb in {"v", "s"}:
            return f"%{flags}s" % shown(value)
        if verb == "q":
            return f"%{flags}s" % json.dumps(shown(value), ensure_ascii=False)
        if verb == "t" and isinstance(value, bool):
            return f"%{flags}s" % shown(value)
        if verb in "dxXo" and isinstance(value, int):
            return f"%{flags}{verb}" % value
        if verb in "fge" and isinstance(value, float):
            return f"%{flags}{verb}" % value
        if verb in "dxXofget":
            return f"%!{verb}({shown(value)})"
        raise TemplateError(f"error calling printf: %{verb} is not supported")

    return _VERB.sub(one, form)


def _print(*values: object) -> str:
    """As Go's: a blank between two values of which neither is a text."""
    text = ""
    for number, value in enumerate(values):
        is_pair = number and not isinstance(value, str) and not isinstance(values[number - 1], str)
        text += (" " if is_pair else "") + shown(value)
    return text


def _html(*values: object) -> str:
    return html.escape(_print(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


FUNCTIONS: Mapping[str, Function] = {
    "and": _and,
    "eq": _equal,
    "ge": _compare(lambda a, b: a >= b),
    "gt": _compare(lambda a, b: a > b),
    "html": _html,
    "index": _index,
    "join": _join,
    "json": to_json,
    "le": _compare(lambda a, b: a <= b),
    "len": len,
    "lower": _text(str.lower),
    "lt": _compare(lambda a, b: a < b),
    "ne": lambda first, second: not _equal(first, second),
    "not": lambda value: not is_true(value),
    "or": _or,
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(map(shown, values)) + "\n",
    "slice": _slice,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "title": _text(_title),
    "truncate": lambda text, length: text[:length],
    "upper": _text(str.upper),
    "urlquery": lambda *values: urllib.parse.quote_plus(_print(*values)),
}

HEADING_FUNCTIONS: Mapping[str, Function] = {
    **FUNCTIONS,
    **{name: (lambda text, *_: text) for name in ("json", "lower", "title", "truncate", "upper")},
}
"""In the line of headings these leave a heading as it is."""
