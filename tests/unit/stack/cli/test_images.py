"""Images pinned to digests, and logins at registries."""

import base64
import json
from pathlib import Path

import pytest

from stack.cli.main import run
from tests.unit.stack.cli.command_line import DEPLOY, FILE, Cli
from tests.unit.stack.engine_server import serving
from tests.unit.stack.stacks_server import StacksServer


def _images(cli: Cli) -> dict[str, str]:
    return {
        one["Spec"]["Name"]: one["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        for one in cli.engine.services.values()
    }


def test_images_are_pinned_as_the_option_says(cli: Cli) -> None:
    first, second = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    cli(*DEPLOY, "--resolve-image", "never")
    assert _images(cli) == {"shop_web": "i:latest", "shop_db": "i:latest"}
    cli(*DEPLOY)
    assert set(_images(cli).values()) == {f"i:latest@{first}"}
    (web, _) = cli.engine.services.values()
    assert web["Spec"]["TaskTemplate"]["Placement"]["Platforms"] == [
        {"Architecture": "amd64", "OS": "linux"}
    ]
    cli.engine.digests["i:latest"] = second
    for option in ("changed", "never"):
        cli(*DEPLOY, "--resolve-image", option)
        assert cli.engine.requests == []
    cli(*DEPLOY, "--resolve-image", "always")
    assert set(_images(cli).values()) == {f"i:latest@{second}"}
    Path("v2.yml").write_text(FILE.replace("image: i,", "image: i:2,"))
    cli(*DEPLOY, "--resolve-image", "changed", "-c", "v2.yml", "shop")
    assert set(_images(cli).values()) == {f"i:2@{first}"}
    assert cli.err == ""


def test_a_registry_that_is_away_changes_nothing_and_is_named(cli: Cli) -> None:
    cli(*DEPLOY)
    cli.engine.digests["i:latest"] = ""
    cli(*DEPLOY)
    assert cli.engine.requests == []
    known = "sha256:" + "a" * 64
    reason = "image i:latest: its registry gave no digest (connection refused)"
    assert cli.err == f"warning: {reason}: kept as it is, {known}\n"
    Path("more.yml").write_text(FILE.replace("db:", "more:"))
    cli(*DEPLOY, "-c", "more.yml", "shop")
    assert _images(cli)["shop_more"] == f"i:latest@{known}", "its neighbours have it"
    assert f"warning: {reason}: taken is {known}, with which shop_" in cli.err


AWAY = "image i:latest: its registry gave no digest (connection refused)"


def test_an_image_of_which_nobody_has_a_digest_is_refused(cli: Cli) -> None:
    cli.engine.digests["i:latest"] = ""
    for command in (DEPLOY, ("diff",)):
        cli(*command, code=1)
        assert cli.err.startswith(f"error: {AWAY}, and neither the stack nor the manager's engine")
        assert "--resolve-image never" in cli.err
        assert cli.engine.requests == []
    cli("service", "create", "-d", "--name", "one", "i:latest", code=1)
    assert cli.engine.requests == []
    cli(*DEPLOY, "--resolve-image", "never")
    assert set(_images(cli).values()) == {"i:latest"}
    cli(*DEPLOY, "--resolve-image", "changed")
    assert cli.engine.requests == [], "an image that runs is not asked for"
    cli(*DEPLOY)
    assert cli.err.startswith(f"warning: {AWAY}: kept as it is, without a digest: each node")
    assert cli.engine.requests == []


def test_an_image_that_the_managers_engine_has_from_no_registry_is_local(cli: Cli) -> None:
    cli.engine.digests["i:latest"] = ""
    cli.engine.images["i:latest"] = ["other@sha256:" + "c" * 64]  # under another name only
    cli(*DEPLOY)
    assert set(_images(cli).values()) == {"i:latest"}
    assert cli.err.startswith(f"warning: {AWAY}, and the manager's engine has it from none: each")
    cli("rm", "shop")
    cli(*DEPLOY, "--strict", code=2)
    assert AWAY in cli.err


@pytest.mark.parametrize(
    ("image", "short"),
    [
        ("i", "i"),
        ("docker.io/library/i:1", "i"),
        ("docker.io/team/i:1", "team/i"),
        ("registry:5000/team/i", "registry:5000/team/i"),
    ],
)
def test_the_digest_that_the_managers_engine_has_is_taken(cli: Cli, image: str, short: str) -> None:
    full = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    digest = "sha256:" + "c" * 64
    cli.engine.digests[full] = ""
    cli.engine.images[full] = ["other@sha256:" + "d" * 64, f"{short}@{digest}"]
    Path("one.yml").write_text(f"services: {{web: {{image: {image}}}}}")
    cli(*DEPLOY, "-c", "one.yml", "shop")
    assert _images(cli) == {"shop_web": f"{full}@{digest}"}
    assert f"taken is {digest}, which the manager's engine has" in cli.err
    cli(*DEPLOY, "-c", "one.yml", "shop")
    assert cli.engine.requests == []
    assert f"kept as it is, {digest}" in cli.err


@pytest.mark.parametrize(("refused", "asked"), [(0, 1), (1, 2)])
def test_registries_are_asked_once_unless_somebody_deploys_meanwhile(
    cli: Cli,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    refused: int,
    asked: int,
) -> None:
    server = StacksServer()
    server.digests["i:latest"] = ""
    server.images["i:latest"] = []
    server.refused_leases = refused
    (tmp_path / "stacks").mkdir()
    with serving(server, tmp_path / "stacks") as host:
        assert run(["-H", host, "deploy", "--detach", "shop"]) == 0
    assert server.asked_registries == ["i:latest"] * asked
    assert capsys.readouterr().err.count(AWAY) == 1
    assert len(server.deployments) == 1


def test_logins_are_sent_only_when_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = base64.b64encode(b"alice:secret").decode()
    Path("config.json").write_text(
        json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(Path.cwd()))
    cli(*DEPLOY)
    assert cli.engine.logins == []
    cli(*DEPLOY, "--with-registry-auth")
    assert cli.engine.requests == ["POST /services/s3/update", "POST /services/s6/update"]
    assert "shop_web is unchanged" in cli.out
    places = sorted({path.partition("/")[2].partition("/")[2] for path, _ in cli.engine.logins})
    assert places == ["distribution/i:latest/json", "services/s3/update", "services/s6/update"]
    (login,) = {login for _, login in cli.engine.logins}
    assert json.loads(base64.urlsafe_b64decode(login)) == {
        "username": "alice",
        "password": "secret",
        "serveraddress": "https://index.docker.io/v1/",
    }
    Path("config.json").write_text("{")
    cli(*DEPLOY, "--with-registry-auth", code=1)
    assert "config.json: cannot be read" in cli.err
