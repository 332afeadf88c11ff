"""The table of all rules, and their application to a project.

Two rules find nothing by themselves: `LOADER_RULES` name what the loader says of the same files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from stack.check import network_rules, running_rules, storage_rules
from stack.check.finding import Finding, Severity
from stack.check.project import Project
from stack.check.rule import Found, Rule
from stack.compose.tree import Mapping, Mark, Node, Sequence


def _nothing(_project: Project) -> Found:
    return iter(())


NOT_LOADED = Rule(
    "not-loaded",
    Severity.ERROR,
    "Wrong or unsupported file",
    "stack deploy refuses the file with the same message. The loader stops at its first error, so "
    "others may follow.",
    "follow the message",
    _nothing,
)
NOT_APPLIED = Rule(
    "not-applied",
    Severity.WARNING,
    "Key without effect",
    "The key is known, but a stack does not apply it; stack deploy prints the same warning.",
    "leave the key out, or see docs/compatibility.md",
    _nothing,
)

LOADER_RULES = (NOT_LOADED, NOT_APPLIED)
RULES = (*storage_rules.RULES, *network_rules.RULES, *running_rules.RULES, *LOADER_RULES)

_MARK = re.compile(r":(\d+)(?::(\d+))?: ")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_PATH = re.compile(r"(?:([\w.\[\]-]+): )?(.*)", re.DOTALL)


def find(project: Project) -> list[Finding]:
    """Apply all rules."""
    return [finding for rule in RULES for finding in rule.findings(project)]


def of_loader(rule: Rule, text: str, files: Iterable[str]) -> Finding:
    """A message of the loader, ``FILE:LINE: path: problem``, as a finding."""
    mark = Mark("")
    for file in files:
        if text.startswith(f"{file}:"):
            rest = text.removeprefix(file)
            place = _MARK.match(rest)
            line, column = (int(part or 0) for part in (place.groups() if place else (0, 0)))
            mark = Mark(file, line, column)
            text = rest[place.end() :] if place else rest.removeprefix(":").lstrip()
            break
    path, problem = _PATH.fullmatch(text).groups()  # type: ignore[union-attr]  # matches all
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        mark=mark,
        path=path or "",
        message=problem,
        instead=rule.instead,
    )


def placed(finding: Finding, root: Mapping) -> Finding:
    """Give a finding that only has a path the line on which that path, or its beginning, stands."""
    if finding.mark.file or not finding.path:
        return finding
    node: Node = root
    mark = root.mark
    for index, key in _STEP.findall(finding.path):
        match node:
            case Mapping(entries=entries) if key in entries:
                mark, node = entries[key].key_mark, entries[key].value
            case Sequence(items=items) if index and int(index) < len(items):
                mark, node = items[int(index)].mark, items[int(index)]
            case _:
                break
    return msgspec.structs.replace(finding, mark=mark)


def in_order(findings: Iterable[Finding], files: Iterable[str]) -> list[Finding]:
    """Findings in the order of the files, each place once.

    What the loader says of a key is left out where a rule has said more of it or of a part of it.
    """
    order = {name: number for number, name in enumerate(files)}
    unique = list(dict.fromkeys(findings))
    said = {finding.path for finding in unique if finding.rule != NOT_APPLIED.id}
    kept = [
        finding
        for finding in unique
        if finding.rule != NOT_APPLIED.id or not _is_said(finding.path, said)
    ]
    return sorted(
        kept,
        key=lambda finding: (
            order.get(finding.mark.file, len(order)),
            finding.mark.line,
            finding.severity.rank,
        ),
    )


def _is_said(path: str, said: set[str]) -> bool:
    return any(other == path or other.startswith((f"{path}.", f"{path}[")) for other in said)
