"""Images pinned to digests, and logins at registries."""

import base64
import json
from pathlib import Path

import pytest

from tests.unit.stack.cli.command_line import DEPLOY, FILE, Cli


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
    cli("rm", "shop")
    cli(*DEPLOY)
    assert cli.err.startswith(f"warning: {reason}: each node takes what it has")
    cli(*DEPLOY, "--strict", code=2)
    assert reason in cli.err


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
