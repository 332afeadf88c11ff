"""Deployments that are to succeed as a whole and are not waited for, and what tells their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack.cli.main import run
from tests.unit.stack.cli.command_line import FILE
from tests.unit.stack.engine_server import serving
from tests.unit.stack.stacks_server import StacksServer

FAILED = {"Failure": "failed", "Reason": "shop_web: no", "Task": ""}


def rollout(state: str, former: int = 4, **more: Any) -> dict[str, Any]:
    until = {"Until": "2026-01-01T00:00:09Z"} if state in ("under way", "going back") else {}
    return {"Revision": 5, "Former": former, "State": state, **until, **more}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StacksServer:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    Path("docker-compose.yml").write_text(FILE)
    return StacksServer()


def test_the_managers_are_told_how_long_and_the_client_goes(
    server: StacksServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.rollouts = [rollout("under way")]
    with serving(server, tmp_path) as host:
        quick = ("--timeout", "60", "--stable", "7")
        code = run(["-H", host, "deploy", "--atomic", "--detach", *quick])
    assert code == 0, capsys.readouterr().err
    (sent,) = server.deployments
    assert sent["Atomic"] == {"Timeout": 60_000_000_000, "Stable": 7_000_000_000}
    assert sent["EndLease"] is True


def test_the_managers_are_told_what_to_remove_once_it_holds(
    server: StacksServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"com.docker.stack.namespace": "shop"}
    old = {"Name": "shop_old", "Labels": labels, "Mode": {"Replicated": {"Replicas": 0}}, "TaskTemplate": {"ContainerSpec": {"Image": "i"}}}  # fmt: skip
    server.services["s9"] = {"ID": "s9", "Version": {"Index": 1}, "Spec": old}
    server.networks["n9"] = {"Id": "n9", "Name": "shop_back", "Labels": labels, "Scope": "swarm"}
    with serving(server, tmp_path) as host:
        code = run(["-H", host, "deploy", "--atomic", "--detach", "--prune"])
        assert code == 0, capsys.readouterr().err
        assert run(["-H", host, "deploy", "--atomic", "--detach"]) == 0
    pruning, leaving = server.deployments
    assert (
        pruning["Atomic"] | {"PruneServices": ["s9"], "PruneNetworks": ["n9"]} == pruning["Atomic"]
    )
    assert pruning["EndLease"] is True
    assert "PruneServices" not in leaving["Atomic"]
    assert not [one for one in server.requests if one.startswith("DELETE")]


@pytest.mark.parametrize("waits", [(), ("--atomic", "--detach")])
def test_a_service_whose_port_another_takes_gives_way_in_the_step_itself(
    server: StacksServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    waits: tuple[str, ...],
) -> None:
    Path("docker-compose.yml").write_text(
        'services: {new: {image: i, ports: ["8080:80", "8081:80/udp"]}}'
    )
    labels = {"com.docker.stack.namespace": "shop"}
    for number, (name, protocol) in enumerate((("a", "tcp"), ("b", "udp"))):
        port = {"PublishedPort": 8080, "TargetPort": 80, "Protocol": protocol}
        spec = {"Name": f"shop_{name}", "Labels": labels, "Mode": {"Replicated": {"Replicas": 0}}, "TaskTemplate": {"ContainerSpec": {"Image": "i"}}, "EndpointSpec": {"Ports": [port]}}  # fmt: skip
        server.services[f"s{number}"] = {"ID": f"s{number}", "Version": {"Index": 1}, "Spec": spec}
    server.rollouts = [rollout("held")]
    with serving(server, tmp_path) as host:
        code = run(["-H", host, "deploy", "--prune", "--stable", "0", "--timeout", "9", *waits])
    assert code == 0, capsys.readouterr().err
    assert server.deployments[0]["Remove"] == ["s0"]
    if waits:
        assert server.deployments[0]["Atomic"]["PruneServices"] == ["s1"]
        assert server.requests == []


@pytest.mark.parametrize(
    ("states", "code", "said"),
    [
        ([rollout("under way"), rollout("held")], 0, ""),
        ([rollout("under way"), rollout("back", **FAILED)], 3, "back at revision 4"),
        ([rollout("back", **FAILED)], 3, "back at revision 4"),
        ([rollout("back", 0, **FAILED)], 1, "what was made was removed"),
        ([rollout("back", 0, **{**FAILED, "Failure": "unschedulable"})], 4, "was removed"),
        ([rollout("back", 0, **{**FAILED, "Failure": "timed out"})], 5, "was removed"),
        ([rollout("stuck", **FAILED)], 1, "shop_web: no"),
        ([rollout("under way")], 5, "revision 5 is not decided after 0 s"),
    ],
)
def test_waiting_ends_with_the_code_of_how_it_ended(
    server: StacksServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    states: list[dict[str, Any]],
    code: int,
    said: str,
) -> None:
    server.rollouts = states
    timeout = "0" if len(states) == 1 else "60"
    with serving(server, tmp_path) as host:
        assert run(["-H", host, "wait", "--timeout", timeout, "shop"]) == code
    assert said in capsys.readouterr().err
