"""JSON bodies -> typed values, as tolerant as Go's decoder and as exact as msgspec's.

Go matches member names without regard to case, and docker-py relies on it (``{"global": {}}``).
So the names of structure members are folded to their canonical spelling, as the structure type
gives them, before the conversion; keys of maps, such as labels, are data and stay untouched.
Nulls stand for absent members, and so do empty strings where only certain words are allowed.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal, TypeVar, Union, cast

import msgspec

from cluster.api.payloads.value_limits import check_values
from cluster.errors import InvalidArgument

T = TypeVar("T")
_Folder = Callable[[Any], Any]


def decode_body(body: bytes, kind: type[T]) -> T:
    """Return the value that a request's body holds.

    Raises:
        InvalidArgument: no JSON, or a member of a wrong type, which the message names.
    """
    return convert_tree(parse_body(body), kind)


def parse_body(body: bytes) -> Any:
    """Return a request's body as plain Python values.

    Raises:
        InvalidArgument: the body is empty or no JSON.
    """
    if not body.strip():
        raise InvalidArgument("the request has no body: expected a JSON object")
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"the request's body is not valid JSON: {error}") from None


def convert_tree(tree: Any, kind: type[T]) -> T:
    """Return plain values as a structure.

    Raises:
        InvalidArgument: a member of a wrong type or out of its limits, which the message names.
    """
    if not isinstance(tree, dict):
        raise InvalidArgument("the request's body must be a JSON object")
    try:
        value = msgspec.convert(_folder(cast("Hashable", kind))(tree), kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(readable(str(error))) from None
    check_values(value)
    return value


def readable(message: str) -> str:
    """Turn msgspec's "... - at `$.A.B`" into "A.B: ..."."""
    match = re.fullmatch(r"(.*) - at `(?:key )?(?:in )?\$\.?(.*)`", message, re.DOTALL)
    if match is None:
        return message
    what, where = match.groups()
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what


def _unchanged(value: Any) -> Any:
    return value


@functools.cache
def _folder(kind: Hashable) -> _Folder:
    """Return the function that folds plain values destined for `kind`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_folder(kind)
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in {Union, types.UnionType}:
        folders = [_folder(a) for a in arguments if a is not type(None)]
        return next((f for f in folders if f is not _unchanged), _unchanged)
    if origin in {tuple, list}:
        item = _folder(arguments[0])
        if item is _unchanged:
            return _unchanged
        return lambda value: [item(v) for v in value] if isinstance(value, list) else value
    return _unchanged


class _Member(typing.NamedTuple):
    name: str
    fold: _Folder
    drops_empty_text: bool
    drops_empty_map: bool


def _struct_folder(kind: type[msgspec.Struct]) -> _Folder:
    members: dict[str, _Member] = {}
    for field in msgspec.structs.fields(kind):
        member = _Member(
            field.encode_name,
            _folder(field.type),
            _allows_only_words(field.type),
            field.default is None and _is_map(field.type),
        )
        members[field.encode_name.lower()] = member

    def fold(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        folded: dict[str, Any] = {}
        for key, value in tree.items():
            member = members.get(key.lower())
            if member is None or value is None or (key != member.name and member.name in tree):
                continue
            if (value == "" and member.drops_empty_text) or (
                value == {} and member.drops_empty_map
            ):
                continue
            folded[member.name] = member.fold(value)
        return folded

    return fold


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in {Union, types.UnionType}:
        return typing.get_args(kind)
    return (kind,)


def _allows_only_words(kind: Any) -> bool:
    words = [a for a in _alternatives(kind) if typing.get_origin(a) is Literal]
    return bool(words) and not any("" in typing.get_args(word) for word in words)


def _is_map(kind: Any) -> bool:
    return any(
        typing.get_origin(a) in {dict, Mapping} or a in {dict, Mapping} for a in _alternatives(kind)
    )
