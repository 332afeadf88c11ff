"""Findings as SARIF 2.1.0 (OASIS), the format in which code hosts show results of checks."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Sequence
from typing import Any

from stack.check.finding import Finding
from stack.check.rule import Rule

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_PLAIN = frozenset(string.ascii_letters + string.digits + "-._~/")


def sarif_report(findings: Sequence[Finding], rules: Iterable[Rule], version: str) -> str:
    """A SARIF log with one run.

    Args:
        findings: in the order in which they are to be shown.
        rules: all rules that were applied.
        version: this program's.
    """
    rules = list(rules)
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "stack check",
                        "semanticVersion": version,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, numbers[finding.rule]) for finding in findings],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"Instead: {rule.instead}."},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    path = f"{finding.path}: " if finding.path else ""
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": finding.severity.value,
        "message": {"text": f"{path}{finding.message}. Instead: {finding.instead}."},
    }
    if finding.mark.file:
        place: dict[str, Any] = {"artifactLocation": {"uri": _uri(finding.mark.file)}}
        if finding.mark.line:
            place["region"] = {"startLine": finding.mark.line}
            if finding.mark.column:
                place["region"]["startColumn"] = finding.mark.column
        result["locations"] = [{"physicalLocation": place}]
    return result


def _uri(file: str) -> str:
    """A file's name as a URI reference, relative when the name is."""
    quoted = "".join(
        character if character in _PLAIN else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in file
    )
    return f"file://{quoted}" if quoted.startswith("/") else quoted
