"""Parameters in a request's query."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.errors import InvalidArgument
from cluster.model.units import Timestamp

_LENIENT_FALSE = frozenset({"", "0", "no", "false", "none"})
_STRICT_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_STRICT_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_MOST_DIGITS = 20  # of a number of 64 bits


def lenient_flag(query: Mapping[str, str], name: str) -> bool:
    """Read a flag as the engine reads ``force``: everything but a few words means yes."""
    return query.get(name, "").strip().lower() not in _LENIENT_FALSE


def strict_flag(query: Mapping[str, str], name: str) -> bool:
    """Read a flag as the engine reads ``status``.

    Raises:
        InvalidArgument: a value that is neither yes nor no.
    """
    text = query.get(name, "")
    if not text or text in _STRICT_FALSE:
        return False
    if text in _STRICT_TRUE:
        return True
    raise InvalidArgument(f"invalid value for {name}: {text}: expected true or false")


def object_version(query: Mapping[str, str], kind: str) -> int:
    """Read the version of the object that the client has seen.

    Raises:
        InvalidArgument: the parameter is absent or no number.
    """
    text = query.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidArgument(
            f"invalid {kind} version '{text}': expected the Version.Index that was read last"
        )
    return int(text)


def read_moment(name: str, text: str | None) -> Timestamp | None:
    """Read a time in seconds since 1970, with a fraction; None if there is none.

    Raises:
        InvalidArgument: a text that is no such number.
    """
    if not text:
        return None
    seconds, _, fraction = text.partition(".")
    digits = f"{seconds}{fraction[:9].ljust(9, '0')}"
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidArgument(f"{name}: {text!r} is no time: expected seconds since 1970")
    return Timestamp(int(digits))
