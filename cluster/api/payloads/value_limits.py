"""What no number and no text of a request may be, whatever member holds it.

Python's integers have no end, while clients, written in Go, read each into 32 or 64 bits: one
number beyond that would keep them from reading any list that holds it.  A NUL character ends a text
for the kernel, so no container could be made with it.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from cluster.errors import InvalidArgument
from cluster.model.units import WholeNumbers

_SIGNED: Final = WholeNumbers(-(2**63), 2**63 - 1)
_LINE_BREAKS: Final = ("\n", "\r")


def check_values(value: Any, place: str = "") -> None:
    """Check all numbers and texts of a decoded structure.

    Raises:
        InvalidArgument: a number out of its range, a NUL character, or a key of a map with a line
            break; the message names the member and never shows a text, which may be secret.
    """
    for problem in _problems(value, None, place):
        raise InvalidArgument(problem)


def _problems(value: Any, kind: Any, place: str) -> Iterator[str]:
    """Tell what is wrong with a value of a member declared as `kind`."""
    if kind is Any:
        return  # not decoded yet
    if isinstance(value, msgspec.Struct):
        for field in _fields(type(value)):
            member = getattr(value, field.name)
            if not member and type(member) is not int:
                continue  # most members are absent or empty, and nothing can be wrong with them
            inner = f"{place}.{field.encode_name}" if place else field.encode_name
            yield from _problems(member, field.type, inner)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _problems(item, kind, f"{place}[{number}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{place}[{key!r}]"
            yield from _of_key(key, inner)
            yield from _problems(item, None, inner)
    elif isinstance(value, str):
        if "\0" in value:
            yield f"{place}: holds a NUL character (\\0), which ends a text: leave it out"
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from _of_number(value, _range(kind), place)


def _of_key(key: str, place: str) -> Iterator[str]:
    if "\0" in key:
        yield f"{place}: the key holds a NUL character (\\0): leave it out"
    if any(character in key for character in _LINE_BREAKS):
        yield f"{place}: the key holds a line break: leave it out"


def _of_number(value: int, allowed: WholeNumbers, place: str) -> Iterator[str]:
    if value < allowed.low:
        yield f"{place}: {value} is below {allowed.low}: allowed are {allowed}"
    elif value > allowed.high:
        yield f"{place}: {value} is above {allowed.high}: allowed are {allowed}"


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _range(kind: Any) -> WholeNumbers:
    """Return the range that a member's type names, also when the member may be absent."""
    for part in (kind, *typing.get_args(kind)):
        for note in getattr(part, "__metadata__", ()):
            if isinstance(note, WholeNumbers):
                return note
    return _SIGNED
