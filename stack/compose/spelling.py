"""The known name that a wrong one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def near_name(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like another one; "" when none does."""
    from difflib import get_close_matches  # only wrong files need it

    return next(iter(get_close_matches(name, list(known), n=1)), "")
