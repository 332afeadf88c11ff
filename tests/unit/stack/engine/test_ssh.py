"""The way through SSH: the command, what breaks it off, and the far end of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stack.engine.client import EngineClient
from stack.engine.dial import connect_streams
from stack.engine.endpoint import find_endpoint
from stack.engine.ssh import ssh_command
from stack.errors import EngineUnreachable
from tests.unit.stack.engine_server import EngineServer, serving

DIAL = f"exec {sys.executable} -m stack system dial-stdio"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell script that is found as `ssh`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder / "ssh"


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("host", "end"),
    [
        ("ssh://h", "-T -- h stack system dial-stdio"),
        ("ssh://me@h:2222", "-T -l me -p 2222 -- h stack system dial-stdio"),
        ("ssh://h/x y.sock", "-T -- h stack -H 'unix:///x y.sock' system dial-stdio"),
        ("ssh://-oProxyCommand=x", "-T -- -oproxycommand=x stack system dial-stdio"),
    ],
)
def test_the_command(host: str, end: str) -> None:
    assert " ".join(ssh_command(find_endpoint(host, {}))).endswith(end)


def test_requests_go_through_it(tmp_path: Path, program: Path) -> None:
    with serving(EngineServer(), tmp_path) as host:
        write(program, f"export DOCKER_HOST={host}; {DIAL}")
        with closing(EngineClient.at("ssh://me@h")) as client:
            assert client.nodes()[0]["ID"] == "node1"
            assert client.services() == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo Permission denied >&2; exit 255", "ssh failed: Permission denied"),
        ("echo sh: not found >&2; exit 127", "h has no command stack, which has to be in the PATH"),
        ("exit 7", "stack system dial-stdio on h ended with 7"),
        (f"export DOCKER_HOST=unix:///nothing; {DIAL}", "no answer from unix:///nothing: No such"),
        ("exit 0", "closed the connection without an answer"),
    ],
)
def test_what_broke_it_off_is_said(program: Path, script: str, message: str) -> None:
    write(program, script)
    with closing(EngineClient.at("ssh://me@h:5")) as client:
        with pytest.raises(EngineUnreachable) as caught:
            client.nodes()
        assert str(caught.value).startswith("no answer from ssh://me@h:5: ")
        assert message in str(caught.value)


def test_without_ssh_it_says_so(program: Path) -> None:
    assert not program.exists()
    client = EngineClient.at("ssh://h")
    with pytest.raises(EngineUnreachable, match="there is no ssh on this host"):
        client.nodes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "api.sock"))
        listener.listen()
        yield listener


def test_the_end_of_the_input_ends_that_direction_only(
    tmp_path: Path, server: socket.socket
) -> None:
    def answer() -> None:
        peer, _ = server.accept()
        with peer:
            asked = b""
            while piece := peer.recv(65536):
                asked += piece
            peer.sendall(b"you said " + asked)

    thread = threading.Thread(target=answer)
    thread.start()
    env = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path / 'api.sock'}"}
    command = [sys.executable, "-m", "stack", "system", "dial-stdio"]
    large = b"x" * 3_000_000
    done = subprocess.run(
        command, input=large, env=env, capture_output=True, timeout=120, check=False
    )
    thread.join()
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"you said " + large


def test_all_ends_when_the_api_has_closed_though_the_input_goes_on(
    tmp_path: Path, server: socket.socket
) -> None:
    source, keeps_open = os.pipe()
    result, sink = os.pipe()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(str(tmp_path / "api.sock"))
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"bye")
        connect_streams(source, sink, opened)
    assert os.read(result, 100) == b"bye"
    for descriptor in (keeps_open, source, result, sink):
        os.close(descriptor)


def test_only_what_can_be_half_closed_is_dialled(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stack", "-H", "https://h", "system", "dial-stdio"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "without TLS" in done.stderr
