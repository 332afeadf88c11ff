"""Clients over TCP: mutual TLS, with hijacked connections that close one direction at a time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker as sdk
import pytest

from cluster.api.server import ApiServer
from cluster.api.tcp_endpoint import TcpEndpoint
from cluster.api.tls_front import server_context
from cluster.clock import SystemClock
from tests.compat.conftest import IMAGE, DockerCli
from tests.compat.memory_node import MemoryNode, counting_ids
from tests.support.certificates import TestAuthority
from tests.support.lab_host import ROOT

pytestmark = pytest.mark.integration

ADDRESS = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    return TestAuthority()


@pytest.fixture(scope="module")
def client_files(authority: TestAuthority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.fill(tmp_path_factory.mktemp("tls") / "client")


@asynccontextmanager
async def serving(
    engine_socket: Path, folder: Path, context: ssl.SSLContext | None
) -> AsyncIterator[int]:
    server = ApiServer(MemoryNode(), engine_socket, SystemClock(), counting_ids())
    endpoint = TcpEndpoint(ADDRESS, 0, context)
    async with server.serving(folder / "stackd.sock", [endpoint]) as (port,):
        yield port


@pytest.fixture
async def port(engine_socket: Path, tmp_path: Path, authority: TestAuthority) -> AsyncIterator[int]:
    files = authority.fill(tmp_path / "server", address=ADDRESS)
    context = server_context(files / "ca.pem", files / "cert.pem", files / "key.pem")
    async with serving(engine_socket, tmp_path, context) as found:
        yield found


def with_tls(port: int, files: Path) -> dict[str, str]:
    return {
        "DOCKER_HOST": f"tcp://{ADDRESS}:{port}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(files),
    }


@pytest.fixture
def docker(port: int, client_files: Path, tmp_path: Path) -> DockerCli:
    return DockerCli(tmp_path / "none", tmp_path, with_tls(port, client_files))


async def test_the_stock_client_over_tls(docker: DockerCli) -> None:
    await docker("swarm", "init", "--advertise-addr", ADDRESS)
    create = ("service", "create", "--detach", "--no-resolve-image", "--name", "web", IMAGE)
    await docker(*create)
    assert "web" in await docker("service", "ls")


async def test_certificates_made_as_documented(engine_socket: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs/operations/install.md").read_text()
    script = page.partition("<!-- openssl -->\n```sh\n")[2].partition("```")[0]
    script = script.replace("10.0.0.1", ADDRESS)
    process = await asyncio.create_subprocess_exec("sh", "-e", "-c", script, cwd=tmp_path)
    assert await process.wait() == 0
    names = ("ca.pem", "server-cert.pem", "server-key.pem")
    context = server_context(*(tmp_path / name for name in names))
    async with serving(engine_socket, tmp_path, context) as port:
        docker = DockerCli(tmp_path / "none", tmp_path, with_tls(port, tmp_path))
        assert "Swarm: inactive" in await docker("info")
        (tmp_path / "cert.pem").write_text((tmp_path / "server-cert.pem").read_text())
        (tmp_path / "key.pem").write_text((tmp_path / "server-key.pem").read_text())
        await docker("info", rc=1)  # a server is no user


async def test_the_end_of_input_reaches_a_container_and_its_output_comes_back(
    docker: DockerCli,
) -> None:
    lines = b"".join(b"%d\n" % number for number in range(300_000))
    said = await docker("run", "--rm", "-i", IMAGE, "md5sum", stdin=lines)
    assert said.split()[0] == hashlib.md5(lines, usedforsecurity=False).hexdigest()
    said = await docker("run", "--rm", "-i", IMAGE, "cat", stdin=lines)
    assert said.encode() == lines


async def test_exec_over_tls(docker: DockerCli) -> None:
    await docker("run", "--detach", "--interactive", "--name", "tls-box", IMAGE, "cat")
    try:
        command = ("exec", "-i", "tls-box", "sh", "-c", "wc -c; echo end")
        assert (await docker(*command, stdin=b"abc")).split() == ["3", "end"]
    finally:
        await docker("rm", "--force", "tls-box")


async def test_the_sdk_over_tls(
    port: int, client_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)  # it would go before the authority that is given

    def work() -> tuple[bool, bytes]:
        tls = sdk.tls.TLSConfig(
            client_cert=(str(client_files / "cert.pem"), str(client_files / "key.pem")),
            ca_cert=str(client_files / "ca.pem"),
            verify=True,
        )
        client = sdk.DockerClient(f"tcp://{ADDRESS}:{port}", tls=tls, timeout=30)
        try:
            return client.ping(), client.containers.run(IMAGE, "echo hello", remove=True)
        finally:
            client.close()

    assert await asyncio.to_thread(work) == (True, b"hello\n")


async def test_stack_over_tls(docker: DockerCli, port: int, client_files: Path) -> None:
    await docker("swarm", "init", "--advertise-addr", ADDRESS)
    process = await asyncio.create_subprocess_exec(
        str(ROOT / ".venv/bin/stack"),
        *("node", "ls"),
        env={"PATH": os.environ["PATH"], **with_tls(port, client_files)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"Leader" in out


async def test_without_a_certificate_of_the_authority_nobody_gets_in(
    port: int, client_files: Path, tmp_path: Path
) -> None:
    strangers = TestAuthority("another").fill(tmp_path / "stranger")
    (strangers / "ca.pem").write_bytes((client_files / "ca.pem").read_bytes())
    nobody = tmp_path / "nobody"
    nobody.mkdir()
    (nobody / "ca.pem").write_bytes((client_files / "ca.pem").read_bytes())
    for folder in (strangers, nobody):
        refused = DockerCli(tmp_path / "none", tmp_path, with_tls(port, folder))
        assert "tls: " in await refused("version", rc=1)
    plain = DockerCli(tmp_path / "none", tmp_path, {"DOCKER_HOST": f"tcp://{ADDRESS}:{port}"})
    await plain("version", rc=1)


async def test_a_client_that_says_nothing_does_not_hold_up_the_end(
    engine_socket: Path, tmp_path: Path, authority: TestAuthority
) -> None:
    files = authority.fill(tmp_path / "server", address=ADDRESS)
    context = server_context(files / "ca.pem", files / "cert.pem", files / "key.pem")
    async with asyncio.timeout(30), serving(engine_socket, tmp_path, context) as port:
        _, writer = await asyncio.open_connection(ADDRESS, port)
    writer.close()


async def test_plain_tcp_of_the_machine_itself(engine_socket: Path, tmp_path: Path) -> None:
    async with serving(engine_socket, tmp_path, None) as port:
        docker = DockerCli(tmp_path / "none", tmp_path, {"DOCKER_HOST": f"tcp://{ADDRESS}:{port}"})
        assert await docker("run", "--rm", "-i", IMAGE, "cat", stdin=b"x") == "x"


@pytest.fixture
async def open_port(
    engine_socket: Path, tmp_path: Path, authority: TestAuthority
) -> AsyncIterator[int]:
    """A port on which clients may have a token in place of a certificate."""
    files = authority.fill(tmp_path / "server", address=ADDRESS)
    context = server_context(
        files / "ca.pem", files / "cert.pem", files / "key.pem", accepts_tokens=True
    )
    async with serving(engine_socket, tmp_path, context) as found:
        yield found


async def test_where_tokens_are_accepted_nobody_gets_in_without_one(
    open_port: int, client_files: Path, tmp_path: Path
) -> None:
    strangers = TestAuthority("another").fill(tmp_path / "stranger")
    nobody = tmp_path / "nobody"
    nobody.mkdir()
    for folder in (strangers, nobody):
        (folder / "ca.pem").write_bytes((client_files / "ca.pem").read_bytes())
    stranger = DockerCli(tmp_path / "none", tmp_path, with_tls(open_port, strangers))
    assert "tls: " in await stranger("version", rc=1)
    docker = DockerCli(tmp_path / "none", tmp_path, with_tls(open_port, nobody))
    assert "needs a deploy token" in await docker("ps", rc=1)
    assert "needs a deploy token" in await docker("run", "--rm", "-i", IMAGE, "true", rc=125)


async def test_no_upgrade_gets_past_the_door(open_port: int, client_files: Path) -> None:
    context = ssl.create_default_context(cafile=str(client_files / "ca.pem"))
    for more, status in (
        (b"", b" 401 "),
        (b"Authorization: Basic eDp5\r\n", b" 401 "),
        # no manager here, so nobody knows any token
        (b"Authorization: Bearer stk_x\r\n", b" 503 "),
    ):
        reader, writer = await asyncio.open_connection(ADDRESS, open_port, ssl=context)
        writer.write(
            b"POST /v1.41/exec/x/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
            b"Upgrade: tcp\r\nContent-Length: 0\r\n" + more + b"\r\n"
        )
        assert status in await reader.readline()
        writer.close()


async def test_who_has_a_certificate_needs_no_token(
    open_port: int, client_files: Path, tmp_path: Path
) -> None:
    docker = DockerCli(tmp_path / "none", tmp_path, with_tls(open_port, client_files))
    said = await docker("run", "--rm", "-i", IMAGE, "cat", stdin=b"hello")
    assert said == "hello"
