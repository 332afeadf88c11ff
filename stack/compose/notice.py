"""What the user should know about a compose file that is loaded all the same."""

from __future__ import annotations

from stack.compose.record import Record
from stack.compose.tree import Mark


class Notice(Record):
    """A warning about a place of a compose file; the command goes on."""

    mark: Mark
    text: str
    harmless: bool = False  # what is meant happens all the same

    def __str__(self) -> str:
        return f"{self.mark}: {self.text}"
