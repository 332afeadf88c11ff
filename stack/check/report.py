"""Findings for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from stack.check.finding import Finding, Severity


def text_report(findings: Sequence[Finding]) -> str:
    """One paragraph a finding: place, severity and rule, what is wrong, what to write instead."""
    lines = []
    for finding in findings:
        path = f"{finding.path}: " if finding.path else ""
        lines.append(f"{finding.mark}: {finding.severity.value} [{finding.rule}]")
        lines.append(f"    {path}{finding.message}")
        lines.append(f"    instead: {finding.instead}")
    lines.append(summary(findings))
    return "\n".join(lines)


def summary(findings: Iterable[Finding]) -> str:
    """How many findings of each severity there are."""
    counts = Counter(finding.severity for finding in findings)
    if not counts:
        return "nothing found: the project can run on several nodes"
    parts = (
        f"{counts[severity]} {severity.value}{'s' if counts[severity] != 1 else ''}"
        for severity in Severity
    )
    return ", ".join(parts)


def json_report(findings: Sequence[Finding]) -> str:
    """A JSON document with the findings and their number."""
    document: dict[str, Any] = {
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity.value,
                "file": finding.mark.file,
                "line": finding.mark.line,
                "column": finding.mark.column,
                "path": finding.path,
                "message": finding.message,
                "instead": finding.instead,
            }
            for finding in findings
        ],
        "counts": {
            severity.value: sum(1 for finding in findings if finding.severity is severity)
            for severity in Severity
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
