"""The commands, run whole against an Engine API on a real socket."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack.cli.deploy_output import LiveView
from stack.deploy.events import EndEvent, ObjectEvent, ServiceEvent
from tests.unit.stack.cli.command_line import DEPLOY, FILE, Cli


def test_deploy_creates_what_is_missing_and_waits(cli: Cli) -> None:
    assert cli(*DEPLOY).splitlines() == [
        "Creating network shop_front",
        "Creating network shop_default",
        "Creating service shop_web",
        "Creating service shop_db",
        "shop_db: 1/1 running",
        "shop_web: 2/2 running",
    ]
    assert cli.err == ""


def test_deploy_again_sends_nothing(cli: Cli) -> None:
    cli(*DEPLOY)
    assert "Service shop_web is unchanged" in cli(*DEPLOY)
    assert cli.engine.requests == []


def test_only_what_changed_is_updated_and_prune_removes(cli: Cli) -> None:
    cli(*DEPLOY)
    Path("v2.yml").write_text("services: {db: {image: i:2, stop_grace_period: 1s}}")
    out = cli(*DEPLOY, "-c", "v2.yml", "--prune", "shop")
    assert "Updating service shop_db" in out
    assert "Removing service shop_web" in out
    assert [one.split("/")[1] for one in cli.engine.requests] == [
        "services",
        "services",
        "networks",
    ]


def test_an_update_that_comes_too_late_is_done_again_once(cli: Cli) -> None:
    cli(*DEPLOY)
    Path("v2.yml").write_text(FILE.replace("image: i,", "image: i:2,"))
    cli.engine.out_of_sequence_once = True
    cli(*DEPLOY, "-c", "v2.yml", "shop")
    assert len([one for one in cli.engine.requests if one.endswith("/update")]) == 3
    assert all(
        one["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].startswith("i:2@")
        for one in cli.engine.services.values()
    )


def test_warnings_of_server_and_file_are_on_stderr_once(cli: Cli) -> None:
    cli.engine.warnings = ["unable to pin image"]
    Path("c.yml").write_text(FILE + "version: '3'\n")
    cli(*DEPLOY, "-c", "c.yml")
    assert cli.err.splitlines() == [
        "warning: c.yml:6: version: is no longer needed and ignored",
        "warning: unable to pin image",
    ]


def test_a_wrong_file_changes_nothing(cli: Cli) -> None:
    Path("bad.yml").write_text("services:\n  web:\n    imagee: x\n")
    cli("deploy", "-c", "bad.yml", code=2)
    assert (
        cli.err == "error: bad.yml:3: services.web: unknown key 'imagee' (did you mean 'image'?)\n"
    )
    assert cli.engine.requests == []


def test_a_rejected_task_is_exit_code_one_with_the_reason(cli: Cli) -> None:
    cli.engine.outcome = lambda _: {"State": "rejected", "Err": "No such image: i:latest"}
    cli(*DEPLOY, code=1)
    detail = "  task shop_db.1 on alpha: No such image: i:latest\n"
    reason = "error: shop_db: a task cannot run: No such image: i:latest\n"
    assert cli.err == detail + reason + "left as deployed; `stack rm shop` removes it\n"
    cli(*DEPLOY, code=1)  # tried again; the stack was there before
    assert "left as deployed" not in cli.err


def test_events_are_a_json_object_a_line_and_the_last_one_tells_the_end(cli: Cli) -> None:
    cli.engine.outcome = lambda _: {"State": "failed", "Err": "task: non-zero exit (3)"}
    cli.engine.log = b""
    Path("c.yml").write_text(
        "services: {a: {image: i, deploy: {restart_policy: {condition: none}}}}"
    )
    cli(*DEPLOY, "-c", "c.yml", "--output", "json", code=1)
    events = [json.loads(line) for line in cli.out.splitlines()]
    assert [one["event"] for one in events] == ["object", "object", "service", "failure", "end"]
    assert all(one["time"].endswith("+00:00") for one in events)
    assert events[2].items() >= {"name": "shop_a", "phase": "failed", "running": 0}.items()
    assert events[3]["node"] == "alpha"
    assert events[4].items() >= {"result": "failed", "exit_code": 1}.items()
    Path("bad.yml").write_text("services: {a: {imagee: i}}")
    cli(*DEPLOY, "-c", "bad.yml", "--output", "json", code=2)
    [end] = [json.loads(line) for line in cli.out.splitlines()]
    assert (end["result"], end["exit_code"]) == ("wrong", 2)


def test_the_live_view_keeps_one_line_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView()
    view.tell(ObjectEvent(action="create", kind="service", name="web"))
    for running in (0, 1):
        for name in ("web", "db"):
            view.tell(ServiceEvent(name=name, phase="starting", running=running, wanted=1))
    view.tell(EndEvent(result="converged", exit_code=0))
    assert _screen(capsys.readouterr().out) == [
        "Creating service web",
        "db: 1/1 running",
        "web: 1/1 running",
    ]


def _screen(text: str) -> list[str]:
    """What a terminal shows after `text`, of which only "up" and "erase below" are known."""
    rows: list[str] = [""]
    for part in re.split(r"(\x1b\[\d+A\x1b\[J|\n)", text):
        if part == "\n":
            rows.append("")
        elif part.startswith("\x1b"):
            rows = [*rows[: len(rows) - 1 - int(part[2 : part.index("A")])], ""]
        else:
            rows[-1] += part
    return [row for row in rows if row]


def test_status_and_wait_say_how_a_stack_is(cli: Cli) -> None:
    cli("wait", "shop", code=1)
    assert cli.err == "error: nothing found in stack: shop\n"
    cli(*DEPLOY)
    assert cli("wait", "--stable", "0", "shop").splitlines() == [
        "shop_db: 1/1 running",
        "shop_web: 2/2 running",
    ]
    reason = "no suitable node (2 nodes not available)"
    cli.engine.tasks[0]["Status"] = {"State": "pending", "Err": reason}
    shown = json.loads(cli("status", "shop", "--format", "json"))
    assert [one["phase"] for one in shown] == ["running", "waiting"]
    assert shown[1]["reason"] == reason
    assert "1/2" in cli("status", "shop")
    cli("wait", "--timeout", "0", "shop", code=4)


def test_the_server_without_stacks_says_so(cli: Cli) -> None:
    cli(*DEPLOY, "--atomic", code=2)
    assert "--atomic: the server keeps no revisions" in cli.err
    cli("deploy", "--atomic", "--detach", code=2)
    assert "--atomic: the server keeps no revisions" in cli.err
    for command in (("history", "shop"), ("rollback", "shop")):
        cli(*command, code=1)
        assert "the server keeps no revisions of stacks; stackd does" in cli.err


def test_detach_does_not_wait(cli: Cli) -> None:
    cli.engine.outcome = lambda _: {"State": "pending"}
    assert "running" not in cli("deploy", "-d")
    assert "running" not in cli("deploy", "--detach=true", "shop")
    assert "running" not in cli("deploy", "-c", "docker-compose.yml", "-d=1", "shop")
    cli(*DEPLOY, "--detach=false", "--timeout", "0", "shop", code=5)
    cli("deploy", "--detach=perhaps", code=2)


def test_a_missing_external_network_is_told_before_anything_is_made(cli: Cli) -> None:
    Path("c.yml").write_text(
        "services: {a: {image: i, networks: [n]}}\nnetworks: {n: {external: true}}"
    )
    cli("deploy", "-c", "c.yml", code=1)
    assert cli.err == "error: network n is declared external and does not exist: create it\n"
    assert cli.engine.requests == []


def test_lists(cli: Cli) -> None:
    cli(*DEPLOY)
    assert cli("ls").split() == ["NAME", "SERVICES", "shop", "2"]
    assert json.loads(cli("ls", "--format", "json")) == [{"Name": "shop", "Services": "2"}]
    assert cli("services", "shop").splitlines()[2].split() == [
        "s3",
        "shop_web",
        "replicated",
        "2/2",
        "i:latest",
    ]
    assert json.loads(cli("service", "ls", "--format", "json"))[0]["Replicas"] == "1/1"
    assert cli("ps", "-q", "shop").split() == [task["ID"] for task in sorted(cli.engine.tasks, key=lambda task: (task["ServiceID"] == "s3", task["Slot"]))]  # fmt: skip
    assert "alpha" in cli("service", "ps", "shop_db")
    assert json.loads(cli("service", "inspect", "shop_db"))[0]["Spec"]["Name"] == "shop_db"


def test_objects_are_shown_by_a_template(cli: Cli) -> None:
    cli(*DEPLOY)
    assert cli("service", "inspect", "-f", "{{.Spec.Name}}", "shop_db", "shop_web") == (
        "shop_db\nshop_web\n"
    )
    wanted = "{{with .UpdateStatus}}{{.State}}{{else}}none{{end}} {{json .Spec.Mode}}"
    shown = cli("service", "inspect", "--format", wanted, "shop_db")
    assert shown.startswith("none {")
    assert cli("node", "inspect", "--format", "{{.Description.Hostname}}", "alpha") == "alpha\n"
    assert cli("cluster", "inspect", "--format", "{{.Spec.Name}}") == "default\n"
    for form in ("pretty", "table {{.ID}}", "{{.Nope}}", "{{.ID", "{{.UpdateStatus.State}}"):
        assert cli("service", "inspect", "--format", form, "shop_db", code=2) == ""
        assert f"--format {form!r}: " in cli.err or f"--format {form} is not" in cli.err


def test_old_tasks_hang_below_the_newest_of_their_slot(cli: Cli) -> None:
    cli(*DEPLOY)
    Path("v2.yml").write_text(FILE.replace("image: i,", "image: i:2,"))
    cli(*DEPLOY, "-c", "v2.yml", "shop")
    head, *lines = cli("ps", "shop").splitlines()
    names = [line[head.index("NAME") : head.index("IMAGE")].rstrip() for line in lines]
    assert names == ["shop_db.1", "\\_ shop_db.1", "shop_web.1", "\\_ shop_web.1", "shop_web.2", "\\_ shop_web.2"]  # fmt: skip
    assert {one["Name"] for one in json.loads(cli("ps", "--format", "json", "shop"))} == {
        "shop_db.1",
        "shop_web.1",
        "shop_web.2",
    }


def test_nothing_found(cli: Cli) -> None:
    cli("ps", "nope", code=1)
    assert cli.err == "error: nothing found in stack: nope\n"
    cli("services", "nope")
    assert cli.err == "Nothing found in stack: nope\n"
    cli("rm", "nope")
    assert cli.err == "Nothing found in stack: nope\n"


def test_rm_takes_all_away(cli: Cli) -> None:
    cli(*DEPLOY)
    assert cli("rm", "shop").splitlines() == [
        "Removing service shop_db",
        "Removing service shop_web",
        "Removing network shop_default",
        "Removing network shop_front",
    ]
    assert not cli.engine.services
    assert not cli.engine.networks


def test_scale(cli: Cli) -> None:
    cli(*DEPLOY)
    assert (
        cli("service", "scale", "shop_web=5", "shop_db=0")
        == "shop_web scaled to 5\nshop_db scaled to 0\n"
    )
    assert cli.engine.bodies[0]["Mode"] == {"Replicated": {"Replicas": 5}}
    cli("service", "scale", "shop_web", code=2)
    assert cli.err == "error: 'shop_web': write SERVICE=REPLICAS, as web=5\n"


def test_nodes(cli: Cli) -> None:
    assert cli("node", "ls").splitlines()[1].split() == [
        "node1",
        "*",
        "alpha",
        "Ready",
        "Active",
        "Leader",
        "20.10",
        "Unknown",
    ]
    cli(
        "node",
        "update",
        "alpha",
        "--availability",
        "drain",
        "--label-add",
        "zone=a",
        "--label-add",
        "ssd",
    )
    assert cli.engine.nodes[0]["Spec"] == {
        "Role": "manager",
        "Availability": "drain",
        "Labels": {"zone": "a", "ssd": ""},
    }
    cli("node", "update", "self", "--label-rm", "zone")
    assert cli.engine.nodes[0]["Spec"]["Labels"] == {"ssd": ""}
    cli("node", "update", "self", "--label-rm", "zone", code=1)
    assert cli.err == "error: node alpha has no label 'zone'\n"
    cli("node", "update", "self", code=2)
    assert cli("node", "promote", "self") == "self: is already a manager\n"
    assert cli("node", "demote", "alpha") == "alpha: shall be a worker\n"
    assert cli.engine.nodes[0]["Spec"]["Role"] == "worker"
    assert cli("node", "promote", "alpha") == "alpha: shall be a manager\n"
    cli("node", "inspect", "beta", code=1)
    assert cli.err == "error: node beta not found\n"


def test_a_node_that_joined_anew_is_told_from_its_former_self(cli: Cli) -> None:
    former = {**cli.engine.nodes[0], "ID": "node0", "Status": {"State": "down"}}
    cli.engine.nodes.append(former)
    cli("node", "rm", "alpha", code=1)
    assert cli.err == (
        "error: node alpha is ambiguous (2 matches found); name one by its ID: "
        "node0 (alpha, Down), node1 (alpha, Ready)\n"
    )


def test_cluster(cli: Cli) -> None:
    assert (
        "    stack cluster join --token SWMTKN-1-w 10.0.0.1:2377"
        in cli("cluster", "init").splitlines()
    )
    assert cli.engine.bodies[0]["ListenAddr"] == "0.0.0.0:2377"
    cli("cluster", "join", "--token", "SWMTKN-1-w", "10.0.0.1", "fd00::1", "[fd00::2]:9")
    assert cli.engine.bodies[0]["RemoteAddrs"] == ["10.0.0.1:2377", "[fd00::1]:2377", "[fd00::2]:9"]
    cli("cluster", "join", "--token", "wrong", "10.0.0.1", code=1)
    assert cli.err == "error: invalid join token\n"
    assert cli("cluster", "token", "-q", "worker") == "SWMTKN-1-w\n"
    assert cli("cluster", "token", "-q", "--rotate", "worker") == "SWMTKN-1-new\n"
    assert "SWMTKN" not in cli("cluster", "inspect")
    cli.engine.refusal = 'Use "docker swarm init" or "docker swarm join" to connect this node.'
    assert cli("cluster", "token", "worker", code=1) == ""
    assert cli.err == (
        'error: Use "stack cluster init" or "stack cluster join" to connect this node.\n'
    )
    cli("cluster", "leave", code=1)
    cli("cluster", "leave", "--force")


def test_config_needs_no_cluster(cli: Cli) -> None:
    shown = json.loads(cli("config", "--format", "json"))
    assert shown["name"] == "shop"
    assert cli("config").startswith("name: shop\nservices:\n")
    assert cli.engine.requests == []


def test_usage_errors_are_one_line_and_exit_code_two(cli: Cli) -> None:
    cli("nonsense", code=2)
    assert cli.err == "error: No such command 'nonsense'. (see 'stack --help')\n"
    cli("ps", code=2)
    assert cli.err.count("\n") == 1


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from stack.cli.main import run; assert run(['--help']) == 0;"
        "heavy = {'yaml', 'tabulate', 'docker', 'msgspec', 'ssl', 'http.client'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_deployment_imports_only_what_it_needs(cli: Cli) -> None:
    code = (
        "import sys; from stack.cli.main import run;"
        "options = ['--detach', '--resolve-image', 'never', 'shop'];"
        "assert run(['-H', sys.argv[1], 'deploy', *options]) == 0;"
        "slow = {'ssl', 'http.client', 'email', 'logging', 'asyncio', 'subprocess', 'tabulate',"
        " 'docker', 'stack.cli.diff'} & set(sys.modules);"
        "assert not slow, slow"
    )
    command = [sys.executable, "-c", code, cli.engine.url(Path.cwd().parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {one["Spec"]["Name"] for one in cli.engine.services.values()} == {"shop_web", "shop_db"}
