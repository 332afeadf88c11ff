"""A manager reached through a real SSH server, by both clients."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import MANAGER, ROOT, Cluster, idle
from tests.support.ssh_server import ssh_server

BIN = ROOT / ".venv/bin"
SYSTEM = "/usr/bin:/bin"
Run = Callable[..., subprocess.CompletedProcess[str]]


class Login:
    """A host that can be logged in to, and commands that run elsewhere and name it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._path = f"{folder / 'bin'}:{os.environ['PATH']}"

    def __call__(self, program: str, *arguments: str, code: int = 0, url: str = "") -> str:
        command = [str(BIN / program) if program == "stack" else program, *arguments]
        env = {**os.environ, "PATH": self._path, "DOCKER_HOST": url or self.url}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def login(cluster: Cluster, tmp_path: Path) -> Iterator[Login]:
    """A login on which `stack` and `docker` are found, and find stackd's socket."""
    folder = tmp_path / "ssh"
    socket = cluster.lab.host(MANAGER).stackd_socket
    environment = {"PATH": f"{BIN}:{SYSTEM}", "DOCKER_HOST": f"unix://{socket}"}
    with ssh_server(folder, environment) as url:
        yield Login(url, folder)


def test_both_clients_deploy_and_look_through_ssh(cluster: Cluster, login: Login) -> None:
    content = {"services": {"web": {**idle(), "command": ["sh", "-c", "echo hello; sleep 9999"]}}}
    file = cluster.compose_file(content)
    login("stack", "deploy", "-c", file, "--resolve-image", "never", "--stable", "0", "shop")
    assert "shop_web" in login("stack", "services", "shop")
    assert "hello" in login("stack", "logs", "shop_web")
    assert "shop_web" in login("docker", "service", "ls")
    socket = str(cluster.lab.host(MANAGER).stackd_socket)
    assert "shop_web" in login("stack", "services", "shop", url=login.url + socket)
    login("docker", "stack", "rm", "shop")
    last = cluster.rows("audit", "--stack", "shop", "--limit", "1")[0]
    assert last["Origin"] == "unix uid 0"


def test_what_keeps_one_out_is_said(cluster: Cluster, login: Login, tmp_path: Path) -> None:
    stranger = login.url.replace("root@", "nobody-here@")
    assert "Permission denied (publickey)" in login("stack", "ls", code=1, url=stranger)
    nowhere = login("stack", "ls", code=1, url=f"{login.url}/nothing.sock")
    assert "no answer from unix:///nothing.sock: No such file or directory" in nowhere
    with ssh_server(tmp_path / "bare", {"PATH": SYSTEM}) as url:
        bare = Login(url, tmp_path / "bare")
        assert "127.0.0.1 has no command stack" in bare("stack", "ls", code=1)
    assert "Connection refused" in bare("stack", "ls", code=1)
