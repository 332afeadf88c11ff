"""Capabilities in the one spelling that the cluster compares."""

from __future__ import annotations

from collections.abc import Iterable

_ALL = "ALL"
_RESET = "RESET"  # Docker's client takes it for its update command; it names no capability


def effective(add: Iterable[str], drop: Iterable[str]) -> tuple[list[str], list[str]]:
    """What is really added and dropped, sorted.

    ``ALL`` swallows all others of its list, and adding wins over dropping.
    """
    added, dropped = _canonical(add), _canonical(drop)
    return sorted(added), sorted(dropped - added)


def _canonical(names: Iterable[str]) -> set[str]:
    written = {name.strip().upper() for name in names} - {"", _RESET}
    if _ALL in written:
        return {_ALL}
    return {name if name.startswith("CAP_") else f"CAP_{name}" for name in written}
