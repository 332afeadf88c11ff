"""What stack status says as data, so that a deployment whose client was killed is explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stack.cli.main import run
from tests.unit.stack.cli.command_line import DEPLOY, Cli
from tests.unit.stack.engine_server import serving
from tests.unit.stack.stacks_server import StacksServer

SERVICE = {"Name": "shop_web", "Labels": {"com.docker.stack.namespace": "shop"}, "Mode": {"Replicated": {"Replicas": 0}}, "TaskTemplate": {"ContainerSpec": {"Image": "i"}}}  # fmt: skip
REVISION = {"Number": 5, "CreatedAt": "2026-01-01T00:00:01Z", "Author": "ann@ci", "Message": ""}
WATCHED = {"Revision": 5, "Former": 4, "State": "under way", "Author": "ann@ci", "Since": "2026-01-01T00:00:01Z", "Until": "2026-01-01T00:05:01Z"}  # fmt: skip
GONE_BACK = {"Revision": 5, "Former": 4, "State": "back", "Author": "ann@ci", "Since": "2026-01-01T00:00:03Z", "Failure": "failed", "Reason": "shop_web: no", "Task": "t1"}  # fmt: skip
LEASE = {"Holder": "ann@ci", "Since": "2026-01-01T00:00:00Z", "Until": "2026-01-01T00:00:30Z"}


def shown(
    server: StacksServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    server.services["s1"] = {"ID": "s1", "Version": {"Index": 1}, "Spec": SERVICE}
    with serving(server, tmp_path) as host:
        assert run(["-H", host, "status", "shop", "--format", "json"]) == 0
        said = capsys.readouterr().out
        form = "{{.name}} {{.revision.number}} {{if .lease}}{{.lease.holder}}{{end}}"
        assert run(["-H", host, "status", "shop", "--format", form]) == 0
    [row] = json.loads(said)
    holder = row["lease"]["holder"] if row["lease"] else ""
    assert capsys.readouterr().out == f"shop_web {row['revision']['number']} {holder}\n"
    return dict(row)


def test_a_deployment_that_goes_on_is_told_with_who_and_until_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = StacksServer()
    server.history, server.rollouts, server.lease = [REVISION], [WATCHED], LEASE
    row = shown(server, tmp_path, capsys)
    assert (row["name"], row["phase"]) == ("shop_web", "running")
    assert row["revision"] == {
        "number": 5,
        "author": "ann@ci",
        "created_at": "2026-01-01T00:00:01Z",
        "message": "",
        "has_drifted": False,
    }
    assert row["rollout"] == {
        "revision": 5,
        "former": 4,
        "author": "ann@ci",
        "state": "under way",
        "since": "2026-01-01T00:00:01Z",
        "until": "2026-01-01T00:05:01Z",
        "failure": "",
        "reason": "",
        "task": "",
    }
    assert row["lease"] == {
        "holder": "ann@ci",
        "since": "2026-01-01T00:00:00Z",
        "until": "2026-01-01T00:00:30Z",
    }


def test_one_that_went_back_is_told_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = StacksServer()
    server.history, server.rollouts = [REVISION], [GONE_BACK]
    row = shown(server, tmp_path, capsys)
    assert row["rollout"]["state"] == "back"
    assert (row["rollout"]["failure"], row["rollout"]["reason"]) == ("failed", "shop_web: no")
    assert row["rollout"]["task"] == "t1"
    assert row["lease"] is None


def test_a_server_without_revisions_has_nothing_to_tell(cli: Cli) -> None:
    cli(*DEPLOY)
    for row in json.loads(cli("status", "shop", "--format", "json")):
        assert (row["revision"], row["rollout"], row["lease"]) == (None, None, None)
