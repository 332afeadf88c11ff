"""A rule: an ID, how bad a finding is, and the function that finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from stack.check.finding import Finding, Severity
from stack.check.project import Place, Project

Found = Iterator[tuple[Place, str]]  # where, and what is wrong there


class Rule(msgspec.Struct, frozen=True):
    """One rule; `title` names what it finds, `why` and `instead` are sentences for people."""

    id: str
    severity: Severity
    title: str
    why: str
    instead: str
    find: Callable[[Project], Found]

    def findings(self, project: Project) -> Iterator[Finding]:
        """Apply the rule to a project."""
        for place, message in self.find(project):
            yield Finding(
                rule=self.id,
                severity=self.severity,
                mark=place.mark,
                path=place.path,
                message=message,
                instead=self.instead,
            )
