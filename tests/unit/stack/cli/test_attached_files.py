"""Secrets and configs of stacks, and the commands for them."""

import io
import json
from pathlib import Path

import pytest

from stack.deploy.versions import CONTENT_LABEL
from tests.unit.stack.cli.command_line import DEPLOY, WITH_FILES, Cli


def test_a_stack_with_files_is_deployed_with_their_ids(with_files: Cli) -> None:
    out = with_files(*DEPLOY)
    assert [line for line in out.splitlines() if line.startswith("Creating")][1:] == [
        "Creating secret shop_pass",
        "Creating config shop_conf",
        "Creating service shop_web",
    ]
    (service,) = with_files.engine.services.values()
    container = service["Spec"]["TaskTemplate"]["ContainerSpec"]
    ids = {o["Spec"]["Name"]: o["ID"] for kind in with_files.engine.files.values() for o in kind}
    assert {r["SecretName"]: r["SecretID"] for r in container["Secrets"]} == {
        "given": ids["given"],
        "shop_pass": ids["shop_pass"],
    }
    assert container["Secrets"][0]["File"] == {
        "Name": "/etc/outer",
        "UID": "7",
        "GID": "0",
        "Mode": 0o400,
    }
    assert container["Configs"][0]["ConfigID"] == ids["shop_conf"]
    assert "hush" not in out + with_files.err
    again = with_files(*DEPLOY)
    assert "Service shop_web is unchanged" in again
    assert with_files.engine.requests == []


def names(cli: Cli, kind: str = "secrets") -> list[str]:
    return sorted(item["Spec"]["Name"] for item in cli.engine.files[kind])


def used_secret(cli: Cli) -> str:
    (service,) = cli.engine.services.values()
    secrets = service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"]
    return next(s["SecretName"] for s in secrets if s["SecretName"] != "given")


def test_another_content_becomes_another_version_and_the_old_one_goes(with_files: Cli) -> None:
    with_files(*DEPLOY)
    Path("pass.txt").write_text("other")
    out = with_files(*DEPLOY)
    assert "Updating service shop_web" in out
    second = used_secret(with_files)
    assert second.startswith("shop_pass-")
    assert "Removing secret shop_pass" in out
    assert names(with_files) == ["given", second]
    assert "unchanged" in with_files(*DEPLOY)
    assert with_files.engine.requests == []
    Path("pass.txt").write_text("hush")
    with_files(*DEPLOY)
    assert used_secret(with_files) == "shop_pass"
    assert names(with_files) == ["given", "shop_pass"]


def test_a_version_that_a_rollback_returns_to_is_kept(with_files: Cli) -> None:
    with_files(*DEPLOY)
    (service,) = with_files.engine.services.values()
    service["PreviousSpec"] = service["Spec"]
    Path("pass.txt").write_text("other")
    assert "Removing" not in with_files(*DEPLOY)
    assert "shop_pass" in names(with_files)


@pytest.mark.parametrize("is_same", [True, False])
def test_a_secret_of_another_client_is_taken_over_where_it_is_the_same(
    with_files: Cli, is_same: bool
) -> None:
    with_files(*DEPLOY)
    for item in with_files.engine.files["secrets"]:
        item["Spec"]["Labels"].pop(CONTENT_LABEL, None)
    if not is_same:
        Path("pass.txt").write_text("other")
    out = with_files(*DEPLOY)
    assert ("Service shop_web is unchanged" in out) is is_same
    assert ("shop_pass" in names(with_files)) is is_same
    assert "unchanged" in with_files(*DEPLOY)
    assert with_files.engine.requests == []


def test_prune_removes_all_that_the_file_no_longer_names(with_files: Cli) -> None:
    with_files(*DEPLOY)
    Path("docker-compose.yml").write_text(
        "services: {web: {image: i, networks: [n]}}\nnetworks: {n: }"
    )
    with_files(*DEPLOY)
    assert names(with_files) == ["given", "shop_pass"]
    out = with_files(*DEPLOY, "--prune")
    assert [line for line in out.splitlines() if line.startswith("Removing")] == [
        "Removing secret shop_pass",
        "Removing config shop_conf",
        "Removing network shop_default",
    ]
    assert names(with_files) == ["given"]
    assert [n["Name"] for n in with_files.engine.networks.values()] == ["shop_n"]


def test_nothing_is_pruned_when_the_deployment_fails(cli: Cli) -> None:
    cli(*DEPLOY)
    cli.engine.outcome = lambda _: {"State": "rejected", "Err": "No such image: i:2"}
    Path("v2.yml").write_text("services: {db: {image: i:2}}")
    cli(*DEPLOY, "-c", "v2.yml", "--prune", "shop", code=1)
    assert {one["Spec"]["Name"] for one in cli.engine.services.values()} == {"shop_web", "shop_db"}


def test_labels_of_files_follow_the_compose_file(with_files: Cli) -> None:
    with_files(*DEPLOY)
    labelled = WITH_FILES.replace("content: text", "content: text, labels: {a: b}")
    Path("docker-compose.yml").write_text(labelled)
    with_files.engine.out_of_sequence_once = True
    assert "Updating config shop_conf" in with_files(*DEPLOY)
    assert with_files.engine.files["configs"][0]["Spec"]["Labels"]["a"] == "b"


def test_an_external_secret_must_exist(cli: Cli) -> None:
    Path("docker-compose.yml").write_text(WITH_FILES)
    Path("pass.txt").write_text("hush")
    cli(*DEPLOY, code=1)
    assert "secret given is declared external and does not exist: create it" in cli.err
    assert cli.engine.requests == []


def test_secrets_and_configs_are_listed_shown_and_removed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.txt").write_text("text")
    for group in ("secret", "configs"):
        made = cli(group, "create", "a", "a.txt", "--template-driver", "golang").strip()
        assert cli.engine.bodies[-1] == {
            "Name": "a",
            "Labels": {},
            "Data": "dGV4dA==",
            "Templating": {"Name": "golang"},
        }
        assert cli(group, "ls", "-q").split() == [made]
        assert json.loads(cli(group, "ls", "--format", "json"))[0]["Name"] == "a"
        assert cli(group, "ls").startswith("ID   NAME   CREATED   UPDATED")
        assert ("Data" in json.loads(cli(group, "inspect", "a"))[0]["Spec"]) is (group == "configs")
        assert cli(group, "rm", "a") == "a\n"
        cli(group, "inspect", "a", code=1)
    with open("a.txt", "rb") as file:  # noqa: PTH123 - a stream as standard input
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        cli("secret", "create", "b", "-")
    assert cli.engine.bodies[-1]["Data"] == "dGV4dA=="
    cli("secret", "create", "c", "nosuch", code=2)
    cli("secret", "create", "c", "a.txt", "-l", "=x", code=2)
