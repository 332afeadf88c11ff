"""``stack audit``: what it asks for, and how it shows it."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.stack.cli.command_line import Cli


def entry(**members: Any) -> dict[str, Any]:
    return {
        "ID": "a1",
        "At": "2026-11-30T21:00:01.5Z",
        "Who": "token ci",
        "Token": "t1",
        "Origin": "tcp 10.0.0.7",
        "Node": {"ID": "n1", "Hostname": "alpha"},
        "Action": "stack deploy",
        "Stack": "shop",
        "Revision": 3,
        "Changes": [change("shop_web", "nginx:2")],
        "LeftOut": 0,
        "Refusal": "",
        **members,
    }


def change(name: str, note: str = "") -> dict[str, str]:
    return {"Deed": "updated", "Kind": "service", "Name": name, "Note": note}


def test_an_entry_is_a_line(cli: Cli) -> None:
    cli.engine.audit = [entry()]
    heading, line = cli("audit").splitlines()
    assert heading.split() == [
        "TIME",
        "WHO",
        "FROM",
        "NODE",
        "ACTION",
        "STACK",
        "REVISION",
        "CHANGES",
    ]
    assert line.split() == [
        "2026-11-30",
        "21:00:01",
        "token",
        "ci",
        "tcp",
        "10.0.0.7",
        "alpha",
        "stack",
        "deploy",
        "shop",
        "3",
        "updated",
        "service",
        "shop_web",
        "(nginx:2)",
    ]


def test_a_table_names_the_first_changes_and_counts_the_others(cli: Cli) -> None:
    changes = [change(name) for name in "abcde"]
    cli.engine.audit = [entry(Changes=changes, LeftOut=4, Revision=0)]
    assert "updated service c, 6 more" in cli("audit")
    assert json.loads(cli("audit", "--json")) == cli.engine.audit
    assert cli("audit", "--format", "{{.Who}}") == "token ci\n"
    assert cli("audit", "-q") == "a1\n"


def test_a_refusal_stands_in_place_of_changes(cli: Cli) -> None:
    cli.engine.audit = [entry(Changes=[], Refusal="may not")]
    assert "REFUSED: may not" in cli("audit")


def test_what_is_asked_for(cli: Cli) -> None:
    cli.engine.audit = []
    cli("audit", "--stack", "shop", "--since", "1700000000", "-n", "7")
    assert cli.engine.log_queries[-1] == {"stack": "shop", "since": "1700000000", "limit": "7"}
    cli("audit", "--limit", "0", "--since", "10m")
    assert set(cli.engine.log_queries[-1]) == {"since"}
    cli("audit", "--since", "yesterday", code=2)
    assert "--since 'yesterday'" in cli.err


def test_a_docker_swarm_has_none(cli: Cli) -> None:
    cli("audit", code=1)
    assert "the server keeps no audit log; stackd does" in cli.err
