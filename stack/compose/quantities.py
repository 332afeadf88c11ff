"""Durations, sizes and processor shares as compose files write them, to the API's numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

_LONGEST = 60  # characters of a quantity; longer ones mean nothing and take long to compute

_BEYOND = 2**63  # the first number that a signed 64 bit integer cannot hold

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 24 * 3600 * 10**9,
    "w": 7 * 24 * 3600 * 10**9,
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_SIZE = re.compile(
    r"([0-9][0-9_]*(?:\.[0-9]*)?(?:e[-+]?[0-9]{1,2})?|\.[0-9]+) ?(?:([kmgtp])(?:i?b)?|b)?"
)
_POWERS = {None: 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_CPUS = re.compile(r"[+]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?")


def _exact(text: str) -> int | Fraction:
    if text.isascii() and text.isdigit():
        return int(text)
    from fractions import Fraction  # few files need it, and it takes a while to import

    return Fraction(text)


def duration_ns(text: str) -> int:
    """Nanoseconds of "1m30s", "1.5h", "2d" or "0".

    Raises:
        ValueError: the text is no duration; the message says what one looks like.
    """
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total: int | Fraction = 0
    position = 0
    while position < len(rest) <= _LONGEST:
        part = _DURATION_PART.match(rest, position)
        if not part:
            break
        total += _exact(part[1].rstrip(".")) * _NANOSECONDS[part[2]]
        position = part.end()
    if not rest or position != len(rest) or len(rest) > _LONGEST:
        raise ValueError(f"{text!r} is no duration: write one like 10s or 1m30s")
    if total >= _BEYOND:
        raise ValueError(f"{text!r} is too long: 292 years are the most")
    return sign * int(total)


def size_bytes(text: str) -> int:
    """Bytes of "512m", "1.5g", "64kb" or "1024"; units are powers of 1024, fractions round down.

    Raises:
        ValueError: the text is no size; the message says what one looks like.
    """
    match = _SIZE.fullmatch(text.removeprefix("+").lower())
    if not match or len(text) > _LONGEST:
        raise ValueError(f"{text!r} is no size: write one like 512m or 1g")
    number = _exact(match[1].replace("_", "").rstrip("."))
    size = int(number * 1024 ** _POWERS[match[2]])
    if size >= _BEYOND:
        raise ValueError(f"{text!r} is too large: it does not fit 64 bits")
    return size


def nano_cpus(text: str) -> int:
    """Billionths of a processor of "0.5" or "2".

    Raises:
        ValueError: the text is no number of processors, or finer than a billionth.
    """
    if not _CPUS.fullmatch(text) or len(text) > _LONGEST:
        raise ValueError(f"{text!r} is no number of processors: write one like 0.5")
    nano = _exact(text.removeprefix("+").rstrip(".")) * 10**9
    if nano.denominator != 1:
        raise ValueError(f"{text!r} is too precise: a billionth of a processor is the limit")
    return int(nano)


def duration_text(nanoseconds: int) -> str:
    """A duration as Go writes it: "1m30s", "1.5s", "250ms", "0s"."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if rest < size * 1000:
            return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, rest = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    if not rest:
        return str(whole)
    width = len(str(unit)) - 1
    return f"{whole}.{rest:0{width}d}".rstrip("0")
