"""What a check finds, and how bad it is."""

from __future__ import annotations

from enum import Enum

import msgspec

from stack.compose.tree import Mark


class Severity(Enum):
    """How bad a finding is; the words are those of SARIF."""

    ERROR = "error"  # the stack is refused, or is another application than on one machine
    WARNING = "warning"  # it runs, but not as it did on one machine, or not on every cluster
    NOTE = "note"  # worth knowing

    @property
    def rank(self) -> int:
        """The order of importance: 0 is the worst."""
        return list(Severity).index(self)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One place of the project and what is wrong with it."""

    rule: str  # the rule's ID
    severity: Severity
    mark: Mark
    path: str  # "services.web.ports[0]"
    message: str  # what is wrong here
    instead: str  # what to write
