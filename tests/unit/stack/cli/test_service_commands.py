"""Services, networks and nodes by hand, against an Engine API on a real socket."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from stack.cli.commands import cli as root
from tests.unit.stack.cli.command_line import Cli


def stored(cli: Cli, name: str = "web") -> dict:
    return next(s for s in cli.engine.services.values() if s["Spec"]["Name"] == name)["Spec"]


def test_a_service_is_created_and_waited_for(cli: Cli) -> None:
    cli.engine.files["secrets"].append(
        {"ID": "s9", "Version": {"Index": 1}, "Spec": {"Name": "key"}}
    )
    out = cli(
        "service", "create", "--name", "web", "--replicas", "2", "-e", "A=1", "-p", "8080:80",
        "--secret", "key", "--update-order", "start-first", "nginx:1", "nginx", "-g", "daemon off;",
    )  # fmt: skip
    assert out.splitlines()[1:] == ["web: 2/2 running"]
    spec = stored(cli)
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert container["Args"] == ["nginx", "-g", "daemon off;"]
    assert container["Env"] == ["A=1"]
    assert container["Secrets"] == [
        {
            "SecretID": "s9",
            "SecretName": "key",
            "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444},
        }
    ]
    assert spec["Mode"] == {"Replicated": {"Replicas": 2}}
    assert spec["UpdateConfig"] == {"Order": "start-first"}


def test_a_new_image_is_pinned_and_the_login_sent_when_asked_for(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = base64.b64encode(b"alice:secret").decode()
    Path("config.json").write_text(
        json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(Path.cwd()))

    def image() -> str:
        return str(stored(cli)["TaskTemplate"]["ContainerSpec"]["Image"])

    digest = "sha256:" + "a" * 64
    cli("service", "create", "-d", "--with-registry-auth", "--name", "web", "app:1")
    assert image() == f"app:1@{digest}"
    assert stored(cli)["TaskTemplate"]["Placement"]["Platforms"]
    places = [path.partition("/")[2].partition("/")[2] for path, _ in cli.engine.logins]
    assert places == ["distribution/app:1/json", "services/create"]
    cli.engine.logins.clear()
    cli("service", "update", "-d", "--env-add", "A=1", "web")
    assert image() == f"app:1@{digest}"
    assert cli.engine.logins == []
    cli("service", "update", "-d", "--with-registry-auth", "web")
    assert [path.rpartition("/")[2] for path, _ in cli.engine.logins] == ["update"]
    cli("service", "update", "-d", "--image", "app:2", "--resolve-image", "never", "web")
    assert image() == "app:2"
    cli("service", "update", "-d", "--env-add", "A=2", "web")
    assert image() == "app:2"
    assert "Platforms" not in stored(cli)["TaskTemplate"]["Placement"]
    cli.engine.digests["app:3"] = ""
    cli("service", "update", "-d", "--image", "app:3", "web", code=1)
    assert image() == "app:2"
    assert "image app:3: its registry gave no digest" in cli.err
    cli.engine.images["app:3"] = []
    cli("service", "update", "-d", "--image", "app:3", "web")
    assert image() == "app:3"


def test_modes(cli: Cli) -> None:
    create = ("service", "create", "-d")
    cli(*create, "--name", "g", "--mode", "global", "a")
    assert stored(cli, "g")["Mode"] == {"Global": {}}
    job = ("--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2")
    cli(*create, "--name", "j", *job, "a")
    assert stored(cli, "j")["Mode"] == {
        "ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}
    }
    cli(*create, "--mode", "global", "--replicas", "2", "a", code=2)
    assert "it runs once on each node" in cli.err
    cli(*create, "--replicas", "x", "a", code=2)
    assert "no whole number" in cli.err


def test_an_unknown_secret_and_a_wrong_value_create_nothing(cli: Cli) -> None:
    cli("service", "create", "--name", "web", "--secret", "none", "a", code=1)
    assert "there is no secret none: see 'stack secret ls'" in cli.err
    cli("service", "create", "--name", "web", "-e", "=x", "a", code=2)
    assert "--env: '=x' has no name" in cli.err
    assert not cli.engine.services


def test_an_update_changes_only_what_it_names(cli: Cli) -> None:
    cli("network", "create", "front")
    cli("service", "create", "-d", "--name", "web", "-e", "A=1", "--network", "front", "nginx:1")
    cli.engine.out_of_sequence_once = True
    out = cli("service", "update", "--image", "nginx:2", "--env-add", "B=2", "--env-rm", "A", "web")
    assert out.splitlines() == ["web", "web: 1/1 running"]
    container = stored(cli)["TaskTemplate"]["ContainerSpec"]
    assert container["Image"].startswith("nginx:2@sha256:")
    assert container["Env"] == ["B=2"]
    cli("service", "update", "-d", "--network-rm", "front", "--force", "web")
    assert stored(cli)["TaskTemplate"]["Networks"] == []
    assert stored(cli)["TaskTemplate"]["ForceUpdate"] == 1


def test_rollback(cli: Cli) -> None:
    cli("service", "create", "-d", "--name", "web", "nginx:1")
    cli("service", "update", "-d", "--image", "nginx:2", "web")
    cli("service", "rollback", "web")
    assert stored(cli)["TaskTemplate"]["ContainerSpec"]["Image"].startswith("nginx:1@")
    cli("service", "update", "-d", "--rollback", "web")
    assert stored(cli)["TaskTemplate"]["ContainerSpec"]["Image"].startswith("nginx:2@")
    cli("service", "update", "--rollback", "--image", "a", "web", code=2)
    assert "give no other change" in cli.err
    cli("service", "update", "web", code=2)
    assert "nothing to change" in cli.err


def test_tasks_that_cannot_run_are_told(cli: Cli) -> None:
    cli.engine.outcome = lambda _: {"State": "rejected", "Err": "No such image: a"}
    cli("service", "create", "--name", "web", "a", code=1)
    assert "web: a task cannot run: No such image: a" in cli.err


def test_networks(cli: Cli) -> None:
    made = cli("network", "create", "--subnet", "10.9.0.0/24", "-l", "a=b", "front").strip()
    assert cli.engine.networks[made]["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24"}]
    assert [row["Name"] for row in json.loads(cli("network", "ls", "--json"))] == ["front"]
    assert json.loads(cli("network", "inspect", "front"))[0]["Labels"] == {"a": "b"}
    assert cli("network", "inspect", "--format", '{{.Name}} {{.Label "a"}}', "front") == "front b\n"
    cli("network", "inspect", "none", code=1)
    cli("network", "rm", "front")
    assert not cli.engine.networks
    cli("network", "create", "--gateway", "10.0.0.1", "x", code=2)


def test_nodes_are_drained_promoted_and_demoted(cli: Cli) -> None:
    cli("service", "create", "-d", "--name", "web", "a")
    cli("node", "drain", "--wait", "--timeout", "0", "alpha", code=1)
    assert "tasks are left after 0 s (alpha: 1)" in cli.err
    assert cli.engine.nodes[0]["Spec"]["Availability"] == "drain"
    cli("service", "rm", "web")
    assert cli("node", "drain", "--wait", "alpha").splitlines() == ["alpha", "alpha: 0 tasks left"]
    cli("node", "demote", "alpha")
    assert cli.engine.nodes[0]["Spec"]["Role"] == "worker"
    cli("node", "promote", "alpha")
    assert cli.engine.nodes[0]["Spec"]["Role"] == "manager"


def test_rebalance(cli: Cli) -> None:
    cluster = cli.engine.cluster
    cli("node", "rebalance", "--detach")
    request = cluster["Spec"]["Labels"]["com.stackyard.rebalance"]
    progress = {
        "Request": request,
        "State": "moving",
        "Moved": 1,
        "Message": "moving a task of web",
    }
    cluster["StackyardRebalancing"] = progress
    cli("node", "rebalance", "--timeout", "0", code=1)
    assert cli.out == "1 task moved or moving: moving a task of web\n"
    assert cluster["Spec"]["Labels"]["com.stackyard.rebalance"] == request, "it is still going on"
    progress["State"], progress["Moved"] = "stopped", 0
    progress["Message"] = "a task of web failed"
    cli("node", "rebalance", "--stop")
    assert cluster["Spec"]["Labels"] == {}
    cli("node", "rebalance", "--stop", code=1)
    assert "no rebalancing was asked for" in cli.err


def test_logs_of_a_stack_are_those_of_its_services(cli: Cli) -> None:
    for name in ("web", "db"):
        cli("service", "create", "-d", "--name", name, "-l", "com.docker.stack.namespace=shop", "a")
    cli("logs", "--tail", "3", "shop")
    asked = sorted((query["of"], query["tail"]) for query in cli.engine.log_queries)
    ids = sorted(cli.engine.services)
    assert asked == [(f"services/{one}", "3") for one in ids]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cli: Cli, shell: str) -> None:
    script = cli("completion", shell)
    assert "_STACK_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_command_that_lists_has_format_and_json() -> None:
    import click

    context = click.Context(root)
    missing = []

    def look(group: click.Group, path: str) -> None:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                look(command, f"{path} {name}")
            elif name in {"ls", "ps", "services"}:
                options = {option for one in command.params for option in one.opts}
                if not {"--format", "--json", "--quiet"} <= options:
                    missing.append(f"{path} {name}")

    look(root, "stack")
    assert not missing


def test_help_of_the_groups_names_their_commands(tmp_path: Path, cli: Cli) -> None:
    del tmp_path
    assert {"create", "update", "rollback", "scale", "logs"} <= set(
        cli("service", "--help").split()
    )
    assert {"drain", "rebalance", "promote", "demote"} <= set(cli("node", "--help").split())
