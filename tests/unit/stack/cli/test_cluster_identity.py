"""What `stack cluster ca|lock|unlock` send and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.cli.cluster_identity import secret_text
from stack.cli.main import run
from stack.errors import UsageError
from tests.unit.stack.engine_server import EngineServer, serving


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[EngineServer, str]]:
    server = EngineServer()
    server.cluster["TLSInfo"] = {"TrustRoot": "-----BEGIN CERTIFICATE-----\n"}
    server.cluster["RootRotationInProgress"] = False
    server.nodes[0]["Description"]["TLSInfo"] = server.cluster["TLSInfo"]
    with serving(server, tmp_path) as host:
        yield server, host


def body_of(server: EngineServer) -> dict[str, Any]:
    [body] = server.bodies
    return body


def test_the_root_is_shown(engine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, host = engine
    assert run(["-H", host, "cluster", "ca"]) == 0
    assert capsys.readouterr().out == "-----BEGIN CERTIFICATE-----\n"


def test_rotation_asks_for_a_fresh_root_or_brings_one(engine: Any, tmp_path: Path) -> None:
    server, host = engine
    server.nodes.append(
        {"ID": "n2", "Description": {"Hostname": "beta"}, "Status": {"State": "down"}}
    )
    assert run(["-H", host, "cluster", "ca", "--rotate", "--cert-expiry", "48h"]) == 0
    config = body_of(server)["CAConfig"]
    assert config == {"ForceRotate": 1, "NodeCertExpiry": 48 * 3600 * 10**9}
    server.bodies.clear()
    (tmp_path / "c").write_text("cert")
    (tmp_path / "k").write_text("key")
    own = ["--ca-cert", str(tmp_path / "c"), "--ca-key", str(tmp_path / "k")]
    assert run(["-H", host, "cluster", "ca", "--rotate", "--detach", *own]) == 0
    sent = body_of(server)["CAConfig"]
    assert (sent["SigningCACert"], sent["SigningCAKey"]) == ("cert", "key")


@pytest.mark.parametrize(
    "options",
    [
        ["--rotate", "--ca-cert", "FILE"],
        ["--ca-cert", "FILE", "--ca-key", "FILE"],
        ["--detach"],
        ["--rotate", "--cert-expiry", "soon"],
    ],
)
def test_options_that_do_not_go_together(engine: Any, tmp_path: Path, options: list[str]) -> None:
    server, host = engine
    (tmp_path / "f").write_text("x")
    given = [str(tmp_path / "f") if option == "FILE" else option for option in options]
    assert run(["-H", host, "cluster", "ca", *given]) == 2
    assert not server.bodies


def test_the_lock_is_switched(engine: Any) -> None:
    server, host = engine
    assert run(["-H", host, "cluster", "lock", "off"]) == 0
    assert body_of(server)["EncryptionConfig"] == {"AutoLockManagers": False}


def test_a_node_that_is_not_locked_is_not_unlocked(
    engine: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _, host = engine
    assert run(["-H", host, "cluster", "unlock"]) == 1
    assert "not locked" in capsys.readouterr().err


def test_a_secret_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "empty").write_text("\n")
    monkeypatch.setenv("STACK_TEST", "from the environment")
    assert secret_text(tmp_path / "key", "STACK_TEST", "Key") == "from a file"
    assert secret_text(None, "STACK_TEST", "Key") == "from the environment"
    with pytest.raises(UsageError, match="none was given"):
        secret_text(tmp_path / "empty", "STACK_TEST", "Key")
