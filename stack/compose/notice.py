"""What the user should know about a compose file that is loaded all the same."""

from __future__ import annotations

import msgspec

from stack.compose.tree import Mark


class Notice(msgspec.Struct, frozen=True):
    """A warning about a place of a compose file; the command goes on."""

    mark: Mark
    text: str
    harmless: bool = False  # what is meant happens all the same

    def __str__(self) -> str:
        return f"{self.mark}: {self.text}"
