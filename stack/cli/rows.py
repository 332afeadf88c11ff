"""What a list shows: rows of members, their headings, and the form they are shown in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
Columns = Mapping[str, str]
"""JSON member to the column's heading."""

WORDS = ("table", "json")
"""The forms that are no templates."""


def is_table(form: str) -> bool:
    """Whether rows are shown below headings."""
    return form == "table" or form.startswith("table ")
