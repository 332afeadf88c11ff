"""Where logins are found, and under which name an image's registry is kept."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from stack.engine.registry_logins import RegistryLogins, registry_of
from stack.errors import StackError

HUB = "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("redis", HUB),
        ("team/redis:7", HUB),
        ("docker.io/library/redis", HUB),
        ("localhost/redis", "localhost"),
        ("10.0.0.1:5000/team/web:1", "10.0.0.1:5000"),
        ("ghcr.io/team/web@sha256:0", "ghcr.io"),
    ],
)
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def logins(folder: Path, config: dict[str, Any]) -> RegistryLogins:
    (folder / "config.json").write_text(json.dumps(config))
    return RegistryLogins({"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:/usr/bin:/bin"})


def decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text)) if text else None


def helper(folder: Path, name: str, script: str) -> None:
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_file_is_no_login(tmp_path: Path) -> None:
    assert RegistryLogins({"HOME": str(tmp_path)}).encoded("redis") == ""


def test_an_entry_may_be_named_by_address_or_url(tmp_path: Path) -> None:
    auth = base64.b64encode(b"a:b:c").decode()
    known = logins(tmp_path, {"auths": {"https://r.example/v2/": {"auth": auth}}})
    assert decoded(known.encoded("r.example/web")) == {
        "username": "a",
        "password": "b:c",
        "serveraddress": "r.example",
    }
    assert known.encoded("other.example/web") == ""
    with pytest.raises(StackError, match=r"the login at r\.example is broken: docker login"):
        logins(tmp_path, {"auths": {"r.example": {"auth": "%"}}}).encoded("r.example/web")


def test_a_helper_of_the_registry_goes_before_the_one_for_all(tmp_path: Path) -> None:
    answer = '{"Username": "%s", "Secret": "s"}'
    helper(tmp_path, "one", f"cat >/dev/null; echo '{answer % 'one'}'")
    helper(tmp_path, "all", f"cat >/dev/null; echo '{answer % '<token>'}'")
    known = logins(tmp_path, {"credHelpers": {"r.example": "one"}, "credsStore": "all"})
    assert decoded(known.encoded("r.example/web"))["username"] == "one"
    assert decoded(known.encoded("redis")) == {"identitytoken": "s", "serveraddress": HUB}


def test_a_helper_that_knows_nothing_or_fails(tmp_path: Path) -> None:
    known = logins(tmp_path, {"credsStore": "x"})
    with pytest.raises(StackError, match=r"docker-credential-x, named in .*: No such file"):
        known.encoded("redis")
    helper(tmp_path, "x", "echo credentials not found in native keychain; exit 1")
    assert known.encoded("redis") == ""
    helper(tmp_path, "x", "exit 3")
    with pytest.raises(StackError, match="docker-credential-x get: exit code 3"):
        known.encoded("redis")
    helper(tmp_path, "x", "echo hello")
    with pytest.raises(StackError, match="the answer is no login"):
        known.encoded("redis")
