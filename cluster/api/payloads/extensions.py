"""The document in a service's extension label -> typed settings.

Unlike a body of the Engine API it is taken exactly: its names are ours, and a member that this
version does not know is an error, because dropping it would run another application.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from cluster.api.payloads.decoding import readable
from cluster.api.payloads.value_limits import check_values
from cluster.errors import InvalidArgument
from cluster.model.extensions import EXTENSION_LABEL, Extensions

MAX_LENGTH: Final = 64 * 1024
PLACE: Final = f'Labels["{EXTENSION_LABEL}"]'


def decode_extensions(labels: Mapping[str, str]) -> Extensions:
    """Return the settings that a service's labels carry; all at their defaults without the label.

    Raises:
        InvalidArgument: no JSON, a member that is not known, of a wrong type or out of its limits;
            the message names its place.
    """
    text = labels.get(EXTENSION_LABEL)
    if text is None:
        return Extensions()
    if len(text) > MAX_LENGTH:
        raise InvalidArgument(f"{PLACE}: {len(text)} characters, at most {MAX_LENGTH} are allowed")
    try:
        tree = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"{PLACE}: not valid JSON: {error}") from None
    if not isinstance(tree, dict):
        raise InvalidArgument(f"{PLACE}: must be a JSON object")
    for problem in _problems(tree, Extensions, PLACE):
        raise InvalidArgument(problem)
    try:
        extensions = msgspec.convert(tree, Extensions)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"{PLACE}.{readable(str(error))}") from None
    check_values(extensions, PLACE)
    return extensions


def _problems(tree: Any, kind: Any, place: str) -> Iterator[str]:
    """Tell of members that no structure has and of words that are not allowed.

    Other wrong types are for the conversion to tell.
    """
    kind = _without_none(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(tree, dict):
        known = typing.get_type_hints(kind)
        for name, value in tree.items():
            if name in known:
                yield from _problems(value, known[name], f"{place}.{name}")
            else:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
                yield f"{place}.{name}: this version knows no such setting{hint}"
    elif origin is tuple and isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from _problems(value, arguments[0], f"{place}[{number}]")
    elif origin is typing.Literal and isinstance(tree, str) and tree not in arguments:
        words = ", ".join(word for word in arguments if word)
        yield f"{place}: {tree!r} is none of {words}"
    elif origin is Mapping and isinstance(tree, dict):
        for name, value in tree.items():
            yield from _problems(value, arguments[1], f"{place}.{name}")


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return next(part for part in typing.get_args(kind) if part is not types.NoneType)
    return kind
