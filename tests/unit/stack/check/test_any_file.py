"""No file makes the check fail: whatever stands where, there is a report."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stack.check.check import check
from stack.check.finding import Finding
from stack.check.report import json_report, text_report
from stack.check.rules import RULES
from stack.check.sarif import sarif_report
from stack.compose.keys import ROOT
from stack.compose.source import Source, SourceFile

_WORDS = st.sampled_from(
    [
        "",
        "host",
        "a",
        "./a:/b",
        "127.0.0.1:80:80",
        "8080-8081:80-81",
        "service:a",
        "/x",
        "-1",
        "10m",
    ]
)
_PLAIN = st.none() | st.booleans() | st.integers(-2, 70000) | st.floats(allow_nan=False) | _WORDS


def _values(key: Any, depth: int = 4) -> st.SearchStrategy[object]:
    """Values for a key: now and then of the shape that it should have."""
    shapes: list[st.SearchStrategy[object]] = [_PLAIN, st.lists(_PLAIN, max_size=2)]
    if depth and key.children:
        below = {name: _values(row, depth - 1) for name, row in key.children.items()}
        some = st.sets(st.sampled_from(sorted(below)), max_size=6).flatmap(
            lambda names: st.fixed_dictionaries({name: below[name] for name in names})
        )
        shapes += [some, some]
    if depth and key.each:
        each = _values(key.each, depth - 1)
        shapes += [st.dictionaries(st.sampled_from(["a", "b", "default"]), each, max_size=2)] * 2
    if depth and key.items:
        shapes += [st.lists(_values(key.items, depth - 1), max_size=2)] * 2
    return st.one_of(shapes)


def look(text: str) -> list[Finding]:
    return check(Source((SourceFile("a.yml", text.encode()),), "/srv/shop", {}, "/home/u"), nodes=2)


@settings(deadline=None, max_examples=300)
@given(st.fixed_dictionaries({"services": _values(ROOT.child("services"), 5)}) | _values(ROOT, 5))
def test_any_project_gets_a_report(project: object) -> None:
    findings = look(json.dumps(project))
    assert text_report(findings)
    assert json.loads(json_report(findings))["findings"] is not None
    assert json.loads(sarif_report(findings, RULES, "1"))["runs"]


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_any_text_gets_a_report(text: str) -> None:
    assert all(finding.message for finding in look(text))
