"""What `stack cluster doctor` and `stack network inspect --check` print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.cli.main import run
from tests.unit.stack.engine_server import EngineServer, serving


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[EngineServer, str]]:
    server = EngineServer()
    with serving(server, tmp_path) as host:
        yield server, host


def finding(severity: str, check: str = "mtu", node: str = "alpha") -> dict[str, str]:
    return {
        "Severity": severity,
        "Check": check,
        "NodeID": "node1",
        "Node": node,
        "Text": "and beta lose packets",
        "Remedy": "give them the same",
    }


def test_nothing_wrong_is_said_and_ends_well(engine: Any, capsys: Any) -> None:
    _, host = engine
    assert run(["-H", host, "cluster", "doctor"]) == 0
    assert capsys.readouterr().out == "Nothing is wrong.\n"
    assert run(["-H", host, "cluster", "doctor", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_warnings_are_shown_and_end_well(engine: Any, capsys: Any) -> None:
    server, host = engine
    server.findings = [finding("warning")]
    assert run(["-H", host, "cluster", "doctor"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["SEVERITY", "CHECK", "NODE", "FINDING", "REMEDY"]
    assert row.split()[:3] == ["warning", "mtu", "alpha"]


def test_errors_end_with_their_number(engine: Any, capsys: Any) -> None:
    server, host = engine
    server.findings = [finding("error"), finding("warning"), finding("error", "data port")]
    assert run(["-H", host, "cluster", "doctor", "--format", "json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == server.findings
    assert "2 errors found" in said.err


def test_a_network_is_shown_with_what_is_wrong_around_it(engine: Any, capsys: Any) -> None:
    server, host = engine
    assert run(["-H", host, "network", "create", "yard"]) == 0
    server.findings = [finding("error"), finding("error", "clock")]
    capsys.readouterr()
    assert run(["-H", host, "network", "inspect", "--check", "yard"]) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert [one["Check"] for one in shown["Findings"]] == ["mtu"]
